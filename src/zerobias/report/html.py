"""The report as one self-contained page: a pure function of the report, without network, script or font."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from statistics import median_low
from typing import Any, get_args

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from zerobias.files import write_text
from zerobias.physics import PhysicsTable, ScoreCurves
from zerobias.report import tables, text
from zerobias.report.charts import budget_bar, roc_plot, score_plot
from zerobias.report.model import Design, HardwareRow, Metric, Report

__all__ = ["page", "write_page"]

_CUTS = (1e-2, 1e-3)
"""Background shares whose thresholds the distributions show."""
_SOURCES = {
    "reference": "the integer reference: exact fixed-point arithmetic in Python",
    "csim": "C simulation of the HLS project, compiled with g++",
    "rtl-sim": "cycle-accurate simulation of the Verilog",
    "yosys": "Yosys' netlist of the Verilog",
    "estimate": "a formula; no tool measured it",
    "csynth": "Vitis HLS' synthesis report",
    "vivado": "Vivado's report",
}
_MEANING: dict[Metric, str] = {
    "latency": "latency",
    "ii": "initiation interval",
    "clock": "clock period",
    "gates": "gate area",
    "lut": "look-up tables",
    "ff": "flip-flops",
    "dsp": "DSP blocks",
    "bram": "block RAM",
}


def write_page(report: Report, path: Path) -> None:
    """Write :func:`page` to ``path``."""
    write_text(path, page(report))


def page(report: Report) -> str:
    """The page as HTML text; the same report gives the same text."""
    designs = [report.deployed, *(one for one in get_args(Design) if one != report.deployed)]
    return (
        _environment()
        .get_template("page.html.j2")
        .render(
            report=report,
            agreement=tables.agreement_table(report.agreement),
            designs=[
                (one, rows) for one in designs if (rows := [r for r in report.hardware if r.design == one])
            ],
            deciding=[
                row for metric in ("latency", "ii", "gates", "lut") if (row := _deciding(report, metric))
            ],
            provenance=list(tables.provenance_tables(report)),
            **({} if report.physics is None else _physics(report.physics)),
            **(
                {}
                if report.physics is None or report.curves is None
                else _plots(report.physics, report.curves)
            ),
        )
    )


@cache
def _environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals |= {"text": text, "bar": budget_bar, "sources": _SOURCES, "meaning": _MEANING}
    made.globals |= {"share_text": _share_text, "band_text": _band_text}
    made.filters |= {
        "anchor": _anchor,
        "plain": text.plain,
        "capitalize_first": lambda words: words[:1].upper() + words[1:],
    }
    return made


def _anchor(words: str) -> str:
    """``words`` as an identifier of the page."""
    return re.sub(r"[^a-z0-9]+", "-", words.lower()).strip("-")


def _deciding(report: Report, metric: str) -> HardwareRow | None:
    """The row of the deployed design that the verdict rests on: a measurement, or else an estimate."""
    rows = [row for row in report.hardware if row.design == report.deployed and row.metric == metric]
    return next((row for row in rows if row.measured), rows[0] if rows else None)


def _share_text(row: HardwareRow) -> str:
    """The value as a share of its ceiling; empty without one, or for a ceiling of zero."""
    return f"{100 * row.value / row.budget:.0f} % of" if row.value is not None and row.budget else ""


def _band_text(row: HardwareRow) -> str:
    """The error band in the row's unit; empty without one."""
    if row.band is None or row.value is None:
        return ""
    low, high = (row.model_copy(update={"value": factor * row.value}) for factor in row.band)
    return f"a measurement is expected between {text.value_text(low)} and {text.value_text(high)}"


def _physics(physics: PhysicsTable) -> dict[str, Any]:
    return {
        "means": tables.means_table(physics),
        "signals": tables.signals_table(physics),
        "pileup": tables.pileup_table(physics),
        "details": list(tables.detail_tables(physics)),
    }


def _plots(physics: PhysicsTable, curves: ScoreCurves) -> dict[str, Any]:
    """Plots of three signals (highest, median and lowest AUC), small ones of each, and their points."""
    aucs = {row.signal: row.auc for row in physics.rows if row.score == "model"}
    order = sorted(aucs, key=lambda name: aucs[name].value, reverse=True)
    middle = median_low(range(len(order)))
    picked = list(dict.fromkeys([order[0], order[middle], order[-1]]))
    return {
        "overview": (score_plot(curves, picked, _CUTS), roc_plot(curves, picked)),
        "picked": [(name, text.plus_minus(aucs[name], 4)) for name in picked],
        "panels": [
            (
                name,
                text.plus_minus(aucs[name], 4),
                score_plot(curves, [name], _CUTS, small=True),
                roc_plot(curves, [name], small=True),
            )
            for name in aucs
        ],
        "points": list(tables.curve_tables(curves)),
    }

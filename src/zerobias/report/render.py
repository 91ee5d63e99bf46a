"""The report for the terminal."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from zerobias.physics import PhysicsTable
from zerobias.report.model import Design, HardwareRow, Report
from zerobias.report.text import (
    agreement_text,
    budget_text,
    headroom_note,
    physics_text,
    plus_minus,
    quantisation_text,
    rates_of,
    reweighting_text,
    shown_rows,
    source_text,
    unmeasured_text,
    value_text,
)
from zerobias.targets import Target

__all__ = ["hardware_table", "render"]

_MARKS = {True: Text("ok", style="green"), False: Text("over", style="bold red"), None: Text("-")}


def render(report: Report, target: Target) -> RenderableType:
    """Compact tables: agreement, hardware, headroom, physics, verdict."""
    parts: list[RenderableType] = [
        Text.assemble(
            (f"{report.model} {report.version}", "bold"),
            f"  target {report.target} ({target.part}, {target.clock_mhz:g} MHz)  digest {report.digest[:8]}",
        ),
        _agreement(report),
        hardware_table(report.hardware, report.deployed),
        _headroom(report),
    ]
    if report.physics is not None:
        parts += [_physics(report.physics), _pileup(report.physics), _means(report.physics)]
        if report.physics.quantisation is not None:
            parts.append(Text(quantisation_text(report.physics.quantisation.mean)))
    style = "bold red" if report.verdict == "fail" else "bold green"
    waiting = unmeasured_text(report)
    parts.append(Text.assemble("verdict: ", (report.verdict, style), f" ({waiting})" if waiting else ""))
    parts += [Text(f"  {cause}", style="red") for cause in report.causes]
    return Group(*parts)


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="dim")
    for index, column in enumerate(columns):
        table.add_column(column, justify="left" if index == 0 else "right", no_wrap=True)
    return table


def _agreement(report: Report) -> Text:
    lines = [
        agreement_text(report.agreement, name)
        for name in report.agreement.implementations
        if name != "reference"
    ]
    style = "red" if any(report.agreement.mismatches.values()) else "green"
    return Text.assemble("agreement: ", ("\n           ".join(lines), style))


def hardware_table(rows: Iterable[HardwareRow], deployed: Design) -> Table:
    """Figures, their ceilings and where they come from; those of designs not ``deployed`` are dim."""
    table = _table(
        f"hardware; the {deployed} design is deployed",
        "design",
        "metric",
        "value",
        "",
        "budget",
        "",
        "source",
    )
    for row in rows:
        table.add_row(
            row.design,
            row.metric,
            value_text(row),
            row.note,
            budget_text(row),
            _MARKS[row.ok],
            source_text(row),
            style=None if row.design == deployed else "dim",
        )
    return table


def _headroom(report: Report) -> Table:
    table = _table(
        "headroom over the contract's input box", "node", "type", "minimum", "maximum", "bits", "of", ""
    )
    table.columns[1].no_wrap, table.columns[1].overflow = False, "fold"
    for row in report.headroom:
        table.add_row(
            row.node,
            row.type,
            f"{row.minimum:,.6g}",
            f"{row.maximum:,.6g}",
            str(row.bits_used),
            "free" if row.bits_available is None else str(row.bits_available),
            Text(headroom_note(row), style="bold red" if row.overflows else ""),
        )
    return table


def _physics(physics: PhysicsTable) -> Table:
    rates = rates_of(physics)
    columns = [part for rate in rates for part in (f"eff. at {rate}", "bkg")]
    table = _table(
        f"physics on the {physics_text(physics)}: the model and the best cut; report.json has all",
        "signal",
        "score",
        "AUC",
        *columns,
    )
    last = ""
    for row in shown_rows(physics):
        cells = []
        for rate in rates:
            cells += [plus_minus(row.efficiency[rate], 3), f"{row.background_above[rate]:.0f}"]
        signal = row.signal if row.signal != last else ""
        table.add_row(signal, row.score, plus_minus(row.auc, 4), *cells, style="bold" if signal else None)
        last = row.signal
    return table


def _pileup(physics: PhysicsTable) -> Table:
    bins = sorted({(row.low, row.high) for row in physics.pileup})
    table = _table("AUC of the model versus pile-up", "signal", *(f"nPU {low}-{high}" for low, high in bins))
    for signal in dict.fromkeys(row.signal for row in physics.pileup):
        found = {(r.low, r.high): r.auc for r in physics.pileup if r.signal == signal}
        table.add_row(signal, *(plus_minus(found[b], 3) if b in found else "-" for b in bins))
    return table


def _means(physics: PhysicsTable) -> Group:
    table = _table("mean AUC over the signals", "score", "AUC", "with zero-bias pile-up")
    for row in physics.means:
        other = row.auc_reweighted
        table.add_row(row.score, plus_minus(row.auc, 4), plus_minus(other, 4) if other else "-")
    return Group(table, Text(reweighting_text(physics)))

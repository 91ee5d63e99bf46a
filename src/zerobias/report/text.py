"""How the report's figures read, for the terminal and the page: each with its unit and its source."""

from __future__ import annotations

import math

from zerobias.physics import PhysicsTable, ScoreRow, Value
from zerobias.report.model import Agreement, HardwareRow, HeadroomRow, Report

__all__ = [
    "FEW",
    "agreement_text",
    "budget_text",
    "headroom_note",
    "physics_text",
    "plain",
    "plus_minus",
    "quantisation_text",
    "rates_of",
    "reweighting_text",
    "shown_rows",
    "source_text",
    "unmeasured_text",
    "value_text",
]

_COUNTS = ("gates", "lut", "ff", "dsp", "bram")
FEW = 10.0
"""Effective background events below which a figure is marked and a curve is dashed."""


def agreement_text(agreement: Agreement, name: str) -> str:
    """Whether the implementation ``name`` equals the integer reference, and on how many events."""
    total = agreement.events + agreement.extremes
    wrong = agreement.mismatches.get(name, 0)
    exact = "exact" if wrong == 0 else "DIFFERS"
    return f"{name} {exact}, {total - wrong:,} of {total:,} events equal to the integer reference"


def value_text(row: HardwareRow) -> str:
    """The value with its unit."""
    if row.value is None:
        return "unknown"
    if row.metric in _COUNTS:
        return f"{row.value:,.0f} {row.unit}"
    return f"{row.value:,.4g} {row.unit}"


def budget_text(row: HardwareRow) -> str:
    """The ceiling with its unit; a share of a chip as the most whole ones it allows."""
    if row.budget is None:
        return "none"
    return f"{math.floor(row.budget) if row.metric in _COUNTS else row.budget:,.6g} {row.unit}"


def source_text(row: HardwareRow) -> str:
    """The source, an estimate marked as one, with its error band in factors of the value."""
    source = f"≈ {row.source}" if row.source == "estimate" else row.source
    return source if row.band is None else f"{source} ×{row.band[0]:g}-{row.band[1]:g}"


def headroom_note(row: HeadroomRow) -> str:
    """What happens to values that the type does not hold."""
    if row.overflows:
        return "OVERFLOWS"
    return "saturates" if row.bits_available is not None and row.bits_used > row.bits_available else ""


def plain(setting: object) -> str:
    """A setting; 240.0 reads 240."""
    return f"{setting:g}" if isinstance(setting, float) else str(setting)


def plus_minus(value: Value, digits: int) -> str:
    """A figure and its error."""
    return f"{value.value:.{digits}f} ± {value.error:.{digits}f}"


def physics_text(physics: PhysicsTable) -> str:
    """What the physics figures are of."""
    return f"{physics.split} split of {physics.sample} ({physics.replicas} bootstrap replicas)"


def rates_of(physics: PhysicsTable) -> list[str]:
    """The false-positive rates of the efficiencies, highest first."""
    return sorted(physics.rows[0].efficiency, key=float, reverse=True) if physics.rows else []


def shown_rows(physics: PhysicsTable) -> list[ScoreRow]:
    """For each signal the network's row, then that of the cut with the highest AUC."""
    shown = []
    for signal in dict.fromkeys(row.signal for row in physics.rows):
        rows = [row for row in physics.rows if row.signal == signal]
        cuts = [row for row in rows if not row.score.startswith("model")]
        shown += [row for row in rows if row.score == "model"]
        shown += [max(cuts, key=lambda row: row.auc.value)] if cuts else []
    return shown


def quantisation_text(mean: Value) -> str:
    """What quantisation costs."""
    return (
        f"quantised minus float AUC, mean over the signals: {mean.value:+.4f} ± {mean.error:.4f} "
        "(paired bootstrap)"
    )


def reweighting_text(physics: PhysicsTable) -> str:
    """How many signals could be reweighted in pile-up, and what that left out."""
    signals = {row.signal for row in physics.rows}
    note = f"{len(physics.reweighting)} of {len(signals)} signals reweighted in nPU"
    if physics.reweighting:
        dropped = max(row.background_dropped for row in physics.reweighting)
        outside = max(row.signal_dropped for row in physics.reweighting)
        note += f"; left out: at most {100 * dropped:.1f} % of zero bias, {100 * outside:.1f} % of a signal"
    return note


def unmeasured_text(report: Report) -> str:
    """The metrics whose ceilings no measurement keeps, where the verdict rests on that; else empty."""
    waiting = report.verdict == "pass-on-estimates" and report.unmeasured
    return f"not measured: {', '.join(report.unmeasured)}" if waiting else ""

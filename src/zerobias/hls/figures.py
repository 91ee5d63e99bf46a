"""The report's estimates of the hls4ml design, each with its method and the error it admits to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from zerobias.hls.estimate import Estimate

if TYPE_CHECKING:
    from zerobias.targets import Target
    from zerobias.zoo import HlsSettings

__all__ = ["BANDS", "EstimatedFigure", "estimated_figures"]

Metric = Literal["latency", "ii", "lut", "ff", "dsp", "bram"]

BANDS: dict[Metric, tuple[float, float] | None] = {
    "latency": (0.5, 2.0),
    "ii": (1.0, 2.0),
    "lut": (0.3, 2.0),
    "ff": (0.3, 3.0),
    "dsp": None,
    "bram": None,
}
"""Declared error bands: the measured figure lies between these factors of the estimate.

They are claims, wide because no vendor's report was at hand to narrow them. Counts that are mostly zero have
no relative band.
"""

_LUTS = {
    "latency": "EBOPs",
    "resource": "products that exist at once, their adders and multiplexers, and EBOPs where all exist",
    "distributed_arithmetic": "adder graphs of da4ml, and EBOPs of products of two variables",
}


class EstimatedFigure(NamedTuple):
    """One figure in the order of ``report.budgeted``'s parameters, in ns, bunch crossings or counts."""

    metric: Metric
    value: float
    method: str
    band: tuple[float, float] | None


def estimated_figures(found: Estimate, target: Target, settings: HlsSettings) -> tuple[EstimatedFigure, ...]:
    """The figures of an estimate of a project written with ``settings``.

    ``latency`` strategy with a reuse factor R: hls4ml limits the multipliers to a share 1/R, so does this.
    """
    strategy, reuse = settings.strategy, settings.reuse_factor
    shared = reuse if strategy == "latency" else 1
    cycles, interval = found.cycles + shared - 1, found.interval * shared
    how = f"{strategy} strategy, reuse factor {reuse}"
    parts = f"{found.multipliers} products, {found.adders} adders"
    if found.comparisons:
        parts = f"{found.comparisons} comparisons, {parts}"
    luts = f"{_LUTS[strategy]}{f' / {shared}' if shared > 1 else ''}"
    rows: list[tuple[Metric, float, str]] = [
        (
            "latency",
            cycles * target.clock_ns,
            f"{found.levels} adder and cast levels in {cycles} clocks of {target.clock_ns:.3f} ns, {how}",
        ),
        ("ii", interval * target.clock_ns / target.bx_ns, f"clocks a layer is busy at most, {how}"),
        ("lut", found.ebops / shared, f"{luts}; {parts}"),
        ("ff", found.ff, "output bits of each layer for each of its clocks"),
        ("dsp", found.dsp, "products of two variables with more than 10 bits"),
        ("bram", found.bram, "ROMs of weights whose products are shared" if found.bram else "no ROMs"),
    ]
    return tuple(EstimatedFigure(*row, BANDS[row[0]]) for row in rows)

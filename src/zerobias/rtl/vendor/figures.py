"""Figures of a build that a vendor's tool reported, ready to be rows of the report."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from zerobias.errors import DataError
from zerobias.rtl.vendor.reports import read_csynth, read_timing, read_utilization
from zerobias.rtl.vendor.run import PROJECTS, TOOLS, Design, is_current, results

if TYPE_CHECKING:
    from zerobias.targets import Target

__all__ = ["VendorFigure", "vendor_rows"]

log = logging.getLogger(__name__)

_PORT_REGISTERS = 2
"""Clocks of the input and the output register, which lie outside the HLS function."""
_ROUNDED_NS = 0.006
"""Reports round clock periods to 0.01 ns."""


class VendorFigure(NamedTuple):
    """One figure in the order of ``report.budgeted``'s parameters after the target.

    ``value`` is in ns (latency, clock), bunch crossings (ii) or counts; None: not valid.
    """

    design: Design
    metric: Literal["latency", "ii", "clock", "lut", "ff", "dsp", "bram"]
    value: float | None
    source: Literal["csynth", "vivado"]
    method: str


def vendor_rows(folder: Path, target: Target) -> tuple[VendorFigure, ...]:
    """Figures of the vendor's reports in the build ``folder``, one a design and metric.

    Where both tools give one, it is Vivado's. A latency in ns is valid only when the design reaches the
    target's clock. Reports of a project that has changed since are left out with a warning. Raises
    ``DataError`` for one that cannot be read.
    """
    found: dict[tuple[str, str], VendorFigure] = {}
    for design in PROJECTS:
        for tool in TOOLS:
            place = results(folder, design, tool)
            if not is_current(folder, design, tool):
                if place.is_dir():
                    log.warning(
                        "%s is of another project than the one built now: run `zerobias vendor` again", place
                    )
                continue
            rows = _csynth(place, target) if tool == "vitis_hls" else _vivado(place, design, target)
            found |= {(row.design, row.metric): row for row in rows}
    return tuple(_valid(row, found.get((row.design, "clock")), target) for row in found.values())


def _csynth(place: Path, target: Target) -> Iterator[VendorFigure]:
    report = read_csynth(place)
    _check_clock(place, report.clock_ns, target)
    clocks = report.latency + _PORT_REGISTERS
    text = f"Vitis HLS: {report.latency} clocks at worst, and one each for the input and the output register"
    yield VendorFigure("hls4ml", "latency", clocks * target.clock_ns, "csynth", text)
    ii = report.interval * target.clock_ns / target.bx_ns
    yield VendorFigure("hls4ml", "ii", ii, "csynth", f"Vitis HLS: {report.interval} clocks at worst")
    yield VendorFigure("hls4ml", "clock", report.estimated_clock_ns, "csynth", "Vitis HLS: estimated period")
    yield VendorFigure("hls4ml", "lut", report.lut, "csynth", "Vitis HLS, before logic synthesis")
    yield VendorFigure("hls4ml", "ff", report.ff, "csynth", "Vitis HLS, before logic synthesis")
    yield VendorFigure("hls4ml", "dsp", report.dsp, "csynth", "Vitis HLS, before logic synthesis")
    yield VendorFigure("hls4ml", "bram", report.bram18 / 2, "csynth", "Vitis HLS: half its count of 18 Kbit")


def _vivado(place: Path, design: Design, target: Target) -> Iterator[VendorFigure]:
    used, timing = read_utilization(place / "utilization.rpt"), read_timing(place / "timing.rpt")
    _check_clock(place, timing.clock_ns, target)
    how = "Vivado, placed and routed out of context"
    period = target.clock_ns - timing.worst_slack_ns
    slack = f"{how}: target's period less {timing.worst_slack_ns:g} ns of slack"
    yield VendorFigure(design, "clock", period, "vivado", slack)
    yield VendorFigure(design, "lut", used.lut, "vivado", how)
    yield VendorFigure(design, "ff", used.ff, "vivado", how)
    yield VendorFigure(design, "dsp", used.dsp, "vivado", how)
    yield VendorFigure(design, "bram", used.bram36, "vivado", how)


def _check_clock(place: Path, clock_ns: float, target: Target) -> None:
    if not math.isclose(clock_ns, target.clock_ns, abs_tol=_ROUNDED_NS):
        raise DataError(
            f"{place} reports a clock of {clock_ns:g} ns, target {target.name} has {target.clock_ns:.4g}: "
            "run `zerobias vendor` again"
        )


def _valid(row: VendorFigure, clock: VendorFigure | None, target: Target) -> VendorFigure:
    """``row``; a latency loses its value when the design does not reach the clock it is counted in."""
    if row.metric != "latency" or clock is None or clock.value is None:
        return row
    if clock.value <= target.clock_ns:
        return row
    return row._replace(value=None, method=f"{row.method}; not valid, the clock is not reached")

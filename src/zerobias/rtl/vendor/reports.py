"""What the vendor's report files say: csynth.xml by hls4ml's parser, Vivado's text reports by a thin one."""

from __future__ import annotations

import contextlib
import io
import re
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from pathlib import Path

from zerobias.errors import DataError

__all__ = ["Csynth", "Timing", "Utilization", "read_csynth", "read_timing", "read_utilization"]

_CSYNTH = {
    "TargetClockPeriod": "UserAssignments/TargetClockPeriod",
    "EstimatedClockPeriod": "PerformanceEstimates/SummaryOfTimingAnalysis/EstimatedClockPeriod",
    "BestLatency": "PerformanceEstimates/SummaryOfOverallLatency/Best-caseLatency",
    "WorstLatency": "PerformanceEstimates/SummaryOfOverallLatency/Worst-caseLatency",
    "IntervalMin": "PerformanceEstimates/SummaryOfOverallLatency/Interval-min",
    "IntervalMax": "PerformanceEstimates/SummaryOfOverallLatency/Interval-max",
    "LUT": "AreaEstimates/Resources/LUT",
    "FF": "AreaEstimates/Resources/FF",
    "DSP": "AreaEstimates/Resources/DSP",
    "BRAM_18K": "AreaEstimates/Resources/BRAM_18K",
}
"""Where in csynth.xml the values lie that hls4ml's parser gives under these names."""
_AGAIN = "run `zerobias vendor` again, or delete its results"


@dataclass(frozen=True)
class Csynth:
    """Vitis HLS's synthesis report: clocks, ns and counts; a block RAM of 36 Kbit is two of ``bram18``."""

    clock_ns: float
    estimated_clock_ns: float
    latency: int
    interval: int
    lut: int
    ff: int
    dsp: int
    bram18: int


@dataclass(frozen=True)
class Utilization:
    """Vivado's utilisation report; block RAM in tiles of 36 Kbit, which come in halves."""

    lut: float
    ff: float
    dsp: float
    bram36: float


@dataclass(frozen=True)
class Timing:
    """Vivado's timing summary: period of the clock and worst slack of a path, in ns."""

    clock_ns: float
    worst_slack_ns: float


def read_csynth(folder: Path) -> Csynth:
    """The report of the function that ``project.tcl`` names, in the ``folder`` that Vitis HLS ran in.

    Latency and interval are the worst case. Raises ``DataError`` naming file and element when one is missing
    or no number.
    """
    named = re.search(r'set project_name "(\w+)"', _text(folder / "project.tcl"))
    if named is None:
        raise DataError(f"{folder / 'project.tcl'} does not set project_name; {_AGAIN}")
    project = folder / f"{named[1]}_prj"
    path = project / "solution1" / "syn" / "report" / f"{named[1]}_csynth.xml"
    for needed in (project / "hls.app", path):
        if not needed.is_file():
            raise DataError(f"{needed} is missing, so this is no finished run of Vitis HLS; {_AGAIN}")
    try:
        root = ElementTree.parse(path).getroot()
    except ElementTree.ParseError as error:
        raise DataError(f"{path} is not XML ({error}); {_AGAIN}") from error
    for element in _CSYNTH.values():
        # The parser of hls4ml reads the DSPs of old versions too, which call them DSP48E.
        if root.find(element) is None and root.find(element.replace("/DSP", "/DSP48E")) is None:
            raise DataError(f"{path}: element {element} is missing; {_AGAIN}")
    if root.find("AreaEstimates/AvailableResources") is None:
        raise DataError(f"{path}: element AreaEstimates/AvailableResources is missing; {_AGAIN}")
    from hls4ml.report import parse_vivado_report

    with contextlib.redirect_stdout(io.StringIO()):
        found = (parse_vivado_report(str(folder)) or {}).get("CSynthesisReport", {})

    def number(name: str) -> float:
        text = found.get(name)
        try:
            return float(text)
        except (TypeError, ValueError):
            raise DataError(f"{path}: element {_CSYNTH[name]} is {text!r}, no number; {_AGAIN}") from None

    return Csynth(
        clock_ns=number("TargetClockPeriod"),
        estimated_clock_ns=number("EstimatedClockPeriod"),
        latency=int(number("WorstLatency")),
        interval=int(number("IntervalMax")),
        lut=int(number("LUT")),
        ff=int(number("FF")),
        dsp=int(number("DSP")),
        bram18=int(number("BRAM_18K")),
    )


def read_utilization(path: Path) -> Utilization:
    """The report ``path`` of ``report_utilization``; rows are called Slice ... or CLB ... by family.

    Raises ``DataError`` naming file and row when one is missing or no number.
    """
    text = _text(path)

    def used(*names: str) -> float:
        rows = "|".join(names)
        match = re.search(rf"^\|\s*(?:{rows})\*?\s*\|\s*(\S+)\s*\|", text, re.MULTILINE)
        if match is None:
            raise DataError(f"{path}: row {' or '.join(names)} is missing; {_AGAIN}")
        return _number(match[1], path, names[0])

    return Utilization(
        lut=used("Slice LUTs", "CLB LUTs"),
        ff=used("Slice Registers", "CLB Registers"),
        dsp=used("DSPs"),
        bram36=used("Block RAM Tile"),
    )


def read_timing(path: Path) -> Timing:
    """The report ``path`` of ``report_timing_summary``, of a design with one clock called ``clock``.

    Raises ``DataError`` naming file and entry when one is missing or no number.
    """
    text = _text(path)
    slack = re.search(r"^\s*WNS\(ns\).*\n[\s-]+\n\s*(\S+)", text, re.MULTILINE)
    if slack is None:
        raise DataError(f"{path}: column WNS(ns) of the Design Timing Summary is missing; {_AGAIN}")
    clock = re.search(r"^clock\s+\{[\d. ]+\}\s+(\S+)", text, re.MULTILINE)
    if clock is None:
        raise DataError(f"{path}: row clock of the Clock Summary is missing; {_AGAIN}")
    return Timing(_number(clock[1], path, "Period(ns)"), _number(slack[1], path, "WNS(ns)"))


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); {_AGAIN}") from error


def _number(text: str, path: Path, name: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise DataError(f"{path}: {name} is {text!r}, no number; {_AGAIN}") from None

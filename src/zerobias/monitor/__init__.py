"""Monitoring: new event files -> drift against a reference, disagreements of scores and of inputs."""

from zerobias.monitor.drift import Change, Drift, Limits, Row, compare
from zerobias.monitor.mismatch import (
    FeatureRow,
    FirstInput,
    FirstScore,
    InputCheck,
    InputMismatch,
    ScoreCheck,
    ScoreMismatch,
)
from zerobias.monitor.monitor import FileRow, Flag, Monitoring, monitor
from zerobias.monitor.recorded import Recorded, Twin
from zerobias.monitor.reference import REFERENCE, About, Part, Reference, make_reference, parts
from zerobias.monitor.tally import Shares, Tally
from zerobias.monitor.variables import Crossings, Variable, plan

__all__ = [
    "REFERENCE",
    "About",
    "Change",
    "Crossings",
    "Drift",
    "FeatureRow",
    "FileRow",
    "FirstInput",
    "FirstScore",
    "Flag",
    "InputCheck",
    "InputMismatch",
    "Limits",
    "Monitoring",
    "Part",
    "Recorded",
    "Reference",
    "Row",
    "ScoreCheck",
    "ScoreMismatch",
    "Shares",
    "Tally",
    "Twin",
    "Variable",
    "compare",
    "make_reference",
    "monitor",
    "parts",
    "plan",
]

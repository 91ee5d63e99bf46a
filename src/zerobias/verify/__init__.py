"""Verification: all implementations on all vectors, equal or the first diverging layer."""

from zerobias.verify.gate import Disagreement, Implementation, Verdict, compare
from zerobias.verify.implementations import csim_implementation, keras_implementation
from zerobias.verify.vectors import extreme_events

__all__ = [
    "Disagreement",
    "Implementation",
    "Verdict",
    "compare",
    "csim_implementation",
    "extreme_events",
    "keras_implementation",
]

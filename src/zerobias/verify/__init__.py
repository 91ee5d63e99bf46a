"""Verification: all implementations on all vectors, equal or the first diverging layer."""

from zerobias.verify.gate import Disagreement, Implementation, Verdict, compare
from zerobias.verify.golden import Golden, golden_inputs, read_golden, write_golden
from zerobias.verify.implementations import csim_implementation, keras_implementation
from zerobias.verify.vectors import extreme_events

__all__ = [
    "Disagreement",
    "Golden",
    "Implementation",
    "Verdict",
    "compare",
    "csim_implementation",
    "extreme_events",
    "golden_inputs",
    "keras_implementation",
    "read_golden",
    "write_golden",
]

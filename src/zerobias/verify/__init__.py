"""Verification: all implementations on all vectors, equal or the first diverging layer."""

from zerobias.verify.files import ArrayComparison, Comparison, compare_files, read_arrays
from zerobias.verify.gate import Disagreement, Implementation, Verdict, compare
from zerobias.verify.golden import Golden, golden_inputs, read_golden, write_golden
from zerobias.verify.implementations import (
    circuit_implementation,
    csim_implementation,
    framework_implementation,
    keras_implementation,
    rtl_implementation,
)
from zerobias.verify.trees import sklearn_implementation
from zerobias.verify.vectors import extreme_events

__all__ = [
    "ArrayComparison",
    "Comparison",
    "Disagreement",
    "Golden",
    "Implementation",
    "Verdict",
    "circuit_implementation",
    "compare",
    "compare_files",
    "csim_implementation",
    "extreme_events",
    "framework_implementation",
    "golden_inputs",
    "keras_implementation",
    "read_arrays",
    "read_golden",
    "rtl_implementation",
    "sklearn_implementation",
    "write_golden",
]

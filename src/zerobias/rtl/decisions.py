"""Decision trees as wires: comparisons with constants, and the leaf they lead to."""

from __future__ import annotations

import math

import numpy as np
from alkaid.trace.fixed_variable import FVariable

from zerobias.rtl.wires import Wires, constant, is_constant, plus
from zerobias.trees import LEAF, TreeEnsemble

__all__ = ["leaf_values"]


def leaf_values(trees: TreeEnsemble, inputs: Wires, frac: int) -> Wires:
    """Integer value of each tree's leaf for inputs with ``frac`` fractional bits.

    From the leaves upwards, each decision chooses between two values. Equal questions are asked once.
    """
    asked: dict[tuple[int, int], FVariable] = {}

    def value(node: int) -> FVariable:
        feature, threshold = int(trees.feature[node]), int(trees.threshold[node])
        if feature == LEAF:
            return constant(float(trees.value[node]))
        if (feature, threshold) not in asked:
            asked[feature, threshold] = _at_most(inputs[feature], threshold * 2.0**-frac)
        decision = asked[feature, threshold]
        if is_constant(decision):
            return value(int(trees.left[node] if decision.low else trees.right[node]))
        return decision.msb_mux(value(int(trees.left[node])), value(int(trees.right[node])))

    return np.array([value(int(root)) for root in trees.root], dtype=object)


def _at_most(wire: FVariable, value: float) -> FVariable:
    """One where ``wire <= value``, else zero: the sign of a difference on the wire's grid."""
    if wire.high <= value or wire.low > value:
        return constant(float(wire.high <= value))
    return plus(wire, -(math.floor(value / wire.step) + 1) * wire.step).msb()

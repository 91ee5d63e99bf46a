"""Tree ensemble -> fixed-point graph: one node that gives the value of each tree's leaf, then their sum."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zerobias.contract import Contract, FixedType, IntArray
from zerobias.errors import UnsupportedError
from zerobias.fixed.graph import Builder, Graph
from zerobias.fixed.ops import Cast, FixedArray, Input, Interval, Op, Sum
from zerobias.trees import LEAF, TreeEnsemble

__all__ = ["Trees", "from_trees"]


@dataclass(frozen=True, eq=False)
class Trees(Op):
    """Value of the leaf that the input vector falls into, one a tree, in LSBs of the ensemble's score."""

    ensemble: TreeEnsemble
    kind: FixedType

    def evaluate(self, *inputs: FixedArray) -> FixedArray:
        return FixedArray(self.ensemble.leaf_values(inputs[0].value), self.kind.frac)

    def interval(self, *inputs: Interval) -> Interval:
        x = inputs[0]
        reached = [self._reached(int(root), x.low.copy(), x.high.copy()) for root in self.ensemble.root]
        low, high = (np.array([end(values) for values in reached], dtype=object) for end in (min, max))
        set_bits = int(np.bitwise_or.reduce(np.concatenate(reached)))
        zeros = (set_bits & -set_bits).bit_length() - 1 if set_bits else 0
        return Interval(low, high, self.kind.frac, zeros)

    def _reached(self, node: int, low: NDArray[Any], high: NDArray[Any]) -> list[int]:
        """Values of the leaves below ``node`` that inputs in [low, high] can fall into."""
        trees = self.ensemble
        feature, threshold = int(trees.feature[node]), int(trees.threshold[node])
        if feature == LEAF:
            return [int(trees.value[node])]
        found = []
        if low[feature] <= threshold:
            below = high.copy()
            below[feature] = min(high[feature], threshold)
            found += self._reached(int(trees.left[node]), low, below)
        if high[feature] > threshold:
            above = low.copy()
            above[feature] = max(low[feature], threshold + 1)
            found += self._reached(int(trees.right[node]), above, high)
        return found


def from_trees(ensemble: TreeEnsemble, contract: Contract) -> Graph:
    """Fixed-point graph of a quantised ensemble whose inputs are the contract's network inputs.

    Raises ``UnsupportedError`` when the ensemble is not quantised, takes other inputs than the contract gives
    or compares with a threshold that is no such input: one of another contract.
    """
    kind = ensemble.score_type
    if kind is None:
        raise UnsupportedError(f"trees {ensemble.name} have no score type: quantise them first")
    count = len(contract.features)
    if ensemble.features != count:
        raise UnsupportedError(
            f"the trees take {ensemble.features} inputs, the contract gives {count} features; make them agree"
        )
    if not len(ensemble.root):
        raise UnsupportedError(f"trees {ensemble.name} are none yet: load the model's weights")
    asked = ensemble.feature != LEAF
    _check_thresholds(ensemble.threshold[asked], ensemble.feature[asked], contract)
    builder = Builder()
    inputs = builder.add("inputs", Input(contract.network_type, (count,)))
    total = builder.add("sum", Sum(), builder.add("trees", Trees(ensemble, kind), inputs))
    builder.add("score", Cast(kind), total)
    return Graph(tuple(builder.nodes))


def _check_thresholds(threshold: IntArray, feature: IntArray, contract: Contract) -> None:
    held = contract.network_type
    wrong = np.flatnonzero((threshold < held.min_int) | (threshold > held.max_int))
    if len(wrong):
        first = wrong[0]
        raise UnsupportedError(
            f"trees: a threshold on {contract.features[feature[first]].name} is {threshold[first]} LSB, the "
            f"network input {held} reaches from {held.min_int} to {held.max_int}: train on this contract"
        )

"""Block normalisation: values over the power of two of their sum."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from zerobias.contract import FixedType
from zerobias.errors import UnsupportedError
from zerobias.fixed.frontend import handles
from zerobias.fixed.graph import Builder
from zerobias.fixed.ops import Cast, FixedArray, Input, Interval, Op

__all__ = ["SumShift"]


@dataclass(frozen=True)
class SumShift(Op):
    """x / 2**floor(log2(sum of x)) along the last axis, for x >= 0, truncated to ``kind``; zeros give zeros.

    ``kind`` is an ap_ufixed<W,1>, which holds every such quotient. The fractional bits of x do not matter.
    """

    kind: FixedType

    def evaluate(self, *inputs: FixedArray) -> FixedArray:
        x = inputs[0].value
        total = x.sum(axis=-1, keepdims=True)
        place = np.frexp(total.astype(np.float64))[1].astype(np.int64) - 1
        place -= (np.int64(1) << np.maximum(place, 0)) > total  # float64 may round a sum up to a power of two
        left = self.kind.frac - np.maximum(place, 0)
        value = np.where(left >= 0, x << np.maximum(left, 0), x >> np.maximum(-left, 0))
        return FixedArray(value, self.kind.frac)

    def interval(self, *inputs: Interval) -> Interval:
        x = inputs[0]
        low, high = np.empty_like(x.low), np.empty_like(x.high)
        totals = x.low.sum(axis=-1, keepdims=True), x.high.sum(axis=-1, keepdims=True)
        for index in np.ndindex(x.low.shape):
            least, most = x.low[index], x.high[index]
            smallest, largest = (total[(*index[:-1], 0)] for total in totals)
            above, below = smallest - least, largest - most
            # Results grow with x but where the sum reaches a power of two: there they halve.
            steps = [1 << place for place in range(int(largest).bit_length())]
            ends = [least, most]
            high[index] = max(self._one(v, above) for v in _inside(ends, (s - 1 - above for s in steps)))
            low[index] = min(self._one(v, below) for v in _inside(ends, (s - below for s in steps)))
        return Interval(low, high, self.kind.frac)

    def _one(self, value: int, others: int) -> int:
        """Result for one value, the others summing up to ``others``."""
        total = value + others
        return (value << self.kind.frac) >> (total.bit_length() - 1) if total else 0


def _inside(ends: list[Any], values: Iterable[Any]) -> list[Any]:
    """``ends``, and those of ``values`` between the two."""
    return [*ends, *(value for value in values if ends[0] < value < ends[1])]


@handles("SumShift")
def _sum_shift(layer: Any, builder: Builder, inputs: tuple[str, ...]) -> str:
    source = next(node.op for node in builder.nodes if node.name == inputs[0])
    if not isinstance(source, Input | Cast) or source.kind.signed:
        raise UnsupportedError(
            f"layer {layer.name}: its input has no unsigned type; put it behind the network's input or a "
            "quantised rectifier"
        )
    return builder.add(layer.name, SumShift(layer.kind), *inputs)

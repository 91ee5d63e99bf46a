"""Quantised activations as nodes: a cast, a leaky rectifier with casts, or a table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from zerobias.contract import FixedType
from zerobias.errors import UnsupportedError
from zerobias.fixed.graph import Builder
from zerobias.fixed.ops import Cast, FixedArray, Interval, Op
from zerobias.fixed.quantisers import check_deterministic, quantiser_type
from zerobias.fixed.tables import staircase

__all__ = ["TABLE_BITS", "LeakyRelu", "activate", "slope_shift"]

TABLE_BITS = 12
"""Most bits of a table's input."""


@dataclass(frozen=True)
class LeakyRelu(Op):
    """x where x >= 0, else x * 2**-shift; without loss."""

    shift: int

    def evaluate(self, *inputs: FixedArray) -> FixedArray:
        x = inputs[0]
        return FixedArray(np.where(x.value >= 0, x.value << self.shift, x.value), x.frac + self.shift)

    def interval(self, *inputs: Interval) -> Interval:
        x = inputs[0]
        low, high = (np.where(b >= 0, b * (1 << self.shift), b) for b in (x.low, x.high))
        return Interval(low, high, x.frac + self.shift, x.zeros)


def slope_shift(layer: str, quantiser: Any) -> int:
    """n of a negative slope 2**-n; raises ``UnsupportedError`` for a slope of one or more."""
    shift = -round(float(np.log2(quantiser.negative_slope)))
    if shift < 1:
        raise UnsupportedError(
            f"layer {layer}: negative_slope {quantiser.negative_slope}; use 0.5, 0.25, 0.125, ..."
        )
    return shift


def activate(builder: Builder, layer: str, quantiser: Any, name: str, source: str) -> str:
    """Append the nodes of a quantised activation of node ``source``; the last is the cast ``name``.

    Raises ``UnsupportedError`` when it has no exact fixed-point form or needs too large a table.
    """
    check_deterministic(layer, quantiser)
    steps = staircase(layer, quantiser)
    frac = builder.frac(source)
    if steps is not None:
        domain = steps.domain(frac)
        if domain.width > TABLE_BITS:
            raise UnsupportedError(
                f"layer {layer}: {type(quantiser).__name__} of values with {frac} fractional bits needs a "
                f"table of 2^{domain.width} entries, the limit is 2^{TABLE_BITS}; quantise its input first"
            )
        inside = builder.add(f"{name}_in", Cast(domain), source)
        found = builder.add(f"{name}_table", steps.table(domain), inside)
        return builder.add(name, Cast(steps.kind), found)
    kind = quantiser_type(layer, quantiser)
    if getattr(quantiser, "negative_slope", 0):
        # The negative branch ends at -slope * 2**integer: limit its input there. One grid finer than the
        # result, so that what saturates above still rounds up to the largest value.
        wide = FixedType(kind.integer + max(frac, kind.frac), kind.integer, True, "TRN", "SAT")
        inside = builder.add(f"{name}_in", Cast(wide), source)
        leaky = LeakyRelu(slope_shift(layer, quantiser))
        source = builder.add(f"{name}_leaky", leaky, inside)
    return builder.add(name, Cast(kind), source)

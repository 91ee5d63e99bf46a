"""Operations that join several nodes, without loss."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zerobias.fixed.ops import FixedArray, Interval, Op, Square

__all__ = ["Add", "Concatenate", "Dot", "Multiply", "Subtract"]


def _values(inputs: tuple[FixedArray, ...]) -> tuple[list[NDArray[np.int64]], int]:
    """The integers of all inputs in units of the finest LSB."""
    frac = max(x.frac for x in inputs)
    return [x.value << (frac - x.frac) for x in inputs], frac


def _bounds(inputs: tuple[Interval, ...]) -> tuple[list[Any], list[Any], int, int]:
    """Lows and highs in units of the finest LSB, its fractional bits, and bits that are zero in all."""
    frac = max(x.frac for x in inputs)
    lows = [x.low * (1 << (frac - x.frac)) for x in inputs]
    highs = [x.high * (1 << (frac - x.frac)) for x in inputs]
    return lows, highs, frac, min(x.zeros + frac - x.frac for x in inputs)


@dataclass(frozen=True)
class Add(Op):
    """Sum of all inputs."""

    def evaluate(self, *inputs: FixedArray) -> FixedArray:
        values, frac = _values(inputs)
        return FixedArray(reduce(np.add, values), frac)

    def interval(self, *inputs: Interval) -> Interval:
        lows, highs, frac, zeros = _bounds(inputs)
        return Interval(reduce(np.add, lows), reduce(np.add, highs), frac, zeros)


@dataclass(frozen=True)
class Subtract(Op):
    """First input minus the second."""

    def evaluate(self, *inputs: FixedArray) -> FixedArray:
        (first, second), frac = _values(inputs)
        return FixedArray(first - second, frac)

    def interval(self, *inputs: Interval) -> Interval:
        lows, highs, frac, zeros = _bounds(inputs)
        return Interval(lows[0] - highs[1], highs[0] - lows[1], frac, zeros)


@dataclass(frozen=True)
class Multiply(Op):
    """Product of two inputs, element by element; a node with itself is never negative."""

    def evaluate(self, *inputs: FixedArray) -> FixedArray:
        first, second = inputs
        return FixedArray(first.value * second.value, first.frac + second.frac)

    def interval(self, *inputs: Interval) -> Interval:
        a, b = inputs
        if a is b:
            return Square().interval(a)
        corners = [x * y for x in (a.low, a.high) for y in (b.low, b.high)]
        return Interval(
            reduce(np.minimum, corners), reduce(np.maximum, corners), a.frac + b.frac, a.zeros + b.zeros
        )


@dataclass(frozen=True)
class Dot(Op):
    """Scalar product of two vectors; the result has one element."""

    def evaluate(self, *inputs: FixedArray) -> FixedArray:
        product = Multiply().evaluate(*inputs)
        return FixedArray(product.value.sum(axis=-1, keepdims=True), product.frac)

    def interval(self, *inputs: Interval) -> Interval:
        product = Multiply().interval(*inputs)
        low, high = (bound.sum(axis=-1, keepdims=True) for bound in (product.low, product.high))
        return Interval(low, high, product.frac, product.zeros)


@dataclass(frozen=True)
class Concatenate(Op):
    """All inputs one after the other along the last axis."""

    def evaluate(self, *inputs: FixedArray) -> FixedArray:
        values, frac = _values(inputs)
        return FixedArray(np.concatenate(values, axis=-1), frac)

    def interval(self, *inputs: Interval) -> Interval:
        lows, highs, frac, zeros = _bounds(inputs)
        return Interval(np.concatenate(lows, axis=-1), np.concatenate(highs, axis=-1), frac, zeros)

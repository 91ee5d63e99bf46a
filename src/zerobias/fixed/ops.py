"""The operations of a fixed-point graph, each with its exact value and its exact interval.

Arrays are int64 integers with a number of fractional bits; intervals are arbitrary-size Python
integers, one pair an element, so a bound never wraps.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zerobias.contract import FixedType, IntArray

__all__ = [
    "NO_BIAS",
    "Cast",
    "Dense",
    "FixedArray",
    "Gather",
    "Input",
    "Interval",
    "Op",
    "Reshape",
    "Square",
    "Sum",
]

NO_BIAS = FixedType(1, 1)
"""Type of the zeros that stand for the bias of a layer without one."""


@dataclass(frozen=True)
class FixedArray:
    """Integers (events, ...) whose values are ``value * 2**-frac``."""

    value: IntArray
    frac: int

    def real(self) -> NDArray[np.float64]:
        """The values as float64 (exact below 2**53)."""
        return self.value.astype(np.float64) * 2.0**-self.frac


@dataclass(frozen=True)
class Interval:
    """Bounds of every element (no event axis), Python integers in units of ``2**-frac``.

    The lowest ``zeros`` bits of every value are zero.
    """

    low: NDArray[Any]
    high: NDArray[Any]
    frac: int
    zeros: int = 0

    @property
    def bounds(self) -> tuple[int, int]:
        """Smallest low and largest high over all elements."""
        return int(self.low.min()), int(self.high.max())


class Op(ABC):
    """One operation; ``evaluate`` and ``interval`` take the results of its inputs in order."""

    @abstractmethod
    def evaluate(self, *inputs: FixedArray) -> FixedArray:
        """Exact result for (events, ...) integers."""

    @abstractmethod
    def interval(self, *inputs: Interval) -> Interval:
        """Tight bounds of the result for independent inputs."""


@dataclass(frozen=True)
class Input(Op):
    """The network's input, integers in LSBs of ``kind``."""

    kind: FixedType
    shape: tuple[int, ...]

    def evaluate(self, *inputs: FixedArray) -> FixedArray:
        return inputs[0]

    def interval(self, *inputs: Interval) -> Interval:
        return inputs[0]


@dataclass(frozen=True)
class Cast(Op):
    """Cast to a fixed-point type; saturation to an unsigned type is a rectified linear unit too."""

    kind: FixedType

    def evaluate(self, *inputs: FixedArray) -> FixedArray:
        return FixedArray(self.kind.cast(inputs[0].value, inputs[0].frac), self.kind.frac)

    def interval(self, *inputs: Interval) -> Interval:
        source = inputs[0]
        low, high = (self._round(bound, source.frac) for bound in (source.low, source.high))
        zeros = max(self.kind.frac - (source.frac - source.zeros), 0)
        if self.kind.overflow != "WRAP" and not self.kind.holds(int(low.min()), int(high.max())):
            zeros = 0  # the largest value of a type has all its bits set
        if self.kind.overflow == "WRAP":
            fits = (low >= self.kind.min_int) & (high <= self.kind.max_int)
            low = np.where(fits, low, self.kind.min_int)
            high = np.where(fits, high, self.kind.max_int)
        else:
            low = np.clip(low, self.kind.min_int, self.kind.max_int)
            high = np.clip(high, self.kind.min_int, self.kind.max_int)
        return Interval(low.astype(object), high.astype(object), self.kind.frac, zeros)

    def rounded_bounds(self, source: Interval) -> tuple[int, int]:
        """Bounds in LSBs of ``kind`` before the range is limited."""
        low, high = source.bounds
        return (
            int(self._round(np.array([low], dtype=object), source.frac)[0]),
            int(self._round(np.array([high], dtype=object), source.frac)[0]),
        )

    def _round(self, bound: NDArray[Any], frac: int) -> NDArray[Any]:
        drop = frac - self.kind.frac
        if drop <= 0:
            return bound * (1 << -drop)
        quotient = bound // (1 << drop)
        twice_rest = 2 * (bound - quotient * (1 << drop)) - (1 << drop)
        up: NDArray[Any] = np.zeros_like(twice_rest, dtype=bool)
        if self.kind.rounding == "RND":
            up = twice_rest >= 0
        elif self.kind.rounding == "RND_CONV":
            up = (twice_rest > 0) | ((twice_rest == 0) & (quotient % 2 == 1))
        rounded: NDArray[Any] = quotient + up
        return rounded


@dataclass(frozen=True, eq=False)
class Dense(Op):
    """``x @ kernel + bias`` without any loss; kernel (inputs, outputs), bias (outputs,), integers."""

    kernel: IntArray
    kernel_type: FixedType
    bias: IntArray
    bias_type: FixedType

    def frac(self, frac: int) -> int:
        """Fractional bits of the accumulator for an input with ``frac`` fractional bits."""
        return max(frac + self.kernel_type.frac, self.bias_type.frac)

    def evaluate(self, *inputs: FixedArray) -> FixedArray:
        x = inputs[0]
        frac = self.frac(x.frac)
        kernel = self.kernel << (frac - x.frac - self.kernel_type.frac)
        bias = self.bias << (frac - self.bias_type.frac)
        # Matrix products run in the narrowest float type that no partial sum can overfill: exact, and fast.
        largest = max(int(x.value.max(initial=0)), -int(x.value.min(initial=0)))
        sizes = np.abs(kernel).sum(
            axis=0, dtype=np.float64
        )  # exact below 2**53, and not wrapped beyond int64
        reach = largest * int(sizes.max(initial=0)) + int(np.abs(bias).max(initial=0))
        kind = np.float32 if reach < 2**24 else np.float64 if reach < 2**53 else np.int64
        rows = x.value.astype(kind, copy=False).reshape(-1, len(kernel))  # one product, not one a position
        value = rows @ kernel.astype(kind) + bias.astype(kind)
        return FixedArray(value.astype(np.int64).reshape(*x.value.shape[:-1], -1), frac)

    def interval(self, *inputs: Interval) -> Interval:
        x = inputs[0]
        frac = self.frac(x.frac)
        kernel = self.kernel.astype(object) * (1 << (frac - x.frac - self.kernel_type.frac))
        bias = self.bias.astype(object) * (1 << (frac - self.bias_type.frac))
        positive, negative = np.maximum(kernel, 0), np.minimum(kernel, 0)
        low = x.low @ positive + x.high @ negative + bias
        high = x.high @ positive + x.low @ negative + bias
        set_bits = int(np.bitwise_or.reduce(kernel, axis=None)) << x.zeros
        set_bits |= int(np.bitwise_or.reduce(bias, axis=None))
        zeros = (set_bits & -set_bits).bit_length() - 1 if set_bits else max(frac, 0)
        return Interval(low, high, frac, zeros)


@dataclass(frozen=True)
class Reshape(Op):
    """New shape of an event, C order."""

    shape: tuple[int, ...]

    def evaluate(self, *inputs: FixedArray) -> FixedArray:
        value = inputs[0].value
        return FixedArray(value.reshape(len(value), *self.shape), inputs[0].frac)

    def interval(self, *inputs: Interval) -> Interval:
        x = inputs[0]
        return Interval(x.low.reshape(self.shape), x.high.reshape(self.shape), x.frac, x.zeros)


@dataclass(frozen=True, eq=False)
class Gather(Op):
    """Values at the places ``index``, counted in C order; -1 stands for zero."""

    index: IntArray

    def taken(self, values: NDArray[Any], lead: int) -> NDArray[Any]:
        """``values``, behind ``lead`` axes, at the places; as zeros where there are none."""
        flat = values.reshape(*values.shape[:lead], -1)
        return np.where(self.index < 0, 0, flat[..., self.index])

    def evaluate(self, *inputs: FixedArray) -> FixedArray:
        return FixedArray(self.taken(inputs[0].value, 1), inputs[0].frac)

    def interval(self, *inputs: Interval) -> Interval:
        x = inputs[0]
        return Interval(self.taken(x.low, 0), self.taken(x.high, 0), x.frac, x.zeros)


@dataclass(frozen=True)
class Square(Op):
    """Element-wise square, without loss."""

    def evaluate(self, *inputs: FixedArray) -> FixedArray:
        return FixedArray(inputs[0].value ** 2, 2 * inputs[0].frac)

    def interval(self, *inputs: Interval) -> Interval:
        x = inputs[0]
        high = np.maximum(x.low**2, x.high**2)
        low = np.where((x.low <= 0) & (x.high >= 0), 0, np.minimum(x.low**2, x.high**2))
        return Interval(low.astype(object), high, 2 * x.frac, 2 * x.zeros)


@dataclass(frozen=True)
class Sum(Op):
    """Sum over the last axis, which stays with length one; without loss."""

    def evaluate(self, *inputs: FixedArray) -> FixedArray:
        return FixedArray(inputs[0].value.sum(axis=-1, keepdims=True), inputs[0].frac)

    def interval(self, *inputs: Interval) -> Interval:
        x = inputs[0]
        low, high = x.low.sum(axis=-1, keepdims=True), x.high.sum(axis=-1, keepdims=True)
        return Interval(low, high, x.frac, x.zeros)

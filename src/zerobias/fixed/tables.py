"""Element-wise functions that end in constants as exhaustive tables: tanh, sigmoid, binary, ternary, po2.

QKeras' formulas (qkeras-v3 1.2.1, quantizers.py), evaluated in float64 on every value the input can take.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zerobias.contract import FixedType, IntArray
from zerobias.errors import UnsupportedError
from zerobias.fixed.ops import FixedArray, Interval, Op

__all__ = ["Staircase", "Table", "po2_exponents", "staircase", "ternary_threshold"]

Values = NDArray[Any]
_PO2_BITS = 32


@dataclass(frozen=True, eq=False)
class Table(Op):
    """``values[x - low]`` for every input integer ``x``; results in LSBs of ``kind``."""

    values: IntArray
    low: int
    kind: FixedType

    def evaluate(self, *inputs: FixedArray) -> FixedArray:
        return FixedArray(self.values[inputs[0].value - self.low], self.kind.frac)

    def interval(self, *inputs: Interval) -> Interval:
        x = inputs[0]
        reached = [
            self.values[int(low) - self.low : int(high) - self.low + 1]
            for low, high in zip(x.low.flat, x.high.flat, strict=True)
        ]
        low, high = (
            np.array([int(pick(part)) for part in reached], dtype=object).reshape(x.low.shape)
            for pick in (np.min, np.max)
        )
        bits = 0
        for part in reached:
            bits |= int(np.bitwise_or.reduce(part))
        zeros = (bits & -bits).bit_length() - 1 if bits else 0
        return Interval(low, high, self.kind.frac, zeros)


@dataclass(frozen=True)
class Staircase:
    """A function with results in ``kind`` that is constant for x >= ``limit`` and for x <= -``limit``.

    ``value`` maps real inputs to real results. ``frac``: fractional bits of the input it depends on
    (those below are floored away), None for all.
    """

    value: Callable[[Values], Values]
    kind: FixedType
    limit: float
    frac: int | None = None

    def domain(self, frac: int) -> FixedType:
        """Type that holds every input with ``frac`` fractional bits on which the result depends."""
        kept = frac if self.frac is None else min(frac, self.frac)
        integer = 1 - kept
        while 2.0 ** (integer - 1) - 2.0**-kept < self.limit:
            integer += 1
        return FixedType(integer + kept, integer, True, "TRN", "SAT")

    def table(self, domain: FixedType) -> Table:
        """Results for every value of ``domain``."""
        inputs = np.arange(domain.min_int, domain.max_int + 1)
        values = np.rint(self.value(inputs * domain.lsb) / self.kind.lsb).astype(np.int64)
        return Table(values, domain.min_int, self.kind)


def staircase(layer: str, quantiser: Any) -> Staircase | None:
    """The quantiser as a staircase, or None when it is of another kind.

    Raises ``UnsupportedError`` for a setting without an exact meaning.
    """
    maker = _MAKERS.get(type(quantiser).__name__)
    return None if maker is None else maker(layer, quantiser)


def check_alpha(layer: str, quantiser: Any) -> None:
    """Refuse every ``alpha`` but 1: others scale by what no declared type holds, None adds rounding noise."""
    alpha = quantiser.alpha
    if alpha is None or isinstance(alpha, str) or float(np.max(alpha)) != 1.0:
        raise UnsupportedError(f"layer {layer}: {type(quantiser).__name__} needs alpha=1 (given: {alpha!r})")


def ternary_threshold(layer: str, quantiser: Any) -> float:
    """Smallest magnitude that becomes one, as float32 holds it."""
    check_alpha(layer, quantiser)
    given = quantiser.threshold
    threshold = float(np.float32(quantiser.default_threshold if given is None else given))
    if not 0 < threshold <= 1:
        raise UnsupportedError(f"layer {layer}: ternary threshold {threshold:g}; it must be in (0, 1]")
    return threshold


def po2_exponents(layer: str, quantiser: Any) -> tuple[int, int]:
    """Smallest and largest exponent of a power-of-two quantiser."""
    if quantiser.quadratic_approximation or quantiser.log2_rounding != "rnd":
        raise UnsupportedError(
            f"layer {layer}: {type(quantiser).__name__} with quadratic_approximation or "
            f"log2_rounding='floor' is not supported; leave both at their defaults"
        )
    low, high = int(quantiser._min_exp), int(quantiser._max_exp)
    if quantiser.max_value is not None:
        high = max(low, min(high, round(math.log2(quantiser.max_value))))
    if high - low >= _PO2_BITS:
        raise UnsupportedError(
            f"layer {layer}: powers of two from 2^{low} to 2^{high} need a type of {high - low + 1} bits, "
            f"at most {_PO2_BITS} are exact; use fewer bits or a max_value"
        )
    return low, high


def _binary(layer: str, quantiser: Any) -> Staircase:
    check_alpha(layer, quantiser)
    least = 0.0 if quantiser.use_01 else -1.0
    kind = FixedType(1, 1, False) if quantiser.use_01 else FixedType(2, 2)
    return Staircase(lambda x: np.where(x >= 0, 1.0, least), kind, 0.0, 0)


def _ternary(layer: str, quantiser: Any) -> Staircase:
    threshold = ternary_threshold(layer, quantiser)
    return Staircase(lambda x: np.sign(x) * (np.abs(x) >= threshold), FixedType(2, 2), threshold)


def _tanh(layer: str, quantiser: Any) -> Staircase | None:
    slope = None if quantiser.use_real_tanh else _sigmoid_slope(layer)
    if slope == 0.5:
        return None  # clip(x, -1, 1): a plain cast
    steps = 2.0 ** (quantiser.bits - 1)
    kind = FixedType(quantiser.bits, 1, True)

    def value(x: Values) -> Values:
        real = np.tanh(x) if slope is None else np.clip(2 * slope * x, -1.0, 1.0)
        rounded: Values = (
            np.clip(np.rint(real * steps), -steps + bool(quantiser.symmetric), steps - 1) / steps
        )
        return rounded

    return Staircase(value, kind, math.log(4 * steps) / 2 if slope is None else 0.5 / slope)


def _sigmoid(layer: str, quantiser: Any) -> Staircase:
    slope = None if quantiser.use_real_sigmoid else _sigmoid_slope(layer)
    steps = 2.0**quantiser.bits

    def value(x: Values) -> Values:
        real = 1 / (1 + np.exp(-x)) if slope is None else np.clip(slope * x + 0.5, 0.0, 1.0)
        rounded: Values = np.clip(np.rint(real * steps), float(bool(quantiser.symmetric)), steps - 1) / steps
        return rounded

    kind = FixedType(quantiser.bits, 0, False)
    return Staircase(value, kind, math.log(2 * steps) if slope is None else 0.5 / slope)


def _po2(layer: str, quantiser: Any) -> Staircase:
    low, high = po2_exponents(layer, quantiser)
    one_sided = type(quantiser).__name__ == "quantized_relu_po2"
    if one_sided and quantiser.negative_slope:
        raise UnsupportedError(f"layer {layer}: quantized_relu_po2 needs negative_slope=0")

    def value(x: Values) -> Values:
        size = np.maximum(x, 0.0) if one_sided else np.abs(x)
        exponent = np.clip(np.rint(np.log2(np.maximum(size, 2.0 ** (low - 1)))), low, high)
        return np.where((x >= 0) | one_sided, 1.0, -1.0) * 2.0**exponent

    bits = high - low + 1
    kind = FixedType(bits, high + 1, False) if one_sided else FixedType(bits + 1, high + 2)
    return Staircase(value, kind, 2.0**high)


def _sigmoid_slope(layer: str) -> float | None:
    """Slope at zero of QKeras' internal sigmoid; None for the logistic function."""
    from qkeras import quantizers

    slope = {"hard_sigmoid": 0.5, "smooth_sigmoid": 0.1875, "sigmoid": None}
    return slope[quantizers._sigmoid.__name__]


_MAKERS: dict[str, Callable[[str, Any], Staircase | None]] = {
    "binary": _binary,
    "ternary": _ternary,
    "quantized_tanh": _tanh,
    "quantized_sigmoid": _sigmoid,
    "quantized_po2": _po2,
    "quantized_relu_po2": _po2,
}

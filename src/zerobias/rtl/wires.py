"""Symbolic values of one wire (alkaid's ``FVariable``): exact constants, additions, casts and trees.

A wire holds real values: integers times a power of two, with bounds alkaid tracks by affine arithmetic.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from alkaid.trace.fixed_variable import FVariable, HWConfig
from alkaid.trace.ops.reduce_utils import reduce as balanced
from numpy.typing import NDArray

from zerobias.contract import FixedType
from zerobias.errors import UnsupportedError

__all__ = ["HARDWARE", "Wires", "cast", "constant", "multiply", "plus", "tree"]

Wires = NDArray[Any]
"""Object array of ``FVariable``, shaped like one event of a node."""

HARDWARE = HWConfig(1, 1, -1)
"""alkaid's unit costs: one LUT a bit of an adder, one carry a bit."""


def constant(value: float) -> FVariable:
    """A wire that always holds ``value``."""
    return FVariable.from_const(float(value), HARDWARE)


def is_constant(wire: FVariable) -> bool:
    """Whether a wire can hold one value only."""
    return bool(wire.low == wire.high)


def plus(wire: FVariable, value: float) -> FVariable:
    """``wire + value``, exact.

    Raises ``UnsupportedError`` when the constant of the adder (merged with one before it) does not fit the
    32 bits alkaid keeps.
    """
    result = wire + value
    if result.opr == "cadd":
        word, parent = result._data, result._from[0]
        held = _signed32(word) * 2.0 ** -_signed32(word >> 32) * result._factor
        factor = result._factor / parent._factor
        if result.low != min(parent.low * factor, parent.high * factor) + held:
            raise UnsupportedError(f"a constant of {value!r} needs more than 32 bits; use coarser types")
    return result


def _signed32(word: int) -> int:
    return ((word & 0xFFFFFFFF) ^ 0x80000000) - 0x80000000


def tree(join: Callable[[FVariable, FVariable], FVariable], wires: Sequence[FVariable]) -> FVariable:
    """All wires joined pairwise by an associative operation, those that are ready first."""
    row = np.empty((1, len(wires)), dtype=object)
    row[0, :] = list(wires)
    return balanced(join, row, axis=1)[0]


def multiply(first: FVariable, second: FVariable) -> FVariable:
    """Product of two wires, exact."""
    return first * second


def cast(wire: FVariable, kind: FixedType) -> FVariable:
    """The wire cast to a fixed-point type, as ``FixedType.cast`` does it.

    Rounds first and then limits the range by looking at the bits above the type's: alkaid's own
    ``quantize`` compares with both ends before it rounds, which costs two carry chains.
    """
    return _limit(_round(wire, kind), kind)


def _round(wire: FVariable, kind: FixedType) -> FVariable:
    """The wire on the grid of ``kind``, its range not limited."""
    if wire.kif[2] <= kind.frac:
        return wire
    if kind.rounding == "TRN":
        return _floor(wire, kind.frac)
    up = plus(wire, kind.lsb / 2)
    rounded = _floor(up, kind.frac)
    if kind.rounding == "RND":
        return rounded
    # Half to even: where nothing is left below the grid the value was a tie, whose lowest bit is cleared.
    even = _floor(rounded, kind.frac - 1)
    if up.kif[2] <= kind.frac:
        return even
    lowest = _bits(rounded, False, 1 - kind.frac, kind.frac)
    kept = _bits(up, False, -kind.frac, up.kif[2]).unary_bit_op("any") * kind.lsb
    if not is_constant(lowest):
        kept = kept & lowest
    elif lowest.low == 0:
        return even
    return even + kept


def _limit(wire: FVariable, kind: FixedType) -> FVariable:
    """A wire on the grid of ``kind`` brought into its range."""
    least, most = kind.min_int * kind.lsb, kind.max_int * kind.lsb
    if least <= wire.low and wire.high <= most:
        return wire
    if kind.overflow == "WRAP" or is_constant(wire):
        return _bits(wire, kind.signed, kind.integer - kind.signed, kind.frac, kind)
    if kind.overflow == "SAT_SYM":
        return wire.max_of(least).min_of(most)
    integer = kind.integer - kind.signed
    if not kind.signed:
        wire = wire.relu()
        if wire.high <= most:
            return wire
    above = _floor(wire, -integer)  # the sign and the bits above the type's
    beyond = above.unary_bit_op("any")
    end: FVariable | float = most
    if wire.low < least:
        beyond = beyond & ~above.unary_bit_op("all")
        end = wire.msb_mux(least, most) if wire.high > most else least
    elif wire.low < 0:
        beyond = _floor(wire.relu(), -integer).unary_bit_op("any")
    inside = _bits(wire, kind.signed, integer, kind.frac)
    bounds = (max(wire.low, least), min(wire.high, most), min(wire.step, kind.lsb))
    return beyond.msb_mux(end, inside, bounds)


def _floor(wire: FVariable, frac: int) -> FVariable:
    """The wire rounded down to multiples of ``2**-frac``."""
    signed, integer, _ = wire.kif
    return _bits(wire, signed, max(integer, 1 - signed - frac), frac)


def _bits(wire: FVariable, signed: bool, integer: int, frac: int, kind: FixedType | None = None) -> FVariable:
    """The bits of a wire from ``2**-frac`` up to below ``2**integer``, then the sign: a plain cast."""
    if is_constant(wire):
        kind = kind or FixedType(signed + integer + frac, integer + signed, bool(signed))
        exact = Fraction(wire.low)
        places = max(exact.denominator.bit_length() - 1, kind.frac, 0)
        return constant(int(kind.cast(np.array([int(exact * 2**places)]), places)[0]) * kind.lsb)
    return wire.quantize(signed, integer, frac, "WRAP", "TRN")

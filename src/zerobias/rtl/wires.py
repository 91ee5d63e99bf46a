"""Symbolic values of one wire (alkaid's ``FVariable``): exact constants, additions, casts and trees.

A wire holds real values: integers times a power of two, with bounds alkaid tracks by affine arithmetic.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from alkaid.trace.fixed_variable import FVariable, HWConfig
from alkaid.trace.ops.reduce_utils import reduce as balanced
from alkaid.types import QInterval
from numpy.typing import NDArray

from zerobias.contract import FixedType
from zerobias.errors import UnsupportedError

__all__ = ["HARDWARE", "Wires", "cast", "constant", "multiply", "normalised", "plus", "square", "tree"]

Wires = NDArray[Any]
"""Object array of ``FVariable``, shaped like one event of a node."""

HARDWARE = HWConfig(1, 1, -1)
"""alkaid's unit costs: one LUT a bit of an adder, one carry a bit."""
_TABLE_BITS = 5


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
    """Product of two wires, exact: a row of ANDs for each bit of the narrower one, so no DSP is used."""
    if is_constant(first) or is_constant(second):
        return first * second
    wide, narrow = (first, second) if sum(first.kif) >= sum(second.kif) else (second, first)
    signed, integer, frac = narrow.kif
    rows = [_where(narrow, place, wide) * 2.0**place for place in range(-frac, integer)]
    if signed:
        rows.append(-(_where(narrow, integer, wide) * 2.0**integer))
    ends = [a * b for a in (first.low, first.high) for b in (second.low, second.high)]
    bounds = QInterval(min(ends), max(ends), first.step * second.step).kif
    return tree(operator.add, rows).quantize(*bounds, "WRAP", "TRN")


def square(wire: FVariable) -> FVariable:
    """Square of a wire, exact: ``(h + l)**2 = h**2 + l**2 + 2 h l`` for both halves of its bits.

    Halves of up to five bits are tables of one LUT an output bit. A 10-bit signed value takes 52 LUTs of
    Yosys 0.70 (xc7), its own multiplier 170.
    """
    size = abs(wire) if wire.low < 0 else wire
    _, integer, frac = size.kif
    bits = integer + frac
    if is_constant(size):
        return constant(size.low**2)
    if bits <= _TABLE_BITS:
        count = round((size.high - size.low) / size.step) + 1
        return size.lookup((size.low + np.arange(count) * size.step) ** 2)
    middle = bits // 2 - frac  # place of the upper half's lowest bit
    lower = _bits(size, False, middle, frac)
    upper = _bits(size, False, integer, -middle)
    return square(upper) + square(lower) + multiply(upper, lower) * 2.0


def normalised(wires: Sequence[FVariable], frac: int) -> list[FVariable]:
    """Unsigned integers over ``2**floor(log2(their sum))``, rounded down to ``frac`` fractional bits.

    The place of the sum's highest set bit is found by halves: where the upper half of the bits left is not
    empty, the sum and all values go down by as many places. So the shift keeps step with the search, with a
    multiplexer a bit.
    """
    total = tree(operator.add, wires)
    values = list(wires)
    reach = 1
    while 2.0**reach <= total.high:
        reach *= 2
    while reach > 1:  # the sum and its values are below 2**reach
        reach //= 2
        large = _bits(total, False, max(total.kif[1], 1), -reach).unary_bit_op("any")
        total = _choose(large, _floor(total * 2.0**-reach, 0), total, reach, 0)
        values = [_choose(large, _floor(v * 2.0**-reach, frac), v, reach, frac) for v in values]
    return values


def _choose(key: FVariable, first: FVariable, second: FVariable, integer: int, frac: int) -> FVariable:
    """``first`` where ``key`` is set, else ``second``; the chosen one is below ``2**integer``."""
    if is_constant(key):
        chosen = first if key.low else second
        return _bits(chosen, False, integer, frac)
    most = min(max(first.high, second.high), 2.0**integer - 2.0**-frac)
    ends = _bits(first, False, integer, frac), _bits(second, False, integer, frac)
    return key.msb_mux(*ends, (0.0, most, min(end.step for end in ends)))


def _where(wire: FVariable, place: int, value: FVariable) -> FVariable:
    """``value`` where the bit ``2**place`` of ``wire`` is set, else 0."""
    signed, integer, _ = wire.kif
    bit = wire.msb() if signed and place == integer else _bits(wire, False, place + 1, -place) * 2.0**-place
    if is_constant(bit):
        return value * bit.low
    return (-bit * value.step) & value


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
    integer = kind.integer - kind.signed
    if is_constant(wire):
        return constant(int(kind.wrap(np.array([round(wire.low / kind.lsb)]))[0]) * kind.lsb)
    if kind.overflow == "WRAP":
        return _bits(wire, kind.signed, integer, kind.frac)
    if wire.high <= least or wire.low >= most:
        return constant(least if wire.high <= least else most)
    if kind.overflow == "SAT_SYM":
        return wire.max_of(least).min_of(most)
    if not kind.signed:
        wire = wire.relu()
        if wire.high <= most:
            return wire
    above = _floor(wire, -integer)  # the sign and the bits above the type's
    beyond = above.unary_bit_op("any")
    end: FVariable | float = most
    if wire.low < least:
        if (
            above.kif[2] == -integer
        ):  # all bits set is the value just below zero; no such value on a coarser grid
            beyond = beyond & ~above.unary_bit_op("all")
        end = wire.msb_mux(least, most) if wire.high > most else least
    elif wire.low < 0:
        beyond = _floor(wire.relu(), -integer).unary_bit_op("any")
    inside = _bits(wire, kind.signed, integer, kind.frac)
    bounds = (max(wire.low, least), min(wire.high, most), min(wire.step, kind.lsb))
    return beyond.msb_mux(end, inside, bounds)


def _floor(wire: FVariable, frac: int) -> FVariable:
    """The wire rounded down to multiples of ``2**-frac``."""
    if is_constant(wire):
        return constant(math.floor(Fraction(wire.low) * Fraction(2) ** frac) * 2.0**-frac)
    signed, integer, _ = wire.kif
    return _bits(wire, signed, max(integer, 1 - signed - frac), frac)


def _bits(wire: FVariable, signed: bool, integer: int, frac: int) -> FVariable:
    """The bits of a wire from ``2**-frac`` up to below ``2**integer``, then the sign: a plain cast."""
    if is_constant(wire):  # alkaid 0.8.2 wraps unsigned constants modulo twice their range
        span = 1 << (signed + integer + frac)
        low = -(span // 2) if signed else 0
        count = math.floor(Fraction(wire.low) * Fraction(2) ** frac)
        return constant(((count - low) % span + low) * 2.0**-frac)
    return wire.quantize(signed, integer, frac, "WRAP", "TRN")

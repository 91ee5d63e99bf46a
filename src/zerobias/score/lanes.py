"""Exact integer statements in C++, one integer of each event, in the narrowest type that holds it."""

from __future__ import annotations

from dataclasses import dataclass

from zerobias.contract import FixedType
from zerobias.errors import UnsupportedError

__all__ = ["Lane", "Statements", "integer_type", "literal"]

_TYPES = {16: "int16_t", 32: "int32_t", 64: "int64_t"}


def integer_type(low: int, high: int, least: int = 16) -> str:
    """The narrowest C++ type, of ``least`` bits or more, that holds every integer of [low, high].

    Raises ``UnsupportedError`` beyond 64 bits.
    """
    for bits, name in _TYPES.items():
        if bits >= least and -(1 << (bits - 1)) <= low and high < 1 << (bits - 1):
            return name
    raise UnsupportedError(f"values in [{low}, {high}] need more than 64 bits")


def literal(value: int) -> str:
    """``value`` in C++."""
    if value == -(1 << 63):
        return "INT64_MIN"
    return str(value) if abs(value) < 1 << 31 else f"INT64_C({value})"


@dataclass(frozen=True)
class Lane:
    """An integer ``name * 2**zeros``; ``name`` is a variable with values in [low, high]."""

    name: str
    low: int
    high: int
    zeros: int = 0

    def left(self, bits: int) -> Lane:
        """Shifted left: no statement, the zeros are kept in mind."""
        return Lane(self.name, self.low, self.high, self.zeros + bits)

    def within(self, kind: FixedType) -> bool:
        """Whether ``kind`` holds every value, in LSBs of ``kind``."""
        return kind.holds(self.low << self.zeros, self.high << self.zeros)


class Statements:
    """Collects statements; each method returns the lane that holds its result.

    Each result is a variable of its own, in its own type: compilers then compute in lanes of that width.
    """

    def __init__(self) -> None:
        self.lines: list[str] = []

    def let(self, text: str, low: int, high: int) -> Lane:
        """A new variable with the value of ``text``, in [low, high]."""
        name = f"t{len(self.lines)}"
        kind = integer_type(low, high)
        self.lines.append(f"const {kind} {name} = ({kind})({text});")
        return Lane(name, low, high)

    def plain(self, x: Lane) -> Lane:
        """``x`` without zeros in mind."""
        if not x.zeros:
            return x
        low, high = x.low << x.zeros, x.high << x.zeros
        return self.let(f"({integer_type(low, high, 32)}){x.name} << {x.zeros}", low, high)

    def plus(self, x: Lane, value: int) -> Lane:
        """``x`` plus a constant; zeros of both stay in mind."""
        if not value:
            return x
        keep = min(x.zeros, (value & -value).bit_length() - 1)
        x = self.plain(Lane(x.name, x.low, x.high, x.zeros - keep))
        value >>= keep
        low, high = x.low + value, x.high + value
        return self.let(f"({integer_type(low, high, 32)}){x.name} + {literal(value)}", low, high).left(keep)

    def right(self, x: Lane, bits: int) -> Lane:
        """``x`` shifted right, rounded down."""
        gone = min(bits, x.zeros)
        x, bits = Lane(x.name, x.low, x.high, x.zeros - gone), bits - gone
        if not bits:
            return x
        # A shift by the width of a type or more has no meaning in C++; what is left of it is the sign.
        places = min(bits, 63 if integer_type(x.low, x.high, 32) == "int64_t" else 31)
        return self.let(f"{x.name} >> {places}", x.low >> bits, x.high >> bits)

    def round(self, x: Lane, frac: int, kind: FixedType) -> Lane:
        """``x`` with ``frac`` fractional bits, in LSBs of ``kind``, by its rounding mode."""
        drop = frac - kind.frac
        if drop <= x.zeros or kind.rounding == "TRN":
            return self.right(x, drop) if drop > 0 else x.left(-drop)
        x, drop = Lane(x.name, x.low, x.high), drop - x.zeros
        half = 1 << (drop - 1)
        if kind.rounding == "RND":
            return self.right(self.plus(x, half), drop)
        floor = self.right(x, drop)
        low, high = x.low + half - 1, x.high + half
        up = f"({integer_type(low, high, 32)}){x.name} + {literal(half - 1)} + ({floor.name} & 1)"
        return self.right(self.let(up, low, high), drop)

    def cast(self, x: Lane, frac: int, kind: FixedType) -> Lane:
        """``x`` with ``frac`` fractional bits cast to ``kind``, in its LSBs."""
        return self.limit(self.round(x, frac, kind), kind)

    def limit(self, x: Lane, kind: FixedType) -> Lane:
        """``x`` in LSBs of ``kind`` brought into its range, by its overflow mode."""
        if x.within(kind):
            return x
        if kind.overflow == "WRAP":
            offset = self.plus(self.plain(x), -kind.min_int)
            inside = self.let(f"{offset.name} & {literal((1 << kind.width) - 1)}", 0, (1 << kind.width) - 1)
            return self.plus(inside, kind.min_int)
        return self.clip(self.plain(x), kind.min_int, kind.max_int)

    def clip(self, x: Lane, least: int, most: int) -> Lane:
        """``x`` limited to [least, most]."""
        if x.low < least:
            text = f"{x.name} < {literal(least)} ? {literal(least)} : {x.name}"
            x = self.let(text, least, max(x.high, least))
        if x.high > most:
            text = f"{x.name} > {literal(most)} ? {literal(most)} : {x.name}"
            x = self.let(text, min(x.low, most), most)
        return x

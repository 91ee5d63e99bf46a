"""Exact casts of integers, in the narrowest type that holds each result: for any back end, and in C++."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

from zerobias.contract import FixedType
from zerobias.errors import UnsupportedError

__all__ = ["CppStatements", "Lane", "Statements", "Text", "integer_type", "literal"]

_TYPES = {16: "int16_t", 32: "int32_t", 64: "int64_t"}


def integer_type(low: int, high: int, least: int = 16) -> str:
    """The narrowest C++ type, of ``least`` bits or more, that holds every integer of [low, high].

    Raises ``UnsupportedError`` beyond 64 bits.
    """
    for bits, name in _TYPES.items():
        if bits >= least and -(1 << (bits - 1)) <= low and high < 1 << (bits - 1):
            return name
    raise UnsupportedError(f"values in [{low}, {high}] need more than 64 bits: cast their inputs first")


def literal(value: int) -> str:
    """``value`` in C++."""
    if value == -(1 << 63):
        return "INT64_MIN"
    return str(value) if abs(value) < 1 << 31 else f"INT64_C({value})"


@dataclass(frozen=True)
class Lane:
    """An integer ``value * 2**zeros``; ``value``, what a back end computes with, lies in [low, high]."""

    value: Any
    low: int
    high: int
    zeros: int = 0

    def left(self, bits: int) -> Lane:
        """Shifted left: no statement, the zeros are kept in mind."""
        return Lane(self.value, self.low, self.high, self.zeros + bits)

    def within(self, kind: FixedType) -> bool:
        """Whether ``kind`` holds every value, in LSBs of ``kind``."""
        return kind.holds(self.low << self.zeros, self.high << self.zeros)


class Statements(ABC):
    """Exact casts as statements of a back end; each method returns the lane that holds its result.

    A back end's values know +, &, << and >> with Python integers and with each other.
    """

    @abstractmethod
    def let(self, value: Any, low: int, high: int) -> Lane:
        """A new variable with the value ``value``, in [low, high], in a type of its own."""

    @abstractmethod
    def wide(self, x: Lane, low: int, high: int) -> Any:
        """The value of ``x``, perhaps wrapped, in a type of 32 bits or more that holds [low, high]."""

    @abstractmethod
    def at_least(self, x: Lane, bound: int) -> Any:
        """The larger of ``x`` and ``bound``."""

    @abstractmethod
    def at_most(self, x: Lane, bound: int) -> Any:
        """The smaller of ``x`` and ``bound``."""

    def plain(self, x: Lane) -> Lane:
        """``x`` without zeros in mind."""
        if not x.zeros:
            return x
        low, high = x.low << x.zeros, x.high << x.zeros
        return self.let(self.wide(x, low, high) << x.zeros, low, high)

    def plus(self, x: Lane, value: int) -> Lane:
        """``x`` plus a constant; zeros of both stay in mind."""
        if not value:
            return x
        keep = min(x.zeros, (value & -value).bit_length() - 1)
        x = self.plain(Lane(x.value, x.low, x.high, x.zeros - keep))
        value >>= keep
        low, high = x.low + value, x.high + value
        return self.let(self.wide(x, min(low, value), max(high, value)) + value, low, high).left(keep)

    def right(self, x: Lane, bits: int) -> Lane:
        """``x`` shifted right, rounded down."""
        gone = min(bits, x.zeros)
        x, bits = Lane(x.value, x.low, x.high, x.zeros - gone), bits - gone
        if not bits:
            return x
        # A shift by the width of a type or more has no meaning; what is left of it is the sign.
        places = min(bits, 63 if integer_type(x.low, x.high, 32) == "int64_t" else 31)
        return self.let(x.value >> places, x.low >> bits, x.high >> bits)

    def round(self, x: Lane, frac: int, kind: FixedType) -> Lane:
        """``x`` with ``frac`` fractional bits, in LSBs of ``kind``, by its rounding mode."""
        drop = frac - kind.frac
        if drop <= x.zeros or kind.rounding == "TRN":
            return self.right(x, drop) if drop > 0 else x.left(-drop)
        x, drop = Lane(x.value, x.low, x.high), drop - x.zeros
        half = 1 << (drop - 1)
        if kind.rounding == "RND":
            return self.right(self.plus(x, half), drop)
        odd = self.let(self.right(x, drop).value & 1, 0, 1)
        x = self.plus(x, half - 1)
        low, high = x.low, x.high + 1
        return self.right(self.let(self.wide(x, low, high) + odd.value, low, high), drop)

    def cast(self, x: Lane, frac: int, kind: FixedType) -> Lane:
        """``x`` with ``frac`` fractional bits cast to ``kind``, in its LSBs."""
        return self.limit(self.round(x, frac, kind), kind)

    def limit(self, x: Lane, kind: FixedType) -> Lane:
        """``x`` in LSBs of ``kind`` brought into its range, by its overflow mode."""
        if x.within(kind):
            return x
        if kind.overflow == "WRAP":
            offset, mask = self.plus(self.plain(x), -kind.min_int), (1 << kind.width) - 1
            wide = self.wide(offset, min(offset.low, 0), max(offset.high, mask))
            return self.plus(self.let(wide & mask, 0, mask), kind.min_int)
        return self.clip(self.plain(x), kind.min_int, kind.max_int)

    def clip(self, x: Lane, least: int, most: int) -> Lane:
        """``x`` limited to [least, most]."""
        if x.low < least:
            x = self.let(self.at_least(x, least), least, max(x.high, least))
        if x.high > most:
            x = self.let(self.at_most(x, most), min(x.low, most), most)
        return x


class Text:
    """An expression in C++."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __str__(self) -> str:
        return self._text

    def _joined(self, sign: str, other: Text | int) -> Text:
        return Text(f"({self} {sign} {literal(other) if isinstance(other, int) else other})")

    def __add__(self, other: Text | int) -> Text:
        return self._joined("+", other)

    def __and__(self, other: Text | int) -> Text:
        return self._joined("&", other)

    def __lshift__(self, other: Text | int) -> Text:
        return self._joined("<<", other)

    def __rshift__(self, other: Text | int) -> Text:
        return self._joined(">>", other)


class CppStatements(Statements):
    """Collects C++ statements.

    Each result is a variable of its own, in its own type: compilers then compute in lanes of that width.
    """

    def __init__(self) -> None:
        self.lines: list[str] = []

    def let(self, value: Text | str, low: int, high: int) -> Lane:
        """A new variable with the value of the expression, in the narrowest type that holds [low, high]."""
        name = Text(f"t{len(self.lines)}")
        kind = integer_type(low, high)
        self.lines.append(f"const {kind} {name} = ({kind})({value});")
        return Lane(name, low, high)

    def wide(self, x: Lane, low: int, high: int) -> Text:
        return Text(f"({integer_type(low, high, 32)}){x.value}")

    def at_least(self, x: Lane, bound: int) -> Text:
        return Text(f"{x.value} < {literal(bound)} ? {literal(bound)} : {x.value}")

    def at_most(self, x: Lane, bound: int) -> Text:
        return Text(f"{x.value} > {literal(bound)} ? {literal(bound)} : {x.value}")

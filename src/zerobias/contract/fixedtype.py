"""Fixed-point types as the hardware tools write them, and their exact casts on integers.

A fixed-point array is an integer array plus the number of fractional bits ``frac``: the value is
``integer * 2**-frac``. Rounding and overflow follow the definitions of AMD's ``ap_fixed``
(Vitis HLS User Guide UG1399, "Arbitrary Precision Fixed-Point Data Types").
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from zerobias.errors import SpecError

__all__ = ["FixedType", "IntArray"]

IntArray = NDArray[np.int64]
"""An array of integers."""

_ROUNDING = ("TRN", "RND", "RND_CONV")
_OVERFLOW = ("WRAP", "SAT", "SAT_SYM")
_PATTERN = re.compile(
    r"ap_(?:(?P<ufix>u?)fixed<\s*(?P<w>\d+)\s*,\s*(?P<i>-?\d+)\s*"
    r"(?:,\s*(?P<r>[A-Z_]+)\s*(?:,\s*(?P<o>[A-Z_]+)\s*)?)?>"
    r"|(?P<uint>u?)int<\s*(?P<n>\d+)\s*>)"
)
_MAX_BITS = 62  # one int64 minus sign and one guard bit


@dataclass(frozen=True)
class FixedType:
    """``ap_fixed<width, integer, rounding, overflow>`` (``ap_ufixed`` when not ``signed``).

    ``integer`` counts the sign bit, as in ``ap_fixed``; ``frac = width - integer``.
    """

    width: int
    integer: int
    signed: bool = True
    rounding: str = "TRN"
    overflow: str = "WRAP"

    def __post_init__(self) -> None:
        if not 1 <= self.width <= _MAX_BITS:
            raise SpecError(f"width {self.width} of a fixed-point type: it must be 1 to {_MAX_BITS} bits")
        if self.rounding not in _ROUNDING:
            raise SpecError(f"rounding mode {self.rounding!r} is not supported: use one of {_ROUNDING}")
        if self.overflow not in _OVERFLOW:
            raise SpecError(f"overflow mode {self.overflow!r} is not supported: use one of {_OVERFLOW}")

    @classmethod
    def parse(cls, text: str) -> FixedType:
        """Type written as in C++, e.g. ``ap_fixed<8,6,RND_CONV,SAT>`` or ``ap_uint<10>``.

        Raises ``SpecError`` when ``text`` is not such a type.
        """
        match = _PATTERN.fullmatch(text.strip().replace("AP_", ""))
        if match is None:
            raise SpecError(
                f"{text!r} is not a fixed-point type: write ap_fixed<W,I>, ap_ufixed<W,I,RND_CONV,SAT>, "
                "ap_int<W> or ap_uint<W>"
            )
        if match["n"] is not None:
            return cls(int(match["n"]), int(match["n"]), match["uint"] == "")
        return cls(
            int(match["w"]), int(match["i"]), match["ufix"] == "", match["r"] or "TRN", match["o"] or "WRAP"
        )

    @property
    def frac(self) -> int:
        """Number of fractional bits (negative when the LSB is above one)."""
        return self.width - self.integer

    @cached_property
    def min_int(self) -> int:
        """Smallest representable integer, in LSBs."""
        if not self.signed:
            return 0
        return -self.max_int if self.overflow == "SAT_SYM" else -(1 << (self.width - 1))

    @cached_property
    def max_int(self) -> int:
        """Largest representable integer, in LSBs."""
        return (1 << (self.width - self.signed)) - 1

    @property
    def lsb(self) -> float:
        """Value of one LSB."""
        return float(2.0**-self.frac)

    def __str__(self) -> str:
        modes = ""
        if (self.rounding, self.overflow) != ("TRN", "WRAP"):
            modes = f",AP_{self.rounding},AP_{self.overflow}"
        return f"ap_{'' if self.signed else 'u'}fixed<{self.width},{self.integer}{modes}>"

    def cast(self, value: IntArray, frac: int) -> IntArray:
        """Cast integers with ``frac`` fractional bits to this type: integers in LSBs of this type."""
        return self.wrap(self.round(value, frac))

    def round(self, value: IntArray, frac: int) -> IntArray:
        """Round to this type's LSB without limiting the range."""
        drop = frac - self.frac
        value = np.asarray(value, dtype=np.int64)
        if drop <= 0:
            return value << -drop
        if self.rounding == "TRN":
            return value >> drop
        if self.rounding == "RND":
            return (value >> drop) + (value >> (drop - 1) & 1)
        limit = 2**53
        if value.size and value.min() > -limit and value.max() < limit:
            # Exact in float64, and rint rounds half to even; much faster than the integer form below.
            rounded: IntArray = np.rint(value * 2.0**-drop).astype(np.int64)
            return rounded
        halves = value >> (drop - 1)
        more = value != halves << (drop - 1)
        rounded = (halves >> 1) + (halves & 1 & (more | (halves >> 1)))
        return rounded

    def wrap(self, value: IntArray) -> IntArray:
        """Bring integers in LSBs of this type into its range, by its overflow mode."""
        if self.overflow != "WRAP":
            return np.clip(value, self.min_int, self.max_int)
        span = np.int64(1) << self.width
        wrapped: IntArray = ((value - self.min_int) & (span - 1)) + self.min_int
        return wrapped

    def holds(self, low: int, high: int) -> bool:
        """Whether every integer of [low, high], in LSBs of this type, is representable."""
        return self.min_int <= low and high <= self.max_int

    def quantise(self, value: NDArray[np.float64]) -> IntArray:
        """Integers of real values, cast to this type; values are read at 2**-(frac + 32) or exactly.

        Raises ``SpecError`` when a value is not finite.
        """
        value = np.asarray(value, dtype=np.float64)
        if not np.isfinite(value).all():
            raise SpecError(f"a value that is not finite cannot be held in {self}: remove NaN and infinity")
        extra = min(32, _MAX_BITS - self.width)
        scaled = np.floor(value * 2.0 ** (self.frac + extra))
        return self.cast(np.clip(scaled, -(2.0**62), 2.0**62 - 1024).astype(np.int64), self.frac + extra)

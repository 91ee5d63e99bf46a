"""Float codes of the HGCAL trigger path: exponent, mantissa, no sign, no rounding.

A code with exponent e and mantissa m of M bits means m when e = 0, else (2^M + m) 2^(e - 1). Trigger cells
travel in 4 + 3 bits, module sums in 5 + 3, super trigger cells in 4 + 3 or 5 + 4 (public emulation
hgc-tpg/hgcal-tpg-fe, inc/TPGBEDataformat.hh and TPGFEEmulation/TPGFEModuleEmulation.hh).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zerobias.errors import DataError, SpecError

__all__ = ["MODULE_SUM", "SUPER_TRIGGER_CELL", "TRIGGER_CELL", "FloatCode", "whole_numbers"]

_LIMITS = {"exponent_bits": (1, 5), "mantissa_bits": (1, 8), "dropped": (0, 15)}


def whole_numbers(values: NDArray[Any], name: str, high: int) -> NDArray[np.int64]:
    """``values`` as int64. Raises ``DataError`` for another type and for a value outside of 0 .. ``high``."""
    if not np.issubdtype(values.dtype, np.integer):
        raise DataError(f"{name} is of type {values.dtype}: it must hold integers; give the raw counts")
    bad = np.argwhere((values < 0) | (values.astype(np.uint64) > np.uint64(high)))
    if len(bad):
        place = tuple(int(i) for i in bad[0])
        raise DataError(
            f"{name} at {place} is {values[place]}: it must be from 0 to {high}; restore or limit the input"
        )
    return values.astype(np.int64)


@dataclass(frozen=True)
class FloatCode:
    """A float code; ``dropped`` least significant bits are cut before the encoding.

    Decoding gives the smallest value of a code or, with ``middle``, half a step more where a step (before
    ``dropped`` bits) is 2 or longer: the chip does so with its inputs, back ends with what they unpack.
    Raises ``SpecError`` when a width is out of range.
    """

    exponent_bits: int
    mantissa_bits: int
    dropped: int = 0
    middle: bool = False

    def __post_init__(self) -> None:
        for name, (low, high) in _LIMITS.items():
            if not low <= getattr(self, name) <= high:
                raise SpecError(
                    f"{name} is {getattr(self, name)}: it must be from {low} to {high}; "
                    "trigger cells have 4 exponent and 3 mantissa bits"
                )

    @property
    def bits(self) -> int:
        """Width of a code."""
        return self.exponent_bits + self.mantissa_bits

    @property
    def largest(self) -> int:
        """Smallest value of the largest code; what lies above gets this code too."""
        return ((2 << self.mantissa_bits) - 1) << ((1 << self.exponent_bits) - 2) << self.dropped

    def encode(self, values: NDArray[Any]) -> NDArray[np.uint16]:
        """Codes of integers of any shape: truncated, saturating.

        Raises ``DataError`` when ``values`` are not integers from 0 to 2^63 - 1.
        """
        rest = np.minimum(whole_numbers(values, "value", 2**63 - 1), self.largest) >> self.dropped
        # Integers below 2^53 are exact in float64: frexp counts their bits.
        length = np.frexp(rest.astype(np.float64))[1].astype(np.int64)
        exponent = np.maximum(length - self.mantissa_bits, 0)
        mantissa = (rest >> np.maximum(exponent - 1, 0)) & (2**self.mantissa_bits - 1)
        codes: NDArray[np.uint16] = (exponent << self.mantissa_bits | mantissa).astype(np.uint16)
        return codes

    def decode(self, codes: NDArray[Any]) -> NDArray[np.int64]:
        """Value of each code, any shape.

        Raises ``DataError`` when ``codes`` are not integers of :attr:`bits` bits.
        """
        whole = whole_numbers(codes, "code", 2**self.bits - 1)
        exponent, mantissa = whole >> self.mantissa_bits, whole & (2**self.mantissa_bits - 1)
        leading = np.where(exponent > 0, 2**self.mantissa_bits, 0)
        values = (leading + mantissa) << np.maximum(exponent - 1, 0)
        if self.middle:
            values += np.where(exponent > 1, 1 << np.maximum(exponent - 2, 0), 0)
        shifted: NDArray[np.int64] = values << self.dropped
        return shifted


TRIGGER_CELL = FloatCode(4, 3)
"""Trigger cells: 7 bits, up to 245 760."""
MODULE_SUM = FloatCode(5, 3)
"""Sum of a wafer: 8 bits."""
SUPER_TRIGGER_CELL = FloatCode(5, 4)
"""The wide code of super trigger cells: 9 bits."""

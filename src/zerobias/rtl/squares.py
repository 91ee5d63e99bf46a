"""Squares of a wire from small tables: no multiplier, and every step can start a new pipeline stage.

With x = 2^b h + l, where l holds the b low bits, and 2 h l = (h + l)^2 - h^2 - l^2::

    x^2 = 2^b (h + l)^2 + (2^2b - 2^b) h^2 - (2^b - 1) l^2

The three squares are tables of about half of x's bits each; one LUT holds an output bit of six.
"""

from __future__ import annotations

import math

import numpy as np
from alkaid.trace.fixed_variable import FVariable

from zerobias.rtl.wires import constant, is_constant, multiply

__all__ = ["square"]

_TABLE_BITS = 6
_MOST_BITS = 13
"""Wider values are multiplied: their tables would take more than a LUT's multiplexers can join."""


def square(wire: FVariable) -> FVariable:
    """The square of a wire, exact."""
    if is_constant(wire):
        return constant(wire.low**2)
    signed, integer, frac = wire.kif
    width = signed + integer + frac
    if width > _MOST_BITS:
        return multiply(wire, wire)
    if width <= _TABLE_BITS:
        return _table(wire, 1.0)
    bits = width // 2
    high = wire.quantize(signed, integer, frac - bits, "WRAP", "TRN")
    low = wire.quantize(False, bits - frac, frac, "WRAP", "TRN")
    high = high * 2.0**-bits  # both halves now count in units of the wire's lowest bit
    whole = _table(high + low, 2.0**bits)
    total = whole + (_table(high, 4.0**bits - 2.0**bits) - _table(low, 2.0**bits - 1.0))
    # alkaid's bounds of the sum are wider than those of a square.
    most = max(abs(wire.low), abs(wire.high)) ** 2
    return total.quantize(False, math.floor(math.log2(most)) + 1, 2 * frac, "WRAP", "TRN")


def _table(wire: FVariable, factor: float) -> FVariable:
    """``factor`` times the square of a wire, as a table of all its values."""
    if is_constant(wire):
        return constant(factor * wire.low**2)
    values = np.arange(round(wire.low / wire.step), round(wire.high / wire.step) + 1) * wire.step
    return wire.lookup(factor * values**2)

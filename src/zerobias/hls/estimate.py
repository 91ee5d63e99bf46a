"""Estimates for the hls4ml design, made without a vendor tool. Each is labelled as one everywhere.

* LUT: effective bit operations (EBOPs, arXiv:2405.00645): over all products with a constant, bits
  from the constant's highest to its lowest set bit times bits of the variable; a product of two
  variables of at most 10 bits counts the product of their widths. One EBOP stands for one LUT.
* DSP: products of two variables of which one has more than 10 bits.
* FF: every layer's output bits, once for each clock the layer takes.
* Latency: adder-tree levels of each layer (two operands a level, a term for each signed digit of a
  constant), two levels for a rounding and saturating cast, ``_LEVEL_NS`` a level, as many levels in a
  clock as fit its usable share; plus one clock each for the input and output registers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from zerobias.contract import Contract, IntArray
from zerobias.fixed import Cast, Dense, Graph, Square, Sum
from zerobias.targets import Target

__all__ = ["Estimate", "constant_bits", "estimate", "signed_digits"]

_LEVEL_NS = 0.75
"""Assumed delay of one carry-chain adder with its nets on a 7-series part."""
_USABLE_CLOCK = 0.875
"""Share of the clock period left after the uncertainty."""
_LUT_MULTIPLIER_BITS = 10
_CAST_LEVELS = 2


@dataclass(frozen=True)
class Estimate:
    """Estimated figures of the design; ``cycles`` from first input edge to valid score register."""

    ebops: int
    multipliers: int
    adders: int
    dsp: int
    ff: int
    levels: int
    cycles: int


def estimate(contract: Contract, graph: Graph, target: Target) -> Estimate:
    """Estimate the fully unrolled (reuse factor 1) design of a graph on a target."""
    intervals = graph.intervals(*contract.box)
    ebops = multipliers = dsp = ff = levels = 0
    adders = int(np.count_nonzero(contract.offset))
    levels = 1 + _CAST_LEVELS  # input contract: a subtraction and a cast
    per_clock = max(1, math.floor(target.clock_ns * _USABLE_CLOCK / _LEVEL_NS))
    ff = sum(contract.raw_type.width for _ in contract.features)
    for node in graph.nodes[1:]:
        source = intervals[node.inputs[0]]
        width = np.array([_bits(a, b) for a, b in zip(source.low.flat, source.high.flat, strict=True)])
        own = 0
        if isinstance(node.op, Dense):
            ebops += int((constant_bits(node.op.kernel) * width[:, None]).sum())
            digits = signed_digits(node.op.kernel)
            multipliers += int(np.count_nonzero(digits))
            terms = digits.sum(axis=0) + (node.op.bias != 0)
            adders += int(np.maximum(terms - 1, 0).sum())
            own = math.ceil(math.log2(max(int(terms.max()), 1)))
        elif isinstance(node.op, Square):
            multipliers += len(width)
            small = width <= _LUT_MULTIPLIER_BITS
            ebops += int((width[small] ** 2).sum())
            dsp += int((~small).sum())
            own = math.ceil(math.log2(max(int(width.max()), 2)))
        elif isinstance(node.op, Sum):
            adders += source.low.shape[-1] - 1
            ebops += int(width.sum())
            own = math.ceil(math.log2(source.low.shape[-1]))
        elif isinstance(node.op, Cast):
            own = _CAST_LEVELS if node.op.kind.overflow != "WRAP" or node.op.kind.rounding != "TRN" else 0
        result = intervals[node.name]
        bits = sum(_bits(a, b) for a, b in zip(result.low.flat, result.high.flat, strict=True))
        ff += bits * math.ceil(own / per_clock)
        levels += own
    return Estimate(ebops, multipliers, adders, dsp, ff, levels, math.ceil(levels / per_clock) + 2)


def constant_bits(value: IntArray) -> IntArray:
    """Bits from the highest to the lowest set bit of |value|; 0 for 0."""
    size = np.abs(value)
    lowest = size & -size
    span = np.where(size > 0, size // np.maximum(lowest, 1), 0)
    bits: IntArray = np.ceil(np.log2(span + 1)).astype(np.int64)
    return bits


def signed_digits(value: IntArray) -> IntArray:
    """Non-zero digits of the canonical signed-digit form, the terms a shift-and-add product needs."""
    size = np.abs(value).astype(np.int64)
    digits: IntArray = np.bitwise_count((3 * size) ^ size).astype(np.int64)
    return digits


def _bits(low: int, high: int) -> int:
    return max(int(high).bit_length(), (int(low) + 1).bit_length()) + (low < 0)

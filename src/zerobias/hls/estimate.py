"""Counts of the hls4ml design, made without a vendor tool; ``figures`` makes the report's estimates of them.

* LUT: effective bit operations (EBOPs, arXiv:2405.00645): over all products with a constant, bits
  from the constant's highest to its lowest set bit times bits of the variable; a product of two
  variables of at most 10 bits counts the product of their widths. One EBOP stands for one LUT.
  A table counts one LUT for each output bit of 64 entries, a multiplexer one LUT a bit.
  A tree counts one LUT for five bits beyond the first of each comparison, one for each leaf's decisions, and
  one for five leaves of each bit of its value; equal comparisons of one feature are counted once.
* DSP: products of two variables of which one has more than 10 bits.
* FF: every layer's output bits, once for each clock the layer takes.
* Latency: adder-tree levels of each layer (two operands a level, a term for each signed digit of a
  constant), two levels for a rounding or saturating cast that can change a value, ``_LEVEL_NS`` a level, as
  many levels in a clock as fit its usable share; plus one clock each for the input and output registers.

Strategies change what a layer with constant weights costs:

* ``resource``, reuse factor R > 1: every R-th product exists, a product of two variables as its weight
  comes from a ROM, with an adder of the accumulator's width and multiplexers (three more inputs a LUT) in
  front; ROMs of ``_ROM_BITS`` x ``_ROM_WORDS``. A layer is busy for R clocks each position of a convolution;
  layers work one after the other on an event, so latency grows by what each is busy beyond one clock.
* ``distributed_arithmetic``: LUTs of da4ml's adder graph, in which sums share terms, for each position.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from zerobias.contract import Contract, IntArray
from zerobias.fixed import (
    Add,
    AveragePool,
    Cast,
    Conv,
    Dense,
    Dot,
    Graph,
    Interval,
    LeakyRelu,
    MaxPool,
    Multiply,
    Op,
    Square,
    Subtract,
    Sum,
    SumShift,
    Table,
    Trees,
)
from zerobias.hls.project import HlsLayer
from zerobias.targets import Target
from zerobias.trees import LEAF

__all__ = ["Estimate", "constant_bits", "estimate", "signed_digits"]

_LEVEL_NS = 0.75
"""Assumed delay of one carry-chain adder with its nets on a 7-series part."""
_USABLE_CLOCK = 0.875
"""Share of the clock period left after the uncertainty."""
_LUT_MULTIPLIER_BITS = 10
_ROM_BITS, _ROM_WORDS = 72, 512
"""Widest shape of a 36-Kbit block RAM."""
_CAST_LEVELS = 2


@dataclass(frozen=True)
class Estimate:
    """Estimated counts of the design; ``cycles`` from first input edge to valid score register.

    ``ebops`` counts one LUT each; ``interval`` are the clocks between events.
    """

    ebops: int
    multipliers: int
    adders: int
    dsp: int
    ff: int
    levels: int
    cycles: int
    bram: int = 0
    interval: int = 1
    comparisons: int = 0


def estimate(contract: Contract, graph: Graph, target: Target, layers: Iterable[HlsLayer] = ()) -> Estimate:
    """Estimate the design of a graph on a target.

    ``layers`` of the written project say what the strategy made of each; without them all is unrolled.
    """
    intervals = graph.intervals(*contract.box)
    written = {layer.name: layer for layer in layers}
    ebops = multipliers = comparisons = dsp = bram = ff = levels = waits = 0
    interval = 1
    adders = int(np.count_nonzero(contract.offset))
    levels = 1 + _CAST_LEVELS  # input contract: a subtraction and a cast
    per_clock = max(1, math.floor(target.clock_ns * _USABLE_CLOCK / _LEVEL_NS))
    ff = sum(contract.raw_type.width for _ in contract.features)
    for node in graph.nodes[1:]:
        inputs = [intervals[name] for name in node.inputs]
        cost = _cost(node.op, inputs)
        layer = written.get(node.name)
        if layer is not None and isinstance(node.op, Dense | Conv):
            cost = _by_strategy(cost, node.op, inputs[0], layer)
        waits += cost.busy - 1
        interval = max(interval, cost.busy)
        bram += cost.bram
        ebops += cost.ebops
        multipliers += cost.multipliers
        comparisons += cost.comparisons
        adders += cost.adders
        dsp += cost.dsp
        levels += cost.levels
        ff += int(_widths(intervals[node.name]).sum()) * math.ceil(cost.levels / per_clock)
    cycles = math.ceil(levels / per_clock) + waits + 2
    return Estimate(ebops, multipliers, adders, dsp, ff, levels, cycles, bram, interval, comparisons)


@dataclass(frozen=True)
class _Cost:
    ebops: int = 0
    multipliers: int = 0
    adders: int = 0
    dsp: int = 0
    levels: int = 0
    bram: int = 0
    busy: int = 1
    comparisons: int = 0


def _cost(op: Op, inputs: list[Interval]) -> _Cost:
    """Cost of one node; ``levels`` is the depth of its adder tree."""
    if isinstance(op, Dense):
        return _matrix(op, _widths(inputs[0]).reshape(1, -1))
    if isinstance(op, Conv):
        x = inputs[0]
        rows = Interval(op.rows(x.low, 0), op.rows(x.high, 0), x.frac)
        return _matrix(op.dense, _widths(rows).reshape(-1, op.dense.kernel.shape[0]))
    width = _widths(inputs[0])
    if isinstance(op, Cast):
        source = inputs[0]
        plain = op.kind.overflow == "WRAP" and op.kind.rounding == "TRN"
        lossless = source.frac - source.zeros <= op.kind.frac and op.kind.holds(*op.rounded_bounds(source))
        return _Cost(levels=0 if plain or lossless else _CAST_LEVELS)
    if isinstance(op, LeakyRelu):
        return _Cost(int(width.sum()), levels=1)
    if isinstance(op, Table):
        # A LUT holds one output bit of 64 entries; multiplexers of four join them.
        luts = math.ceil(len(op.values) / 64)
        return _Cost(luts * op.kind.width * len(width), levels=1 + math.ceil(math.log(luts, 4)))
    if isinstance(op, Trees):
        return _trees(op, width)
    if isinstance(op, Square):
        return _products(width, width)
    if isinstance(op, Multiply):
        return _products(width, _widths(inputs[1]))
    if isinstance(op, Dot):
        product = _products(width, _widths(inputs[1]))
        tree = _Cost(product.ebops, product.multipliers, len(width) - 1, product.dsp)
        return replace(tree, levels=product.levels + _depth(len(width)))
    if isinstance(op, Sum):
        terms = inputs[0].low.shape[-1]
        return _Cost(int(width.sum()), 0, len(width) - len(width) // terms, 0, _depth(terms))
    if isinstance(op, SumShift):
        tree = _cost(Sum(), inputs)
        places = int(np.max(inputs[0].high.sum(axis=-1))).bit_length()
        # One multiplexer a bit of each value, while the bits it can still be shifted by are halved.
        stages = _depth(places)
        bits = sum((1 << stage) + op.kind.frac for stage in range(stages))
        return replace(tree, ebops=tree.ebops + len(width) * bits, levels=tree.levels + stages)
    if isinstance(op, AveragePool | MaxPool):
        terms = int(np.prod(op.windows.size))
        windows = op.windows.flat(width.reshape(inputs[0].low.shape), 0)
        return _Cost(int(windows.sum()), 0, (terms - 1) * windows.size // terms, 0, _depth(terms))
    if isinstance(op, Add | Subtract):
        terms = len(inputs)
        return _Cost(int(width.sum()) * (terms - 1), 0, len(width) * (terms - 1), 0, _depth(terms))
    return _Cost()


def _trees(op: Trees, width: IntArray) -> _Cost:
    """Comparisons, leaves and values of trees on inputs whose bits are ``width``."""
    trees = op.ensemble
    inner = trees.feature != LEAF
    asked = np.unique(np.stack([trees.feature[inner], trees.threshold[inner]]), axis=1)[0]
    luts = int(np.maximum(np.ceil((width[asked] - 1) / 5), 1).sum()) + int(np.count_nonzero(~inner))
    most = 0
    for nodes in trees.slices():
        leaves = int(np.count_nonzero(~inner[nodes]))
        luts += math.ceil(leaves / 5) * int(trees.value[nodes].max()).bit_length()
        most = max(most, leaves)
    return _Cost(luts, levels=2 + math.ceil(math.log(most, 6)), comparisons=len(asked))


def _matrix(op: Dense, width: IntArray) -> _Cost:
    """Constant matrix applied to rows of inputs whose bits are ``width`` (rows, inputs)."""
    rows = len(width)
    digits = signed_digits(op.kernel)
    terms = digits.sum(axis=0) + (op.bias != 0)
    return _Cost(
        ebops=int((width @ constant_bits(op.kernel)).sum()),
        multipliers=rows * int(np.count_nonzero(digits)),
        adders=rows * int(np.maximum(terms - 1, 0).sum()),
        levels=_depth(int(terms.max())),
    )


def _by_strategy(cost: _Cost, op: Dense | Conv, source: Interval, layer: HlsLayer) -> _Cost:
    """Cost of a layer with constant weights as its strategy builds it; ``cost`` is the unrolled one's."""
    dense = op.dense if isinstance(op, Conv) else op
    positions = op.rows(source.low, 0).size // len(dense.kernel) if isinstance(op, Conv) else 1
    if layer.adder_luts is not None:
        return replace(cost, ebops=math.ceil(layer.adder_luts * positions))
    if layer.strategy != "resource":
        return cost
    reuse, instances = layer.reuse_factor, max(1, positions // layer.passes)
    share = instances / positions
    busy = reuse * layer.passes
    if reuse == 1:
        return replace(
            cost,
            ebops=math.ceil(cost.ebops * share),
            multipliers=math.ceil(cost.multipliers * share),
            adders=math.ceil(cost.adders * share),
            busy=busy,
        )
    rows, columns = dense.kernel.shape
    bits, width = int(_widths(source).max()), dense.kernel_type.width
    products = math.ceil(rows * columns / reuse)
    small = max(bits, width) <= _LUT_MULTIPLIER_BITS
    sums = layer.accumulator_type.width if layer.accumulator_type is not None else bits + width
    choices = math.ceil(rows / reuse) * bits * math.ceil((reuse - 1) / 3)
    luts = products * (sums + bits * width * small) + choices
    roms = math.ceil(products * width / _ROM_BITS) * math.ceil(reuse / _ROM_WORDS)
    return replace(
        cost,
        ebops=instances * luts,
        multipliers=instances * products,
        adders=instances * products,
        dsp=0 if small else instances * products,
        bram=instances * roms,
        busy=busy,
    )


def _products(first: IntArray, second: IntArray) -> _Cost:
    """Products of two variables, element by element."""
    small = np.maximum(first, second) <= _LUT_MULTIPLIER_BITS
    return _Cost(
        ebops=int((first * second)[small].sum()),
        multipliers=len(first),
        dsp=int((~small).sum()),
        levels=_depth(int(max(first.max(), second.max()))),
    )


def _depth(terms: int) -> int:
    return math.ceil(math.log2(max(terms, 1)))


def _widths(interval: Interval) -> IntArray:
    """Bits of each element, flat."""
    pairs = zip(interval.low.flat, interval.high.flat, strict=True)
    return np.array([_bits(low, high) for low, high in pairs], dtype=np.int64)


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

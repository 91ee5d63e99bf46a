"""The C++ source of a fixed-point graph behind its input contract, for raw integers of one stored type.

Events are scored in blocks: a value of a node is a row of one integer an event, of the narrowest of int16,
int32 and int64 that the interval analysis allows. Sums of products take 16-bit operands in pairs wherever
operands and result allow it: twice the products of a float32 instruction, and exact beyond its 24 bits, since
a sum that wraps on its way still ends right.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zerobias.contract import Contract, IntArray
from zerobias.errors import UnsupportedError
from zerobias.fixed import (
    Add,
    AveragePool,
    Cast,
    Concatenate,
    Conv,
    Dense,
    Dot,
    Gather,
    Graph,
    Input,
    Interval,
    LeakyRelu,
    MaxPool,
    Multiply,
    Op,
    Reshape,
    Square,
    Subtract,
    Sum,
    SumShift,
    Table,
    Trees,
)
from zerobias.hls import fill_template
from zerobias.score.evaluator import admitted
from zerobias.score.lanes import CppStatements, Lane, Text, integer_type, literal

__all__ = ["source"]

_EVENTS = 32
_TILE = 4


@dataclass(frozen=True)
class Rows:
    """The buffer ``name`` that holds a node's values in C order, integers of ``kind`` in ``interval``."""

    name: str
    kind: str
    interval: Interval

    @property
    def size(self) -> int:
        """Values of an event."""
        return self.interval.low.size

    def lane(self, name: str) -> Lane:
        """The variable ``name`` with one of the values."""
        return Lane(Text(name), *self.interval.bounds)


Rule = Callable[["_Source", Any, list[Rows], Interval], Rows]
_RULES: dict[type[Op], Rule] = {}


def _writes(*kinds: type[Op]) -> Callable[[Rule], Rule]:
    def register(rule: Rule) -> Rule:
        _RULES.update(dict.fromkeys(kinds, rule))
        return rule

    return register


def source(contract: Contract, graph: Graph, raw: np.dtype[Any]) -> str:
    """C++ source of a library that scores raw integers (events, features) of type ``raw``.

    ``raw`` is one of ``STORED`` that can hold an admitted value of every feature. Raises
    ``UnsupportedError`` for a node that needs more than 64 bits and for an operation without a rule.
    """
    written = _Source()
    intervals = graph.intervals(*contract.box)
    rows: dict[str, Rows] = {}
    for node in graph:
        interval = intervals[node.name]
        written.body.append(f"    // {node.name}")
        rule = _RULES.get(type(node.op))
        if rule is None and not isinstance(node.op, Input):
            raise UnsupportedError(f"node {node.name}: {type(node.op).__name__} is not compiled")
        try:
            if rule is None:
                rows[node.name] = _scaled(written, contract, interval)
            else:
                rows[node.name] = rule(written, node.op, [rows[name] for name in node.inputs], interval)
        except UnsupportedError as error:
            raise UnsupportedError(f"node {node.name}: {error}") from None
    output = rows[graph.output]
    low, high = admitted(contract, raw)
    values = {
        "RAW": f"{raw}_t",
        "EVENTS": str(_EVENTS),
        "FEATURES": str(len(contract.features)),
        "SCORES": str(output.size),
        "LOW": _list(low),
        "HIGH": _list(high),
        "CONSTANTS": "\n".join(written.constants),
        "ROWS": "\n".join(written.buffers),
        "BODY": "\n".join(written.body),
        "OUTPUT": output.name,
    }
    return fill_template("score.cpp.in", values)


class _Source:
    """The parts of the source that grow with the graph."""

    def __init__(self) -> None:
        self.constants: list[str] = []
        self.buffers: list[str] = []
        self.body: list[str] = []

    def constant(self, values: NDArray[Any], kind: str = "int32_t") -> str:
        """Name of a constant array of integers."""
        name = f"c{len(self.constants)}"
        text = _list(values) or "0"
        self.constants.append(f"const {kind} {name}[] = {{{text}}};")
        return name

    def rows(self, interval: Interval, kind: str | None = None) -> Rows:
        """A new buffer for values in ``interval``; its type is ``kind`` or the narrowest one."""
        kind = kind or integer_type(*interval.bounds)
        return Rows(self.buffer(interval.low.size, kind), kind, interval)

    def buffer(self, size: int, kind: str) -> str:
        """Name of a new buffer of ``size`` rows, behind which one is zero."""
        name = f"b{len(self.buffers)}"
        self.buffers.append(f"    {kind} {name}[{size + 1}][EVENTS];")
        return name

    def each(
        self, out: Rows, code: CppStatements, result: Lane, *, place: str = "i", rows: int | None = None
    ) -> None:
        """Row ``place`` of ``out`` is the value of ``code`` for each i below ``rows``."""
        self.body += [
            f"    for (int i = 0; i < {out.size if rows is None else rows}; i++)",
            "        for (int e = 0; e < EVENTS; e++) {",
            *(f"            {line}" for line in code.lines),
            f"            r.{out.name}[{place}][e] = ({out.kind})({result.value});",
            "        }",
        ]

    def joined(self, how: str, x: Rows, index: IntArray, out: Rows) -> Rows:
        """Row i of ``out`` joins the rows ``index[i]`` of ``x`` (-1: zeros) by ``how``, of the template."""
        at = self.constant(np.where(index < 0, x.size, index))
        self.body.append(f"    {how}(r.{x.name}, {at}, {out.size}, {index.shape[1]}, r.{out.name});")
        return out


def _list(values: NDArray[Any]) -> str:
    return ", ".join(literal(int(v)) for v in values.ravel())


def _read(code: CppStatements, x: Rows, place: str = "i") -> Lane:
    """The value of row ``place`` as a variable."""
    return code.let(f"r.{x.name}[{place}][e]", *x.interval.bounds)


def _scaled(written: _Source, contract: Contract, interval: Interval) -> Rows:
    """The contract's scaling, features that are scaled alike together."""
    out = written.rows(interval)
    keys = np.stack([contract.offset, contract.shift, contract.step_log2, contract.low, contract.high])
    groups, which = np.unique(keys, axis=1, return_inverse=True)
    frac = max(contract.raw_type.frac, contract.offset_type.frac)
    for number, (offset, shift, step_log2, low, high) in enumerate(groups.T.tolist()):
        features = np.flatnonzero(which.ravel() == number)
        at = f"{written.constant(features)}[i]"
        code = CppStatements()
        x = code.let(f"r.raw[{at}][e]", low, high).left(step_log2 + frac)
        x = code.plus(x, -(offset << (frac - contract.offset_type.frac)))
        x = code.cast(x, frac, contract.raw_type)
        x = code.limit(code.right(x, shift) if shift >= 0 else x.left(-shift), contract.raw_type)
        x = code.plain(code.cast(x, contract.raw_type.frac, contract.network_type))
        written.each(out, code, x, place=at, rows=len(features))
    return out


@_writes(Cast)
def _cast(written: _Source, op: Cast, inputs: list[Rows], interval: Interval) -> Rows:
    code, out = CppStatements(), written.rows(interval)
    x = _read(code, inputs[0])
    written.each(out, code, code.plain(code.cast(x, inputs[0].interval.frac, op.kind)))
    return out


@_writes(LeakyRelu)
def _leaky_relu(written: _Source, op: LeakyRelu, inputs: list[Rows], interval: Interval) -> Rows:
    code, out = CppStatements(), written.rows(interval)
    x = _read(code, inputs[0])
    wide = code.plain(x.left(op.shift))
    written.each(out, code, code.let(f"{x.value} >= 0 ? {wide.value} : {x.value}", *interval.bounds))
    return out


@_writes(Table)
def _table(written: _Source, op: Table, inputs: list[Rows], interval: Interval) -> Rows:
    kind = integer_type(int(op.values.min()), int(op.values.max()))
    table = written.constant(op.values, kind)
    code, out = CppStatements(), written.rows(interval)
    place = code.plus(_read(code, inputs[0]), -op.low)
    written.each(out, code, code.let(f"{table}[{place.value}]", *interval.bounds))
    return out


@_writes(Trees)
def _leaves(written: _Source, op: Trees, inputs: list[Rows], interval: Interval) -> Rows:
    """Each tree walked down from its root; a leaf goes on to itself, so all trees take the same steps."""
    trees, out = op.ensemble, written.rows(interval)
    arrays = trees.root, np.maximum(trees.feature, 0), trees.threshold, trees.left, trees.right
    names = [written.constant(array) for array in arrays]
    names.append(written.constant(trees.value, integer_type(int(trees.value.min()), int(trees.value.max()))))
    call = f"leaves(r.{inputs[0].name}, {', '.join(names)}, {trees.depth}, {out.size}, r.{out.name});"
    written.body.append(f"    {call}")
    return out


@_writes(Square, Multiply)
def _product(written: _Source, op: Op, inputs: list[Rows], interval: Interval) -> Rows:
    code, out = CppStatements(), written.rows(interval)
    a, b = _read(code, inputs[0]), _read(code, inputs[-1])
    kind = integer_type(*interval.bounds, 32)
    written.each(out, code, code.let(f"({kind}){a.value} * {b.value}", *interval.bounds))
    return out


@_writes(Add, Subtract)
def _added(written: _Source, op: Op, inputs: list[Rows], interval: Interval) -> Rows:
    code, out = CppStatements(), written.rows(interval)
    terms = [code.plain(_read(code, x).left(interval.frac - x.interval.frac)) for x in inputs]
    sign = "+" if isinstance(op, Add) else "-"
    total = f" {sign} ".join(f"({integer_type(*interval.bounds, 32)}){term.value}" for term in terms)
    written.each(out, code, code.let(total, *interval.bounds))
    return out


@_writes(Concatenate)
def _concatenated(written: _Source, op: Op, inputs: list[Rows], interval: Interval) -> Rows:
    out, start = written.rows(interval), 0
    places = np.arange(out.size).reshape(interval.low.shape)
    for x in inputs:
        width = x.interval.low.shape[-1]
        code = CppStatements()
        value = code.plain(_read(code, x).left(interval.frac - x.interval.frac))
        at = written.constant(places[..., start : start + width])
        written.each(out, code, value, place=f"{at}[i]", rows=x.size)
        start += width
    return out


@_writes(Reshape)
def _reshaped(written: _Source, op: Op, inputs: list[Rows], interval: Interval) -> Rows:
    return Rows(inputs[0].name, inputs[0].kind, interval)


@_writes(Gather)
def _gathered(written: _Source, op: Gather, inputs: list[Rows], interval: Interval) -> Rows:
    x, code = inputs[0], CppStatements()
    out = written.rows(interval, x.kind)
    at = written.constant(np.where(op.index < 0, x.size, op.index))
    written.each(out, code, _read(code, x, f"{at}[i]"))
    return out


@_writes(Sum)
def _summed(written: _Source, op: Op, inputs: list[Rows], interval: Interval) -> Rows:
    x = inputs[0]
    return _total(written, x, np.arange(x.size).reshape(-1, x.interval.low.shape[-1]), interval)


@_writes(Dot)
def _dot(written: _Source, op: Op, inputs: list[Rows], interval: Interval) -> Rows:
    product = Multiply().interval(*(x.interval for x in inputs))
    return _summed(written, op, [_product(written, op, inputs, product)], interval)


@_writes(AveragePool, MaxPool)
def _pooled(written: _Source, op: AveragePool | MaxPool, inputs: list[Rows], interval: Interval) -> Rows:
    x = inputs[0]
    places = 1 + np.arange(x.size).reshape(x.interval.low.shape)
    index = np.moveaxis(op.windows.flat(places, 0), -2, -1).reshape(interval.low.size, -1) - 1
    if isinstance(op, MaxPool):
        return written.joined("largest", x, index, written.rows(interval, x.kind))
    return _total(written, x, index, interval)


def _total(written: _Source, x: Rows, index: IntArray, interval: Interval) -> Rows:
    return written.joined("total", x, index, written.rows(interval, integer_type(*interval.bounds, 32)))


@_writes(SumShift)
def _sum_shifted(written: _Source, op: SumShift, inputs: list[Rows], interval: Interval) -> Rows:
    x = inputs[0]
    count = x.interval.low.shape[-1]
    totals = _summed(written, op, inputs, Sum().interval(x.interval))
    places = written.buffer(totals.size, "int32_t")
    code, out = CppStatements(), written.rows(interval)
    value = code.plain(_read(code, x).left(op.kind.frac))
    wide = integer_type(0, max(value.high, totals.interval.bounds[1]), 32)
    written.body += [
        f"    for (int i = 0; i < {totals.size}; i++)",
        "        for (int e = 0; e < EVENTS; e++)",
        f"            r.{places}[i][e] = 63 - __builtin_clzll(r.{totals.name}[i][e] | 1);",
    ]
    shifted = f"({wide}){value.value} >> r.{places}[i / {count}][e]"
    written.each(out, code, code.let(shifted, *interval.bounds))
    return out


@_writes(Dense, Conv)
def _products(written: _Source, op: Dense | Conv, inputs: list[Rows], interval: Interval) -> Rows:
    """Sums of products at every position, ``_TILE`` outputs at a time, without what meets zeros only."""
    x = inputs[0]
    places = np.arange(1, x.size + 1).reshape(x.interval.low.shape)
    dense, taken = (op.dense, op.rows(places, 0)) if isinstance(op, Conv) else (op, places)
    inputs_of, outputs = dense.kernel.shape
    index = taken.reshape(-1, inputs_of) - 1
    index = np.where(index < 0, x.size, index)
    kernel = dense.kernel << (interval.frac - x.interval.frac - dense.kernel_type.frac)
    bias = dense.bias << (interval.frac - dense.bias_type.frac)
    out = written.rows(interval, integer_type(*interval.bounds, 32))
    values = *x.interval.bounds, int(kernel.min(initial=0)), int(kernel.max(initial=0))
    paired = out.kind == "int32_t" and integer_type(min(values), max(values)) == "int16_t"
    if paired:
        if inputs_of % 2:
            index = np.pad(index, ((0, 0), (0, 1)), constant_values=x.size)
            kernel = np.pad(kernel, ((0, 1), (0, 0)))
        index, rows = _pairs(written, x, index)
        kernel = ((kernel[0::2] & 0xFFFF) | kernel[1::2] << 16).astype(np.int32)
    else:
        rows = x.name
    calls = []
    for start in range(0, outputs, _TILE):
        tile = kernel[:, start : start + _TILE]
        used = tile.any(axis=1)
        terms, width = int(used.sum()), tile.shape[1]
        at = written.constant(index[:, used])
        weights = written.constant(tile[used], out.kind)
        biases = written.constant(bias[start : start + _TILE].astype(out.kind.removesuffix("_t")), out.kind)
        calls.append(
            f"        {'sum_pairs' if paired else 'sum_rows'}<{width}>(r.{rows}, {at} + p * {terms}, "
            f"{weights}, {terms}, {biases}, r.{out.name} + p * {outputs} + {start});"
        )
    written.body += [f"    for (int p = 0; p < {len(index)}; p++) {{", *calls, "    }"]
    return out


def _pairs(written: _Source, x: Rows, index: IntArray) -> tuple[IntArray, str]:
    """Places (positions, pairs) in a buffer of pairs of rows of ``x``, and its name; a pair is made once."""
    pairs, which = np.unique(index.reshape(-1, 2), axis=0, return_inverse=True)
    name = written.buffer(len(pairs), "int32_t")
    first, second = (written.constant(side) for side in pairs.T)
    written.body.append(f"    pair_rows(r.{x.name}, {first}, {second}, {len(pairs)}, r.{name});")
    return which.reshape(len(index), -1), name

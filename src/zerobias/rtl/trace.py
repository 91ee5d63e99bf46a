"""The integer reference, input contract included, as a combinational circuit of adders and bit operations.

alkaid follows real values through NumPy expressions and turns products with constants into shared adder
graphs. Each operation of the reference has a rule here; a new one is registered with :func:`traces`.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from alkaid.cmvm import cmvm_solve
from alkaid.trace import trace as collect
from alkaid.trace.fixed_variable import FVariable
from alkaid.trace.passes import _fast_optimize, add_surrogate, canonical_sort, topo_bandwidth_sort
from alkaid.types import CombLogic
from alkaid.types import Op as LogicOp

from zerobias.contract import Contract, FixedType, IntArray
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
from zerobias.rtl.decisions import leaf_values
from zerobias.rtl.limits import check_size
from zerobias.rtl.weights import WeightField, weight_fields, with_wires
from zerobias.rtl.wires import (
    HARDWARE,
    Wires,
    cast,
    constant,
    is_constant,
    multiply,
    normalised,
    plus,
    square,
    tree,
)
from zerobias.targets import Target

__all__ = ["Circuit", "trace", "traces"]

Rule = Callable[[Any, list[Wires], int], Wires]
"""(operation, wires of its inputs, fractional bits of the first input) -> wires of its result."""

_RULES: dict[type[Op], Rule] = {}
_QUANTISE = 3
"""alkaid's code of a cast; its data is a shift."""
_MAX_BITS = 50
"""alkaid keeps bounds in float64: wider values would lose bits."""


@dataclass(frozen=True, eq=False)
class Circuit:
    """Combinational logic from raw hardware integers to the score, exact for every admitted raw value.

    ``logic`` is alkaid's program. Cut it into a pipeline with :func:`zerobias.rtl.write_design`, as often as
    wanted. ``score_shape`` is () for a score of one value, else (n,); ``constants`` are the integers of those
    values that never change, by position: the program gives the others, in order. ``weights`` are the arrays
    that are inputs of the program behind the features; none where they are constants of it.
    """

    contract: Contract
    logic: CombLogic
    score_type: FixedType
    score_shape: tuple[int, ...]
    constants: Mapping[int, int]
    weights: tuple[WeightField, ...] = ()

    def predict(self, raw: IntArray, weights: IntArray | None = None) -> IntArray:
        """Score integers (events, *score_shape) of raw hardware integers (events, features), by alkaid's
        interpreter; ``weights`` in the order of a circuit's weights that are inputs."""
        if not len(raw):
            return np.zeros((0, *self.score_shape), dtype=np.int64)
        # The interpreter fills blocks of 16 with zeros, which a table may not hold: fill them here.
        whole = np.concatenate([raw, np.repeat(raw[-1:], -len(raw) % 16, axis=0)]).astype(np.float64)
        if weights is not None:
            whole = np.concatenate([whole, np.broadcast_to(weights, (len(whole), len(weights)))], axis=1)
        real = self.logic.predict(whole, n_threads=1).reshape(len(whole), -1)[: len(raw)]
        scores: IntArray = np.rint(real * 2.0**self.score_type.frac).astype(np.int64)
        for position, value in sorted(self.constants.items()):
            scores = np.insert(scores, position, value, axis=1)
        return scores.reshape(len(raw), *self.score_shape)


def traces(*kinds: type[Op]) -> Callable[[Rule], Rule]:
    """Register the rule of an operation."""

    def register(rule: Rule) -> Rule:
        _RULES.update(dict.fromkeys(kinds, rule))
        return rule

    return register


def trace(contract: Contract, graph: Graph, target: Target | None = None, *, ports: bool = False) -> Circuit:
    """The circuit of a graph behind its input contract.

    ``ports``: every weight and bias is an input, and the circuit is exact for all values of their types.
    Raises ``UnsupportedError`` naming the layer: an operation without a rule, values too wide to be exact,
    a score that is the same for every input, or more products than ``target`` has LUTs (if given).
    """
    if target is not None:
        check_size(graph, target)
    inputs = [FVariable(f.low, f.high, 1.0, hwconf=HARDWARE) for f in contract.features]
    results: dict[str, Wires] = {}
    weights: tuple[WeightField, ...] = ()
    held: list[FVariable] = []
    score_shape = graph.score_shape
    fracs = {name: x.frac for name, x in graph.intervals(*contract.box).items()}
    if ports:
        weights = weight_fields(graph)
        if not weights:
            raise UnsupportedError("it has no weights to be ports: trees are constants of the circuit")
        graph, held = with_wires(graph, weights)
    for node in graph:
        rule = _RULES.get(type(node.op))
        if rule is None:
            raise UnsupportedError(
                f"layer {node.name}: {type(node.op).__name__} has no circuit; register one with "
                f"zerobias.rtl.traces (there are {', '.join(sorted(kind.__name__ for kind in _RULES))})"
            )
        try:
            if isinstance(node.op, Input):
                values = _scaled(contract, inputs).reshape(node.op.shape)
            else:
                first = node.inputs[0]
                values = rule(node.op, [results[name] for name in node.inputs], fracs[first])
        except UnsupportedError as error:
            raise UnsupportedError(f"layer {node.name}: {error}") from None
        wide = max(sum(wire.kif) for wire in values.flat)
        if wide > _MAX_BITS:
            raise UnsupportedError(
                f"layer {node.name}: its values need {wide} bits, the circuit is exact up to {_MAX_BITS}; "
                "cast them to a narrower type first"
            )
        results[node.name] = values
    score = list(results[graph.output].reshape(-1))
    kind = graph.output_type
    constants = {i: round(wire.low / kind.lsb) for i, wire in enumerate(score) if is_constant(wire)}
    varying = [wire for i, wire in enumerate(score) if i not in constants]
    if not varying:
        raise UnsupportedError(
            f"layer {graph.output}: it is constant, a circuit needs a score that depends on the input; "
            "mend the network"
        )
    logic = _apart(_optimised(collect([*inputs, *held], varying, optimize=False)))
    return Circuit(contract, logic, kind, score_shape, constants, weights)


def _scaled(contract: Contract, raw: list[FVariable]) -> Wires:
    """Network inputs of raw integers: ``Contract.scale``."""
    wires = np.empty(len(raw), dtype=object)
    offsets = contract.offset * contract.offset_type.lsb
    for index, feature in enumerate(contract.features):
        difference = cast(
            plus(raw[index] * 2.0**feature.step_log2, -float(offsets[index])), contract.raw_type
        )
        shifted = cast(difference * 2.0**-feature.shift, contract.raw_type)
        wires[index] = cast(shifted, contract.network_type)
    return wires


def _each(function: Callable[..., FVariable], *arrays: Wires) -> Wires:
    """Element-wise function of arrays of one shape."""
    result = np.empty(arrays[0].shape, dtype=object)
    for index in np.ndindex(result.shape):
        result[index] = function(*(array[index] for array in arrays))
    return result


def _over_axis(join: Callable[[FVariable, FVariable], FVariable], x: Wires, axis: int) -> Wires:
    """Tree over one axis, which is removed."""
    moved = np.moveaxis(x, axis, -1)
    result = np.empty(moved.shape[:-1], dtype=object)
    for index in np.ndindex(result.shape):
        result[index] = tree(join, list(moved[index]))
    return result


@traces(Input)
def _input(op: Input, inputs: list[Wires], frac: int) -> Wires:
    return inputs[0]


@traces(Cast)
def _cast(op: Cast, inputs: list[Wires], frac: int) -> Wires:
    return _each(lambda wire: cast(wire, op.kind), inputs[0])


@traces(Dense)
def _dense(op: Dense, inputs: list[Wires], frac: int) -> Wires:
    kernel = op.kernel * op.kernel_type.lsb
    bias = op.bias * op.bias_type.lsb
    x = inputs[0].reshape(-1, len(kernel))
    result = np.empty((len(x), len(bias)), dtype=object)
    affine = _products if kernel.dtype == object else _affine
    for row, wires in enumerate(x):
        result[row] = affine(wires, kernel, bias)
    return result.reshape(*inputs[0].shape[:-1], len(bias))


def _affine(x: Wires, kernel: Any, bias: Any) -> Wires:
    """``x @ kernel + bias`` as a shared adder graph; constant inputs go to the bias."""
    fixed = np.array([is_constant(wire) for wire in x])
    total = bias + np.array([wire.low for wire in x[fixed]]) @ kernel[fixed]
    used = ~fixed & kernel.any(axis=1)
    wires, matrix = x[used], np.ascontiguousarray(kernel[used].astype(np.float32))
    if (matrix != kernel[used]).any():
        raise UnsupportedError("weights of more than 24 bits; use a narrower weight type")
    sums = np.full(len(bias), None, dtype=object)
    if matrix.size:
        first, second = cmvm_solve(
            matrix,
            qintervals=[wire.qint for wire in wires],
            latencies=[float(wire.latency) for wire in wires],
            hard_dc=2,
            search_all_decompose_dc=False,
        )
        sums[:] = list(second(first(wires, quantize=False), quantize=False))
    return np.array(
        [
            plus(value, offset) if isinstance(value, FVariable) else constant(offset)
            for value, offset in zip(sums, total, strict=True)
        ],
        dtype=object,
    )


def _products(x: Wires, kernel: Any, bias: Any) -> Wires:
    """``x @ kernel + bias`` for a kernel of wires: multipliers and a tree of adders."""
    used = [place for place, wire in enumerate(x) if not (is_constant(wire) and wire.low == 0)]
    sums = np.empty(len(bias), dtype=object)
    for column, offset in enumerate(bias):
        terms = [x[place] * kernel[place, column] for place in used]
        sums[column] = tree(operator.add, [*terms, offset] if isinstance(offset, FVariable) else terms)
    return sums


@traces(Conv)
def _conv(op: Conv, inputs: list[Wires], frac: int) -> Wires:
    return _dense(op.dense, [_filled(op.rows(inputs[0], 0))], frac)


@traces(MaxPool)
def _max_pool(op: MaxPool, inputs: list[Wires], frac: int) -> Wires:
    return _over_axis(lambda a, b: a.max_of(b), _filled(op.windows.flat(inputs[0], 0)), -2)


@traces(AveragePool)
def _average_pool(op: AveragePool, inputs: list[Wires], frac: int) -> Wires:
    windows = _filled(op.windows.flat(inputs[0], 0))
    mean: Wires = _over_axis(operator.add, windows, -2) * (1 / windows.shape[-2])
    return mean


def _filled(x: Wires) -> Wires:
    """Zeros of a padded border as wires."""
    return _each(lambda wire: wire if isinstance(wire, FVariable) else constant(wire), x)


@traces(Reshape)
def _reshape(op: Reshape, inputs: list[Wires], frac: int) -> Wires:
    return inputs[0].reshape(op.shape)


@traces(Gather)
def _gather(op: Gather, inputs: list[Wires], frac: int) -> Wires:
    return _filled(op.taken(inputs[0], 0))


@traces(SumShift)
def _sum_shift(op: SumShift, inputs: list[Wires], frac: int) -> Wires:
    result = np.empty(inputs[0].shape, dtype=object)
    for index in np.ndindex(result.shape[:-1]):
        result[index] = normalised(list(inputs[0][index] * 2.0**frac), op.kind.frac)
    return result


@traces(Square)
def _square(op: Square, inputs: list[Wires], frac: int) -> Wires:
    return _each(square, inputs[0])


@traces(Sum)
def _sum(op: Sum, inputs: list[Wires], frac: int) -> Wires:
    return _over_axis(operator.add, inputs[0], -1)[..., None]


@traces(Add)
def _add(op: Add, inputs: list[Wires], frac: int) -> Wires:
    return _over_axis(operator.add, np.stack(inputs), 0)


@traces(Subtract)
def _subtract(op: Subtract, inputs: list[Wires], frac: int) -> Wires:
    return _each(operator.sub, *inputs)


@traces(Multiply)
def _multiply(op: Multiply, inputs: list[Wires], frac: int) -> Wires:
    first, second = inputs
    return _each(square, first) if first is second else _each(multiply, first, second)


@traces(Dot)
def _dot(op: Dot, inputs: list[Wires], frac: int) -> Wires:
    return _over_axis(operator.add, _multiply(Multiply(), inputs, frac), -1)[..., None]


@traces(Concatenate)
def _concatenate(op: Concatenate, inputs: list[Wires], frac: int) -> Wires:
    return np.concatenate(inputs, axis=-1)


@traces(LeakyRelu)
def _leaky_relu(op: LeakyRelu, inputs: list[Wires], frac: int) -> Wires:
    slope = 2.0**-op.shift

    def one(wire: FVariable) -> FVariable:
        if wire.low >= 0 or wire.high <= 0:
            return wire if wire.low >= 0 else wire * slope
        return wire.msb_mux(wire * slope, wire, (wire.low * slope, wire.high, wire.step * slope))

    return _each(one, inputs[0])


@traces(Trees)
def _trees(op: Trees, inputs: list[Wires], frac: int) -> Wires:
    leaves: Wires = leaf_values(op.ensemble, inputs[0], frac) * op.kind.lsb
    return leaves


@traces(Table)
def _table(op: Table, inputs: list[Wires], frac: int) -> Wires:
    def one(wire: FVariable) -> FVariable:
        first, last, step = (round(v * 2.0**frac) for v in (wire.low, wire.high, wire.step))
        values = op.values[first - op.low : last - op.low + 1 : max(step, 1)]
        if is_constant(wire):
            return constant(float(values[0]) * op.kind.lsb)
        lowest = int(np.bitwise_or.reduce(values))
        if max(abs(values)) // max(lowest & -lowest, 1) >= 2**23:
            raise UnsupportedError("results of more than 24 bits; use a narrower type or a max_value")
        return wire.lookup(values * op.kind.lsb)

    return _each(one, inputs[0])


def _optimised(logic: CombLogic) -> CombLogic:
    """alkaid's simplifications; each value with its cost and its time.

    alkaid's own ``optimize`` traces anew with inputs of full width, which tables then do not cover.
    """
    logic = _fast_optimize(logic)
    return topo_bandwidth_sort(canonical_sort(add_surrogate(logic)))


def _apart(logic: CombLogic) -> CombLogic:
    """Every result as an operation that no other one reads: the pipeline puts results into its last stage.

    A result that is read is passed on by a cast to its own type, which takes no logic.
    """
    read = {source for op in logic.ops for source in op.input_ids}
    ops, places = list(logic.ops), list(logic.out_idxs)
    for position, place in enumerate(places):
        if place in read:
            op = ops[place]
            places[position] = len(ops)
            ops.append(LogicOp((place,), _QUANTISE, (0,), op.qint, op.latency, 0.0))
    return logic._replace(ops=ops, out_idxs=places)

"""The fixed-point graph as one function of JAX arrays, which XLA compiles for any processor.

Values are int32, or int64 where the interval analysis asks for it. A sum of products runs in float32 when
every partial sum, in whatever order, is a multiple of a power of two by less than 2**24: then each step is
exact. Otherwise it runs in int32 if its result fits (a sum that wraps on its way still ends right), in
float64 below 2**53 and else in int64. Convolutions are matrix products of their windows: a library's own may
transform its inputs, which is not exact.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from jax import lax
from jax import numpy as jnp

from zerobias.contract import Contract
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
    Windows,
)
from zerobias.score.evaluator import admitted
from zerobias.score.lanes import Lane, Statements, integer_type

__all__ = ["Values", "product_type", "scoring_function"]

Array = Any
"""A JAX array; JAX has types of its own, which ``jit`` hides."""


@dataclass(frozen=True)
class Values:
    """A node's values (events, ...), int32 or int64, within ``interval``."""

    array: Array
    interval: Interval

    @property
    def lane(self) -> Lane:
        """The values as a lane."""
        return Lane(self.array, *self.interval.bounds)

    def aligned(self, frac: int) -> Array:
        """The values with ``frac`` fractional bits, not fewer than they have."""
        return CODE.plain(self.lane.left(frac - self.interval.frac)).value


class _Arrays(Statements):
    """Statements on JAX arrays."""

    def let(self, value: Array, low: int, high: int) -> Lane:
        return Lane(value.astype(_kind(low, high)), low, high)

    def wide(self, x: Lane, low: int, high: int) -> Array:
        return x.value.astype(_kind(low, high))

    def at_least(self, x: Lane, bound: int) -> Array:
        return jnp.maximum(x.value, bound)

    def at_most(self, x: Lane, bound: int) -> Array:
        return jnp.minimum(x.value, bound)


CODE = _Arrays()

Rule = Callable[[Any, list[Values], Interval], Array]
RULES: dict[type[Op], Rule] = {}


def _computes(*kinds: type[Op]) -> Callable[[Rule], Rule]:
    def register(rule: Rule) -> Rule:
        RULES.update(dict.fromkeys(kinds, rule))
        return rule

    return register


def scoring_function(
    contract: Contract, graph: Graph, raw: np.dtype[Any]
) -> Callable[[Array], tuple[Array, Array]]:
    """Function of raw integers (events, features) of type ``raw``: scores, and whether all are admitted.

    Scores (events, *score_shape) have the narrowest type that holds them all. JAX's 64-bit types have to be
    enabled while the function is traced. Raises ``UnsupportedError`` for a node that needs more than 64
    bits and for an operation without a rule.
    """
    intervals = graph.intervals(*contract.box)
    for node in graph.nodes[1:]:
        if type(node.op) not in RULES:
            raise UnsupportedError(f"node {node.name}: {type(node.op).__name__} has no form in XLA")
    low, high = intervals[graph.output].bounds
    kinds = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "int64")
    kind = next(k for k in kinds if np.iinfo(k).min <= low and high <= np.iinfo(k).max)
    least, most = admitted(contract, raw)

    def function(events: Array) -> tuple[Array, Array]:
        values: dict[str, Values] = {}
        for node in graph:
            interval = intervals[node.name]
            try:
                if isinstance(node.op, Input):
                    array = _scaled(contract, events).reshape(-1, *node.op.shape)
                else:
                    array = RULES[type(node.op)](node.op, [values[name] for name in node.inputs], interval)
                values[node.name] = Values(array.astype(_kind(*interval.bounds)), interval)
            except UnsupportedError as error:
                raise UnsupportedError(f"node {node.name}: {error}") from None
        scores = values[graph.output].array.astype(kind)
        return scores.reshape(-1, *graph.score_shape), ((events >= least) & (events <= most)).all()

    return function


def product_type(op: Dense, x: Interval, interval: Interval) -> np.dtype[Any]:
    """Type in which ``op`` is exact for rows ``x`` (..., inputs) and results within ``interval``.

    Every product and the bias are multiples of ``2**interval.zeros``.
    """
    kernel = np.abs(op.kernel.astype(object)) << (interval.frac - x.frac - op.kernel_type.frac)
    bias = np.abs(op.bias.astype(object)) << (interval.frac - op.bias_type.frac)
    reach = int((np.maximum(np.abs(x.low), np.abs(x.high)) @ kernel + bias).max()) >> interval.zeros
    if reach < 1 << 24:
        return np.dtype(np.float32)
    kind = _kind(*interval.bounds)
    return np.dtype(np.float64) if kind == np.int64 and reach < 1 << 53 else kind


def _kind(low: int, high: int) -> np.dtype[Any]:
    return np.dtype(integer_type(low, high, 32).removesuffix("_t"))


def _scaled(contract: Contract, events: Array) -> Array:
    """The contract's scaling, feature by feature in one type."""
    frac = max(contract.raw_type.frac, contract.offset_type.frac)
    left = contract.step_log2 + frac
    offset = contract.offset.astype(object) << (frac - contract.offset_type.frac)
    wide = [bound.astype(object) << left for bound in (contract.low, contract.high)]
    ends = [offset, *wide, *(bound - offset for bound in wide)]
    low, high = min(map(min, ends)), max(map(max, ends))
    kind = _kind(low, high)
    x = (events.astype(kind) << left.astype(kind)) - offset.astype(kind)
    x = CODE.cast(Lane(x, low, high), frac, contract.raw_type)
    x, shift = CODE.plain(x), contract.shift
    if shift.any():
        most = max(-int(shift.min()), 0)
        low, high = min(x.low, x.low << most), max(x.high, x.high << most)
        value = CODE.wide(x, low, high)
        places = np.clip(shift, 0, 8 * value.dtype.itemsize - 1).astype(value.dtype)
        back = np.maximum(-shift, 0).astype(value.dtype)
        x = CODE.limit(CODE.let((value >> places) << back, low, high), contract.raw_type)
    return CODE.plain(CODE.cast(x, contract.raw_type.frac, contract.network_type)).value


@_computes(Cast)
def _cast(op: Cast, inputs: list[Values], interval: Interval) -> Array:
    return CODE.plain(CODE.cast(inputs[0].lane, inputs[0].interval.frac, op.kind)).value


@_computes(LeakyRelu)
def _leaky_relu(op: LeakyRelu, inputs: list[Values], interval: Interval) -> Array:
    x = inputs[0].lane
    return jnp.where(x.value >= 0, CODE.plain(x.left(op.shift)).value, x.value)


@_computes(Table)
def _table(op: Table, inputs: list[Values], interval: Interval) -> Array:
    values = jnp.asarray(op.values, _kind(int(op.values.min()), int(op.values.max())))
    return jnp.take(values, CODE.plus(inputs[0].lane, -op.low).value, mode="clip")


@_computes(Trees)
def _leaves(op: Trees, inputs: list[Values], interval: Interval) -> Array:
    """All trees are walked down as many steps as the deepest one has; a leaf goes on to itself."""
    trees, x = op.ensemble, inputs[0].array
    left, right, value = (jnp.asarray(array) for array in (trees.left, trees.right, trees.value))
    feature, threshold = jnp.asarray(np.maximum(trees.feature, 0)), jnp.asarray(trees.threshold)
    node = jnp.broadcast_to(jnp.asarray(trees.root), (x.shape[0], len(trees.root)))
    for _ in range(trees.depth):
        goes_left = jnp.take_along_axis(x, feature[node], axis=1) <= threshold[node]
        node = jnp.where(goes_left, left[node], right[node])
    return value[node]


@_computes(Square, Multiply)
def _product(op: Op, inputs: list[Values], interval: Interval) -> Array:
    a, b = (CODE.wide(x.lane, *interval.bounds) for x in (inputs[0], inputs[-1]))
    return a * b


@_computes(Add)
def _added(op: Add, inputs: list[Values], interval: Interval) -> Array:
    return sum(x.aligned(interval.frac).astype(_kind(*interval.bounds)) for x in inputs)


@_computes(Subtract)
def _subtracted(op: Subtract, inputs: list[Values], interval: Interval) -> Array:
    a, b = (x.aligned(interval.frac).astype(_kind(*interval.bounds)) for x in inputs)
    return a - b


@_computes(Concatenate)
def _concatenated(op: Concatenate, inputs: list[Values], interval: Interval) -> Array:
    return jnp.concatenate([x.aligned(interval.frac) for x in inputs], axis=-1)


@_computes(Reshape)
def _reshaped(op: Reshape, inputs: list[Values], interval: Interval) -> Array:
    return inputs[0].array.reshape(-1, *op.shape)


@_computes(Gather)
def _gathered(op: Gather, inputs: list[Values], interval: Interval) -> Array:
    x = inputs[0].array
    taken = x.reshape(x.shape[0], -1)[:, np.maximum(op.index, 0)]
    return jnp.where(op.index < 0, 0, taken)


@_computes(Sum)
def _summed(op: Op, inputs: list[Values], interval: Interval) -> Array:
    return _total(inputs[0].array, -1, interval, keepdims=True)


@_computes(Dot)
def _dot(op: Dot, inputs: list[Values], interval: Interval) -> Array:
    both = Multiply().interval(*(x.interval for x in inputs))
    return _total(_product(op, inputs, both), -1, interval, keepdims=True)


@_computes(AveragePool)
def _average_pooled(op: AveragePool, inputs: list[Values], interval: Interval) -> Array:
    return _total(_windows(op.windows, inputs[0].array), -2, interval)


@_computes(MaxPool)
def _max_pooled(op: MaxPool, inputs: list[Values], interval: Interval) -> Array:
    return _windows(op.windows, inputs[0].array).max(axis=-2)


@_computes(SumShift)
def _sum_shifted(op: SumShift, inputs: list[Values], interval: Interval) -> Array:
    x = inputs[0]
    total = Sum().interval(x.interval)
    kind = _kind(0, max(x.lane.high << op.kind.frac, total.bounds[1]))
    sums = _total(x.array, -1, total, keepdims=True).astype(kind)
    places = 8 * kind.itemsize - 1 - lax.clz(sums | 1)
    return (x.array.astype(kind) << op.kind.frac) >> places


@_computes(Dense)
def _dense(op: Dense, inputs: list[Values], interval: Interval) -> Array:
    return _products(op, inputs[0].array, inputs[0].interval, interval)


@_computes(Conv)
def _convolved(op: Conv, inputs: list[Values], interval: Interval) -> Array:
    x, inside = inputs[0].array, inputs[0].interval
    windows = _windows(op.windows, x)
    seen = Interval(op.rows(inside.low, 0), op.rows(inside.high, 0), inside.frac, inside.zeros)
    return _products(op.dense, windows.reshape(*windows.shape[:-2], -1), seen, interval)


def _products(op: Dense, rows: Array, x: Interval, interval: Interval) -> Array:
    kind = product_type(op, x, interval)
    kernel = op.kernel << (interval.frac - x.frac - op.kernel_type.frac)
    bias = op.bias << (interval.frac - op.bias_type.frac)
    # Without HIGHEST a graphics processor may round float32 factors to the 11 bits of TF32.
    sums = lax.dot_general(
        rows.astype(kind).reshape(-1, len(kernel)),
        jnp.asarray(kernel.astype(kind)),
        (((1,), (0,)), ((), ())),
        precision=lax.Precision.HIGHEST,
        preferred_element_type=kind,
    )
    sums = (sums + bias.astype(kind)).astype(_kind(*interval.bounds))
    return sums.reshape(*rows.shape[:-1], -1)


def _total(x: Array, axis: int, interval: Interval, keepdims: bool = False) -> Array:
    return x.sum(axis=axis, keepdims=keepdims, dtype=_kind(*interval.bounds))


def _windows(windows: Windows, x: Array) -> Array:
    """As ``Windows.flat``: (events, *spatial, channels) -> (events, *positions, prod(size), channels)."""
    x = jnp.pad(x, [(0, 0), *windows.padding, (0, 0)])
    views = []
    for place in product(*map(range, windows.size)):
        cuts = [
            slice(at, at + length - size + 1, step)
            for at, length, size, step in zip(
                place, x.shape[1:-1], windows.size, windows.strides, strict=True
            )
        ]
        views.append(x[:, *cuts])
    return jnp.stack(views, axis=-2)

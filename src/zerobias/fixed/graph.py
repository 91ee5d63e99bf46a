"""The fixed-point graph: the integer reference of a quantised network."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from zerobias.contract import Contract, FixedType, IntArray
from zerobias.errors import UnsupportedError
from zerobias.fixed.ops import Cast, FixedArray, Input, Interval, Op

__all__ = ["Builder", "Graph", "Headroom", "Node", "shaped"]

_CHUNK = 2**17  # input values of a chunk of events: intermediate results stay in the cache


@dataclass(frozen=True)
class Node:
    """A named operation on the results of the nodes ``inputs``."""

    name: str
    op: Op
    inputs: tuple[str, ...]


@dataclass(frozen=True)
class Headroom:
    """Range a node needs against the range its type has, integers in LSBs of ``2**-frac``.

    ``bits_available`` is None where the type is free to grow (an exact accumulator).
    ``overflows`` is True only for a type that wraps; saturation is a declared behaviour.
    """

    node: str
    kind: str
    low: int
    high: int
    frac: int
    bits_used: int
    bits_available: int | None
    overflows: bool


class Graph:
    """Nodes in topological order; the first is the input, the last the score, of one value or several.

    Raises ``UnsupportedError`` when names repeat or an input is not defined before its use.
    """

    def __init__(self, nodes: tuple[Node, ...]) -> None:
        seen: set[str] = set()
        for node in nodes:
            missing = [name for name in node.inputs if name not in seen]
            if node.name in seen or missing:
                raise UnsupportedError(
                    f"node {node.name!r} is defined twice or uses {missing} before their definition"
                )
            seen.add(node.name)
        if not nodes or not isinstance(nodes[0].op, Input):
            raise UnsupportedError("a graph starts with its input node")
        self.nodes = nodes
        self.input = nodes[0].op
        self.output = nodes[-1].name

    def __iter__(self) -> Iterator[Node]:
        return iter(self.nodes)

    def trace(self, scaled: IntArray) -> dict[str, FixedArray]:
        """Every node's exact result for the input integers ``scaled`` (events, ...)."""
        results: dict[str, FixedArray] = {}
        for node in self.nodes:
            if isinstance(node.op, Input):
                results[node.name] = FixedArray(scaled, node.op.kind.frac)
            else:
                results[node.name] = node.op.evaluate(*(results[name] for name in node.inputs))
        return results

    @cached_property
    def score_shape(self) -> tuple[int, ...]:
        """Shape of an event's score: () for one value, (n,) for several, in C order."""
        nothing = np.zeros((1, *self.input.shape), dtype=np.int64)
        size = self.trace(nothing)[self.output].value.size
        return () if size == 1 else (size,)

    def evaluate(self, scaled: IntArray) -> IntArray:
        """Score integers (events, *score_shape) in LSBs of the output type, for inputs (events, ...)."""
        step = max(_CHUNK // math.prod(self.input.shape), 1)

        def scores(start: int) -> IntArray:
            part = scaled[start : start + step]
            return self.trace(part)[self.output].value.reshape(len(part), *self.score_shape)

        if len(scaled) <= step:
            return scores(0) if len(scaled) else np.zeros((0, *self.score_shape), dtype=np.int64)
        # Threads that each do their own matrix products beat products that are spread over threads.
        with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(os.cpu_count()) as pool:
            return np.concatenate(list(pool.map(scores, range(0, len(scaled), step))))

    @property
    def output_type(self) -> FixedType:
        """Declared type of the score."""
        op = self.nodes[-1].op
        if not isinstance(op, Cast):
            raise UnsupportedError(f"the last node {self.output!r} must cast the score to its type")
        return op.kind

    def intervals(self, low: IntArray, high: IntArray) -> dict[str, Interval]:
        """Bounds of every node when each input lies in [low, high] (one entry a feature)."""
        results: dict[str, Interval] = {}
        for node in self.nodes:
            if isinstance(node.op, Input):
                shape = node.op.shape
                bounds: tuple[NDArray[np.object_], ...] = tuple(
                    np.asarray(b, dtype=object).reshape(shape) for b in (low, high)
                )
                results[node.name] = Interval(bounds[0], bounds[1], node.op.kind.frac)
            else:
                results[node.name] = node.op.interval(*(results[name] for name in node.inputs))
        return results

    def headroom(self, intervals: Mapping[str, Interval]) -> tuple[Headroom, ...]:
        """One row a node that computes or casts, in order."""
        rows = []
        for node in self.nodes[1:]:
            if isinstance(node.op, Cast):
                kind = node.op.kind
                low, high = node.op.rounded_bounds(intervals[node.inputs[0]])
                rows.append(
                    Headroom(
                        node=node.name,
                        kind=str(kind),
                        low=low,
                        high=high,
                        frac=kind.frac,
                        bits_used=_bits(low, high),
                        bits_available=kind.width,
                        overflows=kind.overflow == "WRAP" and not kind.holds(low, high),
                    )
                )
            else:
                interval = intervals[node.name]
                low, high = interval.bounds
                rows.append(
                    Headroom(node.name, "exact", low, high, interval.frac, _bits(low, high), None, False)
                )
        return tuple(rows)

    def accumulator(self, name: str, kind: FixedType, interval: Interval) -> Headroom:
        """Headroom of a node whose exact result is held in an accumulator of type ``kind``.

        It overflows when the range does not fit or when fractional bits that can be set are dropped.
        """
        low, high = (_scaled(bound, kind.frac - interval.frac) for bound in interval.bounds)
        lost = kind.frac < interval.frac - interval.zeros
        return Headroom(
            node=name,
            kind=f"accumulator {kind}",
            low=low,
            high=high,
            frac=kind.frac,
            bits_used=_bits(low, high),
            bits_available=kind.width,
            overflows=lost or not kind.holds(low, high),
        )

    def settled(self, name: str) -> str:
        """Name of the last cast that follows ``name`` directly, or ``name`` itself.

        HLS layers hold their result already cast: ``settled`` names the node it equals.
        """
        while True:
            users = [node for node in self.nodes if name in node.inputs]
            if len(users) != 1 or not isinstance(users[0].op, Cast):
                return name
            name = users[0].name


class Builder:
    """Collects nodes; ``add`` returns the new node's name."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []

    def add(self, name: str, op: Op, *inputs: str) -> str:
        """Append a node."""
        self.nodes.append(Node(name, op, inputs))
        return name

    def frac(self, name: str) -> int:
        """Fractional bits of a node's result."""
        graph = Graph(tuple(self.nodes))
        return graph.trace(np.zeros((1, *graph.input.shape), dtype=np.int64))[name].frac


def shaped(contract: Contract, graph: Graph, raw: IntArray) -> IntArray:
    """Network input integers of raw ones (events, features), in the shape the graph takes."""
    return contract.scale(raw).reshape(len(raw), *graph.input.shape)


def _scaled(value: int, left: int) -> int:
    return value << left if left >= 0 else value >> -left


def _bits(low: int, high: int) -> int:
    """Bits that hold every integer of [low, high], a sign bit included when low is negative."""
    return max(high.bit_length() + (low < 0), (low + 1).bit_length() + 1 if low < 0 else 0, 1)

"""The weights of a graph by name, and the same graph with other ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zerobias.contract import FixedType, IntArray
from zerobias.errors import DataError
from zerobias.fixed.graph import Graph, Node
from zerobias.fixed.ops import NO_BIAS, Dense
from zerobias.fixed.windows import Conv

__all__ = ["Weights", "random_weights", "weights_of", "with_weights"]


@dataclass(frozen=True, eq=False)
class Weights:
    """One array of a layer: integers in LSBs of ``kind``."""

    value: IntArray
    kind: FixedType


def weights_of(graph: Graph) -> dict[str, Weights]:
    """Every kernel (inputs, outputs) and bias (outputs,), called ``<layer>.kernel`` and ``<layer>.bias``."""
    found: dict[str, Weights] = {}
    for node in graph:
        dense = _dense(node)
        if dense is not None:
            found[f"{node.name}.kernel"] = Weights(dense.kernel, dense.kernel_type)
            if dense.bias_type != NO_BIAS:
                found[f"{node.name}.bias"] = Weights(dense.bias, dense.bias_type)
    return found


def with_weights(graph: Graph, values: Mapping[str, NDArray[Any]]) -> Graph:
    """The graph with ``values`` in the place of the arrays of those names.

    Integers in LSBs of each array's type; the circuit's wires are taken as they are. Raises ``DataError``
    for an unknown name, another shape, or an integer the type does not hold.
    """
    known = weights_of(graph)
    for name, value in values.items():
        if name not in known:
            raise DataError(f"no weights named {name!r}: there are {', '.join(known)}")
        kind, shape = known[name].kind, known[name].value.shape
        if value.shape != shape:
            raise DataError(f"weights {name} have the shape {value.shape}: give {shape}")
        if value.dtype != object and not kind.holds(int(value.min()), int(value.max())):
            raise DataError(
                f"weights {name} reach from {value.min()} to {value.max()} LSB, {kind} holds "
                f"{kind.min_int} to {kind.max_int}: quantise them to that type"
            )
    return Graph(tuple(_replaced(node, values) for node in graph))


def random_weights(graph: Graph, seed: int) -> dict[str, IntArray]:
    """Weights of every size that each type holds, of both signs; both ends of it are among each array's.

    Evenly drawn and divided by a random power of two, so that not all sums saturate. An array of one value
    holds its type's lowest.
    """
    rng = np.random.default_rng(seed)
    drawn: dict[str, IntArray] = {}
    for name, found in weights_of(graph).items():
        low, high, shape = found.kind.min_int, found.kind.max_int, found.value.shape
        even = rng.integers(low, high, shape, endpoint=True)
        value = np.trunc(even / 2.0 ** rng.integers(0, found.kind.width, shape)).astype(np.int64)
        ends = rng.permutation(value.size)[:2]
        value.flat[ends] = (low, high)[: len(ends)]
        drawn[name] = value
    return drawn


def _dense(node: Node) -> Dense | None:
    op = node.op.dense if isinstance(node.op, Conv) else node.op
    return op if isinstance(op, Dense) else None


def _replaced(node: Node, values: Mapping[str, NDArray[Any]]) -> Node:
    dense = _dense(node)
    if dense is None:
        return node
    arrays = {part: values.get(f"{node.name}.{part}", getattr(dense, part)) for part in ("kernel", "bias")}
    changed = replace(dense, **arrays)
    return replace(node, op=replace(node.op, dense=changed) if isinstance(node.op, Conv) else changed)

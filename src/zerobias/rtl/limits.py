"""Refuse a graph that cannot fit the target, before anything is traced or run."""

from __future__ import annotations

import numpy as np

from zerobias.errors import UnsupportedError
from zerobias.fixed import Conv, Dense, Graph, Interval, Op
from zerobias.targets import Target

__all__ = ["check_size"]


def check_size(graph: Graph, target: Target) -> None:
    """Raise ``UnsupportedError`` when the fully unrolled products need more than the target's LUTs.

    A product with a non-zero constant counts one LUT, a lower bound: shared adder graphs of 6-bit weights
    take 4 to 12 (facts of the models on the shelf). The message names the largest layer.
    """
    shapes = _shapes(graph)
    counts = {node.name: _products(node.op, [shapes[name] for name in node.inputs]) for node in graph}
    total, largest = sum(counts.values()), max(counts, key=lambda name: counts[name])
    if target.capacity is not None and total > target.capacity.lut:
        raise UnsupportedError(
            f"layer {largest}: {counts[largest]} products with non-zero weights (the network: {total}), "
            f"all in parallel, need at least as many LUTs and {target.part} has {target.capacity.lut}; "
            "use fewer weights or a larger target"
        )


def _products(op: Op, inputs: list[tuple[int, ...]]) -> int:
    """Products with a non-zero constant, at every position."""
    dense = op.dense if isinstance(op, Conv) else op
    if not isinstance(dense, Dense):
        return 0
    shape = inputs[0]
    if isinstance(op, Conv):
        spatial = zip(shape[:-1], op.windows.size, op.windows.strides, op.windows.padding, strict=True)
        positions = [(length + sum(pad) - size) // stride + 1 for length, size, stride, pad in spatial]
    else:
        positions = list(shape[:-1])
    return int(np.prod(positions, dtype=np.int64)) * int(np.count_nonzero(dense.kernel))


def _shapes(graph: Graph) -> dict[str, tuple[int, ...]]:
    """Shape of one event of every node; products are not computed."""
    results: dict[str, Interval] = {}
    for node in graph:
        inputs = [results[name] for name in node.inputs]
        op: Op = node.op
        if not inputs:
            zero = np.zeros(graph.input.shape, dtype=np.int64)
            results[node.name] = Interval(zero, zero, 0)
            continue
        if isinstance(op, Conv):
            zero = op.rows(inputs[0].low, 0)[..., :1].repeat(len(op.dense.bias), axis=-1)
            results[node.name] = Interval(zero, zero, 0)
        elif isinstance(op, Dense):
            zero = np.zeros((*inputs[0].low.shape[:-1], len(op.bias)), dtype=np.int64)
            results[node.name] = Interval(zero, zero, 0)
        else:
            results[node.name] = op.interval(*inputs)
    return {name: x.low.shape for name, x in results.items()}

"""Weights as a port: which bits of ``weights`` are which array, and the bits of a set of values.

Arrays lie in the graph's order, the first in the lowest bits, each in C order, every value as wide as its
declared type, in two's complement where that is signed. The port is held while events are in the pipeline.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from alkaid.trace.fixed_variable import FVariable
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from zerobias.contract import IntArray, TypeField
from zerobias.fixed import Graph, weights_of, with_weights
from zerobias.rtl.wires import HARDWARE

__all__ = ["WeightField", "pack_weights", "weight_fields", "weight_rows", "weight_values", "with_wires"]


class WeightField(BaseModel):
    """Where an array lies in ``weights``: values of ``type`` from bit ``low_bit`` upwards, in C order."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    shape: tuple[int, ...]
    type: TypeField
    low_bit: int

    @property
    def size(self) -> int:
        """Number of values."""
        return math.prod(self.shape)

    @property
    def bits(self) -> int:
        """Number of bits."""
        return self.size * self.type.width


def weight_fields(graph: Graph) -> tuple[WeightField, ...]:
    """The arrays of a graph in the order in which they lie in the port."""
    fields: list[WeightField] = []
    low = 0
    for name, found in weights_of(graph).items():
        fields.append(WeightField(name=name, shape=found.value.shape, type=found.kind, low_bit=low))
        low += fields[-1].bits
    return tuple(fields)


def with_wires(graph: Graph, fields: Sequence[WeightField]) -> tuple[Graph, list[FVariable]]:
    """The graph with a wire for each weight, bounded by its type alone; all wires in the port's order."""
    wires = {field.name: np.empty(field.shape, dtype=object) for field in fields}
    for field in fields:
        for index in np.ndindex(field.shape):
            low, high = float(field.type.min_int), float(field.type.max_int)
            wires[field.name][index] = FVariable(low, high, 1.0, hwconf=HARDWARE)
    return with_weights(graph, wires), [wire for array in wires.values() for wire in array.flat]


def weight_values(graph: Graph, fields: Sequence[WeightField]) -> IntArray:
    """All weights of ``graph`` as integers in the port's order."""
    found = weights_of(graph)
    return np.concatenate([found[field.name].value.ravel() for field in fields])


def pack_weights(fields: Sequence[WeightField], values: IntArray) -> NDArray[np.uint32]:
    """``weights`` as little-endian 32-bit words, for integers in the port's order (:func:`weight_values`)."""
    widths = np.concatenate([np.full(field.size, field.type.width) for field in fields])
    places = np.arange(widths.max())
    bits = (values[:, None] >> places & 1).astype(np.uint8)[places < widths[:, None]]
    padded = np.pad(bits, (0, -len(bits) % 32))
    return np.packbits(padded, bitorder="little").view("<u4").astype(np.uint32)


def weight_rows(fields: Sequence[WeightField]) -> list[str]:
    """A line of text for each array: its bits, type, shape and name."""
    return [
        f"{f.low_bit + f.bits - 1:>6}:{f.low_bit:<6} {f.type} {'x'.join(map(str, f.shape))} {f.name}"
        for f in fields
    ]

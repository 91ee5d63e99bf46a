"""Quantised Keras model -> fixed-point graph, and the choice of a network's front end.

The one of Keras models has plug-ins: a function registered with :func:`handles` for a layer class name turns
one layer into nodes. Independent of hls4ml on purpose: the two readings check each other.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from zerobias.contract import Contract, FixedType, IntArray
from zerobias.errors import UnsupportedError
from zerobias.fixed.activations import activate
from zerobias.fixed.graph import Builder, Graph
from zerobias.fixed.ops import NO_BIAS, Cast, Dense, Gather, Input, Reshape, Square, Sum
from zerobias.fixed.quantisers import quantiser_values
from zerobias.fixed.trees import from_trees
from zerobias.trees import TreeEnsemble

if TYPE_CHECKING:
    import keras

__all__ = ["activated", "from_keras", "graph_of", "handles", "quantised_weights"]


Handler = Callable[[Any, Builder, tuple[str, ...]], str]
_HANDLERS: dict[str, Handler] = {}


def handles(*layer_classes: str) -> Callable[[Handler], Handler]:
    """Register a handler: (layer, builder, names of the inputs) -> name of the node that holds its output."""

    def register(handler: Handler) -> Handler:
        _HANDLERS.update(dict.fromkeys(layer_classes, handler))
        return handler

    return register


def graph_of(network: keras.Model | TreeEnsemble, contract: Contract) -> Graph:
    """Fixed-point graph of a quantised network, Keras model or tree ensemble, by its front end.

    Raises ``UnsupportedError`` as the front ends do, and for a node whose values need more than 64 bits.
    """
    graph = (from_trees if isinstance(network, TreeEnsemble) else from_keras)(network, contract)
    for name, interval in graph.intervals(*contract.box).items():
        low, high = interval.bounds
        if not -(1 << 63) <= low <= high < 1 << 63:
            raise UnsupportedError(
                f"node {name}: values in [{low}, {high}] need more than 64 bits: cast its inputs to fewer"
            )
    return graph


def from_keras(model: keras.Model, contract: Contract) -> Graph:
    """Fixed-point graph of a quantised Keras model whose input is the contract's network input.

    Raises ``UnsupportedError`` naming the layer when it has no exact fixed-point meaning.
    """
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise UnsupportedError(f"model {model.name} has several inputs or outputs; build one of each")
    shape = tuple(int(v) for v in model.inputs[0].shape[1:])
    if int(np.prod(shape)) != len(contract.features):
        raise UnsupportedError(
            f"the model takes {shape}, the contract gives {len(contract.features)} features; make them agree"
        )
    builder = Builder()
    names = {
        model.inputs[0].name: builder.add(model.inputs[0].name, Input(contract.network_type, shape)),
    }
    for operation in model.operations:
        if type(operation).__name__ == "InputLayer":
            continue
        handler = _HANDLERS.get(type(operation).__name__)
        if handler is None:
            raise UnsupportedError(
                f"layer {operation.name} ({type(operation).__name__}) has no exact fixed-point form; "
                f"supported are {', '.join(sorted(_HANDLERS))}"
            )
        if len(operation._inbound_nodes) != 1:
            raise UnsupportedError(f"layer {operation.name} is used more than once; give each use a layer")
        node = operation._inbound_nodes[0]
        inputs = tuple(names[tensor.name] for tensor in node.arguments.keras_tensors)
        names[node.outputs[0].name] = handler(operation, builder, inputs)
    graph = Graph(tuple(builder.nodes))
    if names[model.outputs[0].name] != graph.output or not isinstance(graph.nodes[-1].op, Cast):
        raise UnsupportedError(
            f"the model ends in {model.outputs[0].name}, which has no declared type; "
            "end it with a quantised activation or a score head"
        )
    return graph


def quantised_weights(layer: Any, array: str, quantiser: str) -> tuple[IntArray, FixedType]:
    """Integers and type of a layer's array, by its quantiser.

    Raises ``UnsupportedError`` when the array has no quantiser.
    """
    found = getattr(layer, f"{quantiser}_quantizer_internal")
    if found is None:
        raise UnsupportedError(
            f"layer {layer.name}: the {array} has no quantiser; set {quantiser}_quantizer=quantized_bits(...)"
        )
    return quantiser_values(f"{layer.name} ({array})", found, np.asarray(getattr(layer, array)))


def activated(layer: Any, builder: Builder, name: str) -> str:
    """Node of a layer's own activation behind node ``name``, or ``name`` when it has none."""
    activation = layer.activation
    if activation is None or getattr(activation, "__name__", "") == "linear":
        return name
    return activate(builder, layer.name, activation, f"{layer.name}_act", name)


@handles("QDense")
def _dense(layer: Any, builder: Builder, inputs: tuple[str, ...]) -> str:
    kernel, kernel_type = quantised_weights(layer, "kernel", "kernel")
    if layer.use_bias:
        bias, bias_type = quantised_weights(layer, "bias", "bias")
    else:
        bias, bias_type = np.zeros(kernel.shape[1], dtype=np.int64), NO_BIAS
    name = builder.add(layer.name, Dense(kernel, kernel_type, bias, bias_type), *inputs)
    return activated(layer, builder, name)


@handles("QActivation")
def _qactivation(layer: Any, builder: Builder, inputs: tuple[str, ...]) -> str:
    return activate(builder, layer.name, layer.activation, layer.name, *inputs)


@handles("Flatten", "Reshape")
def _reshape(layer: Any, builder: Builder, inputs: tuple[str, ...]) -> str:
    shape = tuple(int(v) for v in layer.output.shape[1:])
    return builder.add(layer.name, Reshape(shape), *inputs)


@handles("Gather")
def _gather(layer: Any, builder: Builder, inputs: tuple[str, ...]) -> str:
    return builder.add(layer.name, Gather(layer.index), *inputs)


@handles("SumOfSquares")
def _sum_of_squares(layer: Any, builder: Builder, inputs: tuple[str, ...]) -> str:
    square = builder.add(f"{layer.name}_square", Square(), *inputs)
    cast = builder.add(f"{layer.name}_square_cast", Cast(layer.square_type), square)
    total = builder.add(f"{layer.name}_sum", Sum(), cast)
    wide = builder.add(f"{layer.name}_sum_cast", Cast(layer.sum_type), total)
    return builder.add(layer.name, Cast(layer.score_type), wide)

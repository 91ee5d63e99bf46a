"""Layers that hls4ml has no code for: each is a C++ function of its own in the project's generated code."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from hls4ml.backends import get_backend
from hls4ml.backends.template import FunctionCallTemplate
from hls4ml.converters.keras_v3._base import KerasV3LayerHandler
from hls4ml.model.layers import Layer, register_layer
from hls4ml.model.optimizer.passes.bit_exact import _produce_kif, get_input_kifs, get_output_shape
from hls4ml.model.types import Source

from zerobias.fixed import Graph
from zerobias.hls.templates import fill_template

__all__ = ["Function", "GatherHandler", "SumShiftHandler", "separate"]

Node = dict[str, Any]


class Function(Layer):  # type: ignore[misc]
    """A function of one array.

    Attributes: ``code``, its text; ``shape`` of the result; ``kif``: sign, integer and fractional bits of the
    result; without it the function moves values, from ``places`` of its input.
    """

    def initialize(self) -> None:
        """Declare the result and hand over the text."""
        self.add_output_variable(list(self.attributes["shape"]))
        self.set_attr("function_codegen", Source(self.attributes["code"]))


class _FunctionCall(FunctionCallTemplate):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__(Function, include_header=[])

    def format(self, node: Any) -> str:
        """The call."""
        values = self._default_function_params(node)
        space = node.model.config.writer_config["Namespace"]
        return "{0}::{name}<{input_t}, {output_t}>({input}, {output});".format(space, **values)


register_layer("Function", Function)
get_backend("Vitis").register_template(_FunctionCall)


@_produce_kif.register  # type: ignore[untyped-decorator]
def _(layer: Function) -> Any:
    shape = get_output_shape(layer)
    if "kif" in layer.attributes:
        return tuple(np.full(shape, bits, dtype=np.int16) for bits in layer.attributes["kif"])
    places = np.asarray(layer.attributes["places"])
    return tuple(np.where(places < 0, 0, bits.ravel()[places]) for bits in get_input_kifs(layer)[0])


def _function(
    name: str, shape: Sequence[int], source: str, target: str, template: str, **values: Any
) -> Node:
    """Node of a layer whose code is ``template`` with ``values`` filled in."""
    texts = {"NAME": name, "SIZE": str(int(np.prod(shape)))} | {k: str(v) for k, v in values.items()}
    return {
        "name": name,
        "class_name": "Function",
        "code": fill_template(template, texts),
        "shape": [int(v) for v in shape],
        "input_keras_tensor_names": [source],
        "output_keras_tensor_names": [target],
    }


def _arranged(name: str, places: Any, source: str, target: str) -> Node:
    """Node of the values at the given places."""
    values = ", ".join(map(str, places.ravel()))
    node = _function(name, places.shape, source, target, "gather.h.in", INDEX=values)
    return node | {"places": places.tolist()}


def separate(layers: Sequence[Node], graph: Graph) -> list[Node]:
    """``layers`` with a copy of the values between two casts in a row, and between a reshaping and a cast.

    hls4ml gives a cast's type to the layer in front of it and drops the cast: of two it would keep the second
    alone, and where both are results of the network it stops. Through a reshaping, whose values share their
    memory with what is reshaped, it gives the type to the layer before that, and to all who read it.
    """
    kinds = {layer["name"]: layer["class_name"] for layer in layers}
    nothing = graph.trace(np.zeros((1, *graph.input.shape), dtype=np.int64))
    separated: list[Node] = []
    for layer in layers:
        before = {kinds[name] for name in layer["inputs"]}
        if layer["class_name"] == "ExactQuantizer" and before & {"ExactQuantizer", "Reshape"}:
            (source,), (tensor,) = layer["inputs"], layer["input_keras_tensor_names"]
            name, shape = f"{layer['name']}_from", nothing[layer["name"]].value.shape[1:]
            places = np.arange(np.prod(shape)).reshape(shape)
            node = _arranged(name, places, tensor, f"{tensor}_copy")
            separated.append(node | {"inputs": [source]})
            layer |= {"inputs": [name], "input_keras_tensor_names": [f"{tensor}_copy"]}
        separated.append(layer)
    return separated


class SumShiftHandler(KerasV3LayerHandler):  # type: ignore[misc]
    """Block normalisation by the power of two of the sum."""

    handles = ("zerobias.nn.arrange.SumShift",)

    def handle(self, layer: Any, inputs: Sequence[Any], outputs: Sequence[Any]) -> tuple[Node, ...]:
        """Node of the layer."""
        kind = layer.kind
        growth = (int(inputs[0].shape[-1]) - 1).bit_length()
        values = {"GROWTH": growth, "FRAC": kind.frac, "RESULT_T": kind}
        shape = outputs[0].shape[1:]
        node = _function(layer.name, shape, inputs[0].name, outputs[0].name, "sum_shift.h.in", **values)
        return (node | {"kif": (0, kind.integer, kind.frac)},)


class GatherHandler(KerasV3LayerHandler):  # type: ignore[misc]
    """Arrangement of values, with zeros where there are none."""

    handles = ("zerobias.nn.arrange.Gather",)

    def handle(self, layer: Any, inputs: Sequence[Any], outputs: Sequence[Any]) -> tuple[Node, ...]:
        """Node of the layer."""
        return (_arranged(layer.name, layer.index, inputs[0].name, outputs[0].name),)

"""hls4ml handlers for QKeras on Keras 3 and for the score heads.

hls4ml 1.3.0 has none: its fall-back fails on QActivation. Every quantiser becomes a
``FixedPointQuantizer`` node, and hls4ml's bit-exact pass derives every accumulator from them.
Weights are handed over already quantised. Importing this module registers the handlers.

hls4ml's pass drops fractional bits of a quantiser that its input never sets. Where the quantiser
saturates this is wrong: its largest value has all bits set. ``ExactQuantizer`` keeps them there.
``KeptQuantizer`` keeps its declared type: a table behind it is indexed by the bits of that type.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from hls4ml.converters.keras_v3._base import KerasV3LayerHandler
from hls4ml.converters.keras_v3.conv import ConvHandler
from hls4ml.converters.keras_v3.merge import MergeHandler
from hls4ml.model.layers import register_layer
from hls4ml.model.optimizer.passes.bit_exact import _produce_kif, get_input_kifs, get_output_shape
from hls4ml.model.optimizer.passes.hgq_proxy_model import FixedPointQuantizer

from zerobias.contract import FixedType
from zerobias.fixed import Cast, Graph, quantiser_type, slope_shift, staircase
from zerobias.hls import functions
from zerobias.zoo import quantised_values

__all__ = [
    "ExactQuantizer",
    "KeptQuantizer",
    "ManyInputsHandler",
    "QActivationHandler",
    "QConvHandler",
    "QDenseHandler",
    "SumOfSquaresHandler",
    "complete",
    "functions",
    "quantiser_node",
]

Node = dict[str, Any]


class ExactQuantizer(FixedPointQuantizer):  # type: ignore[misc]
    """A quantiser whose saturated values keep the declared resolution."""

    @property
    def class_name(self) -> str:
        """The name by which hls4ml finds the code template."""
        return "FixedPointQuantizer"


class KeptQuantizer(ExactQuantizer):
    """A quantiser whose declared type is never trimmed."""


register_layer("ExactQuantizer", ExactQuantizer)
register_layer("KeptQuantizer", KeptQuantizer)
_trimmed = _produce_kif.dispatch(FixedPointQuantizer)


@_produce_kif.register  # type: ignore[untyped-decorator]
def _(layer: ExactQuantizer) -> Any:
    signed, width, integer = layer.mask_kbi
    declared_frac = width - integer
    result = k, i, f = _trimmed(layer)
    reaches = get_input_kifs(layer)[0][1].max()
    if layer.SAT == "WRAP" or reaches <= (integer - signed).max():
        return result
    kept_signed, kept_width, kept_integer = layer.mask_kbi
    frac = np.maximum(kept_width - kept_integer, declared_frac)
    layer.mask_kbi = kept_signed, kept_integer + frac, kept_integer
    return k, i, np.maximum(f, declared_frac.max())


@_produce_kif.register  # type: ignore[untyped-decorator]
def _(layer: KeptQuantizer) -> Any:
    signed, width, integer = (int(mask.ravel()[0]) for mask in layer.mask_kbi)
    shape = get_output_shape(layer)
    return tuple(np.full(shape, v, dtype=np.int16) for v in (signed, integer - signed, width - integer))


def quantiser_node(name: str, source: str, target: str, kind: FixedType) -> Node:
    """hls4ml node that casts tensor ``source`` to ``kind``, giving tensor ``target``."""

    def mask(value: int) -> Any:
        return np.array([value], dtype=np.int16)

    return {
        "name": name,
        "class_name": "ExactQuantizer",
        "mask_kbi": (mask(int(kind.signed)), mask(kind.width), mask(kind.integer)),
        "SAT": kind.overflow,
        "RND": kind.rounding,
        "fusible": None,
        "overrides": {},
        "input_keras_tensor_names": [source],
        "output_keras_tensor_names": [target],
    }


def _dense(name: str, source: str, target: str, kernel: Any, bias: Any) -> Node:
    return {
        "name": name,
        "class_name": "Dense",
        "data_format": "channels_last",
        "n_in": kernel.shape[0],
        "n_out": kernel.shape[1],
        "weight_data": kernel,
        "bias_data": bias,
        "input_shape": [[kernel.shape[0]]],
        "input_keras_tensor_names": [source],
        "output_keras_tensor_names": [target],
    }


def _activation(layer: Any, quantiser: Any, name: str, source: str, target: str) -> tuple[Node, ...]:
    """Nodes of a quantised activation of tensor ``source``.

    What goes into a table or a leaky rectifier is limited to a type that depends on the input's
    resolution: :func:`complete` fills that in.
    """
    inside, between = f"{target}_in", f"{target}_inner"
    limit = quantiser_node(f"{name}_in", source, inside, FixedType(1, 1)) | {"class_name": "KeptQuantizer"}
    steps = staircase(layer.name, quantiser)
    if steps is not None:
        table: Node = {
            "name": f"{name}_table",
            "class_name": "UnaryLUT",
            "activation": "unary_lut",
            "quantiser": quantiser,
            "input_keras_tensor_names": [inside],
            "output_keras_tensor_names": [between],
        }
        return limit, table, quantiser_node(name, between, target, steps.kind)
    kind = quantiser_type(layer.name, quantiser)
    if getattr(quantiser, "negative_slope", 0):
        leaky: Node = {
            "name": f"{name}_leaky",
            "class_name": "LeakyReLU",
            "activation": "leakyrelu",
            "activ_param": 2.0 ** -slope_shift(layer.name, quantiser),
            "n_in": int(np.prod(layer.output.shape[1:])),
            "input_keras_tensor_names": [inside],
            "output_keras_tensor_names": [between],
        }
        return limit, leaky, quantiser_node(name, between, target, kind)
    return (quantiser_node(name, source, target, kind),)


def complete(nodes: Sequence[Node], graph: Graph) -> None:
    """Fill in the types of all ``KeptQuantizer`` nodes, and the tables that follow them."""
    casts = {node.name: node.op.kind for node in graph if isinstance(node.op, Cast)}
    for node, following in zip(nodes, [*nodes[1:], {}], strict=True):
        if node["class_name"] != "KeptQuantizer":
            continue
        kind = casts[node["name"]]
        node |= {key: quantiser_node("", "", "", kind)[key] for key in ("mask_kbi", "SAT", "RND")}
        quantiser = following.pop("quantiser", None)
        if quantiser is not None:
            # Indexed by the bits of the value: the negative ones come last.
            counts = np.concatenate([np.arange(kind.max_int + 1), np.arange(kind.min_int, 0)])
            inputs = (counts * kind.lsb).astype(np.float32)
            following["table_data"] = np.asarray(quantiser(inputs), dtype=np.float64)


def _activated(layer: Any, node: Node, target: str) -> tuple[Node, ...]:
    """``node`` followed by the layer's own quantised activation, if it has one."""
    activation = layer.activation
    if activation is None or getattr(activation, "__name__", "") == "linear":
        return (node,)
    node["output_keras_tensor_names"] = [f"{target}_sum"]
    return node, *_activation(layer, activation, f"{layer.name}_act", f"{target}_sum", target)


class QDenseHandler(KerasV3LayerHandler):  # type: ignore[misc]
    """QDense with its optional quantised activation."""

    handles = ("qkeras.qlayers.QDense",)

    def handle(self, layer: Any, inputs: Sequence[Any], outputs: Sequence[Any]) -> tuple[Node, ...]:
        """Nodes of the layer."""
        source, target = inputs[0].name, outputs[0].name
        kernel = quantised_values(layer, "kernel")
        bias = quantised_values(layer, "bias") if layer.use_bias else None
        return _activated(layer, _dense(layer.name, source, target, kernel, bias), target)


class QConvHandler(ConvHandler):  # type: ignore[misc]
    """QConv1D, QConv2D and QDepthwiseConv2D with their optional quantised activation."""

    handles = (
        "qkeras.qconvolutional.QConv1D",
        "qkeras.qconvolutional.QConv2D",
        "qkeras.qconvolutional.QDepthwiseConv2D",
    )

    def default_class_name(self, layer: Any) -> str:
        """hls4ml's name of the layer: Keras' without the Q."""
        return type(layer).__name__[1:]

    def load_weight(self, layer: Any, key: str) -> Any:
        """Quantised values."""
        depthwise = key == "kernel" and type(layer).__name__ == "QDepthwiseConv2D"
        return quantised_values(layer, "depthwise_kernel" if depthwise else key)

    def handle(self, layer: Any, inputs: Sequence[Any], outputs: Sequence[Any]) -> tuple[Node, ...]:
        """Nodes of the layer."""
        node: Node = {**self.default_config, **super().handle(layer, inputs, outputs)}
        return _activated(layer, node, outputs[0].name)


class QActivationHandler(KerasV3LayerHandler):  # type: ignore[misc]
    """QActivation with any supported quantiser."""

    handles = ("qkeras.qlayers.QActivation",)

    def handle(self, layer: Any, inputs: Sequence[Any], outputs: Sequence[Any]) -> tuple[Node, ...]:
        """Nodes of the layer."""
        return _activation(layer, layer.activation, layer.name, inputs[0].name, outputs[0].name)


class ManyInputsHandler(MergeHandler):  # type: ignore[misc]
    """Add and Concatenate of any number of tensors; hls4ml's own layers take two."""

    handles = (
        "keras.src.layers.merging.add.Add",
        "keras.src.layers.merging.concatenate.Concatenate",
    )

    def handle(self, layer: Any, inputs: Sequence[Any], outputs: Sequence[Any]) -> tuple[Node, ...]:
        """Nodes of the layer, each joining one more input to the former ones."""
        whole: Node = {**self.default_config, **super().handle(layer, inputs, outputs)}
        nodes: list[Node] = []
        source, shape = inputs[0].name, list(inputs[0].shape[1:])
        for index, tensor in enumerate(inputs[1:]):
            last = index == len(inputs) - 2
            if whole["class_name"] == "Concatenate":
                shape = [*shape[:-1], shape[-1] + tensor.shape[-1]]
            target = outputs[0].name if last else f"{outputs[0].name}_{index}"
            own: Node = {
                "name": layer.name if last else f"{layer.name}_{index}",
                "output_shape": shape,
                "input_keras_tensor_names": [source, tensor.name],
                "output_keras_tensor_names": [target],
            }
            nodes.append(whole | own)
            source = target
        return tuple(nodes)


class SumOfSquaresHandler(KerasV3LayerHandler):  # type: ignore[misc]
    """Score head: a product of the vector with itself and a sum (a dense layer of ones)."""

    handles = ("zerobias.nn.heads.SumOfSquares",)

    def handle(self, layer: Any, inputs: Sequence[Any], outputs: Sequence[Any]) -> tuple[Node, ...]:
        """Nodes of the layer."""
        name, source, target = layer.name, inputs[0].name, outputs[0].name
        size = int(inputs[0].shape[-1])
        square: Node = {
            "name": f"{name}_square",
            "class_name": "Merge",
            "op": "multiply",
            "input_shape": [[size], [size]],
            "output_shape": [size],
            "input_keras_tensor_names": [source, source],
            "output_keras_tensor_names": [f"{name}_square"],
        }
        ones = np.ones((size, 1), dtype=np.float32)
        # hls4ml's sum is exact, so the cast to sum_type has an effect only where it is the score's too.
        return (
            square,
            quantiser_node(f"{name}_square_cast", f"{name}_square", f"{name}_squared", layer.square_type),
            _dense(f"{name}_sum", f"{name}_squared", f"{name}_sum", ones, None),
            quantiser_node(name, f"{name}_sum", target, layer.score_type),
        )

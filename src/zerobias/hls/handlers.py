"""hls4ml handlers for QKeras on Keras 3 and for the score heads.

hls4ml 1.3.0 has none: its fall-back fails on QActivation. Every quantiser becomes a
``FixedPointQuantizer`` node, and hls4ml's bit-exact pass derives every accumulator from them.
Weights are handed over already quantised. Importing this module registers the handlers.

hls4ml's pass drops fractional bits of a quantiser that its input never sets. Where the quantiser
saturates this is wrong: its largest value has all bits set. ``ExactQuantizer`` keeps them there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from hls4ml.converters.keras_v3._base import KerasV3LayerHandler
from hls4ml.converters.keras_v3.conv import ConvHandler
from hls4ml.model.layers import register_layer
from hls4ml.model.optimizer.passes.bit_exact import _produce_kif, get_input_kifs
from hls4ml.model.optimizer.passes.hgq_proxy_model import FixedPointQuantizer

from zerobias.contract import FixedType
from zerobias.fixed import quantiser_type

__all__ = [
    "ExactQuantizer",
    "QActivationHandler",
    "QConvHandler",
    "QDenseHandler",
    "SumOfSquaresHandler",
    "quantiser_node",
]

Node = dict[str, Any]


class ExactQuantizer(FixedPointQuantizer):  # type: ignore[misc]
    """A quantiser whose saturated values keep the declared resolution."""


register_layer("ExactQuantizer", ExactQuantizer)
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


def _quantised(layer: Any, array: str, quantiser: str) -> Any:
    return np.asarray(getattr(layer, f"{quantiser}_quantizer_internal")(getattr(layer, array)))


def _activated(layer: Any, node: Node, target: str) -> tuple[Node, ...]:
    """``node`` followed by the layer's own quantised activation, if it has one."""
    activation = layer.activation
    if activation is None or getattr(activation, "__name__", "") == "linear":
        return (node,)
    node["output_keras_tensor_names"] = [f"{target}_sum"]
    kind = quantiser_type(layer.name, activation)
    return node, quantiser_node(f"{layer.name}_act", f"{target}_sum", target, kind)


class QDenseHandler(KerasV3LayerHandler):  # type: ignore[misc]
    """QDense with its optional quantised activation."""

    handles = ("qkeras.qlayers.QDense",)

    def handle(self, layer: Any, inputs: Sequence[Any], outputs: Sequence[Any]) -> tuple[Node, ...]:
        """Nodes of the layer."""
        source, target = inputs[0].name, outputs[0].name
        kernel = _quantised(layer, "kernel", "kernel")
        bias = _quantised(layer, "bias", "bias") if layer.use_bias else None
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
        if key == "kernel" and type(layer).__name__ == "QDepthwiseConv2D":
            return _quantised(layer, "depthwise_kernel", "depthwise")
        return _quantised(layer, key, key)

    def handle(self, layer: Any, inputs: Sequence[Any], outputs: Sequence[Any]) -> tuple[Node, ...]:
        """Nodes of the layer."""
        node: Node = {**self.default_config, **super().handle(layer, inputs, outputs)}
        return _activated(layer, node, outputs[0].name)


class QActivationHandler(KerasV3LayerHandler):  # type: ignore[misc]
    """QActivation: quantized_bits and quantized_relu."""

    handles = ("qkeras.qlayers.QActivation",)

    def handle(self, layer: Any, inputs: Sequence[Any], outputs: Sequence[Any]) -> tuple[Node, ...]:
        """Nodes of the layer."""
        kind = quantiser_type(layer.name, layer.activation)
        return (quantiser_node(layer.name, inputs[0].name, outputs[0].name, kind),)


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

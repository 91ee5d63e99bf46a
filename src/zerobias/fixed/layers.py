"""Front end, continued: convolutions, pooling and layers that join branches."""

from __future__ import annotations

from typing import Any

import numpy as np

from zerobias.errors import UnsupportedError
from zerobias.fixed.frontend import activated, handles, quantised_weights
from zerobias.fixed.graph import Builder
from zerobias.fixed.merge import Add, Concatenate, Dot, Multiply, Subtract
from zerobias.fixed.ops import NO_BIAS, Dense, Op
from zerobias.fixed.windows import AveragePool, Conv, MaxPool, Windows, depthwise_kernel

__all__: list[str] = []

_MERGES: dict[str, type[Op]] = {"Add": Add, "Subtract": Subtract, "Multiply": Multiply}


def _windows(layer: Any, size: Any, strides: Any) -> Windows:
    """Windows of a convolution or pooling layer; refuses what the firmware cannot do."""
    if layer.data_format != "channels_last":
        raise UnsupportedError(f"layer {layer.name}: use data_format='channels_last'")
    if layer.padding not in ("valid", "same"):
        raise UnsupportedError(f"layer {layer.name}: padding {layer.padding!r}; use 'valid' or 'same'")
    if any(d != 1 for d in getattr(layer, "dilation_rate", (1,))):
        raise UnsupportedError(f"layer {layer.name}: dilation is not supported; use dilation_rate=1")
    spatial = tuple(int(v) for v in layer.input.shape[1:-1])
    return Windows.of(spatial, tuple(size), tuple(strides), layer.padding)


@handles("QConv1D", "QConv2D", "QDepthwiseConv2D")
def _convolution(layer: Any, builder: Builder, inputs: tuple[str, ...]) -> str:
    depthwise = type(layer).__name__ == "QDepthwiseConv2D"
    if getattr(layer, "groups", 1) != 1:
        raise UnsupportedError(f"layer {layer.name}: groups={layer.groups}; use groups=1")
    names = ("depthwise_kernel", "depthwise") if depthwise else ("kernel", "kernel")
    kernel, kernel_type = quantised_weights(layer, *names)
    flat = depthwise_kernel(kernel) if depthwise else kernel.reshape(-1, kernel.shape[-1])
    if layer.use_bias:
        bias, bias_type = quantised_weights(layer, "bias", "bias")
    else:
        bias, bias_type = np.zeros(flat.shape[1], dtype=np.int64), NO_BIAS
    windows = _windows(layer, layer.kernel_size, layer.strides)
    op = Conv(Dense(flat, kernel_type, bias, bias_type), windows)
    return activated(layer, builder, builder.add(layer.name, op, *inputs))


@handles("MaxPooling1D", "MaxPooling2D")
def _max_pool(layer: Any, builder: Builder, inputs: tuple[str, ...]) -> str:
    windows = _windows(layer, layer.pool_size, layer.strides)
    if windows.padded:
        raise UnsupportedError(
            f"layer {layer.name}: hls4ml 1.3.0 pools wrongly at a padded border; use padding='valid'"
        )
    return builder.add(layer.name, MaxPool(windows), *inputs)


@handles("AveragePooling1D", "AveragePooling2D")
def _average_pool(layer: Any, builder: Builder, inputs: tuple[str, ...]) -> str:
    windows = _windows(layer, layer.pool_size, layer.strides)
    count = int(np.prod(windows.size))
    if count & (count - 1) or windows.padded:
        raise UnsupportedError(
            f"layer {layer.name}: a mean over {count} values (fewer at a padded border) is no binary "
            "fraction; use windows of 2, 4, 8, ... values without padding"
        )
    return builder.add(layer.name, AveragePool(windows), *inputs)


@handles(*_MERGES)
def _merge(layer: Any, builder: Builder, inputs: tuple[str, ...]) -> str:
    shapes = {tuple(tensor.shape[1:]) for tensor in layer.input}
    if len(shapes) != 1:
        raise UnsupportedError(
            f"layer {layer.name}: inputs of different shapes {sorted(shapes)}; make them equal"
        )
    if type(layer).__name__ != "Add" and len(inputs) != 2:
        raise UnsupportedError(f"layer {layer.name}: {len(inputs)} inputs; it takes two")
    return builder.add(layer.name, _MERGES[type(layer).__name__](), *inputs)


@handles("Dot")
def _dot(layer: Any, builder: Builder, inputs: tuple[str, ...]) -> str:
    if any(len(tensor.shape) != 2 for tensor in layer.input) or layer.normalize:
        raise UnsupportedError(
            f"layer {layer.name}: a dot product of two plain vectors is supported; flatten them"
        )
    return builder.add(layer.name, Dot(), *inputs)


@handles("Concatenate")
def _concatenate(layer: Any, builder: Builder, inputs: tuple[str, ...]) -> str:
    if layer.axis not in (-1, len(layer.output.shape) - 1):
        raise UnsupportedError(f"layer {layer.name}: axis {layer.axis}; concatenate along the last axis")
    return builder.add(layer.name, Concatenate(), *inputs)

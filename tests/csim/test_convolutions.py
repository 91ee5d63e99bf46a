"""Convolutions, pooling and merges over kernel, stride, padding and pool shapes: exact in C simulation."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import qkeras
from keras import layers

from zerobias.contract import Contract, ContractSpec
from zerobias.fixed import from_keras
from zerobias.hls import write_project
from zerobias.nn import bits, relu
from zerobias.rtl import trace
from zerobias.verify import (
    circuit_implementation,
    compare,
    csim_implementation,
    extreme_events,
    keras_implementation,
)
from zerobias.zoo import Model

WEIGHTS = {"kernel_quantizer": "ap_fixed<5,2>", "bias_quantizer": "ap_fixed<6,3>"}


def grid_contract(pixels: int) -> Contract:
    """``pixels`` regions of 6 bits."""
    field = {"name": "et", "width": 6, "lsb": 0.5, "unit": "GeV"}
    spec = {
        "collection": "regions",
        "raw_type": "ap_uint<6>",
        "offset_type": "ap_uint<6>",
        "network_type": "ap_uint<6>",
        "group": [{"name": "region", "count": pixels, "fields": [field]}],
    }
    return Contract(ContractSpec.model_validate(spec))


def q(kind: Any, *arguments: Any, **changes: Any) -> Any:
    quantisers = {key: bits(text) for key, text in WEIGHTS.items()}
    return kind(*arguments, **(quantisers | changes))


def depthwise(*arguments: Any, **changes: Any) -> Any:
    own = {"depthwise_quantizer": bits("ap_fixed<5,2>"), "bias_quantizer": bits("ap_fixed<6,3>")}
    return qkeras.QDepthwiseConv2D(*arguments, **(own | changes))


def act(name: str) -> Any:
    return qkeras.QActivation(relu("ap_ufixed<7,5>"), name=name)


def conv2d(size: Any, strides: Any, padding: str) -> Callable[[Any], Any]:
    def body(x: Any) -> Any:
        x = layers.Reshape((6, 5, 1), name="grid")(x)
        return act("relu")(q(qkeras.QConv2D, 2, size, strides=strides, padding=padding, name="conv")(x))

    return body


def two_convolutions(x: Any) -> Any:
    x = layers.Reshape((6, 5, 1), name="grid")(x)
    x = q(qkeras.QConv2D, 2, (2, 2), activation=relu("ap_ufixed<6,5>"), use_bias=False, name="conv1")(x)
    return act("relu")(q(qkeras.QConv2D, 3, (3, 2), name="conv2")(x))


def conv1d(size: int, strides: int, padding: str) -> Callable[[Any], Any]:
    def body(x: Any) -> Any:
        x = layers.Reshape((10, 3), name="line")(x)
        return act("relu")(q(qkeras.QConv1D, 2, size, strides=strides, padding=padding, name="conv")(x))

    return body


def depthwise2d(size: tuple[int, int], strides: tuple[int, int], padding: str) -> Callable[[Any], Any]:
    def body(x: Any) -> Any:
        x = layers.Reshape((5, 3, 2), name="grid")(x)
        return act("relu")(depthwise(size, strides=strides, padding=padding, name="conv")(x))

    return body


def three_branches(layer: Any) -> Callable[[Any], Any]:
    """hls4ml's own layers join two tensors."""

    def body(x: Any) -> Any:
        kinds = (relu("ap_ufixed<6,4>"), bits("ap_fixed<8,5>"), bits("ap_fixed<5,3>"))
        return layer(
            [
                q(qkeras.QDense, 4, activation=kind, name=name)(x)
                for kind, name in zip(kinds, "abc", strict=True)
            ]
        )

    return body


def two_quantisers(x: Any) -> Any:
    """One sum read through two types."""
    x = q(qkeras.QDense, 4, name="a")(x)
    coarse = qkeras.QActivation(bits("ap_fixed<5,5>"), name="coarse")(x)
    fine = qkeras.QActivation(relu("ap_ufixed<8,5>"), name="fine")(x)
    return layers.Subtract(name="join")([coarse, fine])


def pooled(layer: Callable[..., Any], shape: tuple[int, ...], **settings: Any) -> Callable[[Any], Any]:
    def body(x: Any) -> Any:
        x = layers.Reshape(shape, name="grid")(x)
        return layer(name="pool", **settings)(x)

    return body


def merged(layer: Any) -> Callable[[Any], Any]:
    def body(x: Any) -> Any:
        a = q(qkeras.QDense, 4, activation=relu("ap_ufixed<6,4>"), name="a")(x)
        b = q(qkeras.QDense, 4, activation=bits("ap_fixed<8,5>"), name="b")(x)
        return layer([a, b])

    return body


def squared_distance(x: Any) -> Any:
    """AXOL1TL v5's head: |AE(z) - z|^2."""
    z = q(qkeras.QDense, 4, activation=bits("ap_fixed<7,4>"), name="z")(x)
    back = q(qkeras.QDense, 4, activation=bits("ap_fixed<7,4>"), name="back")(z)
    difference = layers.Subtract(name="difference")([back, z])
    difference = qkeras.QActivation(bits("ap_fixed<9,6>"), name="narrow")(difference)
    return layers.Dot(axes=1, name="dot")([difference, difference])


BODIES: dict[str, Callable[[Any], Any]] = {
    "conv2d-3x3-1-valid": conv2d((3, 3), (1, 1), "valid"),
    "conv2d-2x2-2-valid": conv2d((2, 2), (2, 2), "valid"),
    "conv2d-3x3-2-same": conv2d((3, 3), (2, 2), "same"),
    "conv2d-2x3-1-same": conv2d((2, 3), (1, 1), "same"),
    "conv2d-1x1-1-valid": conv2d((1, 1), (1, 1), "valid"),
    "conv2d-twice": two_convolutions,
    "conv1d-3-1-same": conv1d(3, 1, "same"),
    "conv1d-2-2-valid": conv1d(2, 2, "valid"),
    "depthwise2d-2x2-1-valid": depthwise2d((2, 2), (1, 1), "valid"),
    "depthwise2d-3x3-2-same": depthwise2d((3, 3), (2, 2), "same"),
    "maxpool2d-2x2": pooled(layers.MaxPooling2D, (6, 5, 1), pool_size=(2, 2)),
    "maxpool2d-3x2-1": pooled(layers.MaxPooling2D, (6, 5, 1), pool_size=(3, 2), strides=(1, 1)),
    "maxpool1d-2": pooled(layers.MaxPooling1D, (10, 3), pool_size=2),
    "averagepool2d-2x2": pooled(layers.AveragePooling2D, (6, 5, 1), pool_size=(2, 2)),
    "averagepool1d-4": pooled(layers.AveragePooling1D, (10, 3), pool_size=4, strides=2),
    "add": merged(layers.Add(name="join")),
    "add-three": three_branches(layers.Add(name="join")),
    "concatenate-three": three_branches(layers.Concatenate(name="join")),
    "two-quantisers": two_quantisers,
    "subtract": merged(layers.Subtract(name="join")),
    "multiply": merged(layers.Multiply(name="join")),
    "concatenate": merged(layers.Concatenate(name="join")),
    "dot": merged(layers.Dot(axes=1, name="join")),
    "squared_distance": squared_distance,
}


IN_CI = {"conv2d-3x3-2-same", "conv2d-twice", "depthwise2d-2x2-1-valid", "maxpool2d-2x2", "averagepool1d-4"}
IN_CI |= {"add-three", "concatenate", "squared_distance"}
"""One of each kind; the rest is for ``make test-long``."""


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in IN_CI else pytest.mark.long) for name in BODIES]
)
def test_exact_in_csim(name: str, tiny: Model, tmp_path: Path) -> None:
    contract = grid_contract(30)
    inputs = keras.Input((30,), name="scaled")
    x = BODIES[name](inputs)
    if len(x.shape) > 2:
        x = layers.Flatten(name="flat")(x)
    network = keras.Model(inputs, q(qkeras.QDense, 1, activation=bits("ap_fixed<18,12>"), name="last")(x))
    rng = np.random.default_rng(len(name))
    for layer in network.layers:
        layer.set_weights([rng.normal(0, 0.5, w.shape) for w in layer.get_weights()])
    graph = from_keras(network, contract)
    project = write_project(tiny.spec, network, graph, contract, tiny.target, tmp_path / "hls")
    extremes = extreme_events(contract, random=2000, corners=500)
    implementations = [
        keras_implementation(network, contract, graph),
        csim_implementation(project, contract, graph),
        circuit_implementation(trace(contract, graph)),
    ]
    verdict = compare(contract, graph, implementations, extremes[:10], extremes)
    assert verdict.disagreements == ()
    assert len(np.unique(graph.evaluate(contract.scale(extremes)))) > 10, "a constant score proves nothing"
    overflowing = [row.node for row in project.accumulator_headroom(graph, *contract.box) if row.overflows]
    assert overflowing == []
    values, bounds = graph.trace(contract.scale(extremes)), graph.intervals(*contract.box)
    for node, value in values.items():
        assert (value.value >= bounds[node].low.astype(np.int64)).all(), node
        assert (value.value <= bounds[node].high.astype(np.int64)).all(), node
        assert (value.value % 2 ** bounds[node].zeros == 0).all(), node

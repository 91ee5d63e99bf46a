"""Every supported layer and quantiser, in C simulation, Keras and reference: equal on every event."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import qkeras

from zerobias.fixed import from_keras
from zerobias.hls import write_project
from zerobias.nn import SumOfSquares, bits, relu
from zerobias.rtl import trace
from zerobias.verify import (
    circuit_implementation,
    compare,
    csim_implementation,
    extreme_events,
    keras_implementation,
)
from zerobias.zoo import Model

WEIGHTS, BIAS = "ap_fixed<6,3>", "ap_fixed<10,7>"


def dense(size: int, name: str, **changes: Any) -> Any:
    settings = {"kernel_quantizer": bits(WEIGHTS), "bias_quantizer": bits(BIAS), "name": name} | changes
    return qkeras.QDense(size, **settings)


def plain(x: Any) -> Any:
    return dense(3, "out", activation=bits("ap_fixed<12,8>"))(
        dense(5, "first", activation=relu("ap_ufixed<8,5>"))(x)
    )


def reshaped(x: Any) -> Any:
    x = keras.layers.Reshape((19, 3), name="grid")(x)
    x = keras.layers.Flatten(name="flat")(x)
    return plain(x)


def without_bias(x: Any) -> Any:
    x = dense(4, "first", use_bias=False, bias_quantizer=None)(x)
    x = qkeras.QActivation(relu("ap_ufixed<7,4>"), name="relu")(x)
    return dense(2, "out", use_bias=False, bias_quantizer=None, activation=bits("ap_fixed<9,6>"))(x)


def symmetric(x: Any) -> Any:
    x = dense(4, "first", kernel_quantizer=qkeras.quantized_bits(5, 1, symmetric=1, alpha=1.0))(x)
    x = qkeras.QActivation(qkeras.quantized_bits(8, 4, symmetric=1, alpha=1.0), name="act")(x)
    return dense(2, "out", activation=bits("ap_fixed<9,6>"))(x)


def unsigned(x: Any) -> Any:
    x = dense(4, "first", kernel_quantizer=qkeras.quantized_bits(4, 1, keep_negative=0, alpha=1.0))(x)
    x = qkeras.QActivation(qkeras.quantized_bits(8, 6, keep_negative=0, alpha=1.0), name="act")(x)
    return dense(2, "out", activation=bits("ap_fixed<9,6>"))(x)


def retyped_input(x: Any) -> Any:
    x = qkeras.QActivation(bits("ap_fixed<5,4>"), name="narrow")(x)
    return dense(3, "out", activation=bits("ap_fixed<12,8>"))(x)


def coarse_then_saturated(x: Any) -> Any:
    """Whole-number weights: the sums have 2 fractional bits, the activation 4, and it saturates."""
    whole = {"kernel_quantizer": bits("ap_fixed<6,6>"), "bias_quantizer": bits("ap_fixed<6,6>")}
    x = dense(4, "first", activation=relu("ap_ufixed<10,6>"), **whole)(x)
    return dense(2, "out", activation=bits("ap_fixed<14,10>"))(x)


def cast_twice(x: Any) -> Any:
    """The second cast rounds and saturates what the first has rounded and saturated, sign included."""
    x = dense(3, "first", activation=bits("ap_fixed<7,5>"))(x)
    x = qkeras.QActivation(bits("ap_fixed<6,5>"), name="again")(x)
    x = keras.layers.Dot(axes=1, name="dot")([x, x])
    x = qkeras.QActivation(bits("ap_fixed<9,9>"), name="distance")(x)
    return qkeras.QActivation(relu("ap_ufixed<9,9>"), name="score")(x)


def score_head(x: Any) -> Any:
    return SumOfSquares(wrap="v4", name="score")(dense(8, "mu", activation=bits("ap_fixed<10,7>"))(x))


NETWORKS: dict[str, tuple[Callable[[Any], Any], dict[str, Any]]] = {
    "plain": (plain, {}),
    "reshaped": (reshaped, {}),
    "without_bias": (without_bias, {}),
    "symmetric": (symmetric, {}),
    "unsigned": (unsigned, {}),
    "coarse_then_saturated": (coarse_then_saturated, {}),
    "retyped_input": (retyped_input, {}),
    "cast_twice": (cast_twice, {}),
    "published_wrap": (score_head, {}),
    "resource_strategy": (plain, {"strategy": "resource", "reuse_factor": 3}),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_layer_is_exact_in_csim(name: str, tiny: Model, tmp_path: Path) -> None:
    body, settings = NETWORKS[name]
    inputs = keras.Input((57,), name="scaled")
    output = body(inputs)
    network = keras.Model(inputs, dense_to_one(output))
    rng = np.random.default_rng(sum(map(ord, name)))
    for layer in network.layers:
        layer.set_weights(
            [
                rng.normal(0, 1.2 if name == "coarse_then_saturated" else 0.6, w.shape)
                for w in layer.get_weights()
            ]
        )
    spec = tiny.spec.model_copy(update={"hls": tiny.spec.hls.model_copy(update=settings)})
    contract = tiny.contract
    graph = from_keras(network, contract)
    project = write_project(spec, network, graph, contract, tiny.target, tmp_path / "hls")
    extremes = extreme_events(contract, random=3000, corners=500)
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


def dense_to_one(x: Any) -> Any:
    """A score of one number: networks that end in several get a last layer."""
    if x.shape[-1] == 1:
        return x
    return dense(1, "last", activation=bits("ap_fixed<16,10>"))(x)

"""Block normalisation and arrangement in C simulation, Keras, circuit and reference: equal on every event."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import qkeras

from zerobias.contract import Contract, ContractSpec
from zerobias.fixed import from_keras
from zerobias.hls import write_project
from zerobias.nn import Gather, SumShift, bits, relu
from zerobias.rtl import trace
from zerobias.verify import (
    circuit_implementation,
    compare,
    csim_implementation,
    extreme_events,
    keras_implementation,
)
from zerobias.zoo import Model

WEIGHTS, BIAS = "ap_fixed<6,2>", "ap_fixed<8,3>"


def contract_of(count: int, width: int, network_type: str) -> Contract:
    """``count`` unsigned charges of ``width`` bits, handed over as they are."""
    field = {"name": "charge", "width": width, "lsb": 1.0, "unit": "ADC", "offset": [0], "shift": [0]}
    spec = {
        "collection": "wafer",
        "raw_type": f"ap_fixed<{width + 1},{width + 1}>",
        "offset_type": "ap_fixed<2,2>",
        "network_type": network_type,
        "group": [{"name": "cell", "count": count, "fields": [field]}],
    }
    return Contract(ContractSpec.model_validate(spec))


def dense(size: int, name: str, kind: str) -> Any:
    return qkeras.QDense(
        size, kernel_quantizer=bits(WEIGHTS), bias_quantizer=bits(BIAS), activation=bits(kind), name=name
    )


def image(x: Any) -> Any:
    """Six values as an image of 3 x 3 with three masked places."""
    x = SumShift("ap_ufixed<8,1>", name="norm")(x)
    x = Gather([[[0], [-1], [3]], [[5], [1], [-1]], [[-1], [4], [2]]], name="image")(x)
    x = qkeras.QConv2D(
        3, 2, kernel_quantizer=bits(WEIGHTS), bias_quantizer=bits(BIAS), padding="same", name="conv"
    )(x)
    return keras.layers.Flatten()(qkeras.QActivation(relu("ap_ufixed<7,2>"), name="relu")(x))


def behind_a_layer(x: Any) -> Any:
    """Casts behind both: hls4ml merges them into the layer before."""
    x = qkeras.QActivation(relu("ap_ufixed<8,5>"), name="relu")(dense(6, "first", "ap_fixed<14,10>")(x))
    x = qkeras.QActivation(relu("ap_ufixed<5,1>"), name="fewer")(SumShift("ap_ufixed<9,1>", name="norm")(x))
    x = Gather([4, 5, -1, 0], name="some")(x)
    return qkeras.QActivation(bits("ap_fixed<4,1>"), name="fewest")(x)


def reshaped(x: Any) -> Any:
    """A cast, reshaped before others of it: hls4ml would merge them all into the layer before."""
    x = qkeras.QActivation(relu("ap_ufixed<8,5>"), name="relu")(dense(6, "first", "ap_fixed<14,10>")(x))
    wraps = qkeras.QActivation(bits("ap_fixed<5,4,AP_TRN,AP_WRAP>"), name="wraps")
    other = wraps(keras.layers.Reshape((3, 2))(x))
    return keras.layers.Concatenate()([x, keras.layers.Flatten()(other)])


@pytest.mark.parametrize(
    ("body", "network_type"),
    [(image, "ap_ufixed<12,12>"), (behind_a_layer, "ap_ufixed<12,9>"), (reshaped, "ap_ufixed<12,9>")],
)
def test_arranged_values_are_exact(
    body: Callable[[Any], Any], network_type: str, tiny: Model, tmp_path: Path
) -> None:
    contract = contract_of(6, 12, network_type)
    inputs = keras.Input((6,), name="charges")
    network = keras.Model(inputs, dense(1, "out", "ap_fixed<16,6>")(body(inputs)))
    rng = np.random.default_rng(8)
    for layer in network.layers:
        layer.set_weights([rng.normal(0, 0.6, w.shape) for w in layer.get_weights()])
    graph = from_keras(network, contract)
    project = write_project(tiny.spec, network, graph, contract, tiny.target, tmp_path / "hls")
    raw = extreme_events(contract, random=2000, corners=300)
    small = rng.integers(0, 1 << rng.integers(1, 13, (1000, 1)), (1000, 6))
    verdict = compare(
        contract,
        graph,
        [
            keras_implementation(network, contract, graph),
            csim_implementation(project, contract, graph),
            circuit_implementation(trace(contract, graph)),
        ],
        small,
        raw,
    )
    assert verdict.disagreements == ()
    assert len(np.unique(graph.evaluate(contract.scale(small)))) > 10, "a constant score proves nothing"

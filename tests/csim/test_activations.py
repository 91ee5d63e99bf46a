"""Every activation, exhaustively: each input value in reference, Keras and C simulation."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import qkeras

from zerobias.contract import Contract, ContractSpec
from zerobias.errors import UnsupportedError
from zerobias.fixed import from_keras
from zerobias.hls import trace_csim, write_project
from zerobias.nn import bits
from zerobias.rtl import trace
from zerobias.verify import circuit_implementation, compare, csim_implementation, keras_implementation
from zerobias.zoo import Model, apply_weights, collect_weights

BITS, FRAC = 9, 4  # one raw feature: 2**9 values from -16 to 16

ACTIVATIONS: dict[str, Any] = {
    "leaky_half": lambda: qkeras.quantized_relu(6, 2, negative_slope=0.5),
    "leaky_eighth": lambda: qkeras.quantized_relu(8, 3, negative_slope=0.125),
    "leaky_coarse": lambda: qkeras.quantized_relu(4, 3, negative_slope=0.25),
    "leaky_fine": lambda: qkeras.quantized_relu(12, 2, negative_slope=0.25),
    "binary": lambda: qkeras.binary(alpha=1.0),
    "binary_01": lambda: qkeras.binary(use_01=True, alpha=1.0),
    "ternary": lambda: qkeras.ternary(alpha=1.0),
    "ternary_one": lambda: qkeras.ternary(alpha=1.0, threshold=1.0),
    "po2": lambda: qkeras.quantized_po2(4),
    "po2_limited": lambda: qkeras.quantized_po2(4, max_value=2),
    "relu_po2": lambda: qkeras.quantized_relu_po2(3),
    "tanh": lambda: qkeras.quantized_tanh(6),
    "tanh_symmetric": lambda: qkeras.quantized_tanh(4, symmetric=True),
    "tanh_real": lambda: qkeras.quantized_tanh(7, use_real_tanh=True),
    "sigmoid": lambda: qkeras.quantized_sigmoid(6),
    "sigmoid_symmetric": lambda: qkeras.quantized_sigmoid(5, symmetric=True),
    "sigmoid_real": lambda: qkeras.quantized_sigmoid(8, use_real_sigmoid=True),
}
SMOOTH = ("tanh", "tanh_symmetric", "sigmoid")


def one_feature() -> Contract:
    field = {"name": "x", "width": BITS, "signed": True, "lsb": 1.0, "unit": "1", "step": 2.0**-FRAC}
    kind = f"ap_fixed<{BITS},{BITS - FRAC}>"
    spec = {
        "collection": "objects",
        "raw_type": kind,
        "offset_type": kind,
        "network_type": kind,
        "group": [{"name": "input", "count": 1, "fields": [field]}],
    }
    return Contract(ContractSpec.model_validate(spec))


def network_of(names: tuple[str, ...], limit: str | None = None) -> keras.Model:
    """All activations of one input, summed with odd weights into a score."""
    x = inputs = keras.Input((1,), name="scaled")
    if limit is not None:
        x = qkeras.QActivation(bits(limit), name="limit")(x)
    branches = [qkeras.QActivation(ACTIVATIONS[name](), name=name)(x) for name in names]
    joined = keras.layers.Concatenate(name="join")(branches) if len(branches) > 1 else branches[0]
    last = qkeras.QDense(
        1,
        kernel_quantizer=bits("ap_fixed<6,3>"),
        bias_quantizer=bits("ap_fixed<6,3>"),
        activation=bits("ap_fixed<16,8>"),
        name="last",
    )
    network = keras.Model(inputs, last(joined))
    rng = np.random.default_rng(len(names))
    last.set_weights([rng.integers(-9, 9, (len(names), 1)) / 4 + 0.125, np.zeros(1)])
    return network


@pytest.fixture
def smooth() -> Iterator[None]:
    """QKeras' internal sigmoid set to its second approximation."""
    qkeras.set_internal_sigmoid("smooth")
    yield
    qkeras.set_internal_sigmoid("hard")


def exhaustively(names: tuple[str, ...], tiny: Model, folder: Path, limit: str | None = None) -> None:
    contract, network = one_feature(), network_of(names, limit)
    graph = from_keras(network, contract)
    raw = contract.every_value()
    assert len(raw) == 2**BITS
    project = write_project(tiny.spec, network, graph, contract, tiny.target, folder / "hls")
    implementations = [
        keras_implementation(network, contract, graph),
        csim_implementation(project, contract, graph),
        circuit_implementation(trace(contract, graph)),
    ]
    assert compare(contract, graph, implementations, raw[:5], raw).disagreements == ()
    scaled = contract.scale(raw)
    reference, bounds = graph.trace(scaled), graph.intervals(*contract.box)
    layers = keras.Model(network.inputs, {name: network.get_layer(name).output for name in names})
    from_layers = layers.predict((scaled * contract.network_type.lsb).astype(np.float32), verbose=0)
    from_csim = trace_csim(project, raw)
    seen = 0
    for name in names:
        np.testing.assert_array_equal(reference[name].real(), from_layers[name], err_msg=name)
        values = next(
            (from_csim[key] for key in (name, f"{name}_table", f"{name}_leaky") if key in from_csim), None
        )
        if values is not None:
            seen += 1
            np.testing.assert_array_equal(reference[name].real(), values, err_msg=name)
    assert seen >= len(names) // 2
    for node, value in reference.items():
        assert (value.value.min(axis=0) >= bounds[node].low.astype(np.int64)).all(), node
        assert (value.value.max(axis=0) <= bounds[node].high.astype(np.int64)).all(), node
        assert (value.value % 2 ** bounds[node].zeros == 0).all(), node


@pytest.mark.long
def test_every_activation_on_every_value(tiny: Model, tmp_path: Path) -> None:
    exhaustively(tuple(ACTIVATIONS), tiny, tmp_path)


@pytest.mark.long
def test_behind_a_quantiser(tiny: Model, tmp_path: Path) -> None:
    """Fewer fractional and integer bits than the activation's own."""
    exhaustively(tuple(ACTIVATIONS), tiny, tmp_path, limit="ap_fixed<5,3>")


@pytest.mark.usefixtures("smooth")
def test_smooth_sigmoid(tiny: Model, tmp_path: Path) -> None:
    exhaustively(SMOOTH, tiny, tmp_path)


@pytest.mark.parametrize("name", ["leaky_eighth", "binary", "ternary", "po2", "tanh", "tanh_real"])
def test_alone(name: str) -> None:
    contract, network = one_feature(), network_of((name,))
    raw = contract.every_value()
    graph = from_keras(network, contract)
    implementation = keras_implementation(network, contract, graph)
    np.testing.assert_array_equal(implementation.score(raw), graph.evaluate(contract.scale(raw)))


WEIGHTS: dict[str, Any] = {
    "binary": lambda: qkeras.binary(alpha=1.0),
    "ternary": lambda: qkeras.ternary(alpha=1.0),
    "po2": lambda: qkeras.quantized_po2(4),
    "po2_limited": lambda: qkeras.quantized_po2(5, max_value=1),
}


@pytest.mark.long
def test_weights_and_activations_in_one_network(tiny: Model, tmp_path: Path) -> None:
    """Dense layers with binary, ternary and power-of-two weights, each with an activation of its sums."""
    contract = tiny.contract
    inputs = keras.Input((57,), name="scaled")
    branches = []
    for index, (name, quantiser) in enumerate(WEIGHTS.items()):
        activation = list(ACTIVATIONS.values())[3 * index]()
        branches.append(
            qkeras.QDense(
                3,
                kernel_quantizer=quantiser(),
                bias_quantizer=bits("ap_fixed<6,3>"),
                activation=activation,
                name=name,
            )(inputs)
        )
    last = qkeras.QDense(
        1,
        kernel_quantizer=qkeras.ternary(alpha=1.0),
        use_bias=False,
        activation=bits("ap_fixed<14,8>"),
        name="last",
    )
    network = keras.Model(inputs, last(keras.layers.Concatenate(name="join")(branches)))
    rng = np.random.default_rng(5)
    for layer in network.layers:
        layer.set_weights([rng.normal(0, 0.6, w.shape) for w in layer.get_weights()])
    arrays = collect_weights(network)
    apply_weights(network, arrays)
    for name, array in collect_weights(network).items():
        np.testing.assert_array_equal(
            array, arrays[name], err_msg="quantised values are quantised to themselves"
        )
    assert set(np.unique(arrays["binary/kernel"])) == {-1.0, 1.0}
    assert set(np.unique(arrays["ternary/kernel"])) == {-1.0, 0.0, 1.0}
    assert (np.frexp(np.abs(arrays["po2/kernel"]))[0] == 0.5).all()
    graph = from_keras(network, contract)
    project = write_project(tiny.spec, network, graph, contract, tiny.target, tmp_path / "hls")
    raw = np.random.default_rng(6).integers(contract.low, contract.high, (4000, 57), endpoint=True)
    implementations = [
        keras_implementation(network, contract, graph),
        csim_implementation(project, contract, graph),
        circuit_implementation(trace(contract, graph)),
    ]
    assert compare(contract, graph, implementations, raw[:5], raw).disagreements == ()
    assert len(np.unique(graph.evaluate(contract.scale(raw)))) > 10


@pytest.mark.parametrize(
    ("quantiser", "message"),
    [
        (lambda: qkeras.binary(), "layer act: binary needs alpha=1"),
        (lambda: qkeras.binary(alpha="auto"), "layer act: binary needs alpha=1"),
        (lambda: qkeras.ternary(alpha=0.5), "layer act: ternary needs alpha=1"),
        (lambda: qkeras.ternary(alpha=1.0, threshold=2.0), "threshold 2; it must be in"),
        (lambda: qkeras.quantized_po2(4, quadratic_approximation=True), "quadratic_approximation"),
        (lambda: qkeras.quantized_po2(4, log2_rounding="floor"), "log2_rounding"),
        (lambda: qkeras.quantized_relu_po2(4, negative_slope=0.5), "negative_slope=0"),
        (lambda: qkeras.quantized_relu(6, 2, negative_slope=2.0), "negative_slope 2.0; use 0.5"),
        (lambda: qkeras.quantized_relu(6, 2, use_sigmoid=1), "use_sigmoid"),
        (lambda: qkeras.quantized_tanh(6, use_stochastic_rounding=True), "stochastic rounding"),
        (lambda: qkeras.quantized_relu_po2(4), "needs a table of 2^13 entries, the limit is 2^12"),
        (lambda: qkeras.quantized_po2(8), "need a type of 128 bits"),
    ],
)
def test_what_is_not_exact_is_refused(quantiser: Any, message: str) -> None:
    inputs = keras.Input((1,), name="scaled")
    x = qkeras.QActivation(quantiser(), name="act")(inputs)
    network = keras.Model(inputs, qkeras.QActivation(bits("ap_fixed<8,4>"), name="out")(x))
    with pytest.raises(UnsupportedError, match=re.escape(message)):
        from_keras(network, one_feature())

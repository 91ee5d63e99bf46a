"""Weights as a port: exact for every set of values, packed as the map says, red when one bit is wrong."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from zerobias.contract import Contract, ContractSpec, FixedType, IntArray
from zerobias.errors import DataError
from zerobias.fixed import (
    Cast,
    Conv,
    Dense,
    Graph,
    Input,
    Node,
    Reshape,
    Windows,
    from_keras,
    random_weights,
    shaped,
    weights_of,
    with_weights,
)
from zerobias.rtl import (
    RtlDesign,
    pack_weights,
    read_design,
    schedule,
    simulate,
    trace,
    weight_values,
    write_design,
)
from zerobias.rtl.arcs import cell_library, read_arcs
from zerobias.rtl.pipeline import stages_of
from zerobias.targets import load_target
from zerobias.verify import extreme_events
from zerobias.zoo import Model

TARGET = load_target("ugt")
SYMMETRIC = FixedType(3, 1, True, "RND_CONV", "SAT_SYM")


def small_network() -> tuple[Contract, Graph]:
    """A padded convolution, then a layer without bias: weights of four types, one of them unsigned."""
    fields = [{"name": "charge", "width": 5, "lsb": 1, "unit": "1"}]
    spec = {
        "collection": "cells",
        "raw_type": "ap_ufixed<5,5>",
        "offset_type": "ap_fixed<4,4>",
        "network_type": "ap_ufixed<5,5>",
        "group": [{"name": "cell", "count": 4, "fields": fields}],
    }
    contract = Contract(ContractSpec.model_validate(spec))
    rng = np.random.default_rng(5)
    conv = Dense(rng.integers(-8, 8, (3, 2)), FixedType(4, 2), rng.integers(0, 64, 2), FixedType(6, 4, False))
    dense = Dense(rng.integers(-3, 4, (8, 2)), SYMMETRIC, np.zeros(2, dtype=np.int64), FixedType(1, 1))
    nodes = (
        Node("in", Input(contract.network_type, (4, 1)), ()),
        Node("conv", Conv(conv, Windows.of((4,), (3,), (1,), "same")), ("in",)),
        Node("relu", Cast(FixedType(5, 4, False, "RND", "SAT")), ("conv",)),
        Node("flat", Reshape((8,)), ("relu",)),
        Node("dense", dense, ("flat",)),
        Node("score", Cast(FixedType(9, 6, True, "TRN", "SAT")), ("dense",)),
    )
    return contract, Graph(nodes)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[RtlDesign, Contract, Graph, IntArray]:
    """A design of several stages, so that weights go around registers, and events."""
    contract, graph = small_network()
    circuit = trace(contract, graph, ports=True)
    places = schedule(circuit.logic, 3500.0, read_arcs(cell_library()))
    assert stages_of(places) > 2
    folder = tmp_path_factory.mktemp("ports") / "rtl"
    design = write_design(circuit, TARGET, folder, name="probe", places=places)
    return design, contract, graph, extreme_events(contract, random=500)


def ends(graph: Graph, which: str) -> dict[str, IntArray]:
    """Every weight at one end of its type."""
    found = weights_of(graph)
    return {name: np.full_like(w.value, getattr(w.kind, which)) for name, w in found.items()}


def test_every_set_of_weights_is_exact(built: tuple[RtlDesign, Contract, Graph, IntArray]) -> None:
    """The model's own weights, random ones, and all at either end of their types."""
    design, contract, graph, raw = built
    sets = [{}, random_weights(graph, 1), ends(graph, "min_int"), ends(graph, "max_int")]
    seen = set()
    for values in sets:
        other = with_weights(graph, values)
        expected = other.evaluate(shaped(contract, other, raw))
        measured = simulate(design, raw, weights=weight_values(other, design.weights))
        np.testing.assert_array_equal(measured.scores, expected)
        assert (measured.latency, measured.ii) == (design.latency, 1)
        seen.add(expected.tobytes())
    assert len(seen) == len(sets), "sets that give the same scores prove nothing"


def test_one_wrong_bit_of_one_weight(built: tuple[RtlDesign, Contract, Graph, IntArray]) -> None:
    design, contract, graph, raw = built
    values = weight_values(graph, design.weights)
    expected = graph.evaluate(shaped(contract, graph, raw))
    wrong = values.copy()
    wrong[-1] = (wrong[-1] ^ 1) - 4 * ((wrong[-1] ^ 1) > 3)
    scores = simulate(design, raw, weights=wrong).scores
    assert (scores != expected).any(axis=0).tolist() == [False, True], "the last weight is of the last output"


def test_the_map_of_the_port(built: tuple[RtlDesign, Contract, Graph, IntArray]) -> None:
    design, _, graph, _ = built
    assert read_design(design.folder) == design
    found = [(f.name, f.shape, str(f.type), f.low_bit, f.bits) for f in design.weights]
    assert found == [
        ("conv.kernel", (3, 2), "ap_fixed<4,2>", 0, 24),
        ("conv.bias", (2,), "ap_ufixed<6,4>", 24, 12),
        ("dense.kernel", (8, 2), str(SYMMETRIC), 36, 48),
    ], "the layer without bias has no bits for one"
    bits = np.unpackbits(
        pack_weights(design.weights, weight_values(graph, design.weights)).view(np.uint8), bitorder="little"
    )
    conv = graph.nodes[1].op
    assert isinstance(conv, Conv)
    for place, value in ((0, conv.dense.kernel[0, 0]), (3, conv.dense.kernel[1, 1])):
        assert bits[4 * place : 4 * place + 4] @ [1, 2, 4, -8] == value
    assert bits[24:30] @ (1 << np.arange(6)) == conv.dense.bias[0]
    verilog, vhdl = (design.files(language)[1].read_text() for language in ("verilog", "vhdl"))
    assert "input wire [83:0] weights," in verilog
    assert "weights : in std_logic_vector(83 downto 0);" in vhdl
    assert re.search(r"^//\s+35:24\s+ap_ufixed<6,4.*> 2 .*conv.bias$", verilog, re.MULTILINE)


def test_weights_cross_no_register(built: tuple[RtlDesign, Contract, Graph, IntArray]) -> None:
    """84 bits of weights; the register behind the ports holds the event's 20 bits alone."""
    design = built[0]
    text = design.files("verilog")[0].read_text()
    registers = {name: int(high) + 1 for high, name in re.findall(r"reg \[(\d+):0\] (\w+)", text)}
    assert registers["logic0_reg"] == 20
    assert sum(registers.values()) + design.stages + 1 == design.estimate.ff


def test_the_port_must_be_filled(built: tuple[RtlDesign, Contract, Graph, IntArray]) -> None:
    design, _, graph, raw = built
    with pytest.raises(
        DataError, match=r"probe takes 24 weights, 0 are given; see weights in its design\.json"
    ):
        simulate(design, raw)
    with pytest.raises(DataError, match="probe takes 24 weights, 23 are given"):
        simulate(design, raw, weights=weight_values(graph, design.weights)[1:])


def test_weights_that_do_not_fit() -> None:
    _, graph = small_network()
    with pytest.raises(
        DataError, match=r"no weights named 'dense.bias': there are conv.kernel, conv.bias, dense"
    ):
        with_weights(graph, {"dense.bias": np.zeros(2, dtype=np.int64)})
    with pytest.raises(DataError, match=r"weights conv.bias have the shape \(3,\): give \(2,\)"):
        with_weights(graph, {"conv.bias": np.zeros(3, dtype=np.int64)})
    with pytest.raises(DataError, match=r"weights conv.kernel reach from -9 to -9 LSB, .* holds -8 to 7"):
        with_weights(graph, {"conv.kernel": np.full((3, 2), -9)})


def test_random_weights_reach_both_ends_and_zero() -> None:
    _, graph = small_network()
    wide = replace(
        graph.nodes[4],
        op=Dense(np.zeros((8, 64), dtype=np.int64), SYMMETRIC, np.zeros(64, dtype=np.int64), FixedType(7, 3)),
    )
    for name, value in random_weights(Graph((*graph.nodes[:4], wide)), 3).items():
        kind = weights_of(Graph((*graph.nodes[:4], wide)))[name].kind
        assert (value.min(), value.max()) == (kind.min_int, kind.max_int), name
    assert len(np.unique(value)) > 20


def test_circuit_of_an_encoder_takes_other_weights(encoder: Model) -> None:
    """Block normalisation, arrangement and convolution of a model of the shelf, in alkaid's interpreter."""
    contract = encoder.contract
    graph = from_keras(encoder.load(), contract)
    circuit = trace(contract, graph, ports=True)
    raw = extreme_events(contract, random=300, sizes=1000)
    for other in (graph, with_weights(graph, random_weights(graph, 2))):
        expected = other.evaluate(shaped(contract, other, raw))
        np.testing.assert_array_equal(circuit.predict(raw, weight_values(other, circuit.weights)), expected)

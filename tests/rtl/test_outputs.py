"""RTL of scores of several values: packed as declared, exact in simulation and in gates, red when changed."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from zerobias.contract import Contract, ContractSpec, FixedType, IntArray
from zerobias.errors import GateError
from zerobias.fixed import Cast, Dense, Graph, Input, Node, from_keras, shaped
from zerobias.rtl import (
    RtlDesign,
    check_gates,
    read_design,
    read_netlist,
    schedule,
    simulate,
    synthesise,
    trace,
    write_design,
)
from zerobias.rtl.arcs import cell_library, read_arcs
from zerobias.targets import load_target
from zerobias.verify import circuit_implementation, compare, extreme_events, rtl_implementation
from zerobias.zoo import Model

TARGET = load_target("ugt")


def five_values() -> tuple[Contract, Graph]:
    """Sums of two signed values: one contains another, one is there twice, two never change; 13 bits each."""
    fields = [
        {"name": name, "width": width, "signed": True, "lsb": 1, "unit": "1"}
        for name, width in (("a", 5), ("b", 6))
    ]
    spec = {
        "collection": "objects",
        "raw_type": "ap_fixed<8,8>",
        "offset_type": "ap_fixed<4,4>",
        "network_type": "ap_fixed<8,8>",
        "group": [{"name": "pair", "count": 1, "fields": fields}],
    }
    contract = Contract(ContractSpec.model_validate(spec))
    kernel = np.array([[3, 3, 0, 3, 0], [0, 1, 0, 0, 0]])
    layer = Dense(kernel, FixedType(4, 2), np.array([0, 0, 5, 0, -1]), FixedType(6, 4))
    nodes = (
        Node("in", Input(contract.network_type, (2,)), ()),
        Node("dense", layer, ("in",)),
        Node("score", Cast(FixedType(13, 10)), ("dense",)),
    )
    return contract, Graph(nodes)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[RtlDesign, IntArray, IntArray]:
    """A design of five values with every raw event, and the scores it must give."""
    contract, graph = five_values()
    raw = np.stack([v.ravel() for v in np.meshgrid(np.arange(-16, 16), np.arange(-32, 32))], axis=1)
    folder = tmp_path_factory.mktemp("outputs") / "rtl"
    circuit = trace(contract, graph)
    places = schedule(circuit.logic, 2200.0, read_arcs(cell_library()))
    design = write_design(circuit, TARGET, folder, name="probe", places=places)
    assert design.stages > 1
    return design, raw, graph.evaluate(contract.scale(raw))


def test_every_event_of_five_values(small: tuple[RtlDesign, IntArray, IntArray]) -> None:
    design, raw, expected = small
    assert expected.shape == (len(raw), 5)
    assert [len(np.unique(column)) for column in expected.T] == [32, 157, 1, 32, 1]
    assert expected.min() < 0
    assert read_design(design.folder) == design
    assert (design.outputs, design.score_shape) == (5, (5,))
    measured = simulate(design, raw)
    np.testing.assert_array_equal(measured.scores, expected)
    assert (measured.latency, measured.ii) == (design.latency, 1)
    top = (design.folder / "verilog" / "probe.v").read_text()
    assert "output wire [64:0] out_score" in top
    assert "ap_fixed<13,10>; 5 of them, the first in the lowest bits" in top
    vhdl = (design.folder / "vhdl" / "probe.vhd").read_text()
    parts = re.search(r"out_score <= (.*);", vhdl)
    assert parts
    assert parts[1].startswith('"1111111111110" & ')
    assert parts[1].count("downto 0 => '0'") == 3


def test_one_wrong_bit_of_one_value(small: tuple[RtlDesign, IntArray, IntArray], tmp_path: Path) -> None:
    design, raw, expected = small
    copy = design.model_copy(update={"folder": tmp_path / "rtl"})
    shutil.copytree(design.folder, copy.folder)
    top = copy.folder / "verilog" / "probe.v"
    text = top.read_text()
    assert text.count("13'b0000000001010") == 1
    top.write_text(text.replace("13'b0000000001010", "13'b0000000001011"))
    scores = simulate(copy, raw).scores
    assert (scores != expected).any(axis=0).tolist() == [False, False, True, False, False]


def test_gates_give_every_value(small: tuple[RtlDesign, IntArray, IntArray], tmp_path: Path) -> None:
    design, raw, expected = small
    made = synthesise(design.files("verilog"), design.name, design.part, tmp_path / "gates")
    netlist = read_netlist(made.netlist)
    check_gates(netlist, design, raw, expected)
    other = expected.copy()
    other[11, 4] ^= 1
    with pytest.raises(GateError, match=rf"in 1 of {len(raw)} events, first in event 11: .* instead of"):
        check_gates(netlist, design, raw, other)


def one_bit_of_one_column(graph: Graph, layer: str, column: int) -> Graph:
    def flipped(node: Node) -> Node:
        assert isinstance(node.op, Dense)
        kernel = node.op.kernel.copy()
        kernel[np.argmax(np.abs(kernel[:, column])), column] ^= 1
        return replace(node, op=replace(node.op, kernel=kernel))

    return Graph(tuple(flipped(node) if node.name == layer else node for node in graph))


def test_encoder_of_a_wafer(encoder: Model, tmp_path: Path) -> None:
    """Block normalisation, arrangement, convolution and four outputs, without a multiplier."""
    contract = encoder.contract
    graph = from_keras(encoder.load(), contract)
    target = load_target("econ-t")
    circuit = trace(contract, graph, target)
    assert 7 not in {op.opcode for op in circuit.logic.ops}, "a product of two variables"
    design = write_design(circuit, target, tmp_path / "rtl", name="encoder")
    rng = np.random.default_rng(9)
    events = rng.integers(0, 1 << rng.integers(0, 11, (4000, 48)))
    extremes = extreme_events(contract, random=4000)
    verdict = compare(contract, graph, [rtl_implementation(design)], events, extremes)
    assert verdict.mismatches == {"reference": 0, "rtl": 0}
    scores = graph.evaluate(shaped(contract, graph, events))
    assert min(len(np.unique(column)) for column in scores.T) > 10, "a constant output proves nothing"

    other = trace(contract, one_bit_of_one_column(graph, "latent", 1))
    (found,) = compare(contract, graph, [circuit_implementation(other)], events, extremes).disagreements
    assert found.outputs == (1,)
    assert re.search(r"worst is event \d+, output 1: \d+ instead of \d+", str(found))

"""RTL simulation: equal to the reference bit for bit, latency and II measured, red for each way to fail."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from zerobias.contract import Contract, ContractSpec, FixedType, IntArray
from zerobias.errors import DataError, GateError, ToolError
from zerobias.fixed import Cast, Dense, Graph, Input, Node, from_keras
from zerobias.rtl import RtlDesign, compile_simulation, simulate, trace, write_design
from zerobias.targets import load_target
from zerobias.verify import compare, extreme_events, read_golden, rtl_implementation
from zerobias.zoo import find_model

TARGET = load_target("ugt")


def test_axol1tl_is_exact(tmp_path: Path) -> None:
    """Golden vectors, extremes and 100 000 random events."""
    model = find_model("axol1tl")
    graph = from_keras(model.load(), model.contract)
    design = write_design(trace(model.contract, graph, TARGET), TARGET, tmp_path / "rtl", name="axol1tl")
    golden = read_golden(model.folder / "golden" / "golden.npz")
    extremes = extreme_events(model.contract)
    assert len(extremes) > 100_000
    raw = np.concatenate([golden.raw, extremes])
    measured = simulate(design, raw)
    np.testing.assert_array_equal(measured.scores[: len(golden.raw)], golden.score)
    np.testing.assert_array_equal(measured.scores, graph.evaluate(model.contract.scale(raw)))
    assert (measured.latency, measured.ii) == (design.stages + 1, 1)
    assert measured.lost > 10
    assert measured.clocks > len(raw)


@pytest.mark.long
def test_tiny_model_in_the_gate(shelf_with_tiny: Path, tmp_path: Path) -> None:
    model = find_model("tiny", shelf_with_tiny)
    contract = model.contract
    graph = from_keras(model.load(), contract)
    design = write_design(trace(contract, graph), TARGET, tmp_path / "rtl", name="tiny")
    extremes = extreme_events(contract)
    verdict = compare(contract, graph, [rtl_implementation(design)], extremes[:100], extremes)
    assert verdict.mismatches == {"reference": 0, "rtl": 0}
    built = (tmp_path / "rtl_sim").stat().st_mtime_ns
    assert simulate(design, extremes[:1]).ii is None
    assert (tmp_path / "rtl_sim").stat().st_mtime_ns == built, "built once"

    changed = one_weight_bit_flipped(graph, "mu")
    other = write_design(trace(contract, changed), TARGET, tmp_path / "rtl", name="tiny")
    (found,) = compare(contract, graph, [rtl_implementation(other)], extremes[:9], extremes).disagreements
    assert re.match(
        r"rtl differs from the reference in \d+ events; worst is event \d+: \d+ instead of \d+ \(\d+ LSB\); "
        r"first diverging layer: score; a circuit's layers share their logic",
        str(found),
    )
    assert found.lsb == abs(found.found - found.expected) > 0


def one_weight_bit_flipped(graph: Graph, layer: str) -> Graph:
    def flipped(node: Node) -> Node:
        assert isinstance(node.op, Dense)
        kernel = node.op.kernel.copy()
        kernel[0, 0] ^= 1
        return replace(node, op=replace(node.op, kernel=kernel))

    return Graph(tuple(flipped(node) if node.name == layer else node for node in graph))


def two_features() -> Contract:
    """Two features of different width and sign, with a score of every kind of bit."""
    fields = [
        {"name": "pt", "width": 6, "lsb": 0.5, "unit": "GeV", "step": 0.5, "offset": [3.5]},
        {"name": "eta", "width": 7, "signed": True, "lsb": 0.1, "unit": "1", "shift": [1]},
    ]
    spec = {
        "collection": "objects",
        "raw_type": "ap_fixed<12,9>",
        "offset_type": "ap_fixed<8,6>",
        "network_type": "ap_fixed<9,7,RND_CONV,SAT>",
        "group": [{"name": "jet", "count": 1, "fields": fields}],
    }
    return Contract(ContractSpec.model_validate(spec))


def signed_score(contract: Contract) -> Graph:
    layer = Dense(np.array([[5], [-3]]), FixedType(4, 2), np.array([2]), FixedType(4, 2))
    return Graph(
        (
            Node("in", Input(contract.network_type, (2,)), ()),
            Node("dense", layer, ("in",)),
            Node("score", Cast(FixedType(20, 13, True, "RND", "SAT")), ("dense",)),
        )
    )


@pytest.fixture
def small(tmp_path: Path) -> tuple[RtlDesign, IntArray, IntArray]:
    """A small design with every raw event, and the scores it must give."""
    contract = two_features()
    raw = np.stack([v.ravel() for v in np.meshgrid(np.arange(64), np.arange(-64, 64))], axis=1)
    graph = signed_score(contract)
    design = write_design(trace(contract, graph), TARGET, tmp_path / "rtl", name="probe")
    return design, raw, graph.evaluate(contract.scale(raw))


def mutated(design: RtlDesign, before: str, after: str) -> RtlDesign:
    """A copy of the design whose top level was changed."""
    copy = design.model_copy(update={"folder": design.folder.with_name("mutated")})
    shutil.copytree(design.folder, copy.folder)
    top = copy.folder / "verilog" / "probe.v"
    text = top.read_text()
    assert text.count(before) == 1
    top.write_text(text.replace(before, after))
    return copy


def test_every_event_of_a_small_design(small: tuple[RtlDesign, IntArray, IntArray]) -> None:
    """A negative score with fractional bits that are always zero, on all 2**13 events."""
    design, raw, expected = small
    assert expected.min() < 0
    measured = simulate(design, raw, seed=4)
    np.testing.assert_array_equal(measured.scores, expected)
    assert (measured.latency, measured.ii) == (design.stages + 1, 1)
    with pytest.raises(DataError, match="no event to simulate"):
        simulate(design, raw[:0])


def test_valid_chain_one_register_longer(small: tuple[RtlDesign, IntArray, IntArray]) -> None:
    last = small[0].stages
    design = mutated(
        small[0],
        f"assign out_valid = valid[{last}];",
        f"reg late; always @(posedge clk) late <= valid[{last}] & ~rst; assign out_valid = late;",
    )
    late = f"scores came {last + 2} to {last + 2} clocks after their events, the design states {last + 1}"
    with pytest.raises(GateError, match=late):
        simulate(design, small[1])


def test_score_one_register_later_than_its_valid(small: tuple[RtlDesign, IntArray, IntArray]) -> None:
    late = "reg [19:0] late; always @(posedge clk) late <= {"
    design = mutated(small[0], "assign out_score = {", "assign out_score = late; " + late)
    with pytest.raises(GateError, match=r"probe: bubbles change .* stages do not stay together"):
        simulate(design, small[1])


def test_dropped_valid(small: tuple[RtlDesign, IntArray, IntArray]) -> None:
    design = mutated(small[0], ", in_valid};", ", in_valid & (in_data != 13'd77)};")
    with pytest.raises(GateError, match="probe: 8192 events were accepted, 8191 scores came out"):
        simulate(design, small[1])


def test_reset_that_clears_nothing(small: tuple[RtlDesign, IntArray, IntArray]) -> None:
    last = small[0].stages
    design = mutated(
        small[0], f"if (rst) valid <= {last + 1}'b0;", f"if (rst) valid <= {{valid[{last - 1}:0], 1'b0}};"
    )
    with pytest.raises(GateError, match=r"probe: .* scores came out.*; the valid chain is wrong"):
        simulate(design, small[1])


def test_broken_source_and_missing_tool(
    small: tuple[RtlDesign, IntArray, IntArray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = mutated(small[0], "endmodule", "endmodul")
    with pytest.raises(ToolError, match=r"verilator failed: %Error: .*; see .*mutated_sim\.log$"):
        compile_simulation(broken)
    assert not list(tmp_path.glob(".*")), "nothing is left of a failed build"
    only = tmp_path / "bin"
    only.mkdir()
    (only / "g++").symlink_to(shutil.which("g++") or "")
    monkeypatch.setenv("PATH", str(only))
    with pytest.raises(ToolError, match=r"verilator (failed|was not found)"):
        compile_simulation(small[0])

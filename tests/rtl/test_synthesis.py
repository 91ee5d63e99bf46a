"""Verilog of a tiny model through Yosys: netlist, figures, gate-level agreement, and what goes wrong."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from zerobias.contract import IntArray
from zerobias.errors import GateError, SpecError, ToolError
from zerobias.fixed import from_keras
from zerobias.rtl import Circuit, trace
from zerobias.rtl.closure import Attempt, close_timing
from zerobias.rtl.gates import check_gates, gate_scores
from zerobias.rtl.netlist import Netlist, read_netlist
from zerobias.rtl.yosys import family_of, synthesise
from zerobias.targets import load_target
from zerobias.verify import extreme_events
from zerobias.zoo import find_model

COUNTER = """
module counter (input wire clk, input wire rst, output reg [3:0] value);
    always @(posedge clk) value <= rst ? 4'd0 : value + 4'd1;
endmodule
"""


@pytest.fixture(scope="module")
def traced(shelf_with_tiny: Path) -> tuple[Circuit, IntArray, IntArray]:
    """The tiny model's circuit, raw events and their scores."""
    model = find_model("tiny", shelf_with_tiny)
    graph = from_keras(model.load(), model.contract)
    raw = extreme_events(model.contract, corners=100, random=300)
    return trace(model.contract, graph), raw, graph.evaluate(model.contract.scale(raw))


@pytest.fixture(scope="module")
def attempts(
    traced: tuple[Circuit, IntArray, IntArray], tmp_path_factory: pytest.TempPathFactory
) -> tuple[tuple[Attempt, ...], list[str]]:
    """Timing of the tiny model closed for its own target, and the passes Yosys went through."""
    passes: list[str] = []
    folder = tmp_path_factory.mktemp("closed")
    done = close_timing(traced[0], load_target("ugt"), folder, name="tiny", progress=passes.append)
    return done, passes


@pytest.fixture
def counter(tmp_path: Path) -> Path:
    path = tmp_path / "counter.v"
    path.write_text(COUNTER)
    return path


def test_the_tiny_model_reaches_its_clock(attempts: tuple[tuple[Attempt, ...], list[str]]) -> None:
    last = attempts[0][-1]
    assert last.closed
    assert last.fmax.low_mhz < last.fmax.mhz < last.fmax.high_mhz
    assert last.fmax.mhz >= 240
    assert last.latency_ns == pytest.approx(last.design.latency * 1e3 / 240)
    assert last.fmax.timing.path[-1].arrival_ps == last.fmax.timing.worst_ps
    resources = last.resources
    assert 0 < resources.lut_low <= resources.lut_high <= resources.luts
    assert (resources.dsp, resources.bram36, resources.srl) == (0, 0, 0)
    assert resources.ff > 0


def test_yosys_says_what_it_does(attempts: tuple[tuple[Attempt, ...], list[str]]) -> None:
    assert {"TECHMAP", "ABC9"} <= set(attempts[1])


def test_the_netlist_gives_the_scores_of_the_reference(
    traced: tuple[Circuit, IntArray, IntArray], attempts: tuple[tuple[Attempt, ...], list[str]]
) -> None:
    last = attempts[0][-1]
    _, raw, scores = traced
    check_gates(read_netlist(last.synthesis.netlist), last.design, raw, scores)


def flipped(netlist: Netlist, kind: str, which: int, bit: int) -> Netlist:
    """The netlist with one bit of one LUT's table inverted."""
    cells = netlist.cells[kind]
    parameters = list(cells.parameters)
    table = parameters[which]["INIT"]
    place = len(table) - 1 - bit
    other = "10"[int(table[place])]
    parameters[which] = {**parameters[which], "INIT": table[:place] + other + table[place + 1 :]}
    return replace(netlist, cells={**netlist.cells, kind: replace(cells, parameters=tuple(parameters))})


def test_one_wrong_bit_of_one_lut_is_found(
    traced: tuple[Circuit, IntArray, IntArray], attempts: tuple[tuple[Attempt, ...], list[str]]
) -> None:
    last = attempts[0][-1]
    _, raw, scores = traced
    netlist = read_netlist(last.synthesis.netlist)
    count = len(netlist.cells["LUT2"])
    found = 0
    for which in range(0, count, max(count // 8, 1)):
        try:
            check_gates(flipped(netlist, "LUT2", which, 1), last.design, raw, scores)
        except GateError as error:
            found += bool(re.search(r"differs from the reference in \d+ of \d+ events", str(error)))
    assert found >= 3  # not every pattern of every LUT reaches the score in these events


def test_a_netlist_that_answers_late_is_found(
    traced: tuple[Circuit, IntArray, IntArray], attempts: tuple[tuple[Attempt, ...], list[str]]
) -> None:
    last = attempts[0][-1]
    late = last.design.model_copy(update={"latency": last.design.latency - 1})
    with pytest.raises(GateError, match="the valid chain is wrong"):
        gate_scores(read_netlist(last.synthesis.netlist), late, traced[1])


@pytest.mark.long
def test_a_clock_out_of_reach_leaves_no_latency_in_ns(
    traced: tuple[Circuit, IntArray, IntArray], tmp_path: Path
) -> None:
    fast = load_target("ugt").model_copy(update={"clock_mhz": 600.0})
    (attempt,) = close_timing(traced[0], fast, tmp_path, name="tiny", tries=1)
    assert not attempt.closed
    assert attempt.latency_ns is None


def test_a_second_synthesis_does_not_run(
    counter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = synthesise([counter], "counter", "xc7vx690tffg1927-2", tmp_path / "out")
    with monkeypatch.context() as patch:
        patch.setattr("zerobias.rtl.yosys.run_tool", _never)
        assert synthesise([counter], "counter", "xc7vx690tffg1927-2", tmp_path / "out") == first
    counter.write_text(COUNTER.replace("4'd1", "4'd3"))
    again = synthesise([counter], "counter", "xc7vx690tffg1927-2", tmp_path / "out")
    assert again.digest != first.digest


def test_memory_is_that_of_yosys_alone(counter: Path, tmp_path: Path) -> None:
    large = np.ones(1 << 28)  # 2.1 GB of the caller
    made = synthesise([counter], "counter", "xc7vx690tffg1927-2", tmp_path / "out")
    assert 0.01 < made.peak_gb < large.nbytes / 2**30 / 2


def _never(*arguments: object, **options: object) -> None:
    raise AssertionError("Yosys ran again")


def test_yosys_names_the_fault(counter: Path, tmp_path: Path) -> None:
    counter.write_text(COUNTER.replace("endmodule", ""))
    with pytest.raises(ToolError, match=r"^Yosys failed: .*; see .*yosys\.log$"):
        synthesise([counter], "counter", "xcvu9p-flga2104-2l-e", tmp_path / "out")
    counter.write_text(COUNTER)
    assert synthesise([counter], "counter", "xcvu9p-flga2104-2l-e", tmp_path / "out").family == "xcup"


def test_yosys_past_its_time_or_memory(counter: Path, tmp_path: Path) -> None:
    with pytest.raises(ToolError, match=r"^Yosys was stopped after its limit of 0\.01 s; see .*yosys\.log"):
        synthesise([counter], "counter", "xc7vx690t", tmp_path / "out", timeout_s=0.01)
    with pytest.raises(ToolError, match=r"^Yosys .*; see .*yosys\.log"):
        synthesise([counter], "counter", "xc7vx690t", tmp_path / "out", memory_gb=0.06)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["yosys.log"]


def test_yosys_missing(counter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zerobias.rtl.yosys.find_spec", lambda name: None)
    with pytest.raises(ToolError, match="the package pyosys is not installed, run `make setup`"):
        synthesise([counter], "counter", "xc7vx690t", tmp_path / "out")


@pytest.mark.parametrize(
    ("part", "family"),
    [
        ("xc7vx690tffg1927-2", "xc7"),
        ("xcvu9p-flga2104-2l-e", "xcup"),
        ("xcvu13p-flga2577-2-e", "xcup"),
        ("xcku115-flva1517-2-e", "xcu"),
        ("xczu9eg-ffvb1156-2-e", "xcup"),
    ],
)
def test_family_of_a_part(part: str, family: str) -> None:
    assert family_of(part) == family


def test_a_part_of_another_vendor_is_refused() -> None:
    with pytest.raises(SpecError, match="part '5CGXFC5C6F27C7' belongs to no family"):
        family_of("5CGXFC5C6F27C7")

"""The written design: deterministic, cut as asked, ports and manifest as declared, no tool needed."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from zerobias.errors import DataError, SpecError
from zerobias.fixed import from_keras
from zerobias.rtl import Circuit, pack_events, planned_cut, read_design, schedule, trace, write_design
from zerobias.rtl.arcs import cell_library, read_arcs
from zerobias.rtl.pipeline import Cut, stages_of
from zerobias.targets import load_target
from zerobias.zoo import find_model

TARGET = load_target("ugt")


@pytest.fixture(scope="module")
def circuit(shelf_with_tiny: Path) -> Circuit:
    """The tiny model's circuit."""
    model = find_model("tiny", shelf_with_tiny)
    return trace(model.contract, from_keras(model.load(), model.contract))


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_two_writes_are_the_same_bytes(circuit: Circuit, tmp_path: Path, shelf_with_tiny: Path) -> None:
    first = write_design(circuit, TARGET, tmp_path / "a", name="tiny")
    model = find_model("tiny", shelf_with_tiny)
    again = trace(model.contract, from_keras(model.load(), model.contract))
    second = write_design(again, TARGET, tmp_path / "b", name="tiny")
    assert files(tmp_path / "a") == files(tmp_path / "b")
    assert first.digest == second.digest
    assert set(files(tmp_path / "a")) == {
        "design.json",
        "verilog/tiny.v",
        "verilog/tiny_core.v",
        "vhdl/tiny.vhd",
        "vhdl/tiny_core.vhd",
    }
    write_design(again, TARGET, tmp_path / "b", name="other")
    assert not [name for name in files(tmp_path / "b") if "tiny" in name], "an old design is replaced"


def test_manifest_reads_back_and_notices_changes(circuit: Circuit, tmp_path: Path) -> None:
    design = write_design(circuit, TARGET, tmp_path / "d", name="tiny")
    assert read_design(tmp_path / "d") == design
    manifest = json.loads((tmp_path / "d" / "design.json").read_text())
    assert manifest["fields"][0] == {"name": "met.pt", "low_bit": 0, "width": 12, "signed": False}
    assert manifest["score_type"] == str(circuit.score_type)
    assert (manifest["part"], manifest["alkaid"]) == ("xc7vx690tffg1927-2", "0.8.2")
    source = design.files("verilog")[0]
    source.write_text(source.read_text() + "\n")
    with pytest.raises(DataError, match="are not those its manifest names: write the design again"):
        read_design(tmp_path / "d")
    (tmp_path / "d" / "design.json").write_text("{")
    with pytest.raises(DataError, match="no RTL design in"):
        read_design(tmp_path / "d")
    with pytest.raises(DataError, match="no RTL design in"):
        read_design(tmp_path / "nothing")


def cut(circuit: Circuit, stage_ps: float) -> Cut:
    return schedule(circuit.logic, stage_ps, read_arcs(cell_library()))


@pytest.mark.parametrize("stage_ps", [1e6, 8000.0, 4000.0])
def test_stages_as_cut(circuit: Circuit, tmp_path: Path, stage_ps: float) -> None:
    places = cut(circuit, stage_ps)
    stages = stages_of(places)
    design = write_design(circuit, TARGET, tmp_path / "d", name="tiny", places=places)
    assert (design.stages, design.latency) == (stages, stages + 1)
    core = (tmp_path / "d" / "verilog" / "tiny_core.v").read_text()
    assert len(re.findall(r"^module tiny_logic\d+ ", core, re.MULTILINE)) == stages
    top = (tmp_path / "d" / "verilog" / "tiny.v").read_text()
    assert f"reg [{stages}:0] valid;" in top
    assert f"event accepted {stages + 1} clocks before" in top


def test_a_finer_cut_has_more_registers_and_the_same_logic(circuit: Circuit, tmp_path: Path) -> None:
    coarse = write_design(circuit, TARGET, tmp_path / "a", name="tiny", places=cut(circuit, 8000.0))
    fine = write_design(circuit, TARGET, tmp_path / "b", name="tiny", places=cut(circuit, 3000.0))
    assert fine.stages > coarse.stages
    assert fine.estimate.ff > coarse.estimate.ff
    assert fine.estimate.lut == coarse.estimate.lut


def test_a_design_is_cut_for_the_clock_and_the_speed_of_its_target(circuit: Circuit, tmp_path: Path) -> None:
    design = write_design(circuit, TARGET, tmp_path / "d", name="tiny")
    assert design.stages == stages_of(planned_cut(circuit.logic, TARGET))
    slower_part = TARGET.model_copy(update={"cell_delay": 1.0})
    slower_clock = TARGET.model_copy(update={"clock_mhz": 100.0})
    assert stages_of(planned_cut(circuit.logic, slower_part)) > design.stages
    assert stages_of(planned_cut(circuit.logic, slower_clock)) < design.stages


@pytest.mark.parametrize("name", ["small", "signal", "a__b", "a_", "9a", "Aa", "", "a b"])
def test_names_that_are_none(circuit: Circuit, tmp_path: Path, name: str) -> None:
    with pytest.raises(SpecError, match=f"{name!r} cannot name a module"):
        write_design(circuit, TARGET, tmp_path / "d", name=name)


def test_no_stage_exceeds_its_time(circuit: Circuit) -> None:
    for stage_ps in (3000.0, 4000.0, 8000.0):
        places = cut(circuit, stage_ps)
        assert max(ready for _, ready in places) <= stage_ps / 1e3
        for index, op in enumerate(circuit.logic.ops):
            assert all(places[source] <= places[index] for source in op.addr), "no value goes back in time"


def test_vhdl_and_verilog_say_the_same(circuit: Circuit, tmp_path: Path) -> None:
    """There is no VHDL simulator here: the instances in both texts are counted."""
    write_design(circuit, TARGET, tmp_path / "d", name="tiny", places=cut(circuit, 4000.0))
    verilog = (tmp_path / "d" / "verilog" / "tiny_core.v").read_text()
    vhdl = (tmp_path / "d" / "vhdl" / "tiny_core.vhd").read_text()
    found = re.findall(r"tiny_shift_adder #\(([-\d,]+)\) op_(\d+)", verilog)
    assert len(found) > 50
    assert len(re.findall(r"entity work\.tiny_shift_adder", vhdl)) == len(found)
    for text, entity in ((verilog, "module"), (vhdl, "entity")):
        names = re.findall(rf"^\s*{entity} (\w+)", text, re.MULTILINE)
        assert names
        assert all(name.startswith("tiny_") for name in names), "general names clash in a larger project"
    ports = (tmp_path / "d" / "vhdl" / "tiny.vhd").read_text()
    for port in ("clk", "rst", "in_valid", "in_data", "out_valid", "out_score"):
        assert re.search(rf"^ {{8}}{port} : ", ports, re.MULTILINE)


def test_packing_puts_feature_0_lowest(circuit: Circuit, tmp_path: Path) -> None:
    design = write_design(circuit, TARGET, tmp_path / "d", name="tiny", places=cut(circuit, 1e6))
    contract = circuit.contract
    rng = np.random.default_rng(3)
    raw = rng.integers(contract.low, contract.high, (20, len(contract.features)), endpoint=True)
    words = pack_events(design, raw)
    assert words.shape == (20, -(-design.in_bits // 32))
    for event, row in zip(raw, words, strict=True):
        whole = sum(int(word) << (32 * index) for index, word in enumerate(row))
        expected = sum(
            (int(value) % 2**field.width) << field.low_bit
            for value, field in zip(event, design.fields, strict=True)
        )
        assert whole == expected
    assert design.fields[0].low_bit == 0
    assert design.in_bits == sum(field.width for field in design.fields)

"""Generic gates of an ASIC: counted, equal to the reference, red when one is wrong; a build for a chip."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from zerobias.cli.build import build_firmware
from zerobias.contract import Contract, ContractSpec, FixedType, IntArray
from zerobias.errors import GateError, UnsupportedError
from zerobias.fixed import Cast, Dense, Graph, Input, Node, Table, random_weights, shaped, with_weights
from zerobias.rtl import (
    GateCount,
    Netlist,
    RtlDesign,
    check_gates,
    count_gates,
    pack_weights,
    read_design,
    read_netlist,
    synthesise,
    trace,
    weight_values,
    write_design,
)
from zerobias.rtl.netlist import Cells
from zerobias.targets import load_target
from zerobias.verify import extreme_events
from zerobias.zoo import Model

TARGET = load_target("econ-t")


def network() -> tuple[Contract, Graph]:
    fields = [{"name": "charge", "width": 4, "lsb": 1, "unit": "1"}]
    spec = {
        "collection": "cells",
        "raw_type": "ap_ufixed<4,4>",
        "offset_type": "ap_fixed<4,4>",
        "network_type": "ap_ufixed<4,4>",
        "group": [{"name": "cell", "count": 3, "fields": fields}],
    }
    contract = Contract(ContractSpec.model_validate(spec))
    kernel = np.array([[3, -2], [-4, 1], [2, 3]])
    layer = Dense(kernel, FixedType(3, 2), np.array([5, -3]), FixedType(5, 4))
    values = np.random.default_rng(0).integers(-32, 32, 64)
    nodes = (
        Node("in", Input(contract.network_type, (3,)), ()),
        Node("dense", layer, ("in",)),
        Node("cast", Cast(FixedType(6, 5, True, "RND", "SAT")), ("dense",)),
        Node("table", Table(values, -32, FixedType(6, 5)), ("cast",)),
        Node("score", Cast(FixedType(6, 5)), ("table",)),
    )
    return contract, Graph(nodes)


Mapped = tuple[Netlist, RtlDesign, Graph, IntArray, IntArray]


@pytest.fixture(scope="module", params=[False, True], ids=["constants", "ports"])
def mapped(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Mapped:
    """A netlist with its design, the graph, events and their scores."""
    contract, graph = network()
    folder = tmp_path_factory.mktemp("gates")
    design = write_design(trace(contract, graph, ports=request.param), TARGET, folder / "rtl", name="probe")
    made = synthesise(design.files("verilog"), design.name, None, folder / "gates")
    raw = extreme_events(contract, corners=100, random=400)
    return read_netlist(made.netlist), design, graph, raw, graph.evaluate(shaped(contract, graph, raw))


def held(design: RtlDesign, graph: Graph) -> IntArray | None:
    return weight_values(graph, design.weights) if design.weights else None


def test_gates_give_the_scores_of_the_reference(mapped: Mapped) -> None:
    netlist, design, graph, raw, scores = mapped
    check_gates(netlist, design, raw, scores, held(design, graph))
    assert count_gates(netlist).gates > 50
    assert count_gates(netlist).ff >= 12 + 12 + 2, "event, score and valid chain"


def test_gates_take_other_weights(mapped: Mapped) -> None:
    netlist, design, graph, raw, scores = mapped
    other = with_weights(graph, random_weights(graph, 4))
    contract, _ = network()
    expected = other.evaluate(shaped(contract, other, raw))
    if not design.weights:
        with pytest.raises(GateError, match="differs from the reference"):
            check_gates(netlist, design, raw, expected)
        return
    check_gates(netlist, design, raw, expected, held(design, other))
    with pytest.raises(GateError, match=r"netlist of probe differs from the reference in \d+ of"):
        check_gates(netlist, design, raw, scores, held(design, other))


def test_one_wrong_gate_is_found(mapped: Mapped) -> None:
    netlist, design, graph, raw, scores = mapped
    right = netlist.cells["$_XOR_"]
    place = (
        {pin: nets[:1] for pin, nets in right.inputs.items()},
        {pin: nets[:1] for pin, nets in right.outputs.items()},
    )
    rest = Cells(
        right.type,
        right.names[1:],
        right.parameters[1:],
        {pin: nets[1:] for pin, nets in right.inputs.items()},
        {pin: nets[1:] for pin, nets in right.outputs.items()},
    )
    wrong = Cells("$_XNOR_", right.names[:1], right.parameters[:1], *place)
    changed = replace(netlist, cells={**netlist.cells, "$_XOR_": rest, "changed": wrong})
    with pytest.raises(GateError, match="differs from the reference"):
        check_gates(changed, design, raw, scores, held(design, graph))


def test_count_by_hand() -> None:
    def cells(kind: str, count: int) -> Cells:
        return Cells(kind, ("",) * count, ({},) * count, {}, {})

    kinds = {"$_NAND_": 3, "$_XOR_": 1, "$_NOT_": 1, "$_DFF_P_": 2}
    netlist = Netlist("m", {}, {kind: cells(kind, count) for kind, count in kinds.items()}, 2)
    # (3 * 4 + 12 + 2 + 2 * 16) / 4 = 14.5, rounded up
    assert count_gates(netlist) == GateCount(gates=5, ff=2, nand2=15)
    with pytest.raises(UnsupportedError, match="cell LUT2 is no generic gate: there are"):
        count_gates(Netlist("m", {}, {"LUT2": cells("LUT2", 1)}, 2))


@pytest.mark.long
def test_build_for_a_chip_with_reprogrammable_weights(
    tiny: Model, small_sample: Path, tmp_path: Path
) -> None:
    """Both designs measured in simulation and in gates; the weights' file is what the port takes."""
    chip = load_target("ugt").model_copy(
        update={"capacity": None, "reprogrammable": True, "clock_mhz": 40.0, "ceilings": TARGET.ceilings}
    )
    model = replace(tiny, spec=tiny.spec.model_copy(update={"design": "rtl"}), board=chip)
    built = build_firmware(model, tmp_path, lambda step: None, sample=small_sample)
    rows = {(row.design, row.metric, row.source): row for row in built.report.hardware}
    for design in ("rtl", "rtl-ports"):
        gates = rows[design, "gates", "yosys"]
        assert gates.unit == "NAND2"
        assert gates.value
        assert "generic cell library, no area" in gates.method
        assert rows[design, "ii", "rtl-sim"].value == 1.0
        assert (design, "lut", "yosys") not in rows
    assert rows["rtl-ports", "gates", "yosys"].value > rows["rtl", "gates", "yosys"].value  # type: ignore[operator]
    written = read_design(built.folder / "rtl_ports")
    words = [int(line, 16) for line in (built.folder / "rtl_ports" / "weights.mem").read_text().split()]
    from zerobias.fixed import from_keras

    graph = from_keras(model.load(), model.contract)
    assert words == pack_weights(written.weights, weight_values(graph, written.weights)).tolist()

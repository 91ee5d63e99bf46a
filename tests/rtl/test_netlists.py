"""Timing, packing and gate simulation of netlists made by hand, with results worked out by hand.

Delays in ps of Yosys' xc7 library: register 303, its set-up 0 (D) and 404 (R); LUT inputs 127, 238, 407, 472,
631, 642 from the fastest; carry S0 to O0 223, S0 to CO3 508, CI to O3 313; MUXF7 I0 217. A net takes 300.
"""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from zerobias.errors import DataError, UnsupportedError
from zerobias.rtl.arcs import cell_library, read_arcs
from zerobias.rtl.gates import GateSimulator
from zerobias.rtl.netlist import netlist_of, read_netlist
from zerobias.rtl.packing import Resources, pack
from zerobias.rtl.timing import Timing, arrivals, fmax
from zerobias.targets import load_target

CLOCK = 2
_OUTPUTS = ("O", "CO", "Q", "P")


def cell(
    kind: str, parameters: dict[str, str] | None = None, **pins: list[Any] | int | str
) -> dict[str, Any]:
    """A cell in the form of Yosys' write_json."""
    connections = {name: nets if isinstance(nets, list) else [nets] for name, nets in pins.items()}
    return {
        "type": kind,
        "parameters": parameters or {},
        "port_directions": {name: "output" if name in _OUTPUTS else "input" for name in connections},
        "connections": connections,
    }


def register(data: Any, q: int, **others: Any) -> dict[str, Any]:
    return cell("FDRE", C=CLOCK, CE="1", R=others.get("R", "0"), D=data, Q=q)


def document(cells: dict[str, Any], ports: dict[str, Any] | None = None) -> dict[str, Any]:
    """A whole flat design."""
    clock = {"clk": {"direction": "input", "bits": [CLOCK]}}
    return {
        "modules": {"m": {"attributes": {"top": "1"}, "ports": {**clock, **(ports or {})}, "cells": cells}}
    }


def timed(net_ps: int = 300, **cells: Any) -> Timing:
    start = {f"start{n}": register("0", n) for n in (10, 11, 12, 13, 14, 15)}
    netlist = netlist_of(document({**start, **cells}))
    return arrivals(netlist, read_arcs(cell_library()), net_ps=net_ps)


def test_a_lut_between_two_registers() -> None:
    timing = timed(lut=cell("LUT1", I0=10, O=20), end=register(20, 30))
    assert timing.worst_ps == 303 + 300 + 127  # the register sits beside its LUT: no net
    assert [(s.cell, s.net_ps, s.cell_ps, s.arrival_ps) for s in timing.path] == [
        ("start10", 0, 303, 303),
        ("lut", 300, 127, 730),
        ("end", 0, 0, 730),
    ]
    assert timing.fmax_mhz == pytest.approx(1e6 / 830)


def test_a_lut_that_feeds_two_registers_reaches_them_over_a_net() -> None:
    timing = timed(lut=cell("LUT1", I0=10, O=20), end=register(20, 30), other=register(20, 31))
    assert timing.worst_ps == 303 + 300 + 127 + 300


def test_inputs_of_a_lut_that_arrive_together_share_its_pins() -> None:
    timing = timed(lut=cell("LUT2", I0=10, I1=11, O=20), end=register(20, 30))
    assert timing.worst_ps == 303 + 300 + 238


@pytest.mark.parametrize(("late", "early"), [("I0", "I1"), ("I1", "I0")])
def test_the_latest_input_of_a_lut_gets_its_fastest_pin(late: str, early: str) -> None:
    timing = timed(
        first=cell("LUT1", I0=10, O=20),
        second=cell("LUT2", **{late: 20, early: 11}, O=21),
        end=register(21, 30),
    )
    assert timing.worst_ps == 303 + 300 + 127 + 300 + 127


def test_a_carry_chain_over_two_cells_has_no_net_inside() -> None:
    carry = {"S": [20, "0", "0", "0"], "DI": ["0"] * 4, "CYINIT": "0"}
    timing = timed(
        lut=cell("LUT1", I0=10, O=20),
        low=cell("CARRY4", **carry, CI="0", O=[40, 41, 42, 43], CO=[44, 45, 46, 47]),
        high=cell("CARRY4", **{**carry, "S": ["0"] * 4}, CI=47, O=[50, 51, 52, 53], CO=[54, 55, 56, 57]),
        end=register(53, 30),
    )
    assert timing.worst_ps == 303 + 300 + 127 + 508 + 313


def test_a_register_that_selects_a_carry_passes_a_lut() -> None:
    timing = timed(
        carry=cell("CARRY4", S=[10, "0", "0", "0"], DI=["0"] * 4, CI="0", CYINIT="0", O=[40], CO=[44]),
        end=register(40, 30),
    )
    assert timing.worst_ps == 303 + 300 + 127 + 223


def test_a_wide_multiplexer_sits_beside_its_luts() -> None:
    timing = timed(
        lut=cell("LUT1", I0=10, O=20),
        wide=cell("MUXF7", I0=20, I1="0", S="0", O=21),
        end=register(21, 30),
    )
    assert timing.worst_ps == 303 + 300 + 127 + 217


def test_an_inverter_vanishes_in_a_lut_and_is_one_elsewhere() -> None:
    inverter = cell("INV", I=10, O=20)
    inside = timed(inverter=inverter, lut=cell("LUT1", I0=20, O=21), end=register(21, 30))
    alone = timed(inverter=inverter, end=register(20, 30))
    assert inside.worst_ps == alone.worst_ps == 303 + 300 + 127


def test_a_reset_must_be_there_before_the_clock() -> None:
    assert timed(end=register("0", 30, R=10)).worst_ps == 303 + 300 + 404


def test_fmax_is_stated_with_the_band_of_its_nets() -> None:
    found = fmax(
        netlist_of(
            document({"a": register("0", 10), "lut": cell("LUT1", I0=10, O=20), "b": register(20, 30)})
        ),
        read_arcs(cell_library()),
    )
    assert [found.low_mhz, found.mhz, found.high_mhz] == pytest.approx([1e6 / t for t in (930, 830, 730)])


def test_a_loop_is_refused() -> None:
    with pytest.raises(DataError, match="combinational loop"):
        timed(one=cell("LUT1", I0=20, O=21), two=cell("LUT1", I0=21, O=20))


def test_a_cell_without_delays_is_refused() -> None:
    with pytest.raises(UnsupportedError, match=r"cell CARRY8 \(1 of them\) has no delays"):
        timed(carry=cell("CARRY8", S=[10], DI=["0"], CI="0", O=[40], CO=[44]))


def test_a_design_without_paths_is_refused() -> None:
    ports = {"out": {"direction": "output", "bits": ["0"]}}
    with pytest.raises(DataError, match="no path"):
        arrivals(netlist_of(document({}, ports)), read_arcs(cell_library()))


@pytest.mark.parametrize(
    ("cell", "path", "reported_ps"),
    [
        # A routed Kintex-7 (7k70t, grade -1) in Vivado 2024.2; grade -2 is faster.
        ("LUT2", (("I0", 0), ("O", 0)), 53),
        ("CARRY4", (("S", 2), ("CO", 3)), 235),
        ("CARRY4", (("CI", 0), ("CO", 3)), 58),
        ("CARRY4", (("CI", 0), ("O", 0)), 139),
        # Another in Vivado 2025.2, whose LUTs of 43 ps are those of grade -2.
        ("LUT5", (("I4", 0), ("O", 0)), 43),
        ("MUXF7", (("I0", 0), ("O", 0)), 107),
    ],
)
def test_virtex_7_is_not_taken_to_be_faster_than_its_family(
    cell: str, path: tuple[Any, Any], reported_ps: int
) -> None:
    """Cell delays that public Vivado reports show for the family are inside those used for its boards."""
    for target in ("ugt", "ctp7"):
        used = read_arcs(cell_library(), load_target(target).cell_delay)
        assert used[cell].paths[path] >= reported_ps
        assert used["FDRE"].launch["Q", 0] >= 269


def packed(*cells: dict[str, Any]) -> Resources:
    return pack(netlist_of(document({str(n): c for n, c in enumerate(cells)})))


def lut(target: int, *sources: int | str) -> dict[str, Any]:
    return cell(f"LUT{len(sources)}", **{f"I{k}": net for k, net in enumerate(sources)}, O=target)


def sites(*cells: dict[str, Any]) -> tuple[int, int]:
    found = packed(*cells)
    return found.lut_low, found.lut_high


def test_luts_share_a_site_up_to_five_inputs_in_all() -> None:
    assert sites(lut(50, 10, 11, 12), lut(51, 10, 11, 12)) == (1, 1)
    assert sites(lut(50, 10, 11, 12), lut(51, 12, 13, 14)) == (1, 1)
    assert sites(lut(50, 10, 11, 12), lut(51, 13, 14, 15)) == (2, 2)
    assert sites(lut(50, 10, 11, 12), lut(51, 13, 14)) == (1, 1)  # strangers, 3 + 2 inputs
    assert sites(lut(50, 10, 11, 12, 13, 14, 15), lut(51, 10)) == (2, 2)


def test_constant_and_repeated_inputs_do_not_count() -> None:
    assert sites(lut(50, 10, 11, 12, "0", "1", 12), lut(51, 10, 13, 14, 14)) == (1, 1)


def test_the_partner_that_shares_most_is_taken() -> None:
    # 10..13 pairs with 10, 11, 12; pairing it with 10, 20 first would leave three sites.
    assert sites(lut(50, 10, 11, 12, 13), lut(51, 10, 20), lut(52, 10, 11, 12), lut(53, 20, 21, 22)) == (2, 2)


def carry(total: int | str) -> dict[str, Any]:
    """One carry position, selected by net 50."""
    return cell("CARRY4", S=[50, "0", "0", "0"], DI=["0"] * 4, CI="0", CYINIT="0", O=[total], CO=[90])


def test_a_lut_that_selects_a_carry_may_take_a_partner_where_the_output_is_free() -> None:
    pair = lut(50, 10, 11), lut(51, 10, 11)
    assert sites(*pair, carry(60), register(60, 70)) == (1, 2)
    assert sites(*pair, carry(60), lut(61, 60, 12, 13, 14, 15, 16)) == (3, 3)


def test_two_luts_that_select_carries_never_share_a_site() -> None:
    both = cell("CARRY4", S=[50, 51, "0", "0"], DI=["0"] * 4, CI="0", CYINIT="0", O=[60, 61], CO=[90])
    assert sites(lut(50, 10, 11), lut(51, 10, 11), both, register(60, 70), register(61, 71)) == (2, 2)


def test_a_lut_that_selects_two_carries_has_a_copy_for_each() -> None:
    both = cell("CARRY4", S=[50, 50, "0", "0"], DI=["0"] * 4, CI="0", CYINIT="0", O=[60, 61], CO=[90])
    assert sites(lut(50, 10, 11), both, register(60, 70), register(61, 71)) == (2, 2)


def test_an_inverter_is_a_lut_only_outside_luts() -> None:
    inverter = cell("INV", I=10, O=20)
    assert sites(inverter, lut(50, 20, 11)) == (1, 1)
    assert sites(inverter, register(20, 30)) == (1, 1)
    assert packed(inverter, lut(50, 20, 11)).luts == 1


def test_everything_else_is_counted() -> None:
    found = packed(
        register(10, 20),
        cell("FDSE", C=CLOCK, CE="1", S="0", D=10, Q=21),
        cell("DSP48E1", A=[10], P=[22]),
        cell("RAMB36E1", A=[10], P=[23]),
        cell("RAMB18E1", A=[10], P=[24]),
        cell("SRL16E", D=10, Q=25),
        cell("CARRY4", S=[10, "1", "0", "0"], DI=["0"] * 4, CI="0", CYINIT="0", O=[40], CO=[44]),
    )
    assert (found.ff, found.dsp, found.bram36, found.srl, found.carry4) == (2, 1, 1.5, 1, 1)
    assert found.route_through == 1
    assert (found.lut_low, found.lut_high) == (1, 1)


def outputs_of(cells: dict[str, Any], inputs: list[int], outputs: list[int]) -> list[tuple[int, ...]]:
    """Output bits for every pattern of the inputs, the first input lowest, one pattern a stream."""
    ports = {
        "a": {"direction": "input", "bits": inputs},
        "y": {"direction": "output", "bits": outputs},
    }
    count = 2 ** len(inputs)
    words = max(1, count // 64)
    simulator = GateSimulator(netlist_of(document(cells, ports)), words)
    patterns = np.arange(64 * words)
    bits = np.stack([(patterns >> k) & 1 for k in range(len(inputs))]).astype(np.uint8)
    a = np.packbits(bits, axis=1, bitorder="little").view(np.uint64)
    y = np.ascontiguousarray(simulator.clock({"a": a})["y"])
    found = np.unpackbits(y.view(np.uint8), axis=1, bitorder="little")[:, :count]
    return [tuple(int(bit) for bit in column) for column in found.T]


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 6])
def test_a_lut_gives_the_bit_of_its_table(size: int) -> None:
    table = "".join(str(b) for b in np.random.default_rng(size).integers(0, 2, 2**size))
    inputs = list(range(10, 10 + size))
    cells = {"lut": cell(f"LUT{size}", {"INIT": table}, **{f"I{k}": n for k, n in enumerate(inputs)}, O=50)}
    assert outputs_of(cells, inputs, [50]) == [(int(bit),) for bit in reversed(table)]


def test_a_carry_cell_adds() -> None:
    cells: dict[str, Any] = {
        f"xor{k}": cell("LUT2", {"INIT": "0110"}, I0=10 + k, I1=14 + k, O=20 + k) for k in range(4)
    }
    cells["carry"] = cell(
        "CARRY4",
        S=[20, 21, 22, 23],
        DI=[10, 11, 12, 13],
        CI=18,
        CYINIT="0",
        O=[30, 31, 32, 33],
        CO=[40, 41, 42, 43],
    )
    inputs, outputs = list(range(10, 19)), [30, 31, 32, 33, 43]
    found = outputs_of(cells, inputs, outputs)
    for pattern, bits in enumerate(found):
        total = (pattern & 15) + (pattern >> 4 & 15) + (pattern >> 8)
        assert bits == tuple(total >> k & 1 for k in range(5))


def test_multiplexers_inverters_and_constants() -> None:
    cells = {
        "mux": cell("MUXF7", I0=10, I1=11, S=12, O=20),
        "not": cell("INV", I=10, O=21),
        "one": {**cell("VCC", P=22)},
    }
    expected = [((b if s else a), 1 - a, 1) for s, b, a in product((0, 1), repeat=3)]
    assert outputs_of(cells, [10, 11, 12], [20, 21, 22]) == expected


def test_registers_obey_reset_and_enable() -> None:
    ports = {
        "d": {"direction": "input", "bits": [10]},
        "ce": {"direction": "input", "bits": [11]},
        "r": {"direction": "input", "bits": [12]},
        "q": {"direction": "output", "bits": [20, 21]},
    }
    cells = {
        "reset": cell("FDRE", {"INIT": "1"}, C=CLOCK, CE=11, R=12, D=10, Q=20),
        "set": cell("FDSE", {"INIT": "0"}, C=CLOCK, CE=11, S=12, D=10, Q=21),
    }
    simulator = GateSimulator(netlist_of(document(cells, ports)))
    seen = []
    for d, ce, r in [(0, 0, 0), (1, 1, 0), (0, 0, 0), (0, 1, 0), (1, 0, 1), (0, 0, 0)]:
        q = simulator.clock(
            {n: np.full((1, 1), v, dtype=np.uint64) for n, v in (("d", d), ("ce", ce), ("r", r))}
        )
        seen.append(tuple(int(bit) & 1 for bit in q["q"][:, 0]))
    assert seen == [(1, 0), (1, 0), (1, 1), (1, 1), (0, 0), (0, 1)]


def test_a_cell_that_is_not_simulated_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="cell DSP48E1 is not simulated"):
        GateSimulator(netlist_of(document({"dsp": cell("DSP48E1", A=[10], P=[20])})))


def test_a_second_clock_is_refused() -> None:
    other = cell("FDRE", C=11, CE="1", R="0", D=10, Q=21)
    with pytest.raises(UnsupportedError, match="2 clocks"):
        GateSimulator(netlist_of(document({"a": register(10, 20), "b": other})))


def test_a_loop_is_not_simulated() -> None:
    with pytest.raises(DataError, match="combinational loop"):
        GateSimulator(netlist_of(document({"a": cell("LUT1", I0=20, O=21), "b": cell("LUT1", I0=21, O=20)})))


def test_a_damaged_netlist_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "netlist.json"
    path.write_text("{")
    with pytest.raises(DataError, match="synthesise again"):
        read_netlist(path)
    with pytest.raises(DataError, match="0 top modules"):
        netlist_of({"modules": {}})

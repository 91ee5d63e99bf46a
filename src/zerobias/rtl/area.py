"""Size of a netlist of generic gates: what stands for an area where no cell library is at hand.

A gate counts as its transistors in static CMOS over the four of a two-input NAND, by the table of Yosys'
``stat -tech cmos``. It is no area: no cell of a process, no wiring, no clock tree, no scan chain is in it.
"""

from __future__ import annotations

from dataclasses import dataclass

from zerobias.errors import UnsupportedError
from zerobias.rtl.netlist import Netlist

__all__ = ["TRANSISTORS", "GateCount", "count_gates"]

TRANSISTORS = {
    "$_NOT_": 2,
    "$_NAND_": 4,
    "$_NOR_": 4,
    "$_AND_": 6,
    "$_OR_": 6,
    "$_AOI3_": 6,
    "$_OAI3_": 6,
    "$_XOR_": 12,
    "$_XNOR_": 12,
    "$_MUX_": 12,
    "$_DFF_P_": 16,
}
_NAND2 = 4


@dataclass(frozen=True)
class GateCount:
    """Combinational gates, flip-flops, and both together in two-input NAND gates."""

    gates: int
    ff: int
    nand2: int


def count_gates(netlist: Netlist) -> GateCount:
    """Size of a netlist of generic gates; raises ``UnsupportedError`` for another cell."""
    transistors = 0
    for cells in netlist:
        if cells.type not in TRANSISTORS:
            raise UnsupportedError(
                f"cell {cells.type} is no generic gate: there are {', '.join(TRANSISTORS)}"
            )
        transistors += TRANSISTORS[cells.type] * len(cells)
    ff = netlist.count("$_DFF_P_")
    total = netlist.count("$_")
    return GateCount(gates=total - ff, ff=ff, nand2=-(-transistors // _NAND2))

"""Resources of a mapped netlist: sites of LUTs as a range, and counts of everything else.

A site of the part (LUT6_2) holds one LUT of six inputs, or two LUTs whose inputs together are at most five.
Vendor tools pair LUTs during placement, which is not known here. The rules:

* inputs that are constant or given twice do not count; an inverter vanishes in LUTs that read it, and is a
  LUT of one input where anything else does;
* LUTs are paired greedily: first with the partner that shares most inputs, then what is left by size;
* a LUT that selects a carry position (``S``) occupies that position's site. Upper figure: it stays alone.
  Lower figure: it takes another LUT as its partner where the position's output multiplexer is free for it,
  that is where the carry's sum is unused or goes to one register only;
* a LUT that selects several carry positions has a copy in each of their sites;
* a LUT that works as memory or shift register counts as one site;
* carry positions that pass a signal through an unused LUT are counted apart, as vendor reports do.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from zerobias.contract import IntArray
from zerobias.rtl.netlist import CONSTANT_NETS, Netlist

__all__ = ["Resources", "pack"]

_SHARED_INPUTS = 5
_PLAIN, _OPEN, _CLOSED = 0, 1, 2
"""Roles of a LUT: selects no carry; selects one and may take a plain partner; selects one and stays alone."""
_CROWDED = 64
"""Nets with more small LUTs than this are not searched for partners: they are shared by strangers."""
_MEMORY_LUTS = {"RAM32X1S": 1, "RAM64X1S": 1, "RAM32X1D": 2, "RAM64X1D": 2, "RAM32M": 4, "RAM64M": 4}


@dataclass(frozen=True)
class Resources:
    """Counts of a design; LUT sites lie between ``lut_low`` and ``lut_high`` (module's text).

    ``luts`` counts LUTs and copies before pairing, ``srl`` LUTs used as shift registers (included in both
    LUT figures), ``route_through`` LUTs that only pass a signal into a carry chain (not included).
    """

    lut_low: int
    lut_high: int
    luts: int
    ff: int
    carry4: int
    carry8: int
    dsp: int
    bram36: float
    srl: int
    route_through: int


def pack(netlist: Netlist) -> Resources:
    """Resources of a netlist."""
    inputs, roles = _luts(netlist)
    plain = [nets for nets, role in zip(inputs, roles, strict=True) if role == _PLAIN]
    srl = netlist.count("SRL")
    fixed = srl + sum(_MEMORY_LUTS.get(cells.type, 1) * len(cells) for cells in netlist.of("RAM3", "RAM6"))
    return Resources(
        lut_low=fixed + _sites(inputs, roles),
        lut_high=fixed + len(inputs) - len(plain) + _sites(plain, [_PLAIN] * len(plain)),
        luts=len(inputs) + fixed,
        ff=netlist.count("FD", "LD"),
        carry4=netlist.count("CARRY4"),
        carry8=netlist.count("CARRY8"),
        dsp=netlist.count("DSP"),
        bram36=netlist.count("RAMB36") + netlist.count("RAMB18") / 2,
        srl=srl,
        route_through=_route_through(netlist),
    )


def _luts(netlist: Netlist) -> tuple[list[frozenset[int]], list[int]]:
    """Distinct input nets of every LUT, and its role."""
    role, copies = _roles(netlist), np.maximum(netlist.readers("CARRY", "S"), 1)
    behind = np.arange(netlist.nets)
    for cells in netlist.of("INV"):
        behind[cells.outputs["O", 0]] = cells.inputs["I", 0]
    inputs: list[frozenset[int]] = []
    roles: list[int] = []
    for cells in netlist.of("LUT"):
        pins = np.stack([behind[nets] for (port, _), nets in cells.inputs.items() if port.startswith("I")])
        for nets, target in zip(pins.T, cells.outputs["O", 0], strict=True):
            inputs += [frozenset(int(net) for net in nets if net >= CONSTANT_NETS)] * int(copies[target])
            roles += [int(role[target])] * int(copies[target])
    others = _read_outside_luts(netlist)
    for cells in netlist.of("INV"):
        for source, target in zip(cells.inputs["I", 0], cells.outputs["O", 0], strict=True):
            if others[target]:
                inputs += [frozenset([int(source)])] * int(copies[target])
                roles += [int(role[target])] * int(copies[target])
    return inputs, roles


def _roles(netlist: Netlist) -> IntArray:
    """Role a LUT that drives the net has by the carry positions the net selects, (nets,)."""
    registers, every = netlist.readers("FD", "D"), _pins(netlist)
    role = np.full(netlist.nets, _PLAIN)
    for cells in netlist.of("CARRY"):
        for (port, position), nets in cells.inputs.items():
            if port == "S":
                total = cells.outputs.get(("O", position), np.full(len(cells), -1))
                free = (total < 0) | (every[total] == 0) | ((every[total] == 1) & (registers[total] == 1))
                role[nets] = np.maximum(role[nets], np.where(free, _OPEN, _CLOSED))
    return role


def _pins(netlist: Netlist) -> IntArray:
    """How many pins and output ports read each net, (nets,)."""
    found = np.zeros(netlist.nets, dtype=np.int64)
    for cells in netlist:
        for nets in cells.inputs.values():
            np.add.at(found, nets, 1)
    for port in netlist.ports.values():
        if port.direction == "output":
            np.add.at(found, port.nets, 1)
    return found


def _read_outside_luts(netlist: Netlist) -> NDArray[np.bool_]:
    """Nets that a pin other than a LUT's input or an output port of the design reads, (nets,)."""
    read = np.zeros(netlist.nets, dtype=np.bool_)
    for cells in netlist:
        if not cells.type.startswith("LUT"):
            for nets in cells.inputs.values():
                read[nets] = True
    for port in netlist.ports.values():
        if port.direction == "output":
            read[port.nets] = True
    return read


def _sites(inputs: list[frozenset[int]], roles: list[int]) -> int:
    """Sites that hold the LUTs with these inputs and roles, paired greedily."""
    small = [i for i, nets in enumerate(inputs) if len(nets) <= _SHARED_INPUTS and roles[i] != _CLOSED]
    readers: dict[int, list[int]] = defaultdict(list)
    for i in small:
        for net in inputs[i]:
            readers[net].append(i)
    paired: set[int] = set()
    for i in sorted(small, key=lambda i: (-len(inputs[i]), i)):
        if i in paired:
            continue
        best: tuple[int, int] | None = None
        for j in _candidates(inputs[i], readers):
            fits = len(inputs[i] | inputs[j]) <= _SHARED_INPUTS and _PLAIN in (roles[i], roles[j])
            if j != i and j not in paired and fits:
                best = max(best or (0, 0), (len(inputs[i] & inputs[j]), -j))
        if best is not None:
            paired |= {i, -best[1]}
    left = sorted(len(inputs[i]) for i in small if i not in paired and roles[i] == _PLAIN)
    strangers, low, high = 0, 0, len(left) - 1
    while low < high:
        if left[low] + left[high] <= _SHARED_INPUTS:
            strangers += 1
            low += 1
        high -= 1
    return len(inputs) - len(paired) // 2 - strangers


def _candidates(nets: frozenset[int], readers: dict[int, list[int]]) -> Iterable[int]:
    for net in sorted(nets):
        if len(readers[net]) <= _CROWDED:
            yield from readers[net]


def _route_through(netlist: Netlist) -> int:
    """Carry positions in use whose ``S`` comes from neither a LUT nor an inverter nor a constant."""
    makers = [i for i, kind in enumerate(netlist.types) if kind.startswith(("LUT", "INV"))]
    made = np.isin(netlist.driver, makers)
    made[:CONSTANT_NETS] = True
    return sum(
        int(np.count_nonzero(~made[nets]))
        for cells in netlist.of("CARRY")
        for (port, _), nets in cells.inputs.items()
        if port == "S"
    )

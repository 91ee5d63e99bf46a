"""Static timing of a mapped netlist: the longest path from register to register, and the fmax it allows.

Arrival times run from clock edges and input ports through every cell to registers and output ports. A cell
adds its arc (:mod:`zerobias.rtl.arcs`), a net its stated delay. Nets that do not leave a slice are free:

* carry out to carry in, and from a LUT to the carry position it selects (``S``): a LUT that selects several
  positions has a copy in each, as the hardware needs;
* into a wide multiplexer (``MUXF7``, ``MUXF8``) from the LUTs and multiplexers below it;
* from a LUT, a carry sum or a multiplexer to the one register it feeds.

The inputs of a LUT are interchangeable, and routers use that: its latest input gets its fastest pin. Which
one that is follows from the arrival times of the round before; the best of a few rounds counts.

A carry position selected by anything but a LUT passes a route-through LUT. An inverter vanishes in a LUT
that reads it and is a LUT itself anywhere else. Placement and routing are not known, so nothing here is
calibrated: :data:`NET_PS` is a round figure for a short net, :data:`NET_RANGE_PS` the spread the fmax is
stated for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from zerobias.contract import IntArray
from zerobias.errors import DataError, UnsupportedError
from zerobias.rtl.arcs import CellArcs
from zerobias.rtl.netlist import Cells, Netlist, Pin

__all__ = ["CLOCK_UNCERTAINTY_PS", "NET_PS", "NET_RANGE_PS", "Fmax", "Step", "Timing", "arrivals", "fmax"]

NET_PS = 300
"""Assumed delay of a net between slices."""

NET_RANGE_PS = (200, 400)
"""Nets for which the band of the fmax is stated."""

CLOCK_UNCERTAINTY_PS = 100
"""Part of the period kept for jitter and skew of the clock."""

_ROUTE_THROUGH = ("LUT1", ("I0", 0), ("O", 0))
_UNTIMED = ("BUFG", "GND", "VCC")
_NEVER = -(2**40)
_ROUNDS = 4


@dataclass(frozen=True)
class Step:
    """One cell on a path: the net into it and its own delay in ps; ``arrival`` at its output or set-up."""

    cell: str
    type: str
    input: str
    output: str
    net_ps: int
    cell_ps: int
    arrival_ps: int


@dataclass(frozen=True)
class Timing:
    """Longest path in ps for one net delay; ``path`` starts at the register or port that launches it."""

    worst_ps: int
    net_ps: int
    path: tuple[Step, ...]

    @property
    def fmax_mhz(self) -> float:
        """Clock frequency whose period is the longest path and the clock's uncertainty."""
        return 1e6 / (self.worst_ps + CLOCK_UNCERTAINTY_PS)


@dataclass(frozen=True)
class Fmax:
    """Estimated fmax in MHz with nets of ``NET_PS``, its band for ``NET_RANGE_PS``, and the worst path."""

    mhz: float
    low_mhz: float
    high_mhz: float
    timing: Timing


def fmax(netlist: Netlist, arcs: Mapping[str, CellArcs]) -> Fmax:
    """Estimated fmax of a netlist.

    Raises ``UnsupportedError`` for a type of cell without delays and ``DataError`` for a combinational loop
    or a design without any path.
    """
    fast, slow = (arrivals(netlist, arcs, net_ps=net).fmax_mhz for net in NET_RANGE_PS)
    timing = arrivals(netlist, arcs)
    return Fmax(timing.fmax_mhz, slow, fast, timing)


def arrivals(netlist: Netlist, arcs: Mapping[str, CellArcs], *, net_ps: int = NET_PS) -> Timing:
    """Longest path of ``netlist`` with cell delays ``arcs`` and ``net_ps`` for a net between slices.

    Raises ``UnsupportedError`` for a type of cell without delays and ``DataError`` for a combinational loop
    or a design without any path.
    """
    nets = _NetDelays(netlist, arcs, net_ps)
    pins: Mapping[str, IntArray] = {}
    best: tuple[int, _Edges, IntArray] | None = None
    for _ in range(_ROUNDS):
        edges = _edges(netlist, arcs, nets, pins)
        arrival = _longest(edges, netlist)
        if best is None or arrival[edges.end] < best[0]:
            best = int(arrival[edges.end]), edges, arrival
        pins = _lut_delays(netlist, arcs, nets, arrival)
    assert best is not None
    worst, edges, arrival = best
    if worst < 0:
        raise DataError(f"netlist {netlist.top} has no path from a register or input to a register or output")
    steps: list[Step] = []
    net = edges.end
    while net != edges.begin:
        into = np.flatnonzero(edges.target == net)
        along = into[arrival[edges.source[into]] + edges.net[into] + edges.cell[into] == arrival[net]][0]
        steps.append(edges.step(int(along), int(arrival[net])))
        net = int(edges.source[along])
    return Timing(worst, net_ps, tuple(reversed(steps)))


class _Edges:
    """Timing edges in arrays (edges,): from net, to net, delay of the net and of the cell in ps.

    Two more nets hold the graph together: ``begin`` launches every path, ``end`` collects all of them.
    """

    def __init__(self, netlist: Netlist) -> None:
        self.begin, self.end = netlist.nets, netlist.nets + 1
        self._parts: list[tuple[IntArray, IntArray, IntArray, IntArray]] = []
        self._labels: list[tuple[str, tuple[str, ...], str, str]] = []

    def add(
        self,
        source: IntArray | int,
        target: IntArray | int,
        net: IntArray | int,
        cell: IntArray | int,
        label: tuple[str, tuple[str, ...], str, str],
    ) -> None:
        """Edges of one arc of all cells of a type; ``label`` is (type, names, input, output)."""
        size = len(label[1])
        source, target, net, delay = (np.broadcast_to(v, size) for v in (source, target, net, cell))
        self._parts.append((source, target, net, delay))
        self._labels.append(label)

    def close(self) -> None:
        """Put the parts together."""
        columns = [np.concatenate(column) for column in zip(*self._parts, strict=True)]
        self.source, self.target, self.net, self.cell = columns
        self._first = np.cumsum([0, *(len(part[0]) for part in self._parts)])

    def step(self, edge: int, arrival: int) -> Step:
        """What the path's text says about an edge."""
        part = int(np.searchsorted(self._first, edge, side="right")) - 1
        kind, names, source, target = self._labels[part]
        name = names[edge - int(self._first[part])]
        return Step(name, kind, source, target, int(self.net[edge]), int(self.cell[edge]), arrival)


def _edges(
    netlist: Netlist, arcs: Mapping[str, CellArcs], nets: _NetDelays, pins: Mapping[str, IntArray]
) -> _Edges:
    """All edges; ``pins``: delays of the inputs of each LUT (inputs, cells) by type, in the arcs' order."""
    edges = _Edges(netlist)
    for name, port in netlist.ports.items():
        names = tuple(f"{name}[{bit}]" for bit in range(len(port.nets)))
        if port.direction == "input":
            edges.add(edges.begin, port.nets, 0, 0, ("port", names, "", name))
        else:
            edges.add(port.nets, edges.end, nets.outside_ps, 0, ("port", names, name, ""))
    for cells in netlist:
        if cells.type in _UNTIMED:
            continue
        if cells.type not in arcs:
            raise UnsupportedError(
                f"cell {cells.type} ({len(cells)} of them) has no delays in Yosys' library: "
                "no fmax can be estimated; avoid it in the Verilog or in its mapping"
            )
        known = arcs[cells.type]
        for pin, delay in known.launch.items():
            if pin in cells.outputs:
                edges.add(
                    edges.begin, cells.outputs[pin], 0, delay, (cells.type, cells.names, "clock", _text(pin))
                )
        for index, ((source, target), delay) in enumerate(known.paths.items()):
            if source in cells.inputs and target in cells.outputs:
                label = (cells.type, cells.names, _text(source), _text(target))
                own: IntArray | int = 0 if cells.type == "INV" else delay  # counted where it is read
                if cells.type in pins:
                    own = pins[cells.type][index]
                edges.add(cells.inputs[source], cells.outputs[target], nets.into(cells, source), own, label)
        for pin, time in known.setup.items():
            if pin in cells.inputs:
                label = (cells.type, cells.names, _text(pin), "set-up")
                edges.add(cells.inputs[pin], edges.end, nets.into(cells, pin), time, label)
    edges.close()
    return edges


def _text(pin: Pin) -> str:
    return f"{pin[0]}[{pin[1]}]"


class _NetDelays:
    """Delay of the net into a pin, by the rules of the module's text."""

    def __init__(self, netlist: Netlist, arcs: Mapping[str, CellArcs], net_ps: int) -> None:
        self.outside_ps = net_ps
        self._pass_ps = arcs["LUT1"].paths[("I0", 0), ("O", 0)]
        kinds = netlist.types
        driver = netlist.driver
        self._lut = self._driven(driver, kinds, "LUT")
        self._inverter = self._driven(driver, kinds, "INV")
        self._carry = self._driven(driver, kinds, "CARRY")
        self._wide = self._driven(driver, kinds, "MUXF")
        self._registers = netlist.readers("FD", "D")
        chained = np.zeros(netlist.nets, dtype=np.bool_)
        for cells in netlist.of("CARRY"):
            for (port, _), nets in cells.outputs.items():
                if port == "CO":
                    chained[nets[nets >= 0]] = True
        self._chained = chained

    @staticmethod
    def _driven(driver: IntArray, kinds: tuple[str, ...], prefix: str) -> NDArray[np.bool_]:
        """Nets driven by a type of cell that starts with ``prefix``."""
        return np.isin(driver, [index for index, kind in enumerate(kinds) if kind.startswith(prefix)])

    def into(self, cells: Cells, pin: Pin) -> IntArray:
        """Delay in ps of the nets into ``pin`` of every cell, with the LUT an inverter or a carry needs."""
        nets = cells.inputs[pin]
        lut, inverter = self._lut[nets], self._inverter[nets]
        free = np.zeros(len(nets), dtype=np.bool_)
        extra = np.where(inverter, self._pass_ps, 0)
        if cells.type.startswith("CARRY") and pin[0] == "S":
            free = lut | inverter
            extra = np.where(lut, 0, self._pass_ps)
        elif cells.type.startswith("CARRY") and pin[0] == "CI":
            free = self._chained[nets]
        elif cells.type.startswith("MUXF") and pin[0] != "S":
            free = lut | inverter | self._wide[nets]
        elif cells.type.startswith("FD") and pin[0] == "D":
            inside = lut | inverter | self._wide[nets] | (self._carry[nets] & ~self._chained[nets])
            free = inside & (self._registers[nets] == 1)
        elif cells.type.startswith("LUT"):
            free, extra = inverter, np.zeros(len(nets), dtype=np.int64)
        return np.where(free, 0, self.outside_ps) + extra


def _lut_delays(
    netlist: Netlist, arcs: Mapping[str, CellArcs], nets: _NetDelays, arrival: IntArray
) -> dict[str, IntArray]:
    """Delays of the inputs of every LUT (inputs, cells) with its latest input on its fastest pin."""
    found = {}
    for cells in netlist.of("LUT"):
        sources = [source for source, _ in arcs[cells.type].paths]
        fastest = np.sort(list(arcs[cells.type].paths.values()))
        at = np.stack([arrival[cells.inputs[pin]] + nets.into(cells, pin) for pin in sources])
        latest = np.argsort(-at, axis=0, kind="stable")
        delays = np.empty_like(at)
        np.put_along_axis(delays, latest, np.broadcast_to(fastest[:, None], at.shape), axis=0)
        found[cells.type] = delays
    return found


def _longest(edges: _Edges, netlist: Netlist) -> IntArray:
    """Latest arrival at each net, level by level; nets no path reaches hold a negative number."""
    size = edges.end + 1
    order = np.argsort(edges.source, kind="stable")
    first = np.searchsorted(edges.source[order], np.arange(size + 1))
    waiting = np.bincount(edges.target, minlength=size)
    delay = edges.net + edges.cell
    arrival = np.full(size, _NEVER, dtype=np.int64)
    arrival[edges.begin] = 0
    ready = np.flatnonzero(waiting == 0)
    done = 0
    while len(ready):
        done += len(ready)
        counts = first[ready + 1] - first[ready]
        offset = np.repeat(first[ready] - np.concatenate([[0], np.cumsum(counts)[:-1]]), counts)
        leaving = order[offset + np.arange(int(counts.sum()))]
        targets = edges.target[leaving]
        np.maximum.at(arrival, targets, arrival[edges.source[leaving]] + delay[leaving])
        np.subtract.at(waiting, targets, 1)
        reached = np.unique(targets)
        ready = reached[waiting[reached] == 0]
    if done != size:
        raise DataError(f"netlist {netlist.top}: {size - done} nets lie on or behind a combinational loop")
    return arrival

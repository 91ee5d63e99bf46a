"""The mapped netlist simulated gate by gate, 64 streams of events in each machine word.

Every net holds one bit of each stream. Cells are evaluated in the order of their depth, all cells of one type
and depth together, clock by clock: registers, reset and the valid chain are those of the netlist. Cells mean
what Yosys' ``cells_sim.v`` says.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from zerobias.contract import IntArray
from zerobias.errors import DataError, GateError, UnsupportedError
from zerobias.rtl.design import RtlDesign
from zerobias.rtl.netlist import Cells, Netlist, Pin
from zerobias.rtl.simulation import pack_events
from zerobias.rtl.weights import pack_weights

__all__ = ["GateSimulator", "check_gates", "gate_scores"]

Words = NDArray[np.uint64]
"""One bit of every stream: (..., words) of 64 streams each."""

_STREAMS = 64
_EVENTS_OF_STREAM = 6
_ONES = np.uint64(2**64 - 1)
_RESET_CLOCKS = 3
_DEEPEST = 4096
_CLOCKS = ("BUFG",)
_REGISTERS = {
    "FDRE": ("R", False),
    "FDSE": ("S", True),
    "FDCE": ("CLR", False),
    "FDPE": ("PRE", True),
    "$_DFF_P_": ("", False),
}
"""Register -> its set or reset pin and the value this gives."""
_GATES: dict[str, tuple[str, Callable[..., Words]]] = {
    "$_NOT_": ("A", lambda a: ~a),
    "$_AND_": ("AB", lambda a, b: a & b),
    "$_NAND_": ("AB", lambda a, b: ~(a & b)),
    "$_OR_": ("AB", lambda a, b: a | b),
    "$_NOR_": ("AB", lambda a, b: ~(a | b)),
    "$_XOR_": ("AB", lambda a, b: a ^ b),
    "$_XNOR_": ("AB", lambda a, b: ~(a ^ b)),
    "$_AOI3_": ("ABC", lambda a, b, c: ~((a & b) | c)),
    "$_OAI3_": ("ABC", lambda a, b, c: ~((a | b) & c)),
    "$_MUX_": ("ABS", lambda a, b, s: a ^ ((a ^ b) & s)),
}
"""Generic gate -> its pins and its result, as Yosys' ``simcells.v`` says."""


class GateSimulator:
    """A netlist ready to be clocked; ``words`` words of 64 independent streams.

    Registers without a declared initial value start with random bits. Raises ``UnsupportedError`` for a cell
    or a use of one that is not simulated here and ``DataError`` for a combinational loop.
    """

    def __init__(self, netlist: Netlist, words: int = 1, *, seed: int = 0) -> None:
        self._values = np.zeros((netlist.nets, words), dtype=np.uint64)
        self._values[1] = _ONES
        self._ports = netlist.ports
        self._registers = [_Register(cells) for cells in netlist if cells.type in _REGISTERS]
        clocks = {
            int(net) for register in self._registers for net in np.unique(register.cells.inputs["C", 0])
        }
        if len(clocks) > 1:
            raise UnsupportedError(f"netlist {netlist.top} has {len(clocks)} clocks; use one")
        rng = np.random.default_rng(seed)
        for register in self._registers:
            shape = (len(register.cells), words)
            start = rng.integers(0, 2**64, shape, dtype=np.uint64)
            known = register.initial >= 0
            start[known] = _mask(register.initial[known])[:, None]
            self._values[register.cells.outputs["Q", 0]] = start
        self._program = _program(netlist)
        self._settle()

    def clock(self, inputs: Mapping[str, Words]) -> dict[str, Words]:
        """Outputs (bits, words) by port just before a clock edge at which ``inputs`` are sampled."""
        for name, words in inputs.items():
            self._values[self._ports[name].nets] = words
        self._settle()
        outputs = {
            name: self._values[port.nets] for name, port in self._ports.items() if port.direction == "output"
        }
        following = [register.following(self._values) for register in self._registers]
        for register, values in zip(self._registers, following, strict=True):
            self._values[register.cells.outputs["Q", 0]] = values
        return outputs

    def _settle(self) -> None:
        for evaluate in self._program:
            evaluate(self._values)


def gate_scores(
    netlist: Netlist, design: RtlDesign, raw: IntArray, *, weights: IntArray | None = None, seed: int = 0
) -> IntArray:
    """Score integers (events, *score_shape) of raw ones (events, features), by the netlist of ``design``.

    Each stream is reset, then fed events with random bubbles between them. ``weights`` are held on the
    port of a design that has one, in the order of its map. Raises ``DataError`` without events and
    ``GateError`` when a score comes at another clock than the design's latency.
    """
    if not len(raw):
        raise DataError("no event to simulate: give at least one")
    rng = np.random.default_rng(seed)
    words = max(1, round(len(raw) / (_STREAMS * _EVENTS_OF_STREAM)))
    streams = _STREAMS * words
    each = -(-len(raw) // streams)
    order = np.resize(np.arange(len(raw)), each * streams).reshape(each, streams)
    clocks = _RESET_CLOCKS + 2 * each + design.latency + 1
    offered = _RESET_CLOCKS + np.sort(
        np.argsort(rng.random((2 * each, streams)), axis=0)[:each], axis=0
    )  # clock of each event
    valid = np.zeros((clocks, streams), dtype=np.bool_)
    valid[offered, np.arange(streams)] = True
    data = rng.integers(0, 2, (clocks, design.in_bits, streams), dtype=np.uint8).astype(np.bool_)
    packed = pack_events(design, raw).astype("<u4").view(np.uint8)
    bits = np.unpackbits(packed, axis=1, bitorder="little")[:, : design.in_bits].astype(np.bool_)
    data[offered, :, np.arange(streams)] = bits[order]
    held: dict[str, Words] = {}
    if weights is not None:
        lines = np.unpackbits(
            pack_weights(design.weights, weights).astype("<u4").view(np.uint8), bitorder="little"
        )
        held["weights"] = np.repeat(
            _mask(lines[: design.weight_bits].astype(np.int64))[:, None], words, axis=1
        )
    simulator = GateSimulator(netlist, words, seed=seed)
    reset = np.arange(clocks) < _RESET_CLOCKS
    found = np.zeros((clocks, streams, design.outputs), dtype=np.int64)
    answered = np.zeros((clocks, streams), dtype=np.bool_)
    width = design.score_type.width
    worth = np.array([1 << k for k in range(width)], dtype=np.int64)
    if design.score_type.signed:
        worth[-1] = -worth[-1]
    for now in range(clocks):
        outputs = simulator.clock(
            {
                "rst": np.full((1, words), _ONES if reset[now] else 0, dtype=np.uint64),
                "in_valid": _packed(valid[now][None]),
                "in_data": _packed(data[now]),
                **held,
            }
        )
        answered[now] = _unpacked(outputs["out_valid"])[0]
        bits_now = _unpacked(outputs["out_score"]).astype(np.int64)
        found[now] = (worth @ bits_now.reshape(design.outputs, width, streams)).T
    answered[: _RESET_CLOCKS - 1] = False  # before the reset has worked
    expected = np.zeros_like(answered)
    expected[design.latency :] = valid[: clocks - design.latency]
    if (answered != expected).any():
        now, stream = (int(v) for v in np.argwhere(answered != expected)[0])
        raise GateError(
            f"netlist of {design.name}: out_valid is {int(answered[now, stream])} at clock {now} of stream "
            f"{stream}, {design.latency} clocks after in_valid {int(expected[now, stream])}; "
            "the valid chain is wrong"
        )
    scores = np.zeros((len(raw), design.outputs), dtype=np.int64)
    scores[order] = found[offered + design.latency, np.arange(streams)]
    return scores.reshape(len(raw), *design.score_shape)


def check_gates(
    netlist: Netlist,
    design: RtlDesign,
    raw: IntArray,
    expected: IntArray,
    weights: IntArray | None = None,
) -> None:
    """Raise ``GateError`` unless the netlist gives the ``expected`` scores of ``raw``."""
    found = gate_scores(netlist, design, raw, weights=weights)
    wrong = np.flatnonzero((found != expected).reshape(len(raw), -1).any(axis=1))
    if len(wrong):
        first = int(wrong[0])
        raise GateError(
            f"netlist of {design.name} differs from the reference in {len(wrong)} of {len(raw)} events, "
            f"first in event {first}: {found[first]} instead of {expected[first]}; "
            "synthesis changed the circuit"
        )


class _Register:
    """All registers of one type."""

    def __init__(self, cells: Cells) -> None:
        self.cells = cells
        pin, self._value = _REGISTERS[cells.type]
        low, high = (np.full(len(cells), level, dtype=np.int64) for level in (0, 1))
        self._force = cells.inputs.get((pin, 0), low)
        self._enable = cells.inputs.get(("CE", 0), high)
        if cells.parameter("IS_C_INVERTED").any():
            raise UnsupportedError(f"{cells.type} at the falling edge is not simulated: use one rising edge")
        if cells.type in ("FDCE", "FDPE") and self._force.any():
            raise UnsupportedError(f"{cells.type} with an asynchronous {pin}: use a synchronous reset")
        self._invert = {name: _mask(cells.parameter(f"IS_{name}_INVERTED"))[:, None] for name in ("D", pin)}
        self._pin = pin
        text = [parameters.get("INIT", "x") for parameters in cells.parameters]
        self.initial = np.array([{"0": 0, "1": 1}.get(value, -1) for value in text], dtype=np.int64)

    def following(self, values: Words) -> Words:
        """Contents after the clock edge."""
        inputs = self.cells.inputs
        held = values[self.cells.outputs["Q", 0]]
        data = values[inputs["D", 0]] ^ self._invert["D"]
        enable = values[self._enable]
        force = values[self._force] ^ self._invert[self._pin]
        taken = held ^ ((held ^ data) & enable)
        after: Words = taken | force if self._value else taken & ~force
        return after


def _program(netlist: Netlist) -> list[Callable[[Words], None]]:
    """Evaluations of all combinational cells, by depth."""
    logic = [c for c in netlist if c.type not in _REGISTERS and c.type not in _CLOCKS]
    for cells in logic:
        if _evaluation(cells.type) is None:
            raise UnsupportedError(f"cell {cells.type} is not simulated: avoid it in the mapping")
    depth = np.zeros(netlist.nets, dtype=np.int64)
    for _ in range(_DEEPEST):
        changed = False
        for cells in logic:
            level = _depth(cells, depth)
            for nets in cells.outputs.values():
                used = nets >= 0
                if (depth[nets[used]] != level[used]).any():
                    depth[nets[used]] = level[used]
                    changed = True
        if not changed:
            break
    else:
        raise DataError(f"netlist {netlist.top} has a combinational loop")
    steps: list[tuple[int, Callable[[Words], None]]] = []
    for cells in logic:
        level = _depth(cells, depth)
        make = _evaluation(cells.type)
        assert make is not None
        for value in np.unique(level):
            steps.append((int(value), make(_part(cells, np.flatnonzero(level == value)))))
    return [step for _, step in sorted(steps, key=lambda pair: pair[0])]


def _depth(cells: Cells, depth: IntArray) -> IntArray:
    """One more than the depth of the deepest input of every cell."""
    deepest = np.zeros(len(cells), dtype=np.int64)
    for nets in cells.inputs.values():
        deepest = np.maximum(deepest, depth[nets])
    return deepest + 1


def _part(cells: Cells, which: IntArray) -> Cells:
    return Cells(
        cells.type,
        tuple(cells.names[i] for i in which),
        tuple(cells.parameters[i] for i in which),
        {pin: nets[which] for pin, nets in cells.inputs.items()},
        {pin: nets[which] for pin, nets in cells.outputs.items()},
    )


def _evaluation(kind: str) -> Callable[[Cells], Callable[[Words], None]] | None:
    if kind in _GATES:
        return _gate
    if kind.startswith("LUT") and kind[3:].isdigit():
        return _lut
    return {"INV": _inverter, "CARRY4": _carry, "CARRY8": _carry, "GND": _ground, "VCC": _supply}.get(
        kind, _mux if kind in ("MUXF7", "MUXF8", "MUXF9") else None
    )


def _lut(cells: Cells) -> Callable[[Words], None]:
    size = int(cells.type[3:])
    initial = cells.parameter("INIT")
    table = np.stack([_mask((initial >> k) & 1) for k in range(1 << size)])[..., None]
    first, change = table[0::2], table[0::2] ^ table[1::2]
    pins = [cells.inputs[f"I{k}", 0] for k in range(size)]
    target = cells.outputs["O", 0]

    def evaluate(values: Words) -> None:
        rows = first ^ (change & values[pins[0]])
        for pin in pins[1:]:
            rows = rows[0::2] ^ ((rows[0::2] ^ rows[1::2]) & values[pin])
        values[target] = rows[0]

    return evaluate


def _gate(cells: Cells) -> Callable[[Words], None]:
    pins, result = _GATES[cells.type]
    nets = [cells.inputs[pin, 0] for pin in pins]
    target = cells.outputs["Y", 0]

    def evaluate(values: Words) -> None:
        values[target] = result(*(values[net] for net in nets))

    return evaluate


def _inverter(cells: Cells) -> Callable[[Words], None]:
    def evaluate(values: Words) -> None:
        values[cells.outputs["O", 0]] = ~values[cells.inputs["I", 0]]

    return evaluate


def _mux(cells: Cells) -> Callable[[Words], None]:
    low, high, key = (cells.inputs[pin, 0] for pin in ("I0", "I1", "S"))

    def evaluate(values: Words) -> None:
        values[cells.outputs["O", 0]] = values[low] ^ ((values[low] ^ values[high]) & values[key])

    return evaluate


def _carry(cells: Cells) -> Callable[[Words], None]:
    positions = int(cells.type[-1])
    if cells.type == "CARRY8" and any(
        p.get("CARRY_TYPE", "SINGLE_CY8") != "SINGLE_CY8" for p in cells.parameters
    ):
        raise UnsupportedError("CARRY8 as two chains is not simulated: avoid it in the mapping")
    zero = np.zeros(len(cells), dtype=np.int64)
    inputs: Mapping[Pin, IntArray] = cells.inputs

    def evaluate(values: Words) -> None:
        carry = values[inputs.get(("CI", 0), zero)] | values[inputs.get(("CYINIT", 0), zero)]
        for k in range(positions):
            select, data = values[inputs.get(("S", k), zero)], values[inputs.get(("DI", k), zero)]
            _store(values, cells.outputs.get(("O", k)), select ^ carry)
            carry = data ^ ((data ^ carry) & select)
            _store(values, cells.outputs.get(("CO", k)), carry)

    return evaluate


def _store(values: Words, nets: IntArray | None, words: Words) -> None:
    if nets is not None:
        used = nets >= 0
        values[nets[used]] = words[used]


def _ground(cells: Cells) -> Callable[[Words], None]:
    def evaluate(values: Words) -> None:
        values[cells.outputs["G", 0]] = 0

    return evaluate


def _supply(cells: Cells) -> Callable[[Words], None]:
    def evaluate(values: Words) -> None:
        values[cells.outputs["P", 0]] = _ONES

    return evaluate


def _mask(bits: IntArray) -> Words:
    """A word of equal bits for each bit."""
    return np.where(bits & 1, _ONES, np.uint64(0))


def _packed(bits: NDArray[np.bool_]) -> Words:
    """(rows, streams) bits -> (rows, words)."""
    return np.packbits(bits, axis=-1, bitorder="little").view("<u8").astype(np.uint64)


def _unpacked(words: Words) -> NDArray[np.uint8]:
    """(rows, words) -> (rows, streams) bits."""
    return np.unpackbits(np.ascontiguousarray(words.astype("<u8")).view(np.uint8), axis=-1, bitorder="little")

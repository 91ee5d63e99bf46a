"""Where the pipeline is cut: each operation gets the earliest stage in which its result is ready.

The arrival of every *bit* is followed through a stage with the same arcs as in static timing: an addition is
a look-up table and a chain of carry cells, so the low bits of a sum are ready before its high bits, and the
next addition starts on them. An operation that would be ready later than the stage's time begins the next
stage, where its operands come from registers.

The figures for logic that synthesis merges (rounding, saturation, ReLU) are approximate; the cut needs to be
good, and static timing of the netlist has the last word (:mod:`zerobias.rtl.closure`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from alkaid.types import CombLogic, Op

from zerobias.errors import UnsupportedError
from zerobias.rtl.arcs import CellArcs, cell_library, read_arcs
from zerobias.rtl.pipeline import Cut
from zerobias.rtl.timing import CLOCK_UNCERTAINTY_PS, NET_PS
from zerobias.targets import Target

__all__ = ["PLANNED_SHARE", "longest_path_ps", "planned_cut", "schedule"]

PLANNED_SHARE = 0.9
"""Planned over real delay of the worst stage, as measured (docs/explanation/synthesis.md)."""

_LATE_PIN = ("I4", 0), ("O", 0)
"""Path of a LUT's late input: mapping puts those on its fast pins."""
_LUT_INPUTS = 6

_NEGATE, _ADD, _SUBTRACT, _RELU, _QUANTISE, _ADD_CONSTANT, _CONSTANT = -2, 0, 1, 2, 3, 4, 5
_CHOOSE, _MULTIPLY, _LOOK_UP, _UNARY, _BINARY = 6, 7, 8, 9, 10
_ADDITIONS = (_ADD, _SUBTRACT)

Arrivals = list[int]
"""Arrival of each bit of a value in ps after the clock edge, the least significant first."""

Span = tuple[int, Arrivals]
"""log2 of the worth of the lowest bit, and the arrivals."""


def longest_path_ps(target: Target) -> float:
    """Longest path that the clock of ``target`` leaves room for."""
    return target.clock_ns * 1e3 - CLOCK_UNCERTAINTY_PS


def planned_cut(logic: CombLogic, target: Target) -> Cut:
    """The cut for the clock of ``target``, before any synthesis."""
    arcs = read_arcs(cell_library(), target.cell_delay)
    return schedule(logic, longest_path_ps(target) * PLANNED_SHARE, arcs)


def schedule(logic: CombLogic, stage_ps: float, arcs: Mapping[str, CellArcs]) -> Cut:
    """Cut ``logic`` into stages of at most ``stage_ps`` from clock edge to set-up, where operations allow it.

    Each operation gets its stage and the time in ns at which its last bit is ready there.
    """
    model = _Delays(logic, arcs)
    launch = arcs["FDRE"].launch["Q", 0]
    ready: list[Arrivals] = []
    stage: list[int] = []
    for op in logic.ops:
        if not op.input_ids:
            stage.append(0)
            ready.append([0 if op.opcode == _CONSTANT else launch] * sum(op.qint.kif))
            continue
        now = max(stage[source] for source in op.input_ids)
        held = [[min(launch, time) for time in ready[source]] for source in op.input_ids]
        early = [
            ready[source] if stage[source] == now else registered
            for source, registered in zip(op.input_ids, held, strict=True)
        ]
        bits = model.result(op, early)
        if max(bits, default=0) > stage_ps:
            later = model.result(op, held)
            if max(later, default=0) < max(bits, default=0):
                now, bits = now + 1, later
        stage.append(now)
        ready.append(bits)
    places: list[tuple[int, float]] = []
    for op, now, bits in zip(logic.ops, stage, ready, strict=True):
        # An operation may take only early bits; it still comes after its operands.
        before = [places[source][1] for source in op.input_ids if stage[source] == now]
        places.append((now, max([max(bits, default=0) / 1e3, *before])))
    return tuple(places)


class _Delays:
    """Arrival of every bit of an operation's result from the arrivals of its operands' bits."""

    def __init__(self, logic: CombLogic, arcs: Mapping[str, CellArcs]) -> None:
        self._ops = logic.ops
        self._lut_ps = arcs["LUT6"].paths[_LATE_PIN]
        paths = arcs["CARRY4"].paths
        self._into = {
            (port, bit, target): [paths.get(((port, bit), (target, k)), 0) for k in range(4)]
            for port in ("S", "DI", "CI")
            for bit in range(4)
            for target in ("O", "CO")
        }

    def result(self, op: Op, operands: list[Arrivals]) -> Arrivals:
        """Arrivals of the bits of ``op`` for ``operands``, one entry for each of its inputs."""
        signed, integer, frac = op.qint.kif
        low, high = -frac, integer + signed
        sources = [self._ops[source].qint.kif for source in op.input_ids]
        spans = [(-kif[2], bits) for kif, bits in zip(sources, operands, strict=True)]
        if op.opcode in _ADDITIONS:
            (first, a), (second, b) = spans[0], spans[1]
            return self._sum((first, a), (second + op.data[0], b), low, high, op.opcode == _SUBTRACT)
        if op.opcode == _ADD_CONSTANT:
            value, places = op.data
            lowest = (abs(value) & -abs(value)).bit_length() - 1 - places
            return self._sum(spans[0], (lowest, [0]), low, high, False)
        if op.opcode == _NEGATE:
            return self._sum((spans[0][0], []), spans[0], low, high, True)
        if op.opcode == _QUANTISE:
            shift = op.data[0]
            return _slice((spans[0][0] + shift, spans[0][1]), low, high)
        if op.opcode == _RELU:
            sign = spans[0][1][-1:] if sources[0][0] else []
            return self._logic([_slice(spans[0], low, high), *[sign * (high - low)] * bool(sign)])
        if op.opcode == _CHOOSE:
            key = [operands[2][-1]] * (high - low)
            second = (spans[1][0] + op.data[0], spans[1][1])
            return self._logic([_slice(spans[0], low, high), _slice(second, low, high), key])
        if op.opcode == _UNARY:
            if op.data[0] == 0:
                return list(operands[0])
            levels = max(1, math.ceil(math.log(max(len(operands[0]), 2), _LUT_INPUTS)))
            return [max(operands[0]) + levels * (NET_PS + self._lut_ps)] * (high - low)
        if op.opcode == _BINARY:
            second = (spans[1][0] + op.data[0], spans[1][1])
            return self._logic([_slice(spans[0], low, high), _slice(second, low, high)])
        if op.opcode == _LOOK_UP:
            extra = max(len(operands[0]) - _LUT_INPUTS, 0)
            levels = 1 + math.ceil(extra / 2)
            return [max(operands[0]) + levels * (NET_PS + self._lut_ps)] * (high - low)
        if op.opcode == _MULTIPLY:
            narrow = min(len(operands[0]), len(operands[1]))
            levels = 1 + math.ceil(math.log(max(narrow / 2, 1), 1.5))
            start = max(max(operands[0]), max(operands[1])) + levels * (NET_PS + self._lut_ps)
            return self._chain([start] * (high - low), [start] * (high - low))
        raise UnsupportedError(f"alkaid's operation {op.opcode} has no delay here; add one to rtl.schedule")

    def _logic(self, operands: list[Arrivals]) -> Arrivals:
        """One look-up table for each bit."""
        return [max(bits) + NET_PS + self._lut_ps for bits in zip(*operands, strict=True)]

    def _sum(self, a: Span, b: Span, low: int, high: int, subtract: bool) -> Arrivals:
        """Sum of two values as bits [low, high): bits of one value alone below the other are not added."""
        start = b[0] if subtract else max(a[0], b[0])
        start = min(max(start, low), high) if not subtract else min(start, high)
        base = min(a[0], b[0], low)
        lonely = [max(x, y) for x, y in zip(_slice(a, base, start), _slice(b, base, start), strict=True)]
        first, second = _slice(a, start, high), _slice(b, start, high)
        select = [max(x, y) + NET_PS + self._lut_ps for x, y in zip(first, second, strict=True)]
        added = self._chain(select, [time + NET_PS for time in first])
        return (lonely + added)[low - base :]

    def _chain(self, select: Arrivals, data: Arrivals) -> Arrivals:
        """A chain of carry cells: ``select`` reaches the S pins, ``data`` the DI pins."""
        sums: Arrivals = []
        carry = -(2**30)
        for first in range(0, len(select), 4):
            block = [("S", k, t) for k, t in enumerate(select[first : first + 4])]
            block += [("DI", k, t) for k, t in enumerate(data[first : first + 4])]
            block.append(("CI", 0, carry))
            for k in range(min(4, len(select) - first)):
                arriving = [
                    t + self._into[port, bit, "O"][k]
                    for port, bit, t in block
                    if self._into[port, bit, "O"][k]
                ]
                sums.append(max(arriving))
            carry = max(t + self._into[port, bit, "CO"][3] for port, bit, t in block)
        return sums


def _slice(value: Span, low: int, high: int) -> Arrivals:
    """Bits [low, high) of a value; those below it are constant, those above repeat its highest bit."""
    start, bits = value
    if not bits:
        return [0] * max(high - low, 0)
    return [0 if k < start else bits[min(k - start, len(bits) - 1)] for k in range(low, high)]

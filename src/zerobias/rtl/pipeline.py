"""Cut a circuit into pipeline stages for a clock.

The delays are planning figures for a 7-series part of speed grade -2, nets included; they say where to cut,
never how fast the result is. A timing analysis of the netlist decides that; ``delay_scale`` then makes the
cut finer or coarser.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from alkaid.stateful import FSM
from alkaid.trace.pipeline import to_pipeline
from alkaid.types import CombLogic, Op

__all__ = ["Cut", "cut", "cut_into", "delays", "pipelined"]

_LEVEL_NS = 0.75
"""One level of LUTs with its net."""
_CARRY_NS = 0.02
"""One bit of a carry chain."""
_LUT_INPUTS = 6

Cut = tuple[tuple[int, float], ...]
"""For every operation its stage, counted from 0, and the time in ns at which it is ready in that stage."""


def delays(logic: CombLogic) -> list[float]:
    """Planned delay of every operation in ns."""
    return [_delay(op, logic.ops) for op in logic.ops]


def _delay(op: Op, ops: Sequence[Op]) -> float:
    width: int = sum(op.qint.kif)
    source: int = sum(ops[op.addr[0]].qint.kif) if op.addr else 0
    match op.opcode:
        case 0 | 1 if _apart(op, ops):  # two values side by side, no adder
            return 0.0
        case 0 | 1 | 4 | -2:  # adder, constant adder, negation
            return _LEVEL_NS + _CARRY_NS * width
        case 2:  # relu: an AND with the sign, merged into what reads it
            return 0.5 * _LEVEL_NS if ops[op.addr[0]].qint.min < 0 else 0.0
        case 6 | 10:  # multiplexer, bitwise operation of two values
            return _LEVEL_NS
        case 7:  # product
            other = sum(ops[op.addr[1]].qint.kif)
            return math.ceil(math.log2(min(source, other) + 1)) * (_LEVEL_NS + _CARRY_NS * width)
        case 8:  # table: multiplexers of four join what one LUT cannot hold
            return _LEVEL_NS * (1 + math.ceil(max(source - _LUT_INPUTS, 0) / 2))
        case 9 if op.data[0] != 0:  # any or all bits set
            return _LEVEL_NS * math.ceil(math.log(max(source, 2), _LUT_INPUTS))
        case _:
            return 0.0


def _apart(op: Op, ops: Sequence[Op]) -> bool:
    """Whether the two terms of a sum have no bit in common."""
    (signed, _, frac), (signed1, integer1, frac1) = (ops[i].qint.kif for i in op.addr)
    shift = op.data[0]
    integer = ops[op.addr[0]].qint.kif[1]
    if op.opcode == 1:
        return False
    return bool((not signed1 and integer1 + shift <= -frac) or (not signed and integer <= shift - frac1))


def cut(logic: CombLogic, budget_ns: float, planned: Sequence[float]) -> Cut:
    """Every operation as early as possible, with at most ``budget_ns`` in a stage.

    An operation that alone takes longer has a stage of its own start, and exceeds the budget.
    """
    places: list[tuple[int, float]] = []
    for op, delay in zip(logic.ops, planned, strict=True):
        stage, ready = max((places[i] for i in op.addr), default=(0, 0.0))
        if delay and ready and ready + delay > budget_ns:
            stage, ready = stage + 1, 0.0
        places.append((stage, ready + delay))
    return tuple(places)


def cut_into(logic: CombLogic, stages: int, planned: Sequence[float]) -> Cut:
    """The cut into at most ``stages`` stages whose longest one is shortest."""
    low, high = 0.0, sum(planned) + 1.0
    best = cut(logic, high, planned)
    while high - low > 1e-3:
        middle = (low + high) / 2
        tried = cut(logic, middle, planned)
        if stages_of(tried) <= stages:
            best, high = tried, middle
        else:
            low = middle
    return best


def stages_of(places: Cut) -> int:
    """Number of stages."""
    return max(stage for stage, _ in places) + 1


def pipelined(logic: CombLogic, places: Cut) -> FSM:
    """The circuit with a register in front of every stage and one behind the last."""
    stages = stages_of(places)
    longest = max(ready for _, ready in places) or 1.0
    times = [stage + 0.25 + 0.5 * ready / longest for stage, ready in places]
    for index in logic.out_idxs:  # alkaid cuts between 0 and the last time, in equal parts
        times[index] = float(stages)
    ops = [op._replace(latency=time) for op, time in zip(logic.ops, times, strict=True)]
    return to_pipeline(logic._replace(ops=ops), n_stages=stages, verbose=False)

"""A cut circuit as a pipeline: where each operation is placed, and the registers between stages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from alkaid.stateful import FSM, Conn, ModuloSchedule, Signal
from alkaid.trace.pipeline import to_pipeline
from alkaid.types import CombLogic

__all__ = ["Cut", "pipelined", "stages_of"]

Cut = tuple[tuple[int, float], ...]
"""For every operation its stage, counted from 0, and the time in ns at which it is ready in that stage."""

_INPUT = -1


def stages_of(places: Cut) -> int:
    """Number of stages."""
    return max(stage for stage, _ in places) + 1


def pipelined(logic: CombLogic, places: Cut, held: int = 0) -> FSM:
    """The circuit with a register in front of every stage and one behind the last.

    The last ``held`` inputs never change while events are inside: they reach the stages without registers,
    through a port ``weights`` of its own.
    """
    stages = stages_of(places)
    longest = max(ready for _, ready in places) or 1.0
    times = [stage + 0.25 + 0.5 * ready / longest for stage, ready in places]
    for index in logic.out_idxs:  # alkaid cuts between 0 and the last time, in equal parts
        times[index] = float(stages)
    ops = [op._replace(latency=time) for op, time in zip(logic.ops, times, strict=True)]
    fsm = to_pipeline(logic._replace(ops=ops), n_stages=stages, verbose=False)
    return _bypassed(fsm, held) if held else fsm


def _bypassed(fsm: FSM, held: int) -> FSM:
    """A pipeline of alkaid's whose last ``held`` inputs go around its registers."""
    logic = dict(fsm.logic)
    every = ModuloSchedule((0,), 1)
    kinds = [tuple(q.kif for q in comb.inp_qint) for comb in logic.values()]
    events = len(kinds[0]) - held
    before = Signal("model_inp", True, kinds[0][:events], reg=False, mode="r", schedule=every)
    weights = Signal("weights", True, kinds[0][events:], reg=False, mode="r", schedule=every)
    conns: list[Conn] = []
    origin = [*[None] * events, *range(held)]  # of each input of a stage: the weight it is, or None
    for (name, comb), types in zip(logic.items(), kinds, strict=True):
        moving = [place for place, weight in enumerate(origin) if weight is None]
        following = Signal(f"{name}_next", False, tuple(types[place] for place in moving), reg=False)
        register = Signal(f"{name}_reg", False, following.precisions)
        inputs = Signal(f"INTERNAL_{name}_inp", False, types, reg=False)
        taken = range(events) if before.exposed else moving
        conns += _joined(before, taken, following, range(len(moving)))
        conns.append(Conn(following, register))
        conns += _joined(register, range(len(moving)), inputs, moving)
        still = [(weight, place) for place, weight in enumerate(origin) if weight is not None]
        conns += _joined(weights, [weight for weight, _ in still], inputs, [place for _, place in still])
        before = Signal(f"INTERNAL_{name}_outp", False, tuple(q.kif for q in comb.out_qint), reg=False)
        passed = [comb.ops[index] for index in comb.out_idxs]
        origin = [origin[op.data[0]] if op.opcode == _INPUT else None for op in passed]
    score = Signal("model_out", True, before.precisions, schedule=ModuloSchedule((len(logic) + 1,), 1))
    return FSM(logic, (*conns, Conn(before, score)))


def _joined(source: Signal, taken: Sequence[int], sink: Signal, places: Sequence[int]) -> Iterator[Conn]:
    """Connections of ``taken[k]`` of one signal to ``places[k]`` of the other, a run of neighbours as one."""
    pairs = list(zip(taken, places, strict=True))
    start = 0
    for end in range(1, len(pairs) + 1):
        if end == len(pairs) or pairs[end] != (pairs[end - 1][0] + 1, pairs[end - 1][1] + 1):
            (a, b), count = pairs[start], end - start
            yield Conn(source[a : a + count], sink[b : b + count])
            start = end

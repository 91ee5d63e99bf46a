"""A cut circuit as a pipeline: where each operation is placed, and the registers between stages."""

from __future__ import annotations

from alkaid.stateful import FSM
from alkaid.trace.pipeline import to_pipeline
from alkaid.types import CombLogic

__all__ = ["Cut", "pipelined", "stages_of"]

Cut = tuple[tuple[int, float], ...]
"""For every operation its stage, counted from 0, and the time in ns at which it is ready in that stage."""


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

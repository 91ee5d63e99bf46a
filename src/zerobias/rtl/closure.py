"""Close timing: cut, synthesise and time a circuit until its estimated fmax reaches the target's clock.

The cut follows planned delays (:mod:`zerobias.rtl.schedule`), static timing of the netlist has the last word.
When a try is too slow, the planned time of a stage shrinks in proportion to what was missed until the
pipeline has at least one stage more. Each try is kept in its own folder and not made twice.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from zerobias.rtl.arcs import CellArcs, cell_library, read_arcs
from zerobias.rtl.design import RtlDesign, write_design
from zerobias.rtl.netlist import read_netlist
from zerobias.rtl.packing import Resources, pack
from zerobias.rtl.pipeline import Cut, stages_of
from zerobias.rtl.schedule import PLANNED_SHARE, longest_path_ps, planned_cut, schedule
from zerobias.rtl.timing import Fmax, fmax
from zerobias.rtl.trace import Circuit
from zerobias.rtl.yosys import Synthesis, synthesise
from zerobias.targets import Target

__all__ = ["Attempt", "close_timing"]

_log = logging.getLogger(__name__)
_TRIES = 4
_SHRINK, _SHRINKS = 0.97, 40


@dataclass(frozen=True)
class Attempt:
    """One cut with what synthesis and static timing found for it.

    ``latency_ns`` is the latency at the target's clock, and None where the estimated fmax does not reach it.
    """

    design: RtlDesign
    synthesis: Synthesis
    resources: Resources
    fmax: Fmax
    latency_ns: float | None

    @property
    def closed(self) -> bool:
        """Whether the estimated fmax reaches the target's clock."""
        return self.latency_ns is not None


def close_timing(
    circuit: Circuit,
    target: Target,
    folder: Path,
    *,
    name: str,
    tries: int = _TRIES,
    timeout_s: float = 600,
    memory_gb: float = 8,
    progress: Callable[[str], None] | None = None,
) -> tuple[Attempt, ...]:
    """Attempts in order, each with more stages than the one before; the last one counts.

    It ends at the first whose estimated fmax reaches the clock of ``target``, after ``tries`` attempts, or
    when more stages cannot help because one operation alone is too slow. ``folder``/<stages> holds design and
    netlist of each. Raises what :func:`synthesise` and :func:`fmax` raise.
    """
    arcs = read_arcs(cell_library(), target.cell_delay)
    aim = longest_path_ps(target)
    stage_ps = aim * PLANNED_SHARE
    places: Cut | None = planned_cut(circuit.logic, target)
    attempts: list[Attempt] = []
    while places is not None and len(attempts) < tries:
        place = folder / f"{stages_of(places)}_stages"
        design = write_design(circuit, target, place / "design", name=name, places=places)
        synthesis = synthesise(
            design.files("verilog"),
            design.name,
            target.part,
            place,
            progress=progress,
            timeout_s=timeout_s,
            memory_gb=memory_gb,
        )
        netlist = read_netlist(synthesis.netlist)
        found = fmax(netlist, arcs)
        reached = found.mhz >= target.clock_mhz
        latency = design.latency * target.clock_ns if reached else None
        attempts.append(Attempt(design, synthesis, pack(netlist), found, latency))
        _log.info("%s: %d stages, estimated fmax %.0f MHz", name, design.stages, found.mhz)
        if reached:
            break
        stage_ps *= aim / found.timing.worst_ps
        places = _finer(circuit, stage_ps, design.stages, arcs)
    return tuple(attempts)


def _finer(circuit: Circuit, stage_ps: float, stages: int, arcs: Mapping[str, CellArcs]) -> Cut | None:
    """The coarsest cut at or below ``stage_ps`` with more than ``stages`` stages, None when there is none."""
    for _ in range(_SHRINKS):
        places = schedule(circuit.logic, stage_ps, arcs)
        if stages_of(places) > stages:
            return places
        stage_ps *= _SHRINK
    return None

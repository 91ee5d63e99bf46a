"""Simulate an :class:`EventSet`: pool, strata, overlay; the same seed gives the same sample.

Work is cut into fixed chunks, each with its own seed, so who makes them, and when, changes nothing.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from zerobias.events import SHAPES, EventSet, stamp, write
from zerobias.executor import Run, run_chunks
from zerobias.simulate.crossings import plan_crossings
from zerobias.simulate.generate import generator_version
from zerobias.simulate.overlay import Crossings
from zerobias.simulate.pool import make_pool
from zerobias.simulate.spec import Detector, ProcessCard, ZeroBiasCard, load_cards
from zerobias.simulate.stages import make_crossings, make_deposits, muon_probabilities

__all__ = ["simulate", "simulate_to_file"]

Progress = Callable[[str, int, int], None]


def _silent(step: str, done: int, total: int) -> None:
    pass


def simulate(
    detector: Detector,
    card: ZeroBiasCard,
    processes: Sequence[ProcessCard],
    folder: Path,
    *,
    seed: int,
    run: Run = run_chunks,
    progress: Progress = _silent,
) -> EventSet:
    """Zero bias and signals as the cards say, from the pool in ``folder``, which is made or completed.

    ``folder`` keeps the files of all chunks, so that a second run makes only what is missing.
    Zero bias is split 50/20/30 % into train, tuning and test, signals 25/75 % into tuning and test;
    splits share no pool interaction. ``progress`` is called with (step, done, total).
    """
    pool = make_pool(folder, card, processes, seed=seed, run=run, progress=progress)
    strata = pool.strata(card)
    simulation = make_deposits(pool, strata, detector, run=run, progress=progress)
    muons = muon_probabilities(simulation, card, seed, run=run, progress=progress)
    chunks = plan_crossings(card, strata, muons, len(processes), seed)
    results = make_crossings(simulation, chunks, run=run, progress=progress)
    sizes = [c.events for c in chunks]
    cards = [c.model_dump(mode="json") for c in (detector, card, *processes)]
    return EventSet(
        {
            name: np.concatenate([vars(r)[name] for r in results])
            for name in SHAPES
            if name in Crossings.__dataclass_fields__
        },
        np.repeat([c.weight for c in chunks], sizes).astype(np.float64),
        np.concatenate([r.npu for r in results]),
        np.repeat([c.process for c in chunks], sizes).astype(np.uint8),
        np.repeat([c.split for c in chunks], sizes).astype(np.uint8),
        ("zero_bias", *(p.name for p in processes)),
        {
            "description": "simulated zero bias and signals: Pythia 8 and a parametrised Level-1 emulation",
            "pythia": generator_version(),
            "tune": card.tune,
            "seed": seed,
            "cards": hashlib.sha256(json.dumps(cards, sort_keys=True).encode()).hexdigest(),
        },
    )


def simulate_to_file(
    path: Path,
    *,
    cards: Path | None = None,
    scale: float = 1.0,
    seed: int | None = None,
    run: Run = run_chunks,
    pool: Path | None = None,
    progress: Progress = _silent,
) -> EventSet:
    """Simulate the sample of the triggers shelf (or the folder ``cards``) into ``path`` and its hash.

    ``scale`` multiplies the numbers of events; with the defaults the shipped sample is made again.
    ``pool``: a folder that keeps the collisions and all that follows for another time. ``run``: where the
    chunks are made.
    """
    detector, card, processes = load_cards(cards)
    with tempfile.TemporaryDirectory() as scratch:
        events = simulate(
            detector,
            card.scaled(scale),
            processes,
            pool or Path(scratch),
            seed=card.seed if seed is None else seed,
            run=run,
            progress=progress,
        )
    events = replace(events, provenance={**events.provenance, "scale": scale})
    write(path, events)
    stamp(path)
    return events

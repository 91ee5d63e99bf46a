"""Simulate an :class:`EventSet`: pool, strata, overlay; the same seed gives the same sample.

Work is cut into fixed chunks, each with its own seed, so the number of workers changes nothing.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from zerobias.events import SHAPES, EventSet, file_digest, write
from zerobias.files import write_text
from zerobias.simulate.crossings import OverlayChunk, Simulation, plan_crossings
from zerobias.simulate.generate import generator_version
from zerobias.simulate.overlay import Crossings
from zerobias.simulate.pool import Pool, generate_chunk, plan_pool, prepare
from zerobias.simulate.spec import Detector, ProcessCard, ZeroBiasCard, load_cards

__all__ = ["make_pool", "simulate", "simulate_to_file", "write_stamped"]

Progress = Callable[[str, int, int], None]
_Map = Callable[[Callable[[Any], Any], Sequence[Any]], Iterator[Any]]

_state: dict[str, Simulation] = {}


def _silent(step: str, done: int, total: int) -> None:
    pass


def make_pool(
    folder: Path,
    card: ZeroBiasCard,
    processes: Sequence[ProcessCard] = (),
    *,
    seed: int | None = None,
    workers: int = 1,
    progress: Progress = _silent,
) -> Pool:
    """The pool of collisions of a recipe in ``folder``; chunks that are there already are kept."""
    pool = plan_pool(folder, card, processes, card.seed if seed is None else seed)
    prepare(pool)
    with _executor(workers) as execute:
        for done, _ in enumerate(execute(partial(generate_chunk, folder), pool.chunks), 1):
            progress("generate", done, len(pool.chunks))
    return pool


def simulate(
    detector: Detector,
    card: ZeroBiasCard,
    processes: Sequence[ProcessCard],
    folder: Path,
    *,
    seed: int,
    workers: int = 1,
    progress: Progress = _silent,
) -> EventSet:
    """Zero bias and signals as the cards say, from the pool in ``folder``, which is made or completed.

    Zero bias is split 50/20/30 % into train, tuning and test, signals 25/75 % into tuning and test;
    splits share no pool interaction. ``progress`` is called with (step, done, total).
    """
    pool = make_pool(folder, card, processes, seed=seed, workers=workers, progress=progress)
    simulation = Simulation.load(pool, card, detector)
    chunks = plan_crossings(card, simulation, seed)
    _state["simulation"] = simulation
    results: list[Crossings] = []
    with _executor(workers) as execute:  # forked now, so that its workers inherit the deposits
        for result in execute(_run, chunks):
            results.append(result)
            progress("overlay", len(results), len(chunks))
    _state.clear()
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
    workers: int = 2,
    pool: Path | None = None,
    progress: Progress = _silent,
) -> EventSet:
    """Simulate the sample of the triggers shelf (or the folder ``cards``) into ``path`` and its hash.

    ``scale`` multiplies the numbers of events; with the defaults the shipped sample is made again.
    ``pool``: a folder that keeps the collisions for another time.
    """
    detector, card, processes = load_cards(cards)
    with tempfile.TemporaryDirectory() as scratch:
        events = simulate(
            detector,
            card.scaled(scale),
            processes,
            pool or Path(scratch),
            seed=card.seed if seed is None else seed,
            workers=workers,
            progress=progress,
        )
    events = replace(events, provenance={**events.provenance, "scale": scale})
    write_stamped(path, events)
    return events


def write_stamped(path: Path, events: EventSet) -> None:
    """Write ``events`` to ``path``, and their SHA-256 beside it."""
    write(path, events)
    write_text(path.with_name(path.name + ".sha256"), f"{file_digest(path)}  {path.name}\n")


def _run(chunk: OverlayChunk) -> Crossings:
    return _state["simulation"].run(chunk)


@contextmanager
def _executor(workers: int) -> Iterator[_Map]:
    """Map in order over a function's arguments, in this process or in forked workers."""
    if workers == 1:
        yield map
        return
    pool = ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("fork"))
    try:
        yield pool.map
    finally:
        pool.shutdown(cancel_futures=True)

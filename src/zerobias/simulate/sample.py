"""Simulate an :class:`EventSet`: pool, strata, overlay; the same seed gives the same sample.

Work is cut into fixed chunks, each with its own seed, so the number of workers changes nothing.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zerobias.events import SPLITS, EventSet, file_digest, write
from zerobias.simulate.generate import Particles, generate, generator_version
from zerobias.simulate.overlay import Crossings, overlay
from zerobias.simulate.spec import Detector, ProcessCard, ZeroBiasCard, load_cards
from zerobias.simulate.strata import Strata
from zerobias.simulate.towers import Deposits, deposit

__all__ = ["simulate", "simulate_to_file"]

Progress = Callable[[str, int, int], None]

_GENERATED_PER_CHUNK = 2500
_CROSSINGS_PER_CHUNK = 500
_POOL_SHARES = (0.5, 0.2, 0.3)
_SIGNAL_SHARES = (0.0, 0.25, 0.75)
_MAX_PYTHIA_SEED = 900_000_000


@dataclass(frozen=True)
class _Batch:
    """One chunk of crossings of one stratum or signal and split."""

    process: int
    split: int
    stratum: int | None
    events: int
    weight: float
    first_signal: int
    seed: int


@dataclass(frozen=True)
class _Pools:
    """Deposits of all pool interactions, where each slice starts, and of each signal."""

    pool: Deposits
    starts: tuple[int, ...]
    signals: tuple[Deposits, ...]


_state: dict[str, Any] = {}


def simulate(
    detector: Detector,
    card: ZeroBiasCard,
    processes: Sequence[ProcessCard],
    *,
    seed: int,
    workers: int = 1,
    progress: Progress = lambda step, done, total: None,
) -> EventSet:
    """Zero bias and signals as the cards say.

    Zero bias is split 50/20/30 % into train, tuning and test, signals 25/75 % into tuning and test;
    splits share no pool interaction. ``progress`` is called with (step, done, total).
    """
    seeds = _seeds(seed)
    with _Executor(workers) as execute:
        pools, strata = _make_pools(detector, card, processes, seeds, execute, progress)
    batches = list(_batches(card, processes, strata, seeds))
    _state.update(pools=pools, strata=strata, detector=detector)
    results: list[Crossings] = []
    with _Executor(workers) as execute:  # forked now, so that its workers inherit the pools
        for result in execute(_run_batch, batches):
            results.append(result)
            progress("overlay", len(results), len(batches))
    _state.clear()
    return EventSet(
        {
            "objects": np.concatenate([r.objects for r in results]),
            "regions": np.concatenate([r.regions for r in results]),
        },
        np.repeat([b.weight for b in batches], [b.events for b in batches]).astype(np.float64),
        np.concatenate([r.npu for r in results]),
        np.repeat([b.process for b in batches], [b.events for b in batches]).astype(np.uint8),
        np.repeat([b.split for b in batches], [b.events for b in batches]).astype(np.uint8),
        ("zero_bias", *(p.name for p in processes)),
        {
            "description": "simulated zero bias and signals: Pythia 8 and a parametrised Level-1 emulation",
            "pythia": generator_version(),
            "seed": seed,
            "cards": hashlib.sha256(
                json.dumps(
                    [c.model_dump(mode="json") for c in (detector, card, *processes)], sort_keys=True
                ).encode()
            ).hexdigest(),
        },
    )


def simulate_to_file(
    path: Path,
    *,
    cards: Path | None = None,
    scale: float = 1.0,
    seed: int | None = None,
    workers: int = 2,
    progress: Progress = lambda step, done, total: None,
) -> EventSet:
    """Simulate the sample of the triggers shelf (or the folder ``cards``) into ``path`` and its hash.

    ``scale`` multiplies the numbers of events; with the defaults the shipped sample is made again.
    """
    detector, card, processes = load_cards(cards)
    card = card.model_copy(
        update={
            "natural": max(1, round(card.natural * scale)),
            "signal": max(1, round(card.signal * scale)),
            "slice": tuple(
                s.model_copy(
                    update={"forced": round(s.forced * scale), "pool": max(20, round(s.pool * scale))}
                )
                for s in card.slice
            ),
        }
    )
    events = simulate(
        detector,
        card,
        processes,
        seed=card.seed if seed is None else seed,
        workers=workers,
        progress=progress,
    )
    events = replace(events, provenance={**events.provenance, "scale": scale})
    write(path, events)
    stamp = path.with_name(path.name + ".sha256")
    temporary = stamp.with_name(f".{stamp.name}.tmp")
    temporary.write_text(f"{file_digest(path)}  {path.name}\n")
    os.replace(temporary, stamp)
    return events


def _seeds(seed: int) -> Iterator[int]:
    """An endless stream of seeds for Pythia and the overlay."""
    rng = np.random.default_rng(seed)
    while True:
        yield int(rng.integers(1, _MAX_PYTHIA_SEED))


class _Executor:
    """Map in order over a function's arguments, in this process or in forked workers."""

    def __init__(self, workers: int) -> None:
        context = multiprocessing.get_context("fork")
        self.pool = ProcessPoolExecutor(workers, mp_context=context) if workers > 1 else None

    def __enter__(self) -> Callable[[Callable[[Any], Any], Sequence[Any]], Iterator[Any]]:
        return self.pool.map if self.pool is not None else map

    def __exit__(self, *exception: object) -> None:
        if self.pool is not None:
            self.pool.shutdown(cancel_futures=True)


def _make_pools(
    detector: Detector,
    card: ZeroBiasCard,
    processes: Sequence[ProcessCard],
    seeds: Iterator[int],
    execute: Callable[[Callable[[Any], Any], Sequence[Any]], Iterator[Any]],
    progress: Progress,
) -> tuple[_Pools, Strata]:
    jobs = []
    groups = []
    for index, (settings, count, veto, process) in enumerate(
        [((*card.tune, *s.settings), s.pool, s.pthat_max, None) for s in card.slice]
        + [((*card.tune, *p.settings), card.signal, None, p) for p in processes]
    ):
        for start in range(0, count, _GENERATED_PER_CHUNK):
            size = min(_GENERATED_PER_CHUNK, count - start)
            jobs.append((settings, size, veto, process, detector, next(seeds)))
            groups.append(index)
    made: list[tuple[Deposits, float, int]] = []
    for result in execute(_run_generation, jobs):
        made.append(result)
        progress("generate", len(made), len(jobs))
    merged = []
    sigma = []
    for index in range(len(card.slice) + len(processes)):
        mine = [m for m, group in zip(made, groups, strict=True) if group == index]
        merged.append(_merge([m[0] for m in mine]))
        sigma.append(sum(m[1] * m[2] for m in mine) / sum(m[2] for m in mine))
    slices = len(card.slice)
    hard = [s / card.sigma_inelastic_mb for s in sigma[1:slices]]
    strata = Strata(
        (1 - sum(hard), *hard), tuple(s.forced > 0 for s in card.slice), card.pileup_mean, card.pileup_sigma
    )
    starts = np.concatenate([[0], np.cumsum([len(m.offset) - 1 for m in merged[:slices]])])
    pool = _merge(merged[:slices])
    return _Pools(pool, tuple(int(s) for s in starts), tuple(merged[slices:])), strata


def _batches(
    card: ZeroBiasCard, processes: Sequence[ProcessCard], strata: Strata, seeds: Iterator[int]
) -> Iterator[_Batch]:
    for split in range(len(SPLITS)):
        for stratum, wanted in [(-1, card.natural)] + [
            (i, s.forced) for i, s in enumerate(card.slice) if s.forced
        ]:
            # At least one: a split without a stratum would lack its probability.
            events = max(1, round(wanted * _POOL_SHARES[split]))
            weight = strata.probability(stratum) / events
            for start in range(0, events, _CROSSINGS_PER_CHUNK):
                size = min(_CROSSINGS_PER_CHUNK, events - start)
                yield _Batch(0, split, stratum, size, weight, -1, next(seeds))
    for process in range(len(processes)):
        first = 0
        for split, (start, stop) in enumerate(_cuts(card.signal, _SIGNAL_SHARES)):
            for first in range(start, stop, _CROSSINGS_PER_CHUNK):
                size = min(_CROSSINGS_PER_CHUNK, stop - first)
                yield _Batch(process + 1, split, None, size, 1.0, first, next(seeds))


def _cuts(count: int, shares: Sequence[float]) -> list[tuple[int, int]]:
    """(start, stop) of each split when ``count`` events are cut by ``shares``."""
    edges = [round(count * sum(shares[:i])) for i in range(len(shares) + 1)]
    return list(pairwise(edges))


def _run_generation(job: tuple[Any, ...]) -> tuple[Deposits, float, int]:
    settings, size, veto, process, detector, seed = job
    particles: Particles = generate(settings, size, seed, pthat_max=veto, card=process)
    return deposit(particles, detector, seed), particles.sigma_mb, size


def _run_batch(batch: _Batch) -> Crossings:
    pools: _Pools = _state["pools"]
    strata: Strata = _state["strata"]
    rng = np.random.default_rng(batch.seed)
    usable: list[NDArray[np.int64]] = []
    for start, stop in zip(pools.starts[:-1], pools.starts[1:], strict=True):
        low, high = _cuts(stop - start, _POOL_SHARES)[batch.split]
        usable.append(np.arange(start + low, start + high))
    chosen, counts = strata.draw(rng, batch.stratum, batch.events, usable)
    signal = None
    signal_pool = pools.pool
    if batch.process:
        signal = np.arange(batch.first_signal, batch.first_signal + batch.events)
        signal_pool = pools.signals[batch.process - 1]
    return overlay(chosen, counts, pools.pool, signal, signal_pool, _state["detector"], batch.seed % 2**31)


def _merge(parts: Sequence[Deposits]) -> Deposits:
    """Deposits of several chunks in one, in order."""

    def joined(name: str) -> NDArray[Any]:
        arrays = [getattr(p, name) for p in parts]
        if not name.endswith("offset"):
            return np.concatenate(arrays)
        shifts = np.cumsum([0, *(a[-1] for a in arrays[:-1])])
        return np.concatenate([[0], *(a[1:] + s for a, s in zip(arrays, shifts, strict=True))])

    return Deposits(**{name: joined(name) for name in Deposits.__dataclass_fields__})

"""Simulate HGCAL wafers: pool interactions overlaid at high pile-up, parametrised showers, read-out.

Work is cut into fixed chunks, each with its own seed, so that they may be run anywhere in any order.
"""

from __future__ import annotations

import hashlib
import math
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zerobias.errors import SpecError
from zerobias.events import SPLITS, EventSet
from zerobias.events.wafer import PITCH_CM, cell_of
from zerobias.simulate.generate import Particles, generator_version
from zerobias.simulate.hgcal import Hgcal, load_hgcal
from zerobias.simulate.pool import Pool
from zerobias.simulate.sample import make_pool, write_stamped
from zerobias.simulate.showers import ELECTRON, PHOTON
from zerobias.simulate.spec import ZeroBiasCard, load_cards
from zerobias.simulate.strata import Strata
from zerobias.simulate.wafer_images import Hits, digitise, expose, strike

__all__ = ["ParticlePool", "particle_pool", "simulate_wafers", "wafers_to_file"]

Progress = Callable[[str, int, int], None]

_SIGNALS = {"electron": ELECTRON, "photon": PHOTON}
_SHARES = (0.5, 0.2, 0.3)
_CROSSINGS_PER_CHUNK, _SIGNALS_PER_CHUNK = 100, 500


@dataclass(frozen=True)
class ParticlePool:
    """Interactions to overlay: ``slices`` of events and the probability of each slice."""

    slices: tuple[Particles, ...]
    probabilities: tuple[float, ...]


@dataclass(frozen=True)
class _Chunk:
    """Crossings of one process and split."""

    process: int
    split: int
    crossings: int
    seed: tuple[int, int]


def particle_pool(pool: Pool, card: ZeroBiasCard) -> ParticlePool:
    """The particles of all slices of a pool in memory, with the slices' probabilities."""
    return ParticlePool(
        tuple(_joined([pool.particles(chunk) for chunk in chunks]) for chunks in pool.slices),
        tuple(pool.strata(card).p),
    )


def _joined(parts: Sequence[Particles]) -> Particles:
    """Events of several chunks, one after the other."""
    ends = np.cumsum([part.offset[-1] for part in parts])
    starts = [0, *ends[:-1]]
    offset = np.concatenate([[0], *(p.offset[1:] + start for p, start in zip(parts, starts, strict=True))])
    columns = {
        name: np.concatenate([getattr(part, name) for part in parts])
        for name in ("pdg", "pt", "eta", "phi", "mass")
    }
    return Particles(offset=offset.astype(np.int64), **columns, sigma_mb=float(parts[0].sigma_mb))


def wafers_to_file(
    path: Path,
    *,
    cards: Path | None = None,
    workers: int = 2,
    pool: Path | None = None,
    progress: Progress = lambda step, done, total: None,
) -> EventSet:
    """Simulate the wafers of the triggers shelf (or the folder ``cards``) into ``path`` and its hash.

    The collisions are the first ones of the Level-1 sample's pool, in the folder ``pool`` if given.
    """
    _, card, _ = load_cards(cards)
    hgcal = load_hgcal(cards)
    part = card.scaled(hgcal.pool_share)
    with tempfile.TemporaryDirectory() as scratch:
        made = make_pool(pool or Path(scratch), part, seed=card.seed, workers=workers, progress=progress)
        events = simulate_wafers(particle_pool(made, part), hgcal, seed=hgcal.seed, progress=progress)
    write_stamped(path, events)
    return events


def simulate_wafers(
    pool: ParticlePool,
    hgcal: Hgcal,
    *,
    seed: int,
    progress: Progress = lambda step, done, total: None,
) -> EventSet:
    """Zero bias, electrons and photons on the wafers of ``hgcal``; wafers without charge are left out.

    Every zero-bias crossing gives one image per place, and each of the N images of a split weighs 1 / N.
    A signal image holds one particle that points at a random spot of a random wafer, on top of pile-up.
    All processes are split 50/20/30 % into train, tuning and test; splits share no pool interaction.
    ``progress`` is called with (step, done, total). Raises ``SpecError`` when a slice of the pool has too
    few events to be split.
    """
    for number, particles in enumerate(pool.slices):
        events = len(particles.offset) - 1
        if any(start == stop for start, stop in _cuts(events)):
            raise SpecError(
                f"slice {number} of the pool has {events} events: each split needs its own, make at least 4"
            )
    hits = strike(pool.slices, hgcal)
    chunks = list(_chunks(hgcal, seed))
    parts = []
    for chunk in chunks:
        parts.append(_run(chunk, pool, hits, hgcal))
        progress("wafers", len(parts), len(chunks))
    counts, place, energy, npu = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    images = [len(part[0]) for part in parts]
    process = np.repeat([c.process for c in chunks], images).astype(np.uint8)
    split = np.repeat([c.split for c in chunks], images).astype(np.uint8)
    weight = np.ones(len(process))
    for number in range(len(SPLITS)):
        mine = (process == 0) & (split == number)
        weight[mine] = 1 / max(mine.sum(), 1)
    return EventSet(
        {"wafer": counts, "wafer_place": place, "wafer_energy": energy},
        weight,
        npu,
        process,
        split,
        ("zero_bias", *_SIGNALS),
        {
            "description": "simulated HGCAL wafers: Pythia 8 and parametrised showers",
            "pythia": generator_version(),
            "seed": seed,
            "pool_events": [len(particles.offset) - 1 for particles in pool.slices],
            "cards": hashlib.sha256(hgcal.model_dump_json().encode()).hexdigest(),
        },
    )


def _chunks(hgcal: Hgcal, seed: int) -> Iterator[_Chunk]:
    number = 0
    for process in range(1 + len(_SIGNALS)):
        total, size = (
            (hgcal.signal, _SIGNALS_PER_CHUNK) if process else (hgcal.crossings, _CROSSINGS_PER_CHUNK)
        )
        for split, (start, stop) in enumerate(_cuts(total)):
            for first in range(start, stop, size):
                yield _Chunk(process, split, min(size, stop - first), (seed, number))
                number += 1


def _cuts(count: int) -> list[tuple[int, int]]:
    """(start, stop) of each split of ``count`` things."""
    return list(pairwise(round(count * sum(_SHARES[:i])) for i in range(len(_SHARES) + 1)))


def _run(chunk: _Chunk, pool: ParticlePool, hits: Hits, hgcal: Hgcal) -> tuple[NDArray[Any], ...]:
    """ADC counts, places, energies and pile-up of the images of a chunk that hold charge."""
    rng = np.random.default_rng(chunk.seed)
    usable = []
    first = 0
    for particles in pool.slices:
        start, stop = _cuts(len(particles.offset) - 1)[chunk.split]
        usable.append(np.arange(first + start, first + stop))
        first += len(particles.offset) - 1
    strata = Strata(pool.probabilities, (False,) * len(usable), hgcal.pileup_mean, hgcal.pileup_sigma)
    interactions, pileup = strata.draw(rng, None, chunk.crossings, usable)
    if chunk.process:
        which = rng.integers(len(hgcal.place), size=(chunk.crossings, 1))
        kind = list(_SIGNALS.values())[chunk.process - 1]
        signal = np.array([_aim(rng, kind, place, hgcal) for place in which[:, 0]])
    else:
        which = np.tile(np.arange(len(hgcal.place)), (chunk.crossings, 1))
        signal = np.zeros((chunk.crossings, 4))
    charge = expose(hits, interactions, pileup, signal, which, hgcal, int(rng.integers(2**31)))
    places = np.array(
        [(p.layer, p.u, p.v, hgcal.type_of(p), round(1000 * hgcal.eta(p))) for p in hgcal.place], np.int16
    )[which]
    counts = digitise(rng, charge, places[..., 3], hgcal)
    keep = counts.any(axis=-1)
    crossing = np.nonzero(keep)[0]
    return (
        counts[keep],
        places[keep],
        np.rint(1000 * signal[:, 2]).astype(np.uint32)[crossing],
        np.minimum(pileup, 65535).astype(np.uint16)[crossing],
    )


def _aim(rng: np.random.Generator, kind: int, place: int, hgcal: Hgcal) -> tuple[float, float, float, int]:
    """A particle (x / z, y / z, energy in GeV, kind) that points at a random spot of a wafer."""
    card = hgcal.place[place]
    while True:
        x, y = rng.uniform(-4, 4, 2)
        if cell_of(x, y) >= 0:
            break
    depth, centre = hgcal.depth_cm(card.layer), hgcal.centre_cm(card)
    slope_x, slope_y = (centre[0] + x * PITCH_CM) / depth, (centre[1] + y * PITCH_CM) / depth
    low, high = np.log(hgcal.signal_pt_gev)
    pt = math.exp(rng.uniform(low, high))
    return slope_x, slope_y, pt * math.hypot(1, 1 / math.hypot(slope_x, slope_y)), kind

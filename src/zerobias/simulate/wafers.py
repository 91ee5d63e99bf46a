"""Simulate HGCAL wafers: pool interactions overlaid at high pile-up, parametrised showers, read-out.

Work is cut into fixed chunks, each with its own seed, so who makes them, and when, changes nothing.
"""

from __future__ import annotations

import hashlib
import json
import math
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, fields
from functools import lru_cache, partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zerobias.errors import SpecError
from zerobias.events import SPLITS, EventSet, stamp, write
from zerobias.events.wafer import PITCH_CM, cell_of
from zerobias.executor import Run, run_chunks
from zerobias.files import tree_digest, write_text
from zerobias.simulate.arrays import load, save
from zerobias.simulate.generate import Particles, generator_version
from zerobias.simulate.hgcal import Hgcal, load_hgcal
from zerobias.simulate.pool import Pool, chunk_path, make_pool, short_digest
from zerobias.simulate.showers import ELECTRON, PHOTON
from zerobias.simulate.spec import load_cards
from zerobias.simulate.strata import Strata
from zerobias.simulate.wafer_images import Hits, digitise, expose, strike

__all__ = [
    "Images",
    "WaferChunk",
    "WaferSimulation",
    "plan_wafers",
    "simulate_wafers",
    "wafer_chunk",
    "wafers_to_file",
]

Progress = Callable[[str, int, int], None]

_SIGNALS = {"electron": ELECTRON, "photon": PHOTON}
_SHARES = (0.5, 0.2, 0.3)
_CROSSINGS_PER_CHUNK, _SIGNALS_PER_CHUNK = 100, 500


@dataclass(frozen=True)
class WaferChunk:
    """Crossings of one process and split."""

    process: int
    split: int
    crossings: int
    seed: tuple[int, int]


@dataclass(frozen=True)
class Images:
    """ADC counts, places, energies and pile-up of n images, as :data:`zerobias.events.SHAPES` says."""

    counts: NDArray[np.uint32]
    place: NDArray[np.int16]
    energy: NDArray[np.uint32]
    npu: NDArray[np.uint16]


@dataclass(frozen=True)
class WaferSimulation:
    """Endcap hits of all pool interactions: ``sizes`` events of each slice, and its probability."""

    hgcal: Hgcal
    sizes: tuple[int, ...]
    probabilities: tuple[float, ...]
    hits: Hits

    @classmethod
    def load(cls, path: Path) -> WaferSimulation:
        """From the file ``wafers-*.json`` of :func:`simulate_wafers` and the collisions beside it."""
        plan = json.loads(path.read_text())
        hgcal = Hgcal.model_validate(plan["hgcal"])
        slices = [[load(path.parent / name, Particles) for name in names] for names in plan["slices"]]
        return cls(
            hgcal,
            tuple(sum(len(part) for part in parts) for parts in slices),
            tuple(plan["probabilities"]),
            strike([part for parts in slices for part in parts], hgcal),
        )

    def run(self, chunk: WaferChunk) -> Images:
        """The images of a chunk that hold charge."""
        hgcal = self.hgcal
        rng = np.random.default_rng(chunk.seed)
        usable = []
        first = 0
        for size in self.sizes:
            start, stop = _cuts(size)[chunk.split]
            usable.append(np.arange(first + start, first + stop))
            first += size
        strata = Strata(self.probabilities, (False,) * len(usable), hgcal.pileup_mean, hgcal.pileup_sigma)
        interactions, pileup = strata.draw(rng, None, chunk.crossings, usable)
        if chunk.process:
            which = rng.integers(len(hgcal.place), size=(chunk.crossings, 1))
            kind = list(_SIGNALS.values())[chunk.process - 1]
            signal = np.array([_aim(rng, kind, place, hgcal) for place in which[:, 0]])
        else:
            which = np.tile(np.arange(len(hgcal.place)), (chunk.crossings, 1))
            signal = np.zeros((chunk.crossings, 4))
        charge = expose(self.hits, interactions, pileup, signal, which, hgcal, int(rng.integers(2**31)))
        places = np.array(
            [(p.layer, p.u, p.v, hgcal.type_of(p), round(1000 * hgcal.eta(p))) for p in hgcal.place], np.int16
        )[which]
        counts = digitise(rng, charge, places[..., 3], hgcal)
        keep = counts.any(axis=-1)
        crossing = np.nonzero(keep)[0]
        return Images(
            counts[keep],
            places[keep],
            np.rint(1000 * signal[:, 2]).astype(np.uint32)[crossing],
            np.minimum(pileup, 65535).astype(np.uint16)[crossing],
        )


def wafers_to_file(
    path: Path,
    *,
    cards: Path | None = None,
    run: Run = run_chunks,
    pool: Path | None = None,
    progress: Progress = lambda step, done, total: None,
) -> EventSet:
    """Simulate the wafers of the triggers shelf (or the folder ``cards``) into ``path`` and its hash.

    The collisions are the first ones of the Level-1 sample's pool, in the folder ``pool`` if given, which
    keeps the files of all chunks. ``run``: where the chunks are made.
    """
    _, card, _ = load_cards(cards)
    hgcal = load_hgcal(cards)
    part = card.scaled(hgcal.pool_share)
    with tempfile.TemporaryDirectory() as scratch:
        made = make_pool(pool or Path(scratch), part, seed=card.seed, run=run, progress=progress)
        strata = made.strata(part)
        events = simulate_wafers(made, strata.p, hgcal, seed=hgcal.seed, run=run, progress=progress)
    write(path, events)
    stamp(path)
    return events


def simulate_wafers(
    pool: Pool,
    probabilities: tuple[float, ...],
    hgcal: Hgcal,
    *,
    seed: int,
    run: Run = run_chunks,
    progress: Progress = lambda step, done, total: None,
) -> EventSet:
    """Zero bias, electrons and photons on the wafers of ``hgcal``; wafers without charge are left out.

    ``pool`` lies on disk, ``probabilities`` are those of its slices. Every zero-bias crossing gives one
    image per place, and each of the N images of a split weighs 1 / N.
    A signal image holds one particle that points at a random spot of a random wafer, on top of pile-up.
    All processes are split 50/20/30 % into train, tuning and test; splits share no pool interaction.
    ``progress`` is called with (step, done, total). Raises ``SpecError`` when a slice of the pool has too
    few events to be split.
    """
    sizes = [sum(chunk.events for chunk in group) for group in pool.slices]
    for number, events in enumerate(sizes):
        if any(start == stop for start, stop in _cuts(events)):
            raise SpecError(
                f"slice {number} of the pool has {events} events: each split needs its own, make at least 4"
            )
    plan = {
        "code": tree_digest(Path(__file__).parent, "*.py"),
        "hgcal": hgcal.model_dump(mode="json"),
        "probabilities": probabilities,
        "slices": [[chunk_path(pool.folder, chunk).name for chunk in group] for group in pool.slices],
    }
    path = pool.folder / f"wafers-{short_digest(plan)}.json"
    write_text(path, json.dumps(plan, indent=1, sort_keys=True) + "\n")
    chunks = list(plan_wafers(hgcal, seed))
    specs = [{"simulation": path.name, "chunk": {**asdict(c), "seed": list(c.seed)}} for c in chunks]
    names = [f"images-{short_digest(spec)}.npz" for spec in specs]
    made = run(wafer_chunk, specs, pool.folder, names=names, progress=partial(progress, "wafers"))
    parts = [load(file, Images) for file in made]
    counts, place, energy, npu = (
        np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(Images)
    )
    images = [len(part.counts) for part in parts]
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
            "pool_events": sizes,
            "cards": hashlib.sha256(hgcal.model_dump_json().encode()).hexdigest(),
        },
    )


def wafer_chunk(spec: dict[str, Any], path: Path) -> None:
    """Chunk function: the images of one :class:`WaferChunk`."""
    save(path, _simulation(path.parents[1] / spec["simulation"]).run(WaferChunk(**spec["chunk"])))


@lru_cache(maxsize=1)
def _simulation(path: Path) -> WaferSimulation:
    """Loaded once a process."""
    return WaferSimulation.load(path)


def plan_wafers(hgcal: Hgcal, seed: int) -> Iterator[WaferChunk]:
    """The chunks of a card: zero bias, then the signals, each split by split."""
    number = 0
    for process in range(1 + len(_SIGNALS)):
        total, size = (
            (hgcal.signal, _SIGNALS_PER_CHUNK) if process else (hgcal.crossings, _CROSSINGS_PER_CHUNK)
        )
        for split, (start, stop) in enumerate(_cuts(total)):
            for first in range(start, stop, size):
                yield WaferChunk(process, split, min(size, stop - first), (seed, number))
                number += 1


def _cuts(count: int) -> list[tuple[int, int]]:
    """(start, stop) of each split of ``count`` things."""
    return list(pairwise(round(count * sum(_SHARES[:i])) for i in range(len(_SHARES) + 1)))


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

"""Stages of the Level-1 sample after its pool: deposits, muon probabilities, crossings.

Each stage is a chunk function over small JSON specs, its files named after what they were made of, in the
pool's folder; so a run resumes, on any machine. The file ``simulation-*.json`` names the deposits that
belong together; a worker loads them once and keeps them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zerobias.executor import Run, run_chunks
from zerobias.files import tree_digest, write_text
from zerobias.simulate.arrays import load, save
from zerobias.simulate.crossings import ZERO_BIAS_SHARES, OverlayChunk, Simulation
from zerobias.simulate.generate import Particles
from zerobias.simulate.overlay import Crossings
from zerobias.simulate.pool import Pool, chunk_path, chunk_seed, short_digest
from zerobias.simulate.spec import Detector, ZeroBiasCard
from zerobias.simulate.strata import Strata
from zerobias.simulate.towers import deposit

__all__ = [
    "deposit_chunk",
    "make_crossings",
    "make_deposits",
    "muon_chunk",
    "muon_probabilities",
    "overlay_chunk",
]

Progress = Callable[[str, int, int], None]
_TRIALS = 600_000


def make_deposits(
    pool: Pool,
    strata: Strata,
    detector: Detector,
    *,
    run: Run = run_chunks,
    progress: Progress = lambda step, done, total: None,
) -> Path:
    """Deposits of every chunk of ``pool``. Gives the file that :meth:`Simulation.load` takes."""
    # Unlike collisions, all that follows is quick to make again: files of other code are not used.
    common = {
        "code": tree_digest(Path(__file__).parent, "*.py"),
        "detector": detector.model_dump(mode="json"),
    }
    specs = [
        {"particles": chunk_path(pool.folder, chunk).name, "seed": chunk.seed, **common}
        for chunk in pool.chunks
    ]
    names = [f"deposits-{short_digest(spec)}.npz" for spec in specs]
    run(deposit_chunk, specs, pool.folder, names=names, progress=partial(progress, "deposits"))
    rest = iter(names)
    groups = [[next(rest) for _ in group] for group in (*pool.slices, *pool.signals)]
    plan = {
        **common,
        "strata": asdict(strata),
        "slices": groups[: len(pool.slices)],
        "signals": groups[len(pool.slices) :],
    }
    path = pool.folder / f"simulation-{short_digest(plan)}.json"
    write_text(path, json.dumps(plan, indent=1, sort_keys=True) + "\n")
    return path


def muon_probabilities(
    simulation: Path,
    card: ZeroBiasCard,
    seed: int,
    *,
    run: Run = run_chunks,
    progress: Progress = lambda step, done, total: None,
) -> list[NDArray[np.float64]]:
    """For each split, :meth:`Simulation.muon_probabilities`; not tried for a recipe without muon classes."""
    if not card.muon:
        return [np.array([1.0, 0, 0, 0, 0])] * len(ZERO_BIAS_SHARES)
    specs = [
        {
            "simulation": simulation.name,
            "split": split,
            "trials": _TRIALS,
            "seed": chunk_seed(seed, "muons", split),
        }
        for split in range(len(ZERO_BIAS_SHARES))
    ]
    names = [f"muons-{short_digest(spec)}.json" for spec in specs]
    paths = run(muon_chunk, specs, simulation.parent, names=names, progress=partial(progress, "muons"))
    return [np.array(json.loads(path.read_text()), np.float64) for path in paths]


def make_crossings(
    simulation: Path,
    chunks: Sequence[OverlayChunk],
    *,
    run: Run = run_chunks,
    progress: Progress = lambda step, done, total: None,
) -> list[Crossings]:
    """The crossings of ``chunks``, in order."""
    specs = [{"simulation": simulation.name, "chunk": {**asdict(c), "muons": list(c.muons)}} for c in chunks]
    names = [f"crossings-{short_digest(spec)}.npz" for spec in specs]
    paths = run(overlay_chunk, specs, simulation.parent, names=names, progress=partial(progress, "overlay"))
    return [load(path, Crossings) for path in paths]


def deposit_chunk(spec: dict[str, Any], path: Path) -> None:
    """Chunk function: deposits of the events of one pool file."""
    particles = load(path.parents[1] / spec["particles"], Particles)
    save(path, deposit(particles, Detector.model_validate(spec["detector"]), spec["seed"]))


def muon_chunk(spec: dict[str, Any], path: Path) -> None:
    """Chunk function: the muon probabilities of one split."""
    simulation = _simulation(path.parents[1] / spec["simulation"])
    found = simulation.muon_probabilities(spec["split"], spec["trials"], spec["seed"])
    path.write_text(json.dumps(found.tolist()))


def overlay_chunk(spec: dict[str, Any], path: Path) -> None:
    """Chunk function: the crossings of one :class:`OverlayChunk`."""
    save(path, _simulation(path.parents[1] / spec["simulation"]).run(OverlayChunk(**spec["chunk"])))


@lru_cache(maxsize=1)
def _simulation(path: Path) -> Simulation:
    """Loaded once a process: it takes longer than a chunk."""
    return Simulation.load(path)

"""The pool of collisions on disk: chunks of Pythia events, one file each, made once and used again.

A pool is a list of :class:`GenerateChunk`, small records that JSON can hold; the chunk function
``generate_chunk`` turns one into its file. A file is named after what it was made of, so a pool folder
can grow and is never stale.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from zerobias.errors import DataError
from zerobias.executor import Run, run_chunks
from zerobias.files import replacing
from zerobias.simulate.arrays import load, save
from zerobias.simulate.generate import Particles, generate, generator_version, write_mpi_file
from zerobias.simulate.spec import ProcessCard, ZeroBiasCard
from zerobias.simulate.strata import Strata

__all__ = [
    "GenerateChunk",
    "Pool",
    "chunk_path",
    "chunk_seed",
    "generate_chunk",
    "make_pool",
    "plan_pool",
    "short_digest",
]

_EVENTS = 1000
_MAX_PYTHIA_SEED = 900_000_000

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class GenerateChunk:
    """Up to 1000 events of a slice or process. ``process``: the process card, as JSON, of a signal."""

    source: str
    index: int
    events: int
    seed: int
    tune: tuple[str, ...]
    settings: tuple[str, ...]
    pthat_max: float | None = None
    process: dict[str, Any] | None = None


@dataclass(frozen=True)
class Pool:
    """Chunks of every slice and of every signal, and the folder that holds their files."""

    folder: Path
    slices: tuple[tuple[GenerateChunk, ...], ...]
    signals: tuple[tuple[GenerateChunk, ...], ...]

    @property
    def chunks(self) -> list[GenerateChunk]:
        """All chunks in order."""
        return [chunk for group in (*self.slices, *self.signals) for chunk in group]

    def particles(self, chunk: GenerateChunk) -> Particles:
        """Events of one chunk, from its file.

        Raises ``DataError`` when the file is missing or damaged.
        """
        path = chunk_path(self.folder, chunk)
        made = load(path, Particles)
        if len(made) != chunk.events:
            raise DataError(f"{path} holds {len(made)} events, not {chunk.events}: delete it")
        return made

    def cross_section(self, slice_index: int) -> float:
        """Generated cross-section of a slice in mb, averaged over its chunks."""
        chunks = self.slices[slice_index]
        total = sum(float(self.particles(c).sigma_mb) * c.events for c in chunks)
        return total / sum(c.events for c in chunks)

    def strata(self, card: ZeroBiasCard) -> Strata:
        """Slice probabilities: hard ones from their cross-sections, the first one is the rest."""
        hard = [self.cross_section(s) / card.sigma_inelastic_mb for s in range(1, len(self.slices))]
        forced = tuple(s.forced > 0 for s in card.slice)
        return Strata((1 - sum(hard), *hard), forced, card.pileup_mean, card.pileup_sigma)


def chunk_seed(*parts: object) -> int:
    """A seed from 1 to 9e8, for Pythia or NumPy, that depends on ``parts`` only."""
    digest = hashlib.sha256("/".join(str(part) for part in parts).encode()).digest()
    return 1 + int.from_bytes(digest[:8], "big") % (_MAX_PYTHIA_SEED - 1)


def plan_pool(folder: Path, card: ZeroBiasCard, processes: Sequence[ProcessCard], seed: int) -> Pool:
    """The chunks of a recipe. A larger recipe has the same full chunks and more."""
    tune = card.tunes[card.tune]

    def split(name: str, count: int, settings: tuple[str, ...], **rest: Any) -> tuple[GenerateChunk, ...]:
        return tuple(
            GenerateChunk(
                name,
                index,
                min(_EVENTS, count - start),
                chunk_seed(seed, "generate", name, index),
                tune,
                settings,
                **rest,
            )
            for index, start in enumerate(range(0, count, _EVENTS))
        )

    return Pool(
        folder,
        tuple(split(s.name, s.pool, s.settings, pthat_max=s.pthat_max) for s in card.slice),
        tuple(split(p.name, card.signal, p.settings, process=p.model_dump(mode="json")) for p in processes),
    )


def make_pool(
    folder: Path,
    card: ZeroBiasCard,
    processes: Sequence[ProcessCard] = (),
    *,
    seed: int | None = None,
    run: Run = run_chunks,
    progress: Progress = lambda step, done, total: None,
) -> Pool:
    """The pool of collisions of a recipe in ``folder``; chunks that are there already are kept."""
    pool = plan_pool(folder, card, processes, card.seed if seed is None else seed)
    for tune in {chunk.tune for chunk in pool.chunks}:  # Pythia's tables, once for all chunks
        path = _mpi_path(folder, tune)
        if not path.is_file():
            with replacing(path) as temporary:
                write_mpi_file(temporary, tune)
    specs = [json.loads(json.dumps(asdict(chunk))) for chunk in pool.chunks]
    names = [chunk_path(folder, chunk).name for chunk in pool.chunks]
    run(generate_chunk, specs, folder, names=names, progress=partial(progress, "generate"))
    return pool


def generate_chunk(spec: dict[str, Any], path: Path) -> None:
    """Chunk function: the collisions of a :class:`GenerateChunk`."""
    chunk = GenerateChunk(**spec)
    particles = generate(
        (*chunk.tune, *chunk.settings),
        chunk.events,
        chunk.seed,
        pthat_max=chunk.pthat_max,
        card=None if chunk.process is None else ProcessCard.model_validate(chunk.process),
        mpi_file=_mpi_path(path.parents[1], chunk.tune),
    )
    save(path, particles)


def chunk_path(folder: Path, chunk: GenerateChunk) -> Path:
    """Where the file of ``chunk`` is, or will be."""
    return folder / f"{chunk.source}-{chunk.index:04d}-{short_digest(asdict(chunk))}.npz"


def _mpi_path(folder: Path, tune: tuple[str, ...]) -> Path:
    return folder / f"multiparton-{short_digest(list(tune))}.tab"


def short_digest(content: Any) -> str:
    """Twelve hexadecimal digits that name what is made of ``content`` (JSON) with this Pythia."""
    text = json.dumps([generator_version(), content], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]

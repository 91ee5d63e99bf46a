"""The pool of collisions on disk: chunks of Pythia events, one file each, made once and used again.

A pool is a list of :class:`GenerateChunk`, small records that JSON can hold; ``generate_chunk`` turns
one into its file, whatever process runs it and in whatever order. A chunk's file is named after what it
was made of, so a pool folder can grow and is never stale.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from zerobias.errors import DataError
from zerobias.files import replacing
from zerobias.simulate.generate import Particles, generate, generator_version, write_mpi_file
from zerobias.simulate.spec import ProcessCard, ZeroBiasCard
from zerobias.simulate.strata import Strata

__all__ = ["GenerateChunk", "Pool", "chunk_path", "chunk_seed", "generate_chunk", "plan_pool", "prepare"]

_EVENTS = 1000
_MAX_PYTHIA_SEED = 900_000_000
_log = logging.getLogger(__name__)


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
        try:
            with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
                made = Particles(**{key: file[key] for key in Particles.__dataclass_fields__})
        except (OSError, KeyError, ValueError, BadZipFile) as error:
            raise DataError(f"{path} cannot be read as a pool chunk ({error}): delete it") from error
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


def prepare(pool: Pool) -> None:
    """Make the folder and Pythia's tables of multiparton interactions, once for all chunks."""
    pool.folder.mkdir(parents=True, exist_ok=True)
    for tune in {chunk.tune for chunk in pool.chunks}:
        path = _mpi_path(pool.folder, tune)
        if not path.is_file():
            with replacing(path) as temporary:
                write_mpi_file(temporary, tune)


def generate_chunk(folder: Path, chunk: GenerateChunk) -> Path:
    """Make the file of ``chunk`` unless it is there; :func:`prepare` comes first. Gives its path."""
    path = chunk_path(folder, chunk)
    if path.is_file():
        return path
    particles = generate(
        (*chunk.tune, *chunk.settings),
        chunk.events,
        chunk.seed,
        pthat_max=chunk.pthat_max,
        card=None if chunk.process is None else ProcessCard.model_validate(chunk.process),
        mpi_file=_mpi_path(folder, chunk.tune),
    )
    with replacing(path) as temporary, temporary.open("wb") as stream:
        np.savez(stream, **vars(particles))
    _log.debug("%s written", path)
    return path


def chunk_path(folder: Path, chunk: GenerateChunk) -> Path:
    """Where the file of ``chunk`` is, or will be."""
    return folder / f"{chunk.source}-{chunk.index:04d}-{_digest(asdict(chunk))}.npz"


def _mpi_path(folder: Path, tune: tuple[str, ...]) -> Path:
    return folder / f"multiparton-{_digest(list(tune))}.tab"


def _digest(content: Any) -> str:
    text = json.dumps([generator_version(), content], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]

"""Event files of every layout -> EventSet, whole or in chunks of bounded size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from zerobias.errors import DataError
from zerobias.events.eventset import SHAPES, EventSet
from zerobias.events.layouts import open_source

__all__ = ["Chunks", "chunks", "read"]

_CHUNK = 1 << 14
_READ_LIMIT = 8 << 30
"""Bytes of collections that :func:`read` holds at most."""


@dataclass(frozen=True)
class Chunks:
    """The events of a file, ``size`` at a time; iterating opens the file and reads as it goes.

    ``events``: number of events. ``layout``: name of the file's layout. ``len()``: number of chunks.
    """

    path: Path
    size: int
    collections: tuple[str, ...]
    events: int
    layout: str

    def __len__(self) -> int:
        return -(-self.events // self.size)

    def __iter__(self) -> Iterator[EventSet]:
        with closing(open_source(self.path)) as source:
            source.select(self.collections)
            if source.rows != self.events:
                raise DataError(
                    f"{self.path}: has {source.rows} events, {self.events} before: leave it unchanged"
                )
            for start in range(0, self.events, self.size):
                yield source.chunk(start, min(start + self.size, self.events))


def chunks(path: Path, size: int = _CHUNK, collections: Sequence[str] | None = None) -> Chunks:
    """The file ``path`` as :class:`EventSet` objects of at most ``size`` events each.

    Only the named ``collections`` are read (default: all in the file). Memory grows with ``size``, not with
    the file. Raises ``DataError`` as :func:`read` does, damaged values only when their chunk is reached.
    """
    if size < 1:
        raise DataError(f"a chunk of {size} events: it has at least 1")
    with closing(open_source(path)) as source:
        source.select(collections)
        return Chunks(path, size, source.collections, source.rows, source.layout)


def read(
    path: Path, collections: Sequence[str] | None = None, *, start: int = 0, stop: int | None = None
) -> EventSet:
    """Events of the file ``path``, of any known layout; only the named ``collections`` (default: all).

    ``start`` and ``stop`` select events by their place in the file (default: all of them).

    Raises ``DataError`` when the file is missing, damaged, of no known layout, lacks a collection, holds
    values out of the hardware's range, or is too large for memory.
    """
    with closing(open_source(path)) as source:
        source.select(collections)
        stop = source.rows if stop is None else stop
        if not 0 <= start <= stop <= source.rows:
            raise DataError(f"{path}: has {source.rows} events, not {start} to {stop}")
        sizes = (SHAPES[name] for name in source.collections)
        wanted = (stop - start) * sum(int(np.prod(shape)) * np.dtype(kind).itemsize for shape, kind in sizes)
        if wanted > _READ_LIMIT:
            raise DataError(
                f"{path}: {stop - start} events take {wanted} bytes, at most {_READ_LIMIT} are read at once: "
                "use zerobias.events.chunks"
            )
        steps = range(start, stop, _CHUNK) or (start,)
        return _join([source.chunk(step, min(step + _CHUNK, stop)) for step in steps])


def _join(parts: list[EventSet]) -> EventSet:
    """One set of the events of all ``parts``, which come from one file."""
    if len(parts) == 1:
        return parts[0]
    first = parts[0]
    weight, npu, process, split = (
        np.concatenate([getattr(part, name) for part in parts])
        for name in ("weight", "npu", "process", "split")
    )
    collections = {
        name: np.concatenate([part.collections[name] for part in parts]) for name in first.collections
    }
    return EventSet(collections, weight, npu, process, split, first.process_names, first.provenance)

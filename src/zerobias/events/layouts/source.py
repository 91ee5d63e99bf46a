"""What every reader is: an open event file that knows its rows and gives any range of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zerobias.errors import DataError
from zerobias.events.eventset import SHAPES, SPLITS, EventSet

__all__ = ["BYTES_LIMIT", "ForeignSource", "Source", "TreeColumns", "guard"]

BYTES_LIMIT = 256 * 2**20
"""Bytes one unit of storage (HDF5 chunks, ROOT basket, Parquet row group column) may decode to."""


@contextmanager
def guard(path: Path, what: str) -> Iterator[None]:
    """Turn whatever a library raises on a damaged file into a ``DataError`` naming file and part.

    File libraries raise nearly every built-in exception on damaged bytes, so all are caught here; wrap
    library calls only.
    """
    try:
        yield
    except DataError:
        raise
    except Exception as error:
        text = " ".join(str(error).split())[:200]
        raise DataError(
            f"{path}: {what} cannot be read ({type(error).__name__}: {text}): restore the file"
        ) from error


class Source(ABC):
    """An open event file of one layout.

    ``layout``: its name. ``rows``: number of events. ``offers``: names of the collections the file can
    give. ``collections``: those that :meth:`chunk` gives.
    """

    layout: str
    rows: int
    offers: tuple[str, ...]

    def __init__(self, path: Path, file: Any) -> None:
        self.path, self._file = path, file
        self.collections: tuple[str, ...] = ()

    def select(self, collections: Sequence[str] | None) -> None:
        """Read only these collections (default: all that the file offers).

        Raises ``DataError`` when the file does not offer one of them.
        """
        wanted = self.offers if collections is None else tuple(collections)
        missing = [name for name in wanted if name not in self.offers]
        if missing:
            raise DataError(
                f"{self.path}: lacks {', '.join(missing)}; it holds {', '.join(self.offers)} ({self.layout})"
            )
        self.collections = tuple(name for name in SHAPES if name in wanted)

    def further(self) -> Sequence[str]:
        """Names of all columns of the file that :meth:`numbers` may be asked for."""
        return ()

    def numbers(self, name: str, start: int, stop: int) -> NDArray[Any]:
        """The column ``name``, one of :meth:`further`, of these events as it is: (events, ...).

        Raises ``DataError`` when it does not hold numbers, as many for each event.
        """
        raise DataError(f"{self.path}: {self.layout} has no further columns")

    @abstractmethod
    def chunk(self, start: int, stop: int) -> EventSet:
        """Events ``start`` to ``stop`` - 1 of the file.

        Raises ``DataError`` that names file, field and event when they are damaged or out of range.
        """

    def close(self) -> None:
        """Release the file."""
        self._file.close()


class ForeignSource(Source):
    """A layout without weights, processes and splits.

    Every event gets weight 1, process ``zero_bias`` and split ``test``.
    """

    @abstractmethod
    def columns(self, start: int, stop: int) -> dict[str, NDArray[Any]]:
        """The collections ``self.collections`` of these events, checked."""

    @abstractmethod
    def pileup(self, start: int, stop: int) -> NDArray[np.uint16]:
        """Number of pile-up interactions of these events, 0 where the file has none."""

    def chunk(self, start: int, stop: int) -> EventSet:
        count = stop - start
        columns = self.columns(start, stop)
        return EventSet(
            {name: columns[name].astype(SHAPES[name][1], copy=False) for name in self.collections},
            weight=np.ones(count),
            npu=self.pileup(start, stop),
            process=np.zeros(count, np.uint8),
            split=np.full(count, SPLITS.index("test"), np.uint8),
            process_names=("zero_bias",),
            provenance={"layout": self.layout, "file": self.path.name},
        )


class TreeColumns:
    """What the sources of ROOT files share: any other branch of the events' tree as a further column."""

    _tree: Any

    def further(self) -> list[str]:
        """See ``Source``."""
        return sorted(self._tree.names)

    def numbers(self, name: str, start: int, stop: int) -> NDArray[Any]:
        """See ``Source``."""
        found: NDArray[Any] = self._tree.branch(name).fixed(start, stop)
        return found

"""Where recorded scores and the same crossings of another file are found."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zerobias.contract import Contract, IntArray
from zerobias.errors import DataError
from zerobias.events.layouts import open_source
from zerobias.events.layouts.hdf5 import Column, open_hdf5
from zerobias.events.layouts.source import Source
from zerobias.verify.files import read_arrays

__all__ = ["Recorded", "Twin"]

_HDF5 = b"\x89HDF\r\n\x1a\n"
_KEYS = (("run",), ("lumi", "luminosityBlock"), ("event",))
"""Names of what identifies a crossing, in the layouts that have it."""
_STEP = 1 << 16
_SPAN = 1 << 18
"""Events of the other file that are held at once for those of one chunk."""


class Recorded:
    """Scores that were recorded for the events of ``files``, which have ``events`` each.

    ``given`` is a file of scores for all of them in order (`zerobias score`, or an array ``score`` as
    :func:`zerobias.verify.read_arrays` reads it), or the name of a column of the event files. Close it
    after use. Raises ``DataError`` when it is neither, or of another length.
    """

    def __init__(self, given: str, files: Sequence[Path], events: Sequence[int]) -> None:
        self._given, self._whole, self._stack = given, Path(given).is_file(), ExitStack()
        self._first = np.cumsum([0, *events])
        if self._whole:
            self._scores = self._opened(Path(given))
            return
        self._sources = [self._stack.enter_context(closing(open_source(path))) for path in files]
        for path, source in zip(files, self._sources, strict=True):
            if given not in source.further():
                self.close()
                raise DataError(
                    f"{given} is neither a file of scores nor a column of {path}: give one of the two"
                )

    def _opened(self, path: Path) -> Column | NDArray[Any]:
        with path.open("rb") as stream:
            is_hdf5 = stream.read(len(_HDF5)) == _HDF5
        if is_hdf5:
            found: Any = Column(path, self._stack.enter_context(closing(open_hdf5(path))), "score")
            rows: int = found.rows
        else:
            arrays = read_arrays(path)
            if "score" not in arrays:
                raise DataError(f"{path} holds {', '.join(arrays)}: it must hold the scores as `score`")
            found = arrays["score"]
            rows = len(found)
        if rows != self._first[-1]:
            raise DataError(f"{path} holds {rows} scores for {self._first[-1]} events: give one an event")
        opened: Column | NDArray[Any] = found
        return opened

    def read(self, number: int, start: int, stop: int) -> NDArray[Any]:
        """Scores (events, values) of events ``start`` to ``stop`` - 1 of file ``number``."""
        if self._whole:
            low, high = int(self._first[number]) + start, int(self._first[number]) + stop
            scores = self._scores
            found = scores.read(low, high) if isinstance(scores, Column) else scores[low:high]
        else:
            found = self._sources[number].numbers(self._given, start, stop)
        if found.dtype.kind not in "biuf":
            raise DataError(f"{self._given} is of type {found.dtype}: scores are numbers")
        return found.reshape(stop - start, -1)

    def close(self) -> None:
        """Release the files."""
        self._stack.close()


class Twin:
    """The crossings of an event file as another file holds them, ``there``.

    They are matched by run, luminosity section and event number where both files have run and event,
    otherwise by their order. ``rows`` (events,): place of each event in the other file, -1 where it is not.
    Close it after use. Raises ``DataError`` when no event matches, a key is there twice, or files without
    keys differ in length.
    """

    def __init__(self, here: Path, there: Path, contract: Contract) -> None:
        self.here, self.there, self.contract = here, there, contract
        self._source = open_source(there)
        self._source.select([contract.spec.collection])
        with closing(open_source(here)) as source, closing(open_source(there)) as other:
            both = set(source.further()) & set(other.further())
            names = [next((name for name in several if name in both), None) for several in _KEYS]
            keyed = names[0] is not None and names[2] is not None
            if keyed:
                self.matched_by = ", ".join(name for name in names if name)
                self.rows = _places(*(_keys(one, [n for n in names if n]) for one in (source, other)))
            elif source.rows == other.rows:
                self.matched_by, self.rows = "order", np.arange(source.rows)
            else:
                raise DataError(
                    f"{here} has {source.rows} events and {there} {other.rows}, and not both have run and "
                    "event numbers: give the same events in the same order"
                )
        if not (self.rows >= 0).any():
            raise DataError(f"no event of {here} is in {there}: give files of the same crossings")
        self.only_there = self._source.rows - int((self.rows >= 0).sum())

    def read(self, rows: IntArray) -> IntArray:
        """Hardware integers (events, features) of these events of the other file, at least one."""
        low, high = int(rows.min()), int(rows.max()) + 1
        if high - low > max(_SPAN, 16 * len(rows)):
            raise DataError(
                f"{self.there} holds the events of {self.here} in quite another order: sort one like the "
                "other"
            )
        events = self._source.chunk(low, high)
        try:
            raw = self.contract.flatten(events.collections[self.contract.spec.collection])
        except DataError as error:
            raise DataError(f"{self.there}: {error}, counted from {low}") from None
        return raw[rows - low]

    def close(self) -> None:
        """Release the file."""
        self._source.close()


def _keys(source: Source, names: Sequence[str]) -> IntArray:
    """(events, names) of a file."""
    found = np.empty((source.rows, len(names)), np.int64)
    for column, name in enumerate(names):
        for start in range(0, source.rows, _STEP):
            stop = min(start + _STEP, source.rows)
            values = source.numbers(name, start, stop)
            if values.dtype.kind not in "iu" or values.ndim != 1:
                raise DataError(
                    f"{source.path}: {name} is of type {values.dtype}: it must be one integer an event"
                )
            found[start:stop, column] = values
    twice = np.flatnonzero(np.unique(found, axis=0, return_counts=True)[1] > 1)
    if len(twice):
        what = ", ".join(map(str, np.unique(found, axis=0)[twice[0]]))
        raise DataError(f"{source.path}: {', '.join(names)} = {what} is there twice: give each crossing once")
    return found


def _places(here: IntArray, there: IntArray) -> IntArray:
    """Row of ``there`` (events, names) that equals each row of ``here``, -1 without one."""
    _, index = np.unique(np.concatenate([here, there]), axis=0, return_inverse=True)
    at = np.full(index.max() + 1, -1)
    at[index[len(here) :]] = np.arange(len(there))
    found: IntArray = at[index[: len(here)]]
    return found

"""Columns of an untrusted HDF5 file, read in ranges.

libhdf5 is asked for the structure only. The data are taken from the file here, because libhdf5 would follow
external links and storage, load filter plugins, and inflate a stored chunk to any size.
"""

from __future__ import annotations

import itertools
import math
import zlib
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from zerobias.errors import DataError
from zerobias.events.layouts.source import BYTES_LIMIT, guard

__all__ = ["Column", "Hdf5Columns", "column_names", "open_hdf5"]

_DEFLATE_RATIO = 1032  # no deflate stream is denser
_ROW_LIMIT = 1 << 13
_NAME_LIMIT = 1000
_SHUFFLE, _DEFLATE = h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_DEFLATE


def open_hdf5(path: Path) -> Any:
    """The open file."""
    with guard(path, "the file"):
        return h5py.File(path, "r")


def column_names(file: Any) -> list[str]:
    """Names of the datasets in the root group; links to other places or files do not count."""
    found = []
    for name in itertools.islice(file.id, _NAME_LIMIT):
        if file.id.links.get_info(name).type != h5py.h5l.TYPE_HARD:
            continue
        if h5py.h5o.get_info(file.id, name).type == h5py.h5o.TYPE_DATASET:
            found.append(name.decode("utf-8", "replace"))
    return found


class Column:
    """A dataset of the root group with one row an event, shape (rows, ...), of numbers or plain structures.

    Raises ``DataError`` when the dataset is not stored in this file as plain numbers, or declares more than
    the file can hold.
    """

    def __init__(self, path: Path, file: Any, name: str) -> None:
        self.path, self.name = path, name
        with guard(path, name):
            if name not in column_names(file):
                raise DataError(f"{path}: has no dataset {name!r} of its own: restore the file")
            self._id = h5py.h5d.open(file.id, name.encode())
            self._settings = self._id.get_create_plist()
            self._layout = self._settings.get_layout()
            external = self._settings.get_external_count()
            kind = self._id.get_type()
            self.dtype = np.dtype(kind.dtype)
            plain = not self.dtype.hasobject and h5py.h5t.py_create(self.dtype, logical=True) == kind
            self.shape = tuple(self._id.shape)
            self.size = path.stat().st_size
        if self._layout == h5py.h5d.VIRTUAL or external:
            raise self._fault("keeps its data in another file", "write a copy with the data inside")
        if not plain or any(base.kind not in "biuf" for base in _bases(self.dtype)):
            raise self._fault(f"has type {self.dtype}", "store plain integers, floats or booleans")
        if not self.shape:
            raise self._fault("is not an array with one row an event", "restore the file")
        self.rows = self.shape[0]
        self._row_bytes = self.dtype.itemsize * math.prod(self.shape[1:])
        if not 0 < self._row_bytes <= _ROW_LIMIT:
            raise self._fault(f"has {self._row_bytes} bytes a row", f"at most {_ROW_LIMIT} are read")
        if self.rows * self._row_bytes > _DEFLATE_RATIO * self.size:
            raise self._fault(
                f"declares {self.rows} rows of {self._row_bytes} bytes in a file of {self.size} bytes",
                "no compression holds that, restore the file",
            )
        self._index: dict[tuple[int, ...], tuple[int, int, int]] = {}
        self._decoded: dict[tuple[int, ...], NDArray[Any]] = {}
        if self._layout == h5py.h5d.CHUNKED:
            with guard(path, name):
                self._chunked()

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Rows ``start`` to ``stop`` - 1, in the machine's byte order."""
        if not 0 <= start <= stop <= self.rows:
            raise DataError(f"{self.path}: {self.name} has {self.rows} rows, not {start} to {stop}")
        with guard(self.path, f"{self.name} of events {start} to {stop - 1}"):
            if self._layout == h5py.h5d.CHUNKED:
                found = self._read_chunks(start, stop)
            elif self._layout == h5py.h5d.CONTIGUOUS:
                found = self._read_contiguous(start, stop)
            else:
                found = np.empty(self.shape, self.dtype)
                self._id.read(h5py.h5s.ALL, h5py.h5s.ALL, found)
                found = found[start:stop]
            return found.astype(self.dtype.newbyteorder("="), copy=False)

    def _read_contiguous(self, start: int, stop: int) -> NDArray[Any]:
        if start == stop:
            return np.empty((0, *self.shape[1:]), self.dtype)
        offset = self._id.get_offset()
        if offset is None:
            raise self._fault("has no data stored", "restore the file")
        data = self._bytes(offset + start * self._row_bytes, (stop - start) * self._row_bytes)
        return np.frombuffer(data, self.dtype).reshape(stop - start, *self.shape[1:])

    def _chunked(self) -> None:
        """Note where each stored chunk lies: grid position -> offset, bytes, filters left out."""
        self._chunk = tuple(self._settings.get_chunk())
        grid = [-(-size // step) for size, step in zip(self.shape, self._chunk, strict=True)]
        self._chunk_bytes = self.dtype.itemsize * math.prod(self._chunk)
        band = self._chunk_bytes * math.prod(grid[1:])
        if band > BYTES_LIMIT:
            raise self._fault(
                f"has chunks of {band} bytes", f"at most {BYTES_LIMIT}, repack it in smaller ones"
            )
        self._filters = [self._settings.get_filter(i)[0] for i in range(self._settings.get_nfilters())]
        if not {_SHUFFLE, _DEFLATE}.issuperset(self._filters):
            raise self._fault(f"is packed with the HDF5 filters {self._filters}", "repack it with gzip")
        most = min(math.prod(grid), self.size // 8)  # each stored chunk takes at least an address

        def note(stored: Any) -> bool | None:
            key = tuple(at // step for at, step in zip(stored.chunk_offset, self._chunk, strict=True))
            self._index[key] = (stored.byte_offset, stored.size, stored.filter_mask)
            return True if len(self._index) > most else None

        self._id.chunk_iter(note)

    def _read_chunks(self, start: int, stop: int) -> NDArray[Any]:
        found = np.empty((stop - start, *self.shape[1:]), self.dtype)
        steps = [range(-(-size // step)) for size, step in zip(self.shape[1:], self._chunk[1:], strict=True)]
        bands = range(start // self._chunk[0], -(-stop // self._chunk[0]))
        decoded = {}
        for key in itertools.product(bands, *steps):
            chunk = self._decoded.get(key)
            decoded[key] = chunk = self._decode(key) if chunk is None else chunk
            first = key[0] * self._chunk[0]
            low, high = max(start, first), min(stop, first + self._chunk[0])
            inner = [
                slice(at * step, (at + 1) * step) for at, step in zip(key[1:], self._chunk[1:], strict=True)
            ]
            place = found[(slice(low - start, high - start), *inner)]
            place[...] = chunk[(slice(low - first, high - first), *(slice(n) for n in place.shape[1:]))]
        # The last band is often the first of the next range.
        self._decoded = {key: chunk for key, chunk in decoded.items() if key[0] == bands[-1]} if bands else {}
        return found

    def _decode(self, key: tuple[int, ...]) -> NDArray[Any]:
        row = key[0] * self._chunk[0]
        if key not in self._index:
            raise self._fault(f"has no data stored for event {row}", "restore the file")
        offset, size, left_out = self._index[key]
        if size > self._chunk_bytes + self._chunk_bytes // 1000 + 100:
            raise self._fault(
                f"stores {size} bytes at event {row} for {self._chunk_bytes}", "restore the file"
            )
        data = self._bytes(offset, size)
        for place, code in reversed(list(enumerate(self._filters))):
            if left_out >> place & 1:
                continue
            if code == _DEFLATE:
                data = zlib.decompressobj().decompress(data, self._chunk_bytes)
            elif len(data) == self._chunk_bytes:
                data = np.frombuffer(data, np.uint8).reshape(self.dtype.itemsize, -1).T.tobytes()
        if len(data) != self._chunk_bytes:
            raise self._fault(
                f"holds {len(data)} bytes at event {row}, not {self._chunk_bytes}", "restore the file"
            )
        return np.frombuffer(data, self.dtype).reshape(self._chunk)

    def _bytes(self, offset: int, count: int) -> bytes:
        if offset < 0 or offset + count > self.size:
            raise self._fault(f"ends at byte {offset + count} of a file of {self.size}", "restore the file")
        with self.path.open("rb") as stream:
            stream.seek(offset)
            return stream.read(count)

    def _fault(self, fact: str, remedy: str) -> DataError:
        return DataError(f"{self.path}: {self.name} {fact}: {remedy}")


class Hdf5Columns:
    """What the sources of HDF5 files share: any other dataset of the root group as a further column."""

    path: Path
    rows: int
    _file: Any

    def further(self) -> list[str]:
        """See ``Source``."""
        return column_names(self._file)

    def numbers(self, name: str, start: int, stop: int) -> NDArray[Any]:
        """See ``Source``."""
        column = Column(self.path, self._file, name)
        if column.rows != self.rows or column.dtype.names is not None:
            raise DataError(
                f"{self.path}: {name} has {column.rows} rows of {column.dtype}: {self.rows} rows of numbers "
                "are needed"
            )
        return column.read(start, stop)


def _bases(dtype: Any) -> list[Any]:
    """The element types of a plain or structured type, subarrays opened."""
    base = dtype.base
    if base.names is None:
        return [base]
    return [inner for name in base.names for inner in _bases(base[name])]

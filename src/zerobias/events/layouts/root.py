"""Branches of an untrusted ROOT file, read in ranges of entries.

uproot reads the structure (directories and trees). Baskets are unpacked here with a bound on every size, and
the file's own class descriptions are left unread: uproot would turn them into Python code.
"""

from __future__ import annotations

import itertools
import lzma
import struct
import zlib
from pathlib import Path
from typing import Any

import cramjam
import numpy as np
import uproot
from numpy.typing import NDArray

from zerobias.errors import DataError
from zerobias.events.layouts.hardware import Jagged
from zerobias.events.layouts.source import BYTES_LIMIT, guard

__all__ = ["Branch", "RootFile", "Tree"]

_KEY = struct.Struct(">ihiIhh")
_BASKET = struct.Struct(">Hiiii")
_DIRECTORIES = ("TDirectory", "TDirectoryFile")
_FOLDER_LIMIT = 100
_LEAF_TYPES = {
    "TLeafB": "i1",
    "TLeafS": "i2",
    "TLeafI": "i4",
    "TLeafL": "i8",
    "TLeafF": "f4",
    "TLeafD": "f8",
    "TLeafO": "?",
}
_STREAMER_TYPES = {
    1: "i1",
    2: "i2",
    3: "i4",
    4: "i8",
    5: "f4",
    8: "f8",
    11: "u1",
    12: "u2",
    13: "u4",
    14: "u8",
    16: "i8",
    17: "u8",
    18: "?",
}


class RootFile:
    """An open file: finds trees in the top folder and one level below."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with guard(path, "the file"):
            self._file = uproot.open(path, handler=uproot.source.file.MemmapSource)
            self._file.file._streamers = {}
        self._trees: dict[str, Tree] = {}

    def tree_names(self) -> list[str]:
        """Names of the trees, ``folder/tree`` below the top; the newest cycle of each."""
        with guard(self.path, "the list of trees"):
            found = self._names(self._file)
            folders = [name for name, kind in found.items() if kind in _DIRECTORIES]
            names = [name for name, kind in found.items() if kind == "TTree"]
            for folder in folders[:_FOLDER_LIMIT]:
                inner = self._names(self._file.key(folder).get())
                names += [f"{folder}/{name}" for name, kind in inner.items() if kind == "TTree"]
            return names

    @staticmethod
    def _names(folder: Any) -> dict[str, str]:
        return dict(folder.iterclassnames(recursive=False, cycle=False))

    def tree(self, name: str) -> Tree:
        """The tree ``name``, one of :meth:`tree_names`."""
        if name not in self._trees:
            with guard(self.path, f"tree {name}"):
                key = self._file.key(name)
                if key.fClassName != "TTree":
                    raise DataError(f"{self.path}: {name} is a {key.fClassName}, not a TTree")
                if key.is_compressed:
                    data = _slice(self.path, key.data_cursor.index, key.data_compressed_bytes)
                    _decompress(data, key.data_uncompressed_bytes)
                self._trees[name] = Tree(self.path, name, key.get())
        return self._trees[name]

    def close(self) -> None:
        """Release the file."""
        self._file.close()


class Tree:
    """A tree of ``entries`` events with named branches; a branch ``x[18][14]`` has the name ``x``."""

    def __init__(self, path: Path, name: str, tree: Any) -> None:
        self.path, self.name = path, name
        self.entries = int(tree.num_entries)
        if self.entries < 0:
            raise DataError(f"{path}: tree {name} has {self.entries} entries: restore the file")
        self._branches = {b.name.split("[")[0].rstrip("."): b for b in tree.itervalues(recursive=True)}
        self.names = frozenset(self._branches)
        self._open: dict[str, Branch] = {}

    def branch(self, name: str) -> Branch:
        """The branch ``name``, one of ``names``."""
        if name not in self._open:
            with guard(self.path, name):
                self._open[name] = Branch(self, name, self._branches[name])
        return self._open[name]


class Branch:
    """A branch of one numeric leaf: a fixed number of values an entry, or a number given by another branch.

    Raises ``DataError`` when it is of another type or its baskets do not fit its entries.
    """

    def __init__(self, tree: Tree, name: str, branch: Any) -> None:
        self.path, self.name = tree.path, name
        leaves = branch.member("fLeaves")
        if len(leaves) != 1:
            raise self._fault(f"has {len(leaves)} leaves", "one is read")
        leaf = leaves[0]
        self.dtype = self._type(branch, leaf)
        self._per_entry = int(leaf.member("fLen"))
        if not 0 < self._per_entry <= 1 << 16:
            raise self._fault(f"has {self._per_entry} values an entry", "restore the file")
        counter = leaf.member("fLeafCount")
        self.counts = None if counter is None else tree.branch(counter.member("fName"))
        if self.counts is not None and (self.counts.counts is not None or self._per_entry != 1):
            raise self._fault("has nested lists", "one value an object is read")
        embedded = branch.embedded_baskets
        normal = branch.num_baskets - len(embedded)
        self._embedded = dict(enumerate(embedded, start=normal))
        self._seek, self._bytes = (
            np.asarray(branch.member(key)[:normal]).astype(np.int64)
            for key in ("fBasketSeek", "fBasketBytes")
        )
        first = [int(at) for at in branch.member("fBasketEntry")[:normal]]
        last = tree.entries - sum(basket.num_entries for basket in embedded)
        steps = itertools.accumulate((basket.num_entries for basket in embedded), initial=last)
        self._offsets = np.array([*first, *steps], dtype=np.int64)
        if self._offsets[0] != 0 or (np.diff(self._offsets) < 0).any():
            raise self._fault(f"has baskets that do not fit {tree.entries} entries", "restore the file")
        self._kept: tuple[int, Any] = (-1, None)

    def _type(self, branch: Any, leaf: Any) -> np.dtype[Any]:
        kind = leaf.classname
        if kind == "TLeafElement":
            code = _STREAMER_TYPES.get(branch.member("fStreamerType") % 20)
        else:
            code = _LEAF_TYPES.get(kind)
            if code is not None and leaf.member("fIsUnsigned"):
                code = code.replace("i", "u")
        if code is None:
            raise self._fault(f"has type {kind}", "plain numbers are read")
        return np.dtype(code).newbyteorder(">")

    def fixed(self, start: int, stop: int) -> NDArray[Any]:
        """Values of entries ``start`` to ``stop`` - 1, shape (entries,) or (entries, values an entry)."""
        if self.counts is not None:
            raise self._fault("has a varying number of values an event", "one number an event is needed")
        values = self._read(start, stop, (stop - start) * self._per_entry)
        return values.reshape(stop - start, self._per_entry) if self._per_entry > 1 else values

    def jagged(self, start: int, stop: int) -> Jagged:
        """Values of entries ``start`` to ``stop`` - 1 and their number in each entry."""
        if self.counts is None:
            counts = np.full(stop - start, self._per_entry)
        else:
            counts = self.counts.fixed(start, stop).astype(np.int64)
        return Jagged(counts, self._read(start, stop, int(counts.sum())))

    def _read(self, start: int, stop: int, expected: int) -> NDArray[Any]:
        with guard(self.path, f"{self.name} of events {start} to {stop - 1}"):
            first, last = np.searchsorted(self._offsets, [start, stop], side="right") - 1
            parts, total = [np.empty(0, self.dtype)], 0
            for number in range(first, min(last + 1, len(self._offsets) - 1)):
                low, high = (int(edge) for edge in self._offsets[number : number + 2])
                if low >= stop or high <= start:
                    continue
                values, edges = self._basket(number, low, high)
                inside = [min(max(at, low), high) - low for at in (start, stop)]
                ends = [at * self._per_entry if edges is None else int(edges[at]) for at in inside]
                parts.append(values[slice(*ends)])
                total += parts[-1].nbytes
                if total > BYTES_LIMIT:
                    raise self._fault(f"has more than {BYTES_LIMIT} bytes", "read fewer events at a time")
            found = np.concatenate(parts).astype(self.dtype.newbyteorder("="))
            if len(found) != expected:
                raise self._fault(f"has {len(found)} values, not {expected}", "restore the file")
            return found

    def _basket(self, number: int, low: int, high: int) -> tuple[NDArray[Any], NDArray[Any] | None]:
        """The basket of entries ``low`` to ``high`` - 1, with where its entries start if they vary."""
        if self._kept[0] != number:
            values = np.frombuffer(self._content(number, high - low), self.dtype)
            edges, expected = None, (high - low) * self._per_entry
            if self.counts is not None:
                counts = self.counts.fixed(low, high).astype(np.int64)
                edges = np.concatenate([[0], np.cumsum(counts)])
                expected = int(edges[-1]) if (counts >= 0).all() else -1
            if expected != len(values):
                raise self._fault(
                    f"has {len(values)} values in events {low} to {high - 1}, not {expected}",
                    "restore the file",
                )
            self._kept = (number, (values, edges))
        kept: tuple[NDArray[Any], NDArray[Any] | None] = self._kept[1]
        return kept

    def _content(self, number: int, entries: int) -> bytes:
        """The values of one basket as they lie in the file, without its table of offsets."""
        if number in self._embedded:
            return bytes(self._embedded[number].data)
        raw = _slice(self.path, int(self._seek[number]), int(self._bytes[number]))
        size, _, unpacked, _, key, _ = _KEY.unpack_from(raw)
        held, last = (_BASKET.unpack_from(raw, key - _BASKET.size - 1)[i] for i in (3, 4))
        if size != len(raw) or held != entries or not 0 <= last - key <= unpacked:
            raise self._fault(f"has a basket of {held} entries where {entries} are due", "restore the file")
        body = raw[key:]
        return (body if len(body) == unpacked else _decompress(body, unpacked))[: last - key]

    def _fault(self, fact: str, remedy: str) -> DataError:
        return DataError(f"{self.path}: branch {self.name} {fact}: {remedy}")


def _slice(path: Path, offset: int, count: int) -> bytes:
    size = path.stat().st_size
    if offset < 0 or not 0 <= count <= BYTES_LIMIT or offset + count > size:
        raise DataError(
            f"{path}: bytes {offset} to {offset + count} lie outside its {size}: restore the file"
        )
    with path.open("rb") as stream:
        stream.seek(offset)
        return stream.read(count)


def _decompress(data: bytes, expected: int) -> bytes:
    """ROOT's compressed blocks, unpacked to exactly ``expected`` bytes, never to more.

    A block starts with two letters, a method byte and the packed and unpacked sizes in three bytes each.
    """
    if not 0 <= expected <= BYTES_LIMIT:
        raise ValueError(f"{expected} bytes are declared, at most {BYTES_LIMIT} are unpacked at a time")
    found, place = bytearray(), 0
    while place < len(data) and len(found) < expected:
        letters = data[place : place + 2]
        packed, unpacked = (int.from_bytes(data[place + at : place + at + 3], "little") for at in (3, 6))
        place += 9
        block = data[place : place + packed]
        place += packed
        if letters == b"ZL":
            part = zlib.decompressobj().decompress(block, unpacked)
        elif letters == b"XZ":
            part = lzma.LZMADecompressor(memlimit=BYTES_LIMIT).decompress(block, unpacked)
        elif letters == b"L4":
            part = bytes(cramjam.lz4.decompress_block(block[8:], output_len=unpacked))
        elif letters == b"ZS":
            room = bytearray(unpacked)
            cramjam.zstd.decompress_into(block, room)
            part = bytes(room)
        else:
            raise ValueError(f"compression {letters!r} is unknown")
        if len(part) != unpacked or unpacked == 0:
            raise ValueError(f"a block holds {len(part)} bytes, not {unpacked}")
        found += part
    if len(found) != expected:
        raise ValueError(f"{len(found)} bytes unpacked, not {expected}")
    return bytes(found)

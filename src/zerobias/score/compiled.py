"""The fixed-point graph as machine code: built with g++ at run time, checked against the reference."""

from __future__ import annotations

import ctypes
import hashlib
import math
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zerobias.contract import Contract, IntArray
from zerobias.errors import GateError, ToolError
from zerobias.files import replacing, write_text
from zerobias.fixed import Graph, shaped
from zerobias.rtl.process import run_tool
from zerobias.score.source import C_TYPES, source
from zerobias.shelves import build_root

__all__ = ["CompiledGraph"]

_FLAGS = ("-std=c++17", "-O3", "-march=native", "-fwrapv")
_SECONDS = 900.0
_PART = 4096
_CHECKED = 1000


class CompiledGraph:
    """Scores of raw integers by machine code, the same integers as the reference's.

    Libraries lie in ``folder`` (default: ``score`` among the builds), one a stored type, under a name that
    changes with the graph, the compiler and the processor. Each is held against the reference on
    1000 events when a process loads it.
    """

    def __init__(self, contract: Contract, graph: Graph, folder: Path | None = None) -> None:
        self._contract, self._graph = contract, graph
        self._folder = folder or build_root() / "score"
        self._libraries: dict[np.dtype[Any], ctypes.CDLL] = {}

    def evaluate(self, collection: NDArray[Any]) -> IntArray:
        """Score integers (events, *score_shape) of an event array (events, ...) of raw integers.

        Raises ``DataError`` as the contract's ``flatten``, ``ToolError`` when g++ is missing or fails,
        ``UnsupportedError`` when the graph needs more than 64 bits and ``GateError`` when the code does not
        give the reference's scores.
        """
        raw = np.asarray(collection)
        count = len(self._contract.features)
        if raw.dtype.kind not in "iu" or raw.ndim < 2 or math.prod(raw.shape[1:]) != count:
            self._contract.flatten(raw)  # says what is wrong
        raw = np.ascontiguousarray(raw, self._stored(raw.dtype)).reshape(len(raw), count)
        if raw.dtype not in self._libraries:
            self._libraries[raw.dtype] = self._load(raw.dtype)
        scores = self._run(self._libraries[raw.dtype], raw)
        if scores is None:
            self._contract.check(raw.astype(np.int64))
            raise GateError("the compiled code refuses values that the contract admits: report this")
        return scores

    def _stored(self, kind: np.dtype[Any]) -> np.dtype[Any]:
        """Type in which the library reads values stored as ``kind``."""
        if kind in C_TYPES:
            held = np.iinfo(kind)
            if self._contract.low.max() <= held.max and self._contract.high.min() >= held.min:
                return kind
        return np.dtype(np.int64)

    def _load(self, kind: np.dtype[Any]) -> ctypes.CDLL:
        """The library for values stored as ``kind``, built if need be, and checked."""
        path = _build(source(self._contract, self._graph, kind), self._folder)
        try:
            library = ctypes.CDLL(str(path))
            library.score_events.argtypes = [ctypes.c_void_p, ctypes.c_int64, ctypes.c_void_p]
        except (OSError, AttributeError) as error:
            raise ToolError(f"{path} cannot be loaded ({error}): remove it and run again") from None
        held = np.iinfo(kind)
        low, high = np.maximum(self._contract.low, held.min), np.minimum(self._contract.high, held.max)
        rng = np.random.default_rng(0)
        raw = rng.integers(low, high, (_CHECKED, len(low)), endpoint=True)
        corners = rng.integers(0, 2, (_CHECKED // 4, len(low))) == 1
        raw[: len(corners)] = np.where(corners, high, low)
        expected = self._graph.evaluate(shaped(self._contract, self._graph, raw))
        found = self._run(library, raw.astype(kind))
        if found is None or not np.array_equal(found, expected):
            raise GateError(
                f"the compiled code {path} does not give the reference's scores: remove it and run again; "
                "if it stays so, report it with the version of g++"
            )
        return library

    def _run(self, library: ctypes.CDLL, raw: NDArray[Any]) -> IntArray | None:
        """Scores of contiguous ``raw`` (events, features), or None when a value is not admitted."""
        scores = np.empty((len(raw), *self._graph.score_shape), dtype=np.int64)
        threads = len(os.sched_getaffinity(0))
        step = max(-(-len(raw) // threads), _PART)

        def part(start: int) -> int:
            some, place = raw[start : start + step], scores[start : start + step]
            return int(library.score_events(some.ctypes.data, len(some), place.ctypes.data))

        with ThreadPoolExecutor(threads) as pool:
            found = set(pool.map(part, range(0, len(raw), step)))
        if 2 in found:
            raise MemoryError("no memory for the intermediate results of a block of events")
        return None if 1 in found else scores


def _build(text: str, folder: Path) -> Path:
    """The shared library of the source ``text``; compiled once for a compiler and a processor.

    Raises ``ToolError`` when g++ is missing or refuses it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / f"{os.getpid()}.log"
    remedy = "compiled scoring needs a C++17 compiler, install the package g++"
    # What the compiler defines names its version and the processor's instruction sets.
    run_tool(
        ["g++", *_FLAGS, "-dM", "-E", "-x", "c++", "-"], cwd=folder, log=log, timeout_s=60, remedy=remedy
    )
    state = hashlib.sha256(repr(_FLAGS).encode() + log.read_bytes() + text.encode())
    log.unlink()
    path = folder / f"{state.hexdigest()[:24]}.so"
    if not path.is_file():
        code = path.with_suffix(".cpp")
        write_text(code, text)
        with replacing(path) as temporary:
            run_tool(
                ["g++", *_FLAGS, "-shared", "-fPIC", "-w", str(code), "-o", str(temporary)],
                cwd=folder,
                log=path.with_suffix(".log"),
                timeout_s=_SECONDS,
                remedy=remedy,
            )
    return path

"""The fixed-point graph as machine code: built with g++ at run time, checked against the reference."""

from __future__ import annotations

import ctypes
import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zerobias.contract import Contract, IntArray
from zerobias.errors import ToolError
from zerobias.files import replacing, write_text
from zerobias.fixed import Graph
from zerobias.rtl.process import run_tool
from zerobias.score.evaluator import Evaluator, Run
from zerobias.score.source import source
from zerobias.shelves import build_root

__all__ = ["FLAGS", "CompiledGraph"]

FLAGS = ("-std=c++17", "-O3", "-march=native", "-fwrapv")
_SECONDS = 900.0
_PART = 4096


class CompiledGraph(Evaluator):
    """Scores of raw integers by machine code.

    Libraries lie in ``folder`` (default: ``score`` among the builds), one a stored type, under a name that
    changes with the graph, the compiler and the processor.
    """

    name = "the compiled code"

    def __init__(self, contract: Contract, graph: Graph, folder: Path | None = None) -> None:
        super().__init__(contract, graph)
        self._folder = folder or build_root() / "score"

    def _make(self, kind: np.dtype[Any]) -> tuple[Run, str]:
        path = _build(source(self._contract, self._graph, kind), self._folder)
        try:
            library = ctypes.CDLL(str(path))
            library.score_events.argtypes = [ctypes.c_void_p, ctypes.c_int64, ctypes.c_void_p]
        except (OSError, AttributeError) as error:
            raise ToolError(f"{path} cannot be loaded ({error}): remove it and run again") from None
        remedy = f"remove {path} and run again; if it stays so, report it with the version of g++"
        return partial(self._run, library), remedy

    def _run(self, library: ctypes.CDLL, raw: NDArray[Any]) -> IntArray | None:
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
    run_tool(["g++", *FLAGS, "-dM", "-E", "-x", "c++", "-"], cwd=folder, log=log, timeout_s=60, remedy=remedy)
    state = hashlib.sha256(repr(FLAGS).encode() + log.read_bytes() + text.encode())
    log.unlink()
    path = folder / f"{state.hexdigest()[:24]}.so"
    if not path.is_file():
        code = path.with_suffix(".cpp")
        write_text(code, text)
        with replacing(path) as temporary:
            run_tool(
                ["g++", *FLAGS, "-shared", "-fPIC", "-w", str(code), "-o", str(temporary)],
                cwd=folder,
                log=path.with_suffix(".log"),
                timeout_s=_SECONDS,
                remedy=remedy,
            )
    return path

"""Run a function over chunk specs and resume where an earlier run stopped."""

from __future__ import annotations

import fcntl
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, Literal

from zerobias.errors import SpecError, ToolError
from zerobias.executor.chunks import Chunk, ChunkFunction, plan, sweep
from zerobias.executor.cluster import run_dask
from zerobias.executor.local import run_local

__all__ = ["EXECUTORS", "Run", "run_chunks"]

EXECUTORS = ("local", "dask")
"""Who can run chunks."""

Run = Callable[..., tuple[Path, ...]]
""":func:`run_chunks`, or a ``functools.partial`` of it that says executor, workers and cluster."""

log = logging.getLogger(__name__)


def run_chunks(
    function: ChunkFunction,
    specs: Iterable[Any],
    folder: Path,
    *,
    names: Sequence[str] | None = None,
    executor: Literal["local", "dask"] = "local",
    workers: int = 2,
    cluster: Any = None,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Path, ...]:
    """Files of the chunks in the order of ``specs``, the same bytes whatever the executor and the workers.

    ``function(spec, path)`` writes one file from one spec. It lives at the top level of a module, its
    result depends on the spec alone, and each spec is plain JSON. Chunk ``i`` becomes ``chunk-0000i``, or
    ``names[i]``, and a manifest of spec, function, package version and SHA-256. A chunk that agrees with
    its manifest is kept, any other one is made again, and so is one whose worker was killed. ``folder``
    takes one run at a time; other files in it are left alone, and ``function`` finds them in
    ``path.parents[1]``.

    ``local`` starts ``workers`` processes; so does ``dask``, unless ``cluster`` is a scheduler address or
    a :func:`dask_cluster`. ``progress`` is called with (done, total).

    Raises ``SpecError`` for a bad argument, ``ToolError`` when a chunk lost its worker three times, Dask is
    missing or another run has the folder, and whatever ``function`` raises; finished chunks stay.
    """
    if executor not in EXECUTORS:
        raise SpecError(f"executor {executor!r} is unknown: use {' or '.join(EXECUTORS)}")
    if workers < 1:
        raise SpecError(f"workers is {workers}: at least one worker is needed")
    if cluster is not None and executor != "dask":
        raise SpecError(f"executor {executor!r} takes no cluster: use executor 'dask'")
    folder = folder.absolute()  # workers may run elsewhere
    chunks = plan(function, list(specs), folder, names)
    folder.mkdir(parents=True, exist_ok=True)
    with _alone(folder):
        _run(chunks, folder, executor, workers, cluster, progress or (lambda done, total: None))
    return tuple(chunk.path for chunk in chunks)


def _run(
    chunks: tuple[Chunk, ...],
    folder: Path,
    executor: Literal["local", "dask"],
    workers: int,
    cluster: Any,
    report: Callable[[int, int], None],
) -> None:
    sweep(chunks)
    waiting = [chunk for chunk in chunks if not chunk.is_done()]
    done = len(chunks) - len(waiting)
    if done:
        log.info("%d of %d chunks are done already in %s", done, len(chunks), folder)
    report(done, len(chunks))
    if waiting:
        run = run_local(waiting, workers) if executor == "local" else run_dask(waiting, workers, cluster)
        try:
            with closing(run):
                for finished, _ in enumerate(run, start=done + 1):
                    report(finished, len(chunks))
        finally:
            sweep(chunks)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Own ``folder``; the operating system frees it when this process ends, however it ends."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        raise ToolError(f"another run works in {folder}: wait until it ends or take another folder") from None
    except OSError:
        log.debug("%s cannot be locked: a file system without locks", folder)
    try:
        yield
    finally:
        with suppress(OSError):  # closing alone does not unlock while a worker just forked holds a copy
            fcntl.flock(handle, fcntl.LOCK_UN)
        os.close(handle)

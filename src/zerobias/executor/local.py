"""Worker processes on this machine, one pool each: a worker that dies takes only its own chunk with it."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import threading
from collections import Counter, deque
from collections.abc import Generator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from pathlib import Path

from zerobias.executor.chunks import ATTEMPTS, Chunk, lost, make

__all__ = ["run_local"]

log = logging.getLogger(__name__)


class _Worker:
    """A process that makes one chunk at a time. It leaves Ctrl-C to its parent and dies with it."""

    def __init__(self) -> None:
        self.pool = ProcessPoolExecutor(
            1,
            mp_context=multiprocessing.get_context("spawn"),  # forking is unsafe with TensorFlow's threads
            initializer=_follow_parent,
        )
        self.process = self.pool.submit(os.getpid)

    def kill(self) -> None:
        """End the process, whatever it is doing, and wait for its end."""
        with suppress(BrokenProcessPool, ProcessLookupError):
            os.kill(self.process.result(), signal.SIGTERM)
        self.pool.shutdown()


def _follow_parent() -> None:
    """A killed parent leaves its workers waiting for ever: end with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()

    def follow() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=follow, daemon=True).start()


def run_local(chunks: Sequence[Chunk], workers: int) -> Generator[None, None, None]:
    """Make the chunks, yielding after each.

    Raises what a chunk's function raises, and ``ToolError`` for a chunk that lost its worker too often.
    """
    waiting = deque(chunks)
    idle: list[_Worker] = []
    running: dict[Future[None], tuple[_Worker, Chunk]] = {}
    losses: Counter[Path] = Counter()
    try:
        while waiting or running:
            while waiting and len(running) < workers:
                worker = idle.pop() if idle else _Worker()
                try:
                    future = worker.pool.submit(make, waiting[0])
                except BrokenProcessPool:  # it died while it had nothing to do
                    worker.pool.shutdown()
                    continue
                running[future] = worker, waiting.popleft()
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                worker, chunk = running.pop(future)
                idle.append(worker)
                try:
                    future.result()
                except BrokenProcessPool:
                    idle.remove(worker)
                    worker.pool.shutdown()
                    losses[chunk.path] += 1
                    if losses[chunk.path] == ATTEMPTS:
                        raise lost(chunk) from None
                    log.warning("%s lost its worker and starts again", chunk.path.name)
                    waiting.appendleft(chunk)
                else:
                    yield
    finally:
        for worker in [*idle, *(worker for worker, _ in running.values())]:
            worker.kill()

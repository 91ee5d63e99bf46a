"""A build's folder: one process at a time, and each stage's result kept with the key of its inputs."""

from __future__ import annotations

import fcntl
import hashlib
import json
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from zerobias.errors import DataError
from zerobias.files import tree_digest, write_text

__all__ = ["key_of", "locked", "stage", "tree_digest"]

_TEMPORARY = re.compile(r"\..+\.([a-z0-9_]{8}|tmp)")
"""Names that ``tempfile`` and ``zerobias.files.replacing`` give."""
_BESIDE = {"pareto", "vectors"}
"""What is written into a model's folder without owning it."""
_OWN = {".lock", "stages"}
"""By which a build's folder is known; copies may lack the first, whose name begins with a dot."""


@contextmanager
def locked(folder: Path, waiting: Callable[[], None]) -> Iterator[None]:
    """Own ``folder``; calls ``waiting`` once when another process has it, then waits for that one to end.

    The operating system frees the lock of a killed process. Temporary files it left are removed.
    Raises ``DataError`` when there are files in ``folder`` that are of no build: one replaces what it finds.
    """
    folder.mkdir(parents=True, exist_ok=True)
    others = {path.name for path in folder.iterdir()} - _BESIDE
    if others and not others & _OWN:
        raise DataError(
            f"{folder} holds {min(others)} and is no build folder: name another one with --build, a build "
            "replaces what it finds"
        )
    with (folder / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting()
            fcntl.flock(lock, fcntl.LOCK_EX)
        for left in folder.glob(".*"):
            if _TEMPORARY.fullmatch(left.name) is None:
                continue
            if left.is_dir():
                shutil.rmtree(left, ignore_errors=True)  # an orphaned compiler may still write into it
            else:
                left.unlink()
        yield


def stage(
    folder: Path,
    name: str,
    key: str,
    make: Callable[[], dict[str, Any]],
    *,
    tree: Path | None = None,
) -> dict[str, Any]:
    """Result of ``make``, a JSON document, kept in ``folder``/stages/``name``.json until ``key`` changes.

    ``tree`` is a folder that ``make`` writes; when its content is no longer what was written, it is
    made again. The record is removed first and written last, so a killed run leaves none.
    """
    path = folder / "stages" / f"{name}.json"
    try:
        record = json.loads(path.read_text())
        if record["key"] == key and record["tree"] == tree_digest(tree):
            result: dict[str, Any] = record["result"]
            return result
    except (OSError, ValueError, KeyError, TypeError):
        pass  # no record, or a damaged one: make it
    path.unlink(missing_ok=True)
    result = make()
    record = {"key": key, "tree": tree_digest(tree), "result": result}
    write_text(path, json.dumps(record, indent=2, sort_keys=True) + "\n")
    return result


def key_of(*parts: Any) -> str:
    """SHA-256 of JSON-able parts."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

"""Files that are written whole or not at all, and what a folder of them holds."""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

__all__ = ["BROKEN_ARCHIVE", "document_digest", "replacing", "tree_digest", "write_text"]

BROKEN_ARCHIVE = (OSError, ValueError, KeyError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error)
"""What reading a damaged .npz archive raises."""


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside ``path``, moved to ``path`` when the block ends, removed when it fails."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write ``text`` to ``path``, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text)


def document_digest(document: Any) -> str:
    """SHA-256 of a JSON-able document."""
    return hashlib.sha256(json.dumps(document, sort_keys=True, default=str).encode()).hexdigest()


def tree_digest(folder: Path | None, pattern: str = "*") -> str | None:
    """SHA-256 of names and contents of files below ``folder`` that fit ``pattern``; None for no folder."""
    if folder is None:
        return None
    state = hashlib.sha256()
    for path in sorted(p for p in folder.rglob(pattern) if p.is_file()):
        content = path.read_bytes()
        state.update(f"{path.relative_to(folder).as_posix()} {len(content)}\n".encode() + content)
    return state.hexdigest()

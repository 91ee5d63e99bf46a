"""A chunk: one file and one manifest, each whole or absent, so that a run resumes."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from operator import attrgetter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from zerobias import __version__
from zerobias.errors import DataError, SpecError, ToolError

__all__ = ["ATTEMPTS", "Chunk", "ChunkFunction", "leftovers", "lost", "make", "plan", "sweep"]

ChunkFunction = Callable[[Any, Path], None]

ATTEMPTS = 3
"""How often a chunk may lose its worker before the run gives up."""


@dataclass(frozen=True)
class Chunk:
    """What one file is made of: ``function`` is ``module:name``, ``spec`` anything that is JSON.

    ``version`` is that of the package where the run was started.
    """

    function: str
    spec: Any
    path: Path
    version: str = __version__

    @property
    def manifest(self) -> Path:
        """The manifest, beside the file; it exists only after the file."""
        return self.path.with_name(f"{self.path.name}.json")

    def describe(self, file: Path) -> str:
        """The manifest of this chunk if ``file`` holds it."""
        with file.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        content = {"function": self.function, "sha256": digest, "spec": self.spec, "version": self.version}
        return json.dumps(content, indent=1, sort_keys=True) + "\n"

    def is_done(self) -> bool:
        """Whether the file is whole and was made of this very spec, function and version."""
        try:
            return self.manifest.read_bytes() == self.describe(self.path).encode()
        except OSError:
            return False


def plan(
    function: ChunkFunction, specs: list[Any], folder: Path, names: Sequence[str] | None = None
) -> tuple[Chunk, ...]:
    """The chunks of a run.

    Raises ``SpecError`` for a function or spec that a worker could not be given, and for bad names.
    """
    name = f"{function.__module__}:{function.__qualname__}"
    try:
        importable = function.__module__ != "__main__" and _load(name) is function
    except (ImportError, AttributeError):
        importable = False
    if not importable:
        raise SpecError(
            f"workers cannot import the chunk function {name}: define it at the top level of a module"
        )
    for index, spec in enumerate(specs):
        try:
            same = json.loads(json.dumps(spec, allow_nan=False)) == spec
        except (TypeError, ValueError):
            same = False
        if not same:
            raise SpecError(
                f"the spec of chunk {index} does not survive JSON: {spec!r:.200}; "
                "use finite numbers, strings, lists and dictionaries with strings as keys"
            )
    if names is None:
        names = [f"chunk-{index:05d}" for index in range(len(specs))]
    if len(names) != len(specs):
        raise SpecError(f"{len(names)} names for {len(specs)} chunks: give one each")
    for file, count in Counter(names).items():
        if count > 1 or not file or Path(file).name != file or file.startswith("."):
            raise SpecError(f"chunk name {file!r}: each is one file's own name and starts with no dot")
    return tuple(Chunk(name, spec, folder / file) for spec, file in zip(specs, names, strict=True))


def make(chunk: Chunk) -> None:
    """Make the chunk's file, then its manifest; nothing if it is done.

    Raises ``ToolError`` in a worker with another version of the package, and what the function raises.
    """
    if chunk.version != __version__:
        raise ToolError(
            f"a worker has zerobias {__version__}, the run was started with {chunk.version}: "
            "give both the same environment"
        )
    if chunk.is_done():  # Dask may ask again for what a lost worker had finished
        return
    folder, name = chunk.path.parent, chunk.path.name
    with TemporaryDirectory(
        prefix=f".{name}.", suffix=".tmp", dir=folder, ignore_cleanup_errors=True
    ) as temporary:
        made, manifest = Path(temporary) / name, Path(temporary) / chunk.manifest.name
        _load(chunk.function)(chunk.spec, made)
        if not made.is_file():
            raise DataError(f"{chunk.function} wrote no file for {name}: it must write the path it is given")
        manifest.write_text(chunk.describe(made), encoding="utf-8")
        os.replace(made, chunk.path)
        os.replace(manifest, chunk.manifest)


def leftovers(chunks: Sequence[Chunk]) -> list[tuple[Path, str]]:
    """Temporary folders of chunks of one folder, with the chunk's file name.

    There is one for each attempt that runs or was killed.
    """
    names = {chunk.path.name for chunk in chunks}
    found = chunks[0].path.parent.glob(".*.*.tmp") if chunks else ()
    owned = [(path, path.name[1:].rsplit(".", 2)[0]) for path in found]
    return [(path, name) for path, name in owned if name in names]


def sweep(chunks: Sequence[Chunk]) -> None:
    """Remove what killed workers left behind."""
    for leftover, _ in leftovers(chunks):
        shutil.rmtree(leftover, ignore_errors=True)


def lost(chunk: Chunk) -> ToolError:
    """The error of a chunk that lost its worker too often."""
    return ToolError(
        f"{chunk.path.name} lost its worker too often (spec {json.dumps(chunk.spec):.200}): "
        "the process was killed or crashed, often for want of memory; make the chunks smaller or use fewer "
        "workers, then run again: finished chunks are kept"
    )


def _load(name: str) -> Any:
    """The function called ``module:name``."""
    module, _, attribute = name.partition(":")
    return attrgetter(attribute)(import_module(module))

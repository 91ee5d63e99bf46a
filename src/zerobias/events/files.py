"""zerobias' own event file: HDF5 with one dataset a column, compressed, no pickle, no time stamp."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np

from zerobias.errors import DataError
from zerobias.events.eventset import SHAPES, EventSet
from zerobias.shelves import shelf

__all__ = ["FORMAT", "checked_sample", "default_sample", "file_digest", "read", "write"]

FORMAT = "zerobias-events-1"
_COLUMNS = ("weight", "npu", "process", "split")


def read(path: Path, collections: Sequence[str] | None = None) -> EventSet:
    """Events of the file ``path``; only the named ``collections`` are read (default: all of them).

    Raises ``DataError`` when the file is missing, damaged, of another format or lacks a column.
    """
    if not path.is_file():
        raise DataError(f"no event file {path}: make one with `zerobias simulate` or mend the path")
    try:
        with h5py.File(path, "r") as file:
            if file.attrs.get("format") != FORMAT:
                raise DataError(
                    f"{path}: format is {file.attrs.get('format')!r}, this reader knows {FORMAT!r}"
                )
            wanted = [name for name in SHAPES if name in file] if collections is None else list(collections)
            missing = [name for name in (*wanted, *_COLUMNS) if name not in file]
            if missing:
                raise DataError(f"{path}: lacks {', '.join(missing)}; it holds {', '.join(file)}")
            for name in (*wanted, *_COLUMNS):
                if not isinstance(file[name], h5py.Dataset) or not file[name].shape:
                    raise DataError(f"{path}: {name} is not an array with one row an event: restore the file")
            columns = {name: file[name][...] for name in _COLUMNS}
            names, provenance = (json.loads(file.attrs[key]) for key in ("process_names", "provenance"))
            if not isinstance(names, list) or not isinstance(provenance, dict):
                raise DataError(
                    f"{path}: process_names must be a JSON list and provenance an object: restore the file"
                )
            arrays = {name: file[name][...] for name in wanted}
    except (OSError, KeyError, ValueError, RuntimeError, MemoryError) as error:
        raise DataError(f"{path} cannot be read as an event file ({error}): restore it") from error
    try:
        return EventSet(
            arrays,
            columns["weight"],
            columns["npu"],
            columns["process"],
            columns["split"],
            tuple(names),
            provenance,
        )
    except DataError as error:
        raise DataError(f"{path}: {error}") from None


def write(path: Path, events: EventSet) -> None:
    """Write ``events``; the same events give the same bytes, and a failure leaves no half file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with h5py.File(temporary, "w") as file:  # the default format keeps no time of the root group
            file.attrs["format"] = FORMAT
            file.attrs["process_names"] = json.dumps(list(events.process_names))
            file.attrs["provenance"] = json.dumps(events.provenance, sort_keys=True)
            columns = {name: getattr(events, name) for name in _COLUMNS}
            for name, array in {**events.collections, **columns}.items():
                chunk = (min(len(array), 4096) or 1, *array.shape[1:])
                file.create_dataset(
                    name,
                    data=np.ascontiguousarray(array),
                    chunks=chunk,
                    compression="gzip",
                    compression_opts=9,
                    shuffle=True,
                    track_times=False,
                )
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def file_digest(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def default_sample() -> Path:
    """The shipped sample; its hash is checked with :func:`checked_sample`."""
    return checked_sample(shelf("triggers") / "sample" / "l1_sample.h5")


def checked_sample(path: Path) -> Path:
    """``path``, after its SHA-256 was found equal to the one in ``path``.sha256.

    Raises ``DataError`` when either file is missing or the hash differs.
    """
    stamp = path.with_name(path.name + ".sha256")
    if not path.is_file() or not stamp.is_file():
        raise DataError(
            f"sample {path} or its hash {stamp.name} is missing: restore both or run `make simulate`"
        )
    words, found = stamp.read_text().split(), file_digest(path)
    expected = words[0] if words else "none"
    if expected != found:
        raise DataError(
            f"sample {path} is damaged: SHA-256 {found[:16]}…, expected {expected[:16]}…; "
            "restore it or run `make simulate`"
        )
    return path

"""zerobias' own event file: HDF5 with one dataset a column, compressed, no pickle, no time stamp."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import h5py
import numpy as np

from zerobias.errors import DataError
from zerobias.events.eventset import EventSet
from zerobias.events.layouts.own import COLUMNS, FORMAT
from zerobias.files import replacing, write_text
from zerobias.shelves import shelf

__all__ = ["checked_sample", "default_sample", "file_digest", "stamp", "write"]


def write(path: Path, events: EventSet) -> None:
    """Write ``events``; the same events give the same bytes, and a failure leaves no half file."""
    # The oldest format keeps no time of the root group, and the reader knows where its attributes lie.
    with replacing(path) as temporary, h5py.File(temporary, "w", libver="earliest") as file:
        file.attrs["format"] = FORMAT
        file.attrs["process_names"] = json.dumps(list(events.process_names))
        file.attrs["provenance"] = json.dumps(events.provenance, sort_keys=True)
        columns = {name: getattr(events, name) for name in COLUMNS}
        for name, array in {**events.collections, **columns}.items():
            file.create_dataset(
                name,
                data=np.ascontiguousarray(array),
                # HDF5 holds an empty dataset in chunks only if it may grow.
                maxshape=array.shape if len(array) else (None, *array.shape[1:]),
                chunks=(min(len(array), 4096) or 1, *array.shape[1:]),
                compression="gzip",
                compression_opts=9,
                shuffle=True,
                track_times=False,
            )


def file_digest(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def stamp(path: Path) -> None:
    """Write the SHA-256 of ``path`` beside it, for :func:`checked_sample`."""
    write_text(path.with_name(path.name + ".sha256"), f"{file_digest(path)}  {path.name}\n")


def default_sample(collection: str = "objects") -> Path:
    """The shipped sample that holds ``collection``; its hash is checked with :func:`checked_sample`."""
    name = "wafers.h5" if collection.startswith("wafer") else "l1_sample.h5"
    return checked_sample(shelf("triggers") / "sample" / name)


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

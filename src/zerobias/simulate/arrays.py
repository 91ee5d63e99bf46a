"""Dataclasses of arrays as .npz files: what the chunks of the simulation hold. No pickle."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar
from zipfile import BadZipFile

import numpy as np

from zerobias.errors import DataError

__all__ = ["load", "save"]

Arrays = TypeVar("Arrays")


def save(path: Path, arrays: Any) -> None:
    """Write the fields of a dataclass to ``path``; the same arrays give the same bytes."""
    with path.open("wb") as stream:
        np.savez(stream, allow_pickle=False, **vars(arrays))


def load(path: Path, kind: type[Arrays]) -> Arrays:
    """The dataclass ``kind`` that :func:`save` wrote.

    Raises ``DataError`` when the file is missing or damaged.
    """
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            return kind(**{field.name: file[field.name] for field in fields(kind)})  # type: ignore[arg-type]
    except (OSError, KeyError, ValueError, BadZipFile) as error:
        raise DataError(f"{path} cannot be read as a pool chunk ({error}): delete it") from error

"""Compare two files of scores or vectors: what experts open first when a board disagrees."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from zerobias.errors import DataError
from zerobias.zoo import read_weights

__all__ = ["ArrayComparison", "Comparison", "compare_files", "read_arrays"]


class ArrayComparison(BaseModel):
    """One array found in both files; ``distance`` is the largest difference of two entries."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    events: int
    differing: int
    first_event: int | None
    first_column: int | None
    left: int | float | None
    right: int | float | None
    distance: int | float


class Comparison(BaseModel):
    """Arrays of both files, in order, and the names that only one of them holds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    arrays: tuple[ArrayComparison, ...]
    only_left: tuple[str, ...]
    only_right: tuple[str, ...]

    @property
    def equal(self) -> bool:
        """Whether both files hold the same arrays with the same values."""
        return not (self.only_left or self.only_right or any(a.differing for a in self.arrays))


def read_arrays(path: Path) -> dict[str, NDArray[np.generic]]:
    """Arrays of a file: ``.npz`` by name, ``.csv`` by its header, text of whitespace-separated numbers
    as ``score`` (one column) or ``raw``.

    Raises ``DataError`` when the file is missing, empty or holds something that is no number.
    """
    if not path.is_file():
        raise DataError(f"no file {path}: give two files of scores or vectors")
    if path.suffix == ".npz":
        return dict(read_weights(path))
    try:
        lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
        separator = "," if path.suffix == ".csv" else None
        rows = [line.split(separator) for line in lines]
        names = [cell.strip() for cell in rows.pop(0)] if path.suffix == ".csv" else []
        table = _numbers(rows)
    except (OSError, ValueError) as error:
        raise DataError(
            f"{path} cannot be read as numbers ({error}): one event a line, equal columns"
        ) from error
    if names:
        return {name: table[:, index] for index, name in enumerate(names)}
    return {"score": table[:, 0]} if table.shape[1] == 1 else {"raw": table}


def compare_files(left: Path, right: Path) -> Comparison:
    """Compare every array that both files hold, value by value.

    Raises ``DataError`` when no array is in both or two have different shapes.
    """
    a, b = read_arrays(left), read_arrays(right)
    shared = [name for name in a if name in b]
    if not shared:
        raise DataError(
            f"nothing to compare: {left} holds {', '.join(a)}, {right} holds {', '.join(b)}; name them alike"
        )
    return Comparison(
        arrays=tuple(_compare(name, a[name], b[name]) for name in shared),
        only_left=tuple(name for name in a if name not in b),
        only_right=tuple(name for name in b if name not in a),
    )


def _compare(name: str, left: NDArray[np.generic], right: NDArray[np.generic]) -> ArrayComparison:
    if left.shape != right.shape:
        raise DataError(f"{name}: {left.shape} on the left, {right.shape} on the right; take the same events")
    flat = [np.asarray(x).reshape(len(x), -1) for x in (left, right)]
    wrong = flat[0] != flat[1]
    events = np.flatnonzero(wrong.any(axis=1))
    event = int(events[0]) if len(events) else None
    column = int(np.flatnonzero(wrong[event])[0]) if event is not None else None
    pair = (None, None) if event is None else (flat[0][event, column].item(), flat[1][event, column].item())
    wide = [x.astype(np.int64) if x.dtype.kind in "iu" else x.astype(np.float64) for x in flat]
    distance = np.abs(wide[0] - wide[1]).max(initial=0)
    return ArrayComparison(
        name=name,
        events=len(left),
        differing=len(events),
        first_event=event,
        first_column=column,
        left=pair[0],
        right=pair[1],
        distance=distance.item(),
    )


def _numbers(rows: list[list[str]]) -> NDArray[np.generic]:
    """Integers where every cell is one, else floats; (events, columns)."""
    if not rows or len({len(row) for row in rows}) != 1:
        raise ValueError("no rows, or rows of different length")
    try:
        return np.array([[int(cell) for cell in row] for row in rows], dtype=np.int64)
    except ValueError:
        return np.array([[float(cell) for cell in row] for row in rows], dtype=np.float64)

"""How well a surrogate knows the EMD: relative error by range of EMD."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from zerobias.errors import DataError

__all__ = ["Calibration", "CalibrationRow", "calibrate"]


class CalibrationRow(BaseModel):
    """Mean and spread (standard deviation) of (predicted - true) / true, low <= true < high in pitches."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    low: float
    high: float
    pairs: int
    mean: float
    spread: float


class Calibration(BaseModel):
    """Rows of the ranges that hold pairs, and one of all pairs."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rows: tuple[CalibrationRow, ...]
    total: CalibrationRow


def calibrate(
    predicted: NDArray[Any],
    true: NDArray[np.float64],
    edges: Sequence[float] = (0.0, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.5, 2.0, 3.0, 7.0),
) -> Calibration:
    """Calibration of ``predicted`` EMDs (n,) against the exact ones ``true`` (n,), by range of ``true``.

    ``edges`` of the ranges rise, in pitches; the defaults hold every EMD of a wafer, whose cells are at most
    6.8 pitches apart. Raises ``DataError`` when lengths differ, values are not finite or true ones not
    positive, edges do not rise or do not hold a true value.
    """
    predicted, edges = predicted.astype(np.float64), [float(edge) for edge in edges]
    if predicted.shape != true.shape or true.ndim != 1 or not len(true):
        raise DataError(f"{predicted.shape} predicted for {true.shape} true EMDs: give one (n,) for each")
    wrong = np.flatnonzero(~(np.isfinite(predicted) & np.isfinite(true) & (true > 0)))
    if len(wrong):
        raise DataError(
            f"EMD {wrong[0]} is {true[wrong[0]]}, predicted {predicted[wrong[0]]}: "
            "a relative error needs finite values and a positive true one; leave pairs of equal images out"
        )
    if len(edges) < 2 or any(not low < high for low, high in pairwise(edges)):
        raise DataError(f"edges are {edges}: give at least two, in rising order")
    if not (edges[0] <= true.min() and true.max() < edges[-1]):
        raise DataError(
            f"EMDs from {true.min()} to {true.max()} reach beyond the edges {edges[0]} and {edges[-1]}: "
            "widen the edges"
        )
    error = predicted / true - 1
    rows = []
    for low, high in pairwise(edges):
        mine = error[(true >= low) & (true < high)]
        if len(mine):
            rows.append(_row(mine, low, high))
    return Calibration(rows=tuple(rows), total=_row(error, edges[0], edges[-1]))


def _row(error: NDArray[np.float64], low: float, high: float) -> CalibrationRow:
    return CalibrationRow(
        low=low, high=high, pairs=len(error), mean=float(error.mean()), spread=float(error.std())
    )

"""What a wafer shows: its energy around the maximum, its centre of gravity, the shape of its shower.

Lengths are in cm, in the frame of :mod:`zerobias.events.wafer`. Charges are (events, 48), of any type, not
negative. A wafer without charge has no position and no shape: NaN.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from zerobias.errors import DataError
from zerobias.events.wafer import CELLS, DISTANCES, PITCH_CM, POSITIONS

__all__ = [
    "NEAR",
    "SHAPE_FEATURES",
    "centre_of_gravity",
    "effective_spread",
    "energy_response",
    "occupancy",
    "shape_features",
]

_Array = NDArray[np.float64]

NEAR: NDArray[np.bool_] = DISTANCES < 1 + 1e-9
"""Each cell and its neighbours (48, 48): 7 inside a sensor, fewer at seams and edges."""
NEAR.flags.writeable = False

SHAPE_FEATURES = ("width", "maximum", "core", "roundness", "cells")
"""Columns of :func:`shape_features`.

``width``: rms distance to the centre of gravity in cm. ``maximum``: largest cell over the sum.
``core``: the largest cell and its neighbours over the sum. ``roundness``: square root of the smaller over the
larger principal second moment, from 0 (a line) to 1; 1 for a point. ``cells``: effective number of
cells, (sum q)^2 / sum q^2.
"""

_CENTRES_CM = POSITIONS * PITCH_CM
_POINT_CM2 = 1e-9
_SHARE = 0.6827


def occupancy(charges: NDArray[Any], threshold: NDArray[Any] | int = 1) -> NDArray[np.int64]:
    """Cells (events,) at or above ``threshold``, a number or one a wafer."""
    count: NDArray[np.int64] = (_cells(charges) >= np.asarray(threshold).reshape(-1, 1)).sum(axis=1)
    return count


def energy_response(true: NDArray[Any], decoded: NDArray[Any]) -> _Array:
    """Decoded over true charge (events,) of the largest true cell and its neighbours (:data:`NEAR`).

    Raises ``DataError`` for another shape and for a true wafer without charge.
    """
    before, after = _cells(true), _cells(decoded)
    if before.shape != after.shape:
        raise DataError(f"{len(before)} true and {len(after)} decoded wafers: compare the same wafers")
    empty = np.flatnonzero(~before.any(axis=1))
    if len(empty):
        raise DataError(f"true wafer {empty[0]} has no charge: leave out such wafers, as the encoder does")
    near = NEAR[before.argmax(axis=1)]
    ratio: _Array = (after * near).sum(axis=1) / (before * near).sum(axis=1)
    return ratio


def effective_spread(values: NDArray[Any]) -> float:
    """Half the length of the shortest interval that holds 68.27 % of ``values`` (n,).

    One standard deviation of a Gaussian, and blind to tails. Raises ``DataError`` without values.
    """
    if not len(values):
        raise DataError("effective spread of no values: give at least one")
    ordered = np.sort(values)
    inside = int(np.ceil(_SHARE * len(ordered)))
    return float((ordered[inside - 1 :] - ordered[: len(ordered) - inside + 1]).min()) / 2


def centre_of_gravity(charges: NDArray[Any]) -> _Array:
    """Charge-weighted mean position (events, 2) in cm."""
    return _shares(charges) @ _CENTRES_CM


def shape_features(charges: NDArray[Any]) -> _Array:
    """The features (events, 5) of :data:`SHAPE_FEATURES`."""
    shares = _shares(charges)
    offset = _CENTRES_CM - (shares @ _CENTRES_CM)[:, None]
    xx, yy = np.einsum("ec,eci->ie", shares, offset**2)
    xy = np.einsum("ec,ec->e", shares, offset[..., 0] * offset[..., 1])
    middle, apart = (xx + yy) / 2, np.hypot((xx - yy) / 2, xy)
    large, little = middle + apart, np.maximum(middle - apart, 0)
    point = large < _POINT_CM2
    roundness = np.sqrt(np.where(point, 1, little) / np.where(point, 1, large))
    core = (shares * NEAR[np.nan_to_num(shares).argmax(axis=1)]).sum(axis=1)
    return np.stack(
        [np.sqrt(xx + yy), shares.max(axis=1), core, roundness, 1 / (shares**2).sum(axis=1)], axis=1
    )


def _shares(charges: NDArray[Any]) -> _Array:
    """Charges over their sum; NaN for an empty wafer."""
    values = _cells(charges)
    total = values.sum(axis=1, keepdims=True)
    return values / np.where(total > 0, total, np.nan)


def _cells(charges: NDArray[Any]) -> _Array:
    if charges.ndim != 2 or charges.shape[1] != CELLS:
        raise DataError(f"charges have shape {charges.shape}: it must be (events, {CELLS})")
    values = charges.astype(np.float64)
    bad = np.flatnonzero(~(np.isfinite(values) & (values >= 0)).all(axis=1))
    if len(bad):
        raise DataError(
            f"wafer {bad[0]} has a charge that is negative or not finite: charges are 0 or more; limit them"
        )
    return values

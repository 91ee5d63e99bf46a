"""The exact Earth Mover's Distance (EMD) of wafer images.

The least sum of charge times distance that turns one image of unit charge into the other (the Wasserstein
distance W1), in pitches, found by the network simplex of POT. Distance is a metric, so what both images
have in a cell may stay there, and the EMD follows from their difference alone (the Kantorovich-Rubinstein
duality). Only the excess is moved therefore, scaled to unit charge: the EMD is the charge to move times its
mean distance.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zerobias.errors import DataError
from zerobias.events.wafer import CELLS, DISTANCES

for _name in ("TENSORFLOW", "PYTORCH", "JAX", "CUPY"):  # else POT imports every one that is installed
    os.environ.setdefault(f"POT_BACKEND_DISABLE_{_name}", "1")

import ot  # noqa: E402

__all__ = ["emd", "unit_images", "unit_pairs"]

Array = NDArray[np.float64]


def emd(first: NDArray[Any], second: NDArray[Any]) -> Array:
    """Exact EMD (n,) of each pair of images (n, 48) of trigger-cell charges, in pitches; one thread.

    Raises ``DataError`` as :func:`unit_images` does, and when the numbers of images differ.
    """
    difference = np.subtract(*unit_pairs(first, second))
    return np.array([_moved(one) for one in difference], np.float64)


def _moved(difference: Array) -> float:
    """EMD of two images of unit charge with this difference (48,)."""
    sources, sinks = np.flatnonzero(difference > 0), np.flatnonzero(difference < 0)
    supply, demand = difference[sources].sum(), -difference[sinks].sum()
    if not (supply > 0 and demand > 0):
        return 0.0
    cost = DISTANCES[np.ix_(sources, sinks)]
    distance = ot.emd2(difference[sources] / supply, difference[sinks] / -demand, cost, check_marginals=False)
    return float(supply * distance)


def unit_pairs(first: NDArray[Any], second: NDArray[Any]) -> tuple[Array, Array]:
    """:func:`unit_images` of both; raises ``DataError`` also when their numbers differ."""
    if len(first) != len(second):
        raise DataError(f"{len(first)} images are paired with {len(second)}: give each one partner")
    return unit_images(first), unit_images(second)


def unit_images(images: NDArray[Any]) -> Array:
    """Images (n, 48) scaled to unit charge.

    Raises ``DataError`` for another shape, and for an image that is empty or has a charge that is negative
    or not finite.
    """
    if images.ndim != 2 or images.shape[1] != CELLS:
        raise DataError(f"wafer images have shape {images.shape}: they must be (n, {CELLS}) trigger cells")
    charges = images.astype(np.float64)
    wrong = np.argwhere(~(np.isfinite(charges) & (charges >= 0)))
    if len(wrong):
        image, cell = wrong[0]
        raise DataError(
            f"charge of cell {cell} in image {image} is {charges[image, cell]}: "
            "the EMD is of finite charges that are not negative; clip them or leave the image out"
        )
    total = charges.sum(axis=1, keepdims=True)
    empty = np.flatnonzero(total == 0)
    if len(empty):
        raise DataError(
            f"image {empty[0]} has total charge 0: the EMD is of images with charge; leave empty ones out"
        )
    units: Array = charges / total
    return units

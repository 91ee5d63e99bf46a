"""Images as an encoder might decode them: training data for a surrogate before there is an encoder."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zerobias.emd.exact import unit_images
from zerobias.events.wafer import CELLS, DISTANCES

__all__ = ["plausible_decodings"]

Array = NDArray[np.float64]
Decoding = Callable[[Array, np.random.Generator], Array]

_LATENT = 16
"""Numbers the encoder of the HGCAL concentrator sends for a wafer."""


def plausible_decodings(images: NDArray[Any], seed: int) -> Array:
    """Images (n, 48) of unit charge, each the image in its place after one of four lossy codes at random.

    Blurred with a width of 0.2 to 3 pitches; the mean of each 2 x 2 super cell; a few cells of the largest
    charge; a linear code of 16 numbers, made of the images' principal components and rounded. So they reach
    from nearly right to hardly any shape left. Raises ``DataError`` as :func:`zerobias.emd.unit_images` does.
    """
    charges = unit_images(images)
    rng = np.random.default_rng(seed)
    decodings: tuple[Decoding, ...] = (_blurred, _super_cells, _largest_cells, _linear_code)
    choice = rng.integers(len(decodings), size=len(charges))
    decoded = np.empty_like(charges)
    for number, decoding in enumerate(decodings):
        mine = choice == number
        decoded[mine] = decoding(charges[mine], rng)
    return unit_images(decoded)


def _blurred(images: Array, rng: np.random.Generator) -> Array:
    width = np.exp(rng.uniform(np.log(0.2), np.log(3.0), len(images)))
    spread = np.exp(-0.5 * (DISTANCES / width[:, None, None]) ** 2)
    blurred: Array = (images[:, None] @ (spread / spread.sum(axis=2, keepdims=True)))[:, 0]
    return blurred


def _super_cells(images: Array, rng: np.random.Generator) -> Array:
    """Cell 16 k + 4 r + c of sensor k lies in its super cell (r // 2, c // 2)."""
    mean = images.reshape(-1, 3, 2, 2, 2, 2).mean(axis=(3, 5), keepdims=True)
    return np.broadcast_to(mean, (len(images), 3, 2, 2, 2, 2)).reshape(-1, CELLS)


def _largest_cells(images: Array, rng: np.random.Generator) -> Array:
    kept = rng.integers(4, 25, len(images))
    rank = np.argsort(np.argsort(-images, axis=1, kind="stable"), axis=1)
    return np.where(rank < kept[:, None], images, 0.0)


def _linear_code(images: Array, rng: np.random.Generator) -> Array:
    """Steps of 1/4 to 1/256 of each component's largest value; a decoded charge is not negative."""
    mean = images.mean(axis=0)
    components = np.linalg.svd(images - mean, full_matrices=False)[2][:_LATENT]
    latent = (images - mean) @ components.T
    unit = np.abs(latent).max(axis=0, initial=np.finfo(float).tiny)
    steps = 2.0 ** rng.integers(2, 9, len(images))[:, None]
    decoded: Array = np.maximum(mean + np.rint(latent / unit * steps) / steps * unit @ components, 0.0)
    return decoded

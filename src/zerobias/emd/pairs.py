"""Pairs of images with their exact EMD: what a surrogate is trained on and judged by."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zerobias.emd.chunks import emd_in_chunks
from zerobias.emd.exact import unit_images, unit_pairs
from zerobias.errors import DataError, SpecError
from zerobias.executor import Run, run_chunks

__all__ = ["Pairs", "make_pairs"]

_LEAST = 1e-3


@dataclass(frozen=True)
class Pairs:
    """Images (n, 48) of unit charge, their exact EMD (n,) in pitches, whether the second is decoded (n,)."""

    first: NDArray[np.float64]
    second: NDArray[np.float64]
    emd: NDArray[np.float64]
    decoded: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.emd)


def make_pairs(
    real: NDArray[Any],
    decoded: NDArray[Any],
    folder: Path,
    *,
    pairs: int,
    decoded_share: float,
    seed: int,
    run: Run = run_chunks,
    progress: Callable[[int, int], None] | None = None,
) -> Pairs:
    """Different pairs of images, in random order, with exact targets.

    ``real`` (n, 48) are charges of wafers, ``decoded`` (versions, n, 48) the same wafers out of one or more
    decoders, be it :func:`zerobias.emd.plausible_decodings` or a trained network. A real-decoded pair is a
    wafer and one version of itself, a real-real pair two wafers. ``decoded_share`` is the fraction of
    real-decoded pairs: 0, 1, or between for both kinds. Pairs less than 1e-3 pitches apart are left out: to
    a network in single precision their images are equal. The same ``seed`` gives the same pairs; ``folder``,
    ``run`` and ``progress`` are those of :func:`zerobias.emd.emd_in_chunks`.

    Raises ``DataError`` for a wrong shape or image, ``SpecError`` for a share that is not one, for no
    pairs and for more pairs than there are.
    """
    if decoded.ndim != 3 or decoded.shape[1:] != real.shape:
        raise DataError(
            f"decoded images have shape {decoded.shape}: they must be (versions, *{real.shape}), "
            "each real image decoded by each version"
        )
    if not 0 <= decoded_share <= 1:
        raise SpecError(f"decoded_share is {decoded_share}: it is a fraction between 0 and 1")
    if pairs < 1:
        raise SpecError(f"pairs is {pairs}: at least one pair is needed")
    real = unit_images(real)
    versions, count = decoded.shape[:2]
    with_decoded = round(pairs * decoded_share)
    rng = np.random.default_rng(seed)
    version, wafer = np.divmod(_draw(rng, versions * count, with_decoded, "real-decoded"), max(count, 1))
    one, other = _combinations(_draw(rng, math.comb(count, 2), pairs - with_decoded, "real-real"))
    order = rng.permutation(pairs)
    first, second = unit_pairs(
        np.concatenate([real[wafer], real[one]])[order],
        np.concatenate([decoded[version, wafer], real[other]])[order],
    )
    distance = emd_in_chunks(first, second, folder, run=run, progress=progress)
    keep = distance >= _LEAST
    return Pairs(first[keep], second[keep], distance[keep], (order < with_decoded)[keep])


def _draw(rng: np.random.Generator, available: int, wanted: int, kind: str) -> NDArray[np.int64]:
    if wanted > available:
        raise SpecError(f"{wanted} {kind} pairs are wanted: there are {available}; ask for fewer")
    return rng.choice(available, wanted, replace=False, shuffle=False)


def _combinations(number: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(larger, smaller) of each pair: pair 0 is (1, 0), then (2, 0), (2, 1), (3, 0), ..."""
    larger = ((1 + np.sqrt(1.0 + 8.0 * number)) / 2).astype(np.int64)
    larger -= larger * (larger - 1) // 2 > number  # a root rounded up
    return larger, number - larger * (larger - 1) // 2

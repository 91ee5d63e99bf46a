"""Compare wafers before and after a compression, in bins, with bootstrap errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zerobias.econt.distances import frechet, mmd2, mmd_terms, standardise, w1
from zerobias.econt.shapes import (
    SHAPE_FEATURES,
    centre_of_gravity,
    effective_spread,
    energy_response,
    shape_features,
)
from zerobias.errors import DataError

__all__ = ["FIGURES", "BinFigures", "Figure", "compare", "in_bins"]

_Array = NDArray[np.float64]
_Counts = NDArray[np.int64]

FIGURES = (
    "response",
    "resolution",
    "lost",
    "bias x",
    "bias y",
    "position",
    *(f"w1 {name}" for name in SHAPE_FEATURES),
    "mmd2",
    "frechet",
)
"""Names of the figures.

``response``: median of :func:`energy_response`. ``resolution``: its effective spread over its median.
``lost``: share of wafers decoded to no charge at all; they have no position and no shape and are left
out of what follows. ``bias x``, ``bias y``: mean shift of the centre of gravity, decoded less true, in cm.
``position``: rms of that shift about its mean, one coordinate, in cm. ``w1``, ``mmd2``, ``frechet``:
distances of the shape features, see :mod:`zerobias.econt.distances`.
"""

_MMD_WAFERS = 1000


@dataclass(frozen=True)
class Figure:
    """A value and its bootstrap error; NaN where it is not defined."""

    value: float
    error: float


@dataclass(frozen=True)
class BinFigures:
    """The figures (:data:`FIGURES`) of the ``wafers`` with ``low`` <= value < ``high``."""

    low: float
    high: float
    wafers: int
    figures: Mapping[str, Figure]


def compare(
    true: NDArray[Any],
    decoded: NDArray[Any],
    values: NDArray[Any],
    edges: Sequence[float],
    *,
    replicas: int = 100,
    seed: int = 0,
) -> list[BinFigures]:
    """Figures of decoded wafers (events, 48) in bins of ``values`` (events,), such as occupancy or eta.

    The last bin includes its upper edge. Errors: standard deviation over ``replicas`` bootstrap samples of
    the wafers, drawn with ``seed``; scales (spread of the input, width of the kernel) stay those of the
    whole bin. The wafers of one crossing see the same collisions, so errors are too small where a sample
    holds many of each. MMD takes at most 1000 wafers of a bin.

    Raises ``DataError`` for bad charges, edges that do not rise, or a bin without two wafers or spread.
    """
    if len(values) != len(true):
        raise DataError(f"{len(true)} wafers and {len(values)} values: give one value a wafer")
    found: list[BinFigures] = []
    for (low, high), chosen in zip(pairwise(edges), in_bins(values, edges), strict=True):
        count = int(chosen.sum())
        if count < 2:
            raise DataError(f"the bin from {low} to {high} has {count} wafers: make it wider")
        rng = np.random.default_rng([seed, len(found)])
        found.append(BinFigures(low, high, count, _figures(true[chosen], decoded[chosen], replicas, rng)))
    return found


def in_bins(values: NDArray[Any], edges: Sequence[float]) -> list[NDArray[np.bool_]]:
    """For each bin, which of ``values`` (events,) lie in it; the last one includes its upper edge.

    Raises ``DataError`` for edges that do not rise.
    """
    if len(edges) < 2 or not (np.diff(edges) > 0).all():
        raise DataError(f"edges are {list(edges)}: give at least two that rise")
    return [
        (values >= low) & ((values < high) | ((values == high) & (high == edges[-1])))
        for low, high in pairwise(edges)
    ]


def _figures(
    true: NDArray[Any], decoded: NDArray[Any], replicas: int, rng: np.random.Generator
) -> dict[str, Figure]:
    sample = _Sample(true, decoded, rng)
    value = sample.figures(np.ones(len(true), np.int64))
    draws = rng.multinomial(len(true), np.full(len(true), 1 / len(true)), size=replicas)
    drawn = np.array([sample.figures(counts) for counts in draws]).reshape(replicas, len(FIGURES))
    errors = [float(np.std(c[np.isfinite(c)])) if np.isfinite(c).any() else np.nan for c in drawn.T]
    return {name: Figure(*both) for name, *both in zip(FIGURES, value, errors, strict=True)}


class _Sample:
    """All that is computed once; then the figures of any bootstrap sample from the wafers' counts."""

    def __init__(self, true: NDArray[Any], decoded: NDArray[Any], rng: np.random.Generator) -> None:
        self._response = energy_response(true, decoded)
        self._kept = np.flatnonzero(decoded.any(axis=1))
        before, after = true[self._kept], decoded[self._kept]
        self._shift = centre_of_gravity(after) - centre_of_gravity(before)
        if len(self._kept) > 1:
            self._x, self._y = standardise(shape_features(before), shape_features(after))
            few = rng.permutation(len(self._kept))[:_MMD_WAFERS]
            self._few, self._terms = few, mmd_terms(self._x[few], self._y[few])

    def figures(self, counts: _Counts) -> list[float]:
        response = np.repeat(self._response, counts)
        median = float(np.median(response))
        resolution = effective_spread(response) / median if median > 0 else np.nan
        kept = counts[self._kept]
        lost = 1 - float(kept.sum() / counts.sum())
        first = [median, resolution, lost]
        if np.count_nonzero(kept) < 2 or np.count_nonzero(kept[self._few]) < 2:
            return first + [np.nan] * (len(FIGURES) - len(first))
        mean = np.average(self._shift, axis=0, weights=kept)
        spread = np.average((self._shift - mean) ** 2, axis=0, weights=kept)
        return [
            *first,
            *(float(m) for m in mean),
            float(np.sqrt(spread.mean())),
            *(w1(x, y, kept) for x, y in zip(self._x.T, self._y.T, strict=True)),
            mmd2(self._terms, kept[self._few]),
            frechet(self._x, self._y, kept),
        ]

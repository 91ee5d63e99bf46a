"""Weighted AUC and efficiency at a false-positive rate, with bootstrap errors.

Scores are compared through their ranks, so any monotonic score gives the same figures. Ties count
one half in the AUC (Mann-Whitney). A threshold fires on score >= threshold.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zerobias.errors import DataError

__all__ = ["ROUNDING", "Figures", "Sample", "auc", "effective_events", "efficiency", "figures", "replicate"]

_Array = NDArray[np.float64]
ROUNDING = 1e-9
"""Relative margin for the rounding of sums of weights: a share of exactly the rate is allowed."""


@dataclass(frozen=True)
class Sample:
    """Scores (events,) and weights (events,) of one class of events.

    Raises ``DataError`` when empty, of unequal length, not finite, without positive weight, or when an event
    has several scores.
    """

    score: NDArray[np.generic]
    weight: _Array

    def __post_init__(self) -> None:
        if np.ndim(self.score) != 1:
            raise DataError(f"scores of shape {np.shape(self.score)}: an AUC needs one score an event")
        if len(self.score) != len(self.weight) or not len(self.score):
            raise DataError(
                f"{len(self.score)} scores and {len(self.weight)} weights: give one weight an event"
            )
        if not np.isfinite(self.score).all() or not np.isfinite(self.weight).all():
            raise DataError("a score or weight is not finite: remove those events")
        if (self.weight < 0).any() or self.weight.sum() <= 0:
            raise DataError("weights must not be negative and their sum must be positive")


@dataclass(frozen=True)
class Figures:
    """``auc``; per false-positive rate the ``efficiency``, its ``threshold`` and the effective number
    of background events above it, (sum w)^2 / sum w^2."""

    auc: float
    efficiency: tuple[float, ...]
    threshold: tuple[float, ...]
    background_above: tuple[float, ...]


def auc(signal: Sample, background: Sample) -> float:
    """P(signal score > background score) + P(equal) / 2, by weight."""
    return figures(signal, background, ()).auc


def efficiency(signal: Sample, background: Sample, rate: float) -> float:
    """Weighted share of the signal at or above the lowest threshold with background share <= ``rate``."""
    return figures(signal, background, (rate,)).efficiency[0]


def figures(signal: Sample, background: Sample, rates: Sequence[float]) -> Figures:
    """All figures at once; ``rates`` are false-positive rates."""
    levels, s, b = _levels(signal, background)
    value, effs, index = _from_histograms(
        np.bincount(s, signal.weight, len(levels)), np.bincount(b, background.weight, len(levels)), rates
    )
    above = tuple(effective_events(background.weight[b >= i]) for i in index)
    edges = np.append(levels, np.inf)
    return Figures(value, effs, tuple(float(edges[i]) for i in index), above)


def effective_events(weight: NDArray[Any]) -> float:
    """Events of one weight that are worth as much as those of ``weight`` (events,): (sum w)^2 / sum w^2."""
    return float(weight.sum() ** 2 / np.sum(weight**2)) if weight.any() else 0.0


def replicate(
    signal: Sample,
    background: Sample,
    rates: Sequence[float],
    signal_counts: NDArray[np.number],
    background_counts: NDArray[np.number],
) -> tuple[_Array, _Array]:
    """AUC (replicas,) and efficiencies (replicas, rates) of bootstrap replicas.

    ``*_counts`` (replicas, events) say how often each event is drawn, or any factor of its weight; the same
    counts given for two scores make the comparison paired. A replica that draws no weight of one class is
    NaN.
    """
    levels, s, b = _levels(signal, background)
    values = np.empty(len(signal_counts))
    effs = np.empty((len(signal_counts), len(rates)))
    for r, (cs, cb) in enumerate(zip(signal_counts, background_counts, strict=True)):
        values[r], effs[r], _ = _from_histograms(
            np.bincount(s, signal.weight * cs, len(levels)),
            np.bincount(b, background.weight * cb, len(levels)),
            rates,
        )
    return values, effs


def _levels(
    signal: Sample, background: Sample
) -> tuple[NDArray[np.generic], NDArray[np.intp], NDArray[np.intp]]:
    """Distinct scores, and each event's index among them."""
    levels, index = np.unique(np.concatenate([signal.score, background.score]), return_inverse=True)
    return levels, index[: len(signal.score)], index[len(signal.score) :]


def _from_histograms(
    signal: NDArray[Any], background: NDArray[Any], rates: Sequence[float]
) -> tuple[float, tuple[float, ...], list[int]]:
    below = np.cumsum(background) - background
    total = float(signal.sum() * background.sum())
    if total == 0:
        return np.nan, (np.nan,) * len(rates), [0] * len(rates)
    value = float(np.sum(signal * (below + 0.5 * background))) / total
    signal_above = np.append(np.cumsum(signal[::-1])[::-1], 0.0) / signal.sum()
    share = np.append(np.cumsum(background[::-1])[::-1], 0.0) / background.sum()
    index = [int(np.argmax(share <= rate * (1 + ROUNDING))) for rate in rates]
    return value, tuple(float(signal_above[i]) for i in index), index

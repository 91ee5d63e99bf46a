"""What a plot of a score needs: its distribution and its ROC curve, from integer scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from zerobias.errors import DataError
from zerobias.physics.metrics import Sample, effective_events, figures

__all__ = ["Histogram", "RocCurve", "ScoreCurves", "score_curves"]

_BINS = 48
_RATES = tuple(10.0 ** (-k / 10) for k in range(41))
"""Background shares of the ROC points, ten a decade from 1 to 1e-4."""
_DIGITS = 6

_Array = NDArray[np.float64]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Histogram(_Part):
    """Share of the weight in each bin ``edges[i] <= score < edges[i + 1]``; every event is in a bin."""

    edges: tuple[int, ...]
    """Integer edges of the bins."""
    background: tuple[float, ...]
    """Share of zero bias in each bin."""
    signals: dict[str, tuple[float, ...]]
    """Process -> share of the signal in each bin."""


class RocCurve(_Part):
    """Shares of the weight at ``score >= threshold``."""

    thresholds: tuple[int, ...]
    """Integer thresholds, falling."""
    background: tuple[float, ...]
    """Share of zero bias at or above each."""
    background_above: tuple[float, ...]
    """Effective zero-bias events there, (sum w)^2 / sum w^2."""
    signals: dict[str, tuple[float, ...]]
    """Process -> share of the signal at or above each."""


class ScoreCurves(_Part):
    """Distribution and ROC curve of the model's integer score, in shares rounded to six decimals."""

    histogram: Histogram
    """Distribution."""
    roc: RocCurve
    """ROC curve."""


def score_curves(
    background: Sample, signals: Mapping[str, Sample], rates: Sequence[float] = _RATES
) -> ScoreCurves:
    """Curves of integer scores.

    Bins have about equal width in sign(s) log(1 + abs(s)), at least 1, from the lowest score of all samples
    to the highest. ROC points lie at the lowest thresholds, among the scores that occur, with a background
    share of at most each of ``rates``; a plateau of the score gives one point.

    Raises ``DataError`` for scores that are not integers, and without a signal.
    """
    samples = [background, *signals.values()]
    kinds = {str(sample.score.dtype) for sample in samples if not _is_integer(sample.score)}
    if kinds or not signals:
        problem = f"scores of type {', '.join(sorted(kinds))}" if kinds else "no signal"
        raise DataError(f"{problem}: curves are drawn of the integer scores of zero bias and a signal")
    edges = _edges(min(int(s.score.min()) for s in samples), max(int(s.score.max()) for s in samples))
    pooled = np.unique(np.concatenate([sample.score for sample in samples]))
    every = Sample(pooled, np.ones(len(pooled)))
    thresholds = np.unique([int(t) for t in figures(every, background, rates).threshold if np.isfinite(t)])
    thresholds = thresholds[::-1]
    scores = background.score.astype(np.int64)
    return ScoreCurves(
        histogram=Histogram(
            edges=tuple(int(edge) for edge in edges),
            background=_binned(background, edges),
            signals={name: _binned(sample, edges) for name, sample in signals.items()},
        ),
        roc=RocCurve(
            thresholds=tuple(int(threshold) for threshold in thresholds),
            background=_above(background, thresholds),
            background_above=tuple(
                round(effective_events(background.weight[scores >= t]), 1) for t in thresholds
            ),
            signals={name: _above(sample, thresholds) for name, sample in signals.items()},
        ),
    )


def _is_integer(score: NDArray[np.generic]) -> bool:
    return bool(np.issubdtype(score.dtype, np.integer))


def _edges(low: int, high: int) -> NDArray[np.int64]:
    """Ascending integers, the first ``low``, the last above ``high``."""
    ends = np.array([low, high + 1], dtype=np.float64)
    first, last = np.sign(ends) * np.log1p(np.abs(ends))
    steps = np.linspace(first, last, _BINS + 1)
    inner = np.rint(np.sign(steps) * np.expm1(np.abs(steps))).astype(np.int64)[1:-1]
    return np.unique([low, *inner, high + 1])


def _binned(sample: Sample, edges: NDArray[np.int64]) -> tuple[float, ...]:
    index = np.searchsorted(edges, sample.score, side="right") - 1
    total = np.bincount(index, sample.weight, len(edges) - 1)
    return _rounded(total / sample.weight.sum())


def _above(sample: Sample, thresholds: NDArray[np.int64]) -> tuple[float, ...]:
    order = np.argsort(sample.score, kind="stable")
    below = np.append(0.0, np.cumsum(sample.weight[order]))
    return _rounded(1 - below[np.searchsorted(sample.score[order], thresholds)] / below[-1])


def _rounded(shares: _Array) -> tuple[float, ...]:
    # + 0.0 makes a rounded -0.0 the same as 0.0
    return tuple(float(share) + 0.0 for share in np.round(shares, _DIGITS))

"""Reweight the pile-up of signal events to that of data, bin by bin."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from zerobias.errors import DataError
from zerobias.physics.metrics import effective_events

__all__ = ["PILEUP_BINS", "PileupWeights", "pileup_bins", "pileup_weights"]

PILEUP_BINS = 10
"""Bins of the reweighting: a signal of 400 events keeps about 40 a bin."""

_ROUNDING = 1e-9
"""Margin for the rounding of sums of weights: a share of exactly k / bins opens bin k."""

_Npu = NDArray[np.integer]
_Weight = NDArray[np.float64]


@dataclass(frozen=True)
class PileupWeights:
    """New signal weights (events,), with the sum of the old ones.

    ``background_dropped``: share of the background's weight in bins that hold no signal, which the weighted
    signal therefore does not stand for. ``signal_dropped``: share of the signal's weight outside the
    background's range of nPU; those events weigh 0.
    """

    weight: _Weight
    background_dropped: float
    signal_dropped: float

    @property
    def effective_events(self) -> float:
        """(sum w)^2 / sum w^2."""
        return effective_events(self.weight)


def pileup_bins(npu: _Npu, weight: _Weight, bins: int) -> tuple[tuple[int, int], ...]:
    """At most ``bins`` intervals low <= nPU <= high of about equal weight, without gaps, over all events.

    A value of nPU belongs to bin floor(bins * share of the weight below it), so one value is never cut in
    two; bins that no value falls into are left out. Events of weight 0 do not count.

    Raises ``DataError`` for nPU that is negative or not an integer, weights that are not finite or negative,
    unequal lengths, or no weight at all.
    """
    total = _histogram(npu, weight)
    below = np.cumsum(total) - total
    values = np.flatnonzero(total)
    _, first = np.unique(np.floor(bins * below[values] / total.sum() + _ROUNDING), return_index=True)
    lows = [int(low) for low in values[first]]
    return tuple(zip(lows, [*(low - 1 for low in lows[1:]), int(values[-1])], strict=True))


def pileup_weights(
    signal_npu: _Npu,
    signal_weight: _Weight,
    background_npu: _Npu,
    background_weight: _Weight,
    *,
    bins: int = PILEUP_BINS,
) -> PileupWeights:
    """Weights that give the signal the background's nPU profile in :func:`pileup_bins` of the background.

    Each signal weight is multiplied by the background's share of its bin over the signal's share, then all
    by one factor that restores their sum. Arrays are (events,).

    Raises ``DataError`` as :func:`pileup_bins` does, and when no signal event lies in the background's range.
    """
    signal = _histogram(signal_npu, signal_weight)
    background = _histogram(background_npu, background_weight)
    intervals = pileup_bins(background_npu, background_weight, bins)
    factor = np.zeros(len(signal))
    covered = used = 0.0
    for low, high in intervals:
        part = signal[low : high + 1].sum()
        if part > 0:
            share = background[low : high + 1].sum()
            factor[low : high + 1] = share / part
            covered += share
            used += part
    if not covered:
        raise DataError(
            f"no signal event has a pile-up of {intervals[0][0]} to {intervals[-1][1]} interactions as the "
            "background has: overlay the signal with that pile-up"
        )
    return PileupWeights(
        signal_weight * factor[signal_npu] * (signal.sum() / covered),
        float(1 - covered / background.sum()),
        float(1 - used / signal.sum()),
    )


def _histogram(npu: _Npu, weight: _Weight) -> NDArray[np.float64]:
    """Weight at each nPU from 0 on."""
    if npu.shape != weight.shape or npu.ndim != 1:
        raise DataError(f"nPU is {npu.shape} and the weights are {weight.shape}: give one weight an event")
    if not np.issubdtype(npu.dtype, np.integer) or (npu < 0).any():
        raise DataError("nPU must be integers that are not negative: count the interactions")
    if not np.isfinite(weight).all() or (weight < 0).any() or weight.sum() <= 0:
        raise DataError("weights must be finite and not negative, and their sum positive")
    return np.bincount(npu.astype(np.int64), weight).astype(np.float64, copy=False)

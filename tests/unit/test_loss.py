"""Paired loss of AUC: against closed forms, and that pairing removes what both scores share."""

from __future__ import annotations

import numpy as np
import pytest

from zerobias.errors import DataError
from zerobias.physics import AucLoss, auc_loss


def loss(former: tuple[np.ndarray, np.ndarray], new: tuple[np.ndarray, np.ndarray]) -> AucLoss:
    """``former`` and ``new``: scores of background and of one signal."""
    return auc_loss(
        former_background=former[0],
        new_background=new[0],
        background_weight=np.ones(len(former[0])),
        former_signals={"s": former[1]},
        new_signals={"s": new[1]},
        signal_weight={"s": np.ones(len(former[1]))},
    )


def test_same_scores_lose_exactly_nothing() -> None:
    rng = np.random.default_rng(1)
    scores = rng.normal(size=300), rng.normal(1.0, size=200)
    found = loss(scores, (scores[0] * 2 + 1, scores[1] * 2 + 1))  # a monotonic change
    assert found.mean.loss == found.mean.upper == found.rows[0].upper == 0.0
    assert (found.rows[0].signal_events, found.background_events) == (200, 300)


def test_perfect_against_useless() -> None:
    background, signal = np.zeros(50), np.ones(40)
    found = loss((background, signal), (background, signal * 0))
    assert (found.mean.former, found.mean.new, found.mean.loss, found.mean.upper) == (1.0, 0.5, 0.5, 0.5)
    gain = loss((background, signal * 0), (background, signal))
    assert gain.mean.loss == gain.mean.upper == -0.5


def test_upper_limit_is_that_of_the_paired_difference() -> None:
    """Noise is added to the scores of some signal events: the spread is that of a mean of that few."""
    rng = np.random.default_rng(2)
    background, signal = rng.normal(size=20_000), rng.normal(1.0, size=4000)
    changed = np.where(np.arange(4000) < 400, -10.0, signal)
    found = loss((background, signal), (background, changed))
    # Each changed event lowers the AUC by its own share of background below it, u.
    u = np.array([(background < s).mean() for s in signal[:400]])
    assert found.mean.loss == pytest.approx(u.sum() / 4000)
    share = np.concatenate([u, np.zeros(3600)])
    assert found.mean.upper - found.mean.loss == pytest.approx(share.std() / np.sqrt(4000), rel=0.25)


def test_mean_over_signals_and_refusals() -> None:
    zero, one = np.zeros(10), np.ones(10)
    kinds = {"background_weight": one, "former_background": zero, "new_background": zero}
    found = auc_loss(
        **kinds,
        former_signals={"a": one, "b": one},
        new_signals={"a": one, "b": zero},
        signal_weight={"a": one, "b": one},
    )
    assert [row.loss for row in found.rows] == [0.0, 0.5]
    assert found.mean.loss == 0.25
    with pytest.raises(DataError, match="no signal"):
        auc_loss(**kinds, former_signals={}, new_signals={}, signal_weight={})

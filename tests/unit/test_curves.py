"""Histograms and ROC points of integer scores against counting by hand."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from zerobias.errors import DataError
from zerobias.physics import Sample, ScoreCurves, efficiency, score_curves


def toy(scale: float = 1.0, shift: int = 0) -> tuple[Sample, Sample]:
    """Zero bias with weights, and a signal; exponential scores."""
    rng = np.random.default_rng(8)
    scores = [
        (rng.exponential(mean * scale, n)).astype(np.int64) + shift for mean, n in ((40, 5000), (300, 400))
    ]
    return Sample(scores[0], rng.uniform(0.1, 2, 5000)), Sample(scores[1], rng.uniform(0.5, 1, 400))


def share(sample: Sample, inside: NDArray[np.bool_]) -> float:
    return float(sample.weight[inside].sum() / sample.weight.sum())


@pytest.mark.parametrize(("scale", "shift"), [(1.0, 0), (100.0, -900), (0.01, 5)])
def test_every_event_is_in_the_bin_of_its_score(scale: float, shift: int) -> None:
    background, signal = toy(scale, shift)
    found = score_curves(background, {"s": signal}).histogram
    edges = np.array(found.edges)
    assert (np.diff(edges) > 0).all()
    assert len(edges) <= 49
    lowest = min(background.score.min(), signal.score.min())
    assert (edges[0], edges[-1]) == (lowest, max(background.score.max(), signal.score.max()) + 1)
    for sample, shares in ((background, found.background), (signal, found.signals["s"])):
        assert sum(shares) == pytest.approx(1, abs=49e-6)
        for low, high, value in zip(edges[:-1], edges[1:], shares, strict=True):
            inside = (sample.score >= low) & (sample.score < high)
            assert value == pytest.approx(share(sample, inside), abs=1e-6)


def test_roc_points_are_counted_and_hit_the_rates() -> None:
    background, signal = toy()
    roc = score_curves(background, {"s": signal}).roc
    assert list(roc.thresholds) == sorted(set(roc.thresholds), reverse=True)
    for i, threshold in enumerate(roc.thresholds):
        above = background.score >= threshold
        assert roc.background[i] == pytest.approx(share(background, above), abs=1e-6)
        assert roc.signals["s"][i] == pytest.approx(share(signal, signal.score >= threshold), abs=1e-6)
        weight = background.weight[above]
        assert roc.background_above[i] == pytest.approx(weight.sum() ** 2 / (weight**2).sum(), abs=0.06)
    assert (roc.background[-1], roc.signals["s"][-1]) == (1.0, 1.0)
    for rate in (1e-1, 1e-2, 1e-3):
        reached = [e for e, b in zip(roc.signals["s"], roc.background, strict=True) if b <= rate * (1 + 1e-6)]
        assert max(reached) == pytest.approx(efficiency(signal, background, rate), abs=1e-6)


def test_a_plateau_gives_one_point_and_a_gap_above_zero_bias_another() -> None:
    background = Sample(np.array([0, 0, 0, 8]), np.ones(4))
    signal = Sample(np.array([8, 9]), np.ones(2))
    roc = score_curves(background, {"s": signal}).roc
    assert (roc.thresholds, roc.background, roc.signals["s"]) == (
        (9, 8, 0),
        (0.0, 0.25, 1.0),
        (0.5, 1.0, 1.0),
    )


def test_one_value_of_the_score() -> None:
    same = Sample(np.array([7, 7]), np.ones(2))
    found = score_curves(same, {"s": same})
    assert found.histogram.edges == (7, 8)
    assert (found.roc.thresholds, found.roc.background) == ((7,), (1.0,))


def test_json_comes_back() -> None:
    background, signal = toy()
    found = score_curves(background, {"s": signal})
    assert ScoreCurves.model_validate_json(found.model_dump_json()) == found


def test_only_integer_scores_of_a_signal() -> None:
    background, signal = toy()
    floating = Sample(signal.score.astype(np.float64), signal.weight)
    with pytest.raises(DataError, match=r"^scores of type float64: curves are drawn of the integer scores"):
        score_curves(background, {"s": floating})
    with pytest.raises(DataError, match=r"^no signal: curves"):
        score_curves(background, {})

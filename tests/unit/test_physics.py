"""Weighted AUC and efficiencies against brute force, scikit-learn and closed forms."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from zerobias.errors import DataError
from zerobias.physics import Sample, auc, baseline_scores, efficiency, figures, physics_table, replicate

SCORES = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 5)), min_size=1, max_size=12)


def sample(pairs: list[tuple[int, int]]) -> Sample:
    scores, weights = np.array(pairs).T
    weights = weights.astype(float)
    weights[0] += 1  # some weight is positive
    return Sample(scores, weights)


@given(signal=SCORES, background=SCORES)
def test_auc_is_the_share_of_ordered_pairs(
    signal: list[tuple[int, int]], background: list[tuple[int, int]]
) -> None:
    s, b = sample(signal), sample(background)
    wins = sum(
        ws * wb * (1.0 if vs > vb else 0.5 if vs == vb else 0.0)
        for vs, ws in zip(s.score, s.weight, strict=True)
        for vb, wb in zip(b.score, b.weight, strict=True)
    )
    assert auc(s, b) == pytest.approx(wins / (s.weight.sum() * b.weight.sum()), abs=1e-12)


@given(signal=SCORES, background=SCORES, rate=st.sampled_from([0.0, 0.05, 0.3, 0.999, 1.0]))
def test_efficiency_is_at_the_lowest_allowed_threshold(
    signal: list[tuple[int, int]], background: list[tuple[int, int]], rate: float
) -> None:
    s, b = sample(signal), sample(background)
    allowed = [t for t in range(9) if b.weight[b.score >= t].sum() / b.weight.sum() <= rate]
    expected = s.weight[s.score >= min(allowed)].sum() / s.weight.sum()
    assert efficiency(s, b, rate) == pytest.approx(expected, abs=1e-12)


def test_auc_agrees_with_scikit_learn() -> None:
    rng = np.random.default_rng(1)
    s = Sample(rng.integers(0, 300, 900), rng.exponential(size=900))
    b = Sample(rng.integers(0, 200, 1500), rng.exponential(size=1500))
    truth = np.concatenate([np.ones(900), np.zeros(1500)])
    weight = np.concatenate([s.weight, b.weight])
    expected = roc_auc_score(truth, np.concatenate([s.score, b.score]), sample_weight=weight)
    assert auc(s, b) == pytest.approx(expected, abs=1e-12)


def test_monotonic_transformation_changes_nothing() -> None:
    rng = np.random.default_rng(2)
    s, b = rng.normal(1, 1, 500), rng.normal(0, 1, 700)
    w = rng.random(700)
    before = figures(Sample(s, np.ones(500)), Sample(b, w), (0.01, 0.1))
    after = figures(Sample(np.exp(s), np.ones(500)), Sample(np.exp(b), w), (0.01, 0.1))
    assert (before.auc, before.efficiency, before.background_above) == (
        after.auc,
        after.efficiency,
        after.background_above,
    )


def test_known_numbers_by_hand() -> None:
    s = Sample(np.array([5, 5, 7]), np.ones(3))
    b = Sample(np.array([1, 5, 9]), np.array([0.5, 0.3, 0.2]))
    # 5 against (1, 5, 9): 0.5 + 0.15; 7: 0.8; mean (0.65 + 0.65 + 0.8) / 3
    assert auc(s, b) == pytest.approx(0.7, abs=1e-12)
    found = figures(s, b, (0.2, 0.1))
    assert found.efficiency == (1 / 3, 0.0)  # the first threshold is 7, the second above everything
    assert found.threshold == (7.0, np.inf)
    assert found.background_above == (1.0, 0.0)


def test_bootstrap_error_is_the_spread_of_repeated_experiments() -> None:
    rng = np.random.default_rng(3)

    def draw() -> tuple[Sample, Sample]:
        return (
            Sample(rng.normal(1, 1, 300), np.ones(300)),
            Sample(rng.normal(0, 1, 600), rng.uniform(0.5, 1.5, 600)),
        )

    spread = np.std([auc(*draw()) for _ in range(400)])
    pair = draw()
    counts = rng.poisson(1.0, (400, 300)), rng.poisson(1.0, (400, 600))
    error = np.std(replicate(*pair, (), *counts)[0])
    assert 0.75 < error / spread < 1.3


@pytest.mark.parametrize(
    ("score", "weight", "message"),
    [
        ([1, 2], [1.0], "one weight an event"),
        ([], [], "one weight an event"),
        ([1, 2], [1.0, np.nan], "not finite"),
        ([1.0, np.inf], [1.0, 1.0], "not finite"),
        ([1, 2], [1.0, -1.0], "negative"),
        ([1, 2], [0.0, 0.0], "positive"),
        ([[1, 2], [3, 4]], [1.0, 1.0], "needs one score an event"),
    ],
)
def test_bad_samples_are_refused(score: list[Any], weight: list[float], message: str) -> None:
    with pytest.raises(DataError, match=message):
        Sample(np.array(score), np.array(weight))


def test_baselines_by_hand() -> None:
    objects = np.zeros((1, 19, 3), dtype=np.int16)
    objects[0, 0, 0] = 50  # MET
    objects[0, 1, 0] = 20  # e/gamma
    objects[0, 9] = [100, 30, 4]
    objects[0, 10] = [80, -60, 9]  # too forward for HT
    objects[0, 11] = [59, 0, 9]  # below 30 GeV
    found = {name: int(value[0]) for name, value in baseline_scores("objects", objects).items()}
    assert found == {"met": 50, "ht": 100, "leading_jet": 100, "sum_pt": 50 + 20 + 100 + 80 + 59}


def test_region_baselines_by_hand() -> None:
    regions = np.zeros((2, 18, 14), dtype=np.uint16)
    regions[1, 3, 4], regions[1, 17, 13] = 1023, 2
    found = {name: value.tolist() for name, value in baseline_scores("regions", regions).items()}
    assert found == {"sum_et": [0, 1025], "max_et": [0, 1023], "sum_et2": [0, 1023**2 + 4]}
    assert baseline_scores("wafers", regions) == {}


def table(shift: float, seed: int = 4) -> object:
    rng = np.random.default_rng(seed)
    noise = rng.normal(0, 1, 3000)
    signal = rng.normal(1, 1, 400)
    return physics_table(
        background={"model": noise, "model_float": noise + shift * rng.normal(0, 1, 3000)},
        background_weight=rng.uniform(0.5, 1.5, 3000),
        background_npu=rng.integers(30, 70, 3000),
        signals={"toy": {"model": signal, "model_float": signal + shift * rng.normal(0, 1, 400)}},
        signal_weight={"toy": np.ones(400)},
        signal_npu={"toy": rng.integers(30, 70, 400)},
        sample="toy",
        split="test",
        replicas=50,
    )


def test_table_pairs_the_quantised_and_the_float_network() -> None:
    same = table(0.0)
    assert same.quantisation.mean.value == 0  # type: ignore[attr-defined]
    assert same.quantisation.mean.error == 0  # type: ignore[attr-defined]
    worse = table(0.5)
    difference = worse.quantisation.mean  # type: ignore[attr-defined]
    assert difference.value > 0.02
    single = worse.rows[0].auc.error  # type: ignore[attr-defined]
    assert 0 < difference.error < single, "pairing cancels what both scores share"


def test_table_is_reproducible_and_counts_pileup_bins() -> None:
    assert table(0.2) == table(0.2)
    rows = table(0.2).pileup  # type: ignore[attr-defined]
    assert [r.low for r in rows][1:] == [r.high + 1 for r in rows][:-1]
    assert all(abs(r.auc.value - 0.76) < 0.08 for r in rows)

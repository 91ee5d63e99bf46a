"""Rates and thresholds against closed forms: binomial counts, uniform scores, ties, clustered crossings."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy.stats import binom

from zerobias.beam import Beam
from zerobias.errors import DataError
from zerobias.physics import MenuUnit, ZeroBias, clopper_pearson, reach

KHZ = Beam(bunches=1000, revolution_hz=1000.0)
"""1000 kHz of crossings: a share of one in a thousand is 1 kHz."""


def crossings(count: int, weight: np.ndarray | None = None, **more: object) -> ZeroBias:
    ones = np.ones(count) if weight is None else weight
    return ZeroBias(ones, np.full(count, 50), beam=KHZ, **more)  # type: ignore[arg-type]


def test_the_beam_is_that_of_the_lhc() -> None:
    assert Beam().revolution_hz == pytest.approx(299_792_458 / 26_658.883, rel=1e-5)
    assert Beam().crossings_khz == pytest.approx(31_037.6, abs=0.05)
    assert Beam(bunches=2544).crossings_khz == pytest.approx(28_608.6, abs=0.05)  # CICADA's 28.61 MHz
    for wrong in ({"bunches": 0}, {"revolution_hz": 0}, {"revolution_hz": float("inf")}, {"bunch": 1}):
        with pytest.raises(ValidationError):
            Beam(**wrong)


@pytest.mark.parametrize(("passed", "total"), [(0, 10), (1, 10), (7, 50), (50, 50)])
def test_clopper_pearson_inverts_the_binomial(passed: int, total: int) -> None:
    low, high = clopper_pearson(passed, total)
    tail = 0.5 * (1 - 0.6826894921370859)
    if passed > 0:
        assert binom.sf(passed - 1, total, low) == pytest.approx(tail, rel=1e-9)
    else:
        assert low == 0
    if passed < total:
        assert binom.cdf(passed, total, high) == pytest.approx(tail, rel=1e-9)
    else:
        assert high == 1


def test_rate_is_the_share_of_the_weight() -> None:
    weight = np.array([0.5, 0.25, 0.125, 0.125])
    zero_bias = crossings(4, weight)
    fired = np.array([False, True, False, True])
    assert zero_bias.rate(fired).khz == 375
    assert zero_bias.rate(fired).crossings == 2
    assert zero_bias.rate(fired, np.array([False, True, True, True])).khz == 750
    doubled = ZeroBias(2 * weight, np.full(4, 50), beam=Beam())
    assert doubled.rate(fired).khz == pytest.approx(0.375 * 31_037.58)


def test_unweighted_rates_have_binomial_intervals() -> None:
    fired = np.arange(500) < 7
    rate = crossings(500).rate(fired)
    low, high = clopper_pearson(7, 500)
    assert (rate.khz, rate.low, rate.high) == (14, 1000 * low, 1000 * high)
    assert crossings(500).rate(fired & False).high == 1000 * clopper_pearson(0, 500)[1] > 0


def test_intervals_of_clustered_crossings_cover() -> None:
    """Four crossings a collision: the interval holds the truth in two of three experiments, not in fewer."""
    rng = np.random.default_rng(3)
    weight, leader = np.repeat(rng.uniform(0.5, 1.5, 250), 4), np.repeat(np.arange(250), 4)
    together = apart = 0
    for seed in range(100):
        fired = np.repeat(rng.random(250) < 0.2, 4)
        for own in (leader, None):
            rate = crossings(1000, weight, leader=own, seed=seed, replicas=100).rate(fired)
            held = rate.low <= 200 <= rate.high
            together, apart = together + (held and own is not None), apart + (held and own is None)
    assert 0.56 < together / 100 < 0.8  # two and a half standard deviations of 100 experiments
    assert apart / 100 < 0.5


def test_nothing_seen_is_an_upper_limit() -> None:
    weight, leader = np.array([1.0, 1, 2, 2, 2]), np.array([4, 4, 5, 6, 7])
    rate = crossings(5, weight, leader=leader).rate(np.zeros(5, bool))
    assert (rate.khz, rate.low) == (0, 0)
    assert rate.high == 1000 * clopper_pearson(0, 4)[1]  # four leaders of weight two
    everything = crossings(5, weight, leader=leader).rate(np.ones(5, bool))
    assert (everything.khz, everything.high) == (1000, 1000)
    assert everything.low == 1000 * clopper_pearson(4, 4)[0]


def test_thresholds_of_a_uniform_score() -> None:
    """Scores 0 .. 999 once each: the rate at T is (1000 - T) kHz, so every goal has its threshold."""
    zero_bias, score = crossings(1000), np.random.default_rng(1).permutation(1000)
    for goal in (1, 7, 10, 250, 999):
        found = reach(score, goal, zero_bias)
        assert found.below is not None
        assert (found.below.threshold, found.below.rate.khz) == (1000 - goal, goal)
        assert (found.above.threshold, found.above.rate.khz) == (999 - goal, goal + 1)
        assert found.reached
    half = reach(score, 7.5, zero_bias)
    assert half.below is not None
    assert half.below.threshold == 993
    assert half.reached  # 7 kHz with an error of more than a half


def test_a_plateau_is_reported_with_both_neighbours() -> None:
    score = np.concatenate([np.arange(500), np.full(400, 600), np.full(100, 601)])
    found = reach(score, 250, crossings(1000))
    assert found.below is not None
    assert (found.below.threshold, found.below.rate.khz) == (601, 100)
    assert (found.above.threshold, found.above.rate.khz) == (600, 500)
    assert not found.reached
    assert str(found) == (
        "nearest to 250 kHz are 100 kHz (90.4 to 110) at 601 and 500 kHz (484 to 516) at 600, "
        "the score of 400 crossings"
    )
    assert reach(score, 100, crossings(1000)).reached


def test_the_lowest_threshold_of_a_gap() -> None:
    found = reach(np.array([3, 3, 8, 20]), 260, crossings(4))
    assert found.below is not None
    assert (found.below.threshold, found.above.threshold) == (9, 8)


def test_a_saturated_score_has_no_threshold_above_it() -> None:
    score = np.minimum(np.arange(1000), 900)
    found = reach(score, 10, crossings(1000), highest=900)
    assert found.below is None
    assert not found.reached
    assert "largest value, 900, alone has 100 kHz (90.4 to 110): no threshold gives 10 kHz" in str(found)
    open_ended = reach(score, 10, crossings(1000), highest=1023)
    assert open_ended.below is not None
    assert (open_ended.below.threshold, open_ended.below.rate.khz) == (901, 0)
    assert not open_ended.reached, "a rate of nothing is no rate that was reached"


def test_weights_move_the_threshold() -> None:
    weight = np.ones(1000)
    weight[990:] = 0.1
    total = weight.sum()
    found = reach(np.arange(1000), 1000 * 1.05 / total, crossings(1000, weight))
    assert found.below is not None
    assert found.below.threshold == 990
    assert found.below.rate.khz == pytest.approx(1000 / total)


@pytest.mark.parametrize("goal", [0, -1, 1000, 2000, float("nan")])
def test_goals_that_are_no_rate(goal: float) -> None:
    with pytest.raises(DataError, match="above 0 and below"):
        reach(np.arange(1000), goal, crossings(1000))


def test_refusals() -> None:
    with pytest.raises(DataError, match="weights must not be negative"):
        crossings(3, np.array([1, -1, 1.0]))
    with pytest.raises(DataError, match="no zero bias to take a rate of"):
        crossings(3).rate(np.ones(3, bool), np.zeros(3, bool))


@given(
    raw=st.integers(0, 1 << 18),
    threshold=st.integers(0, 1 << 16),
    scale=st.integers(1, 300),
    frac=st.integers(-3, 12),
)
def test_menu_units_fire_alike(raw: int, threshold: int, scale: int, frac: int) -> None:
    unit = MenuUnit(scale, frac)
    fires = Fraction(raw) * scale / Fraction(2) ** frac >= threshold
    assert (raw >= unit.raw(threshold)) == fires
    assert (int(unit.counts(np.array([raw]))[0]) >= threshold) == fires


def test_axol1tl_counts_sixteenths() -> None:
    unit = MenuUnit(16, 4)
    assert (unit.raw(289), MenuUnit(16, 6).raw(289), MenuUnit(1, 8).raw(113)) == (289, 1156, 113 * 256)
    assert unit.counts(np.array([288, 289])).tolist() == [288, 289]

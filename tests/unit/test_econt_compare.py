"""Distances of distributions and the comparison in bins, on samples whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from zerobias.econt.compare import FIGURES, compare
from zerobias.econt.distances import frechet, mmd2, mmd_terms, standardise, w1
from zerobias.errors import DataError
from zerobias.events.wafer import PITCH_CM, POSITIONS

rng = np.random.default_rng(11)


# --- distances ----------------------------------------------------------------------------------


def test_standardised_input_has_mean_0_and_spread_1() -> None:
    true = rng.normal(5, 3, (200, 2))
    x, y = standardise(true, true + np.array([3.0, 0.0]))
    np.testing.assert_allclose(x.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(x.std(axis=0), 1)
    np.testing.assert_allclose(y[:, 0] - x[:, 0], 3 / true[:, 0].std())
    with pytest.raises(DataError, match="feature 1 of 200 true wafers has no spread: take more wafers"):
        standardise(np.stack([true[:, 0], np.full(200, 2.0)], 1), true)
    with pytest.raises(DataError, match="compare the same wafers"):
        standardise(true, true[:10])


def test_w1_of_a_shift_is_the_shift() -> None:
    x = rng.normal(size=100)
    assert w1(x, x) == 0
    assert w1(x, x[::-1] + 0.25) == pytest.approx(0.25)
    assert w1(np.array([0.0, 0, 1]), np.array([0.0, 1, 1])) == pytest.approx(1 / 3)


def test_counts_are_repeated_wafers() -> None:
    x, y = rng.normal(size=(2, 30, 3))
    counts = rng.integers(0, 4, 30)
    repeated = np.repeat(x, counts, 0), np.repeat(y, counts, 0)
    assert w1(x[:, 0], y[:, 0], counts) == pytest.approx(w1(repeated[0][:, 0], repeated[1][:, 0]))
    assert frechet(x, y, counts) == pytest.approx(frechet(*repeated))


def test_frechet_of_gaussians() -> None:
    # In one dimension: difference of the means and of the standard deviations, both squared.
    x = rng.normal(size=(500, 1))
    mean, spread = x.mean(), x.std()
    assert frechet(x, 3 * x + 2) == pytest.approx((2 * mean + 2) ** 2 + (2 * spread) ** 2)
    z = rng.normal(size=(500, 4)) @ rng.normal(size=(4, 4))
    assert frechet(z, z) == pytest.approx(0, abs=1e-9)
    shift = np.array([1.0, -2, 0, 2])
    assert frechet(z, z[::-1] + shift) == pytest.approx(9)
    # A turn of an uncorrelated sample by 90 degrees exchanges the two spreads.
    u = rng.normal(size=(4, 100))
    box = np.linalg.qr((u - u.mean(axis=1, keepdims=True)).T)[0][:, :2] * np.sqrt(100) * [1.0, 3.0]
    assert frechet(box, box[:, ::-1]) == pytest.approx(2 * (3 - 1) ** 2)


def by_definition(x: np.ndarray, y: np.ndarray) -> float:
    points = np.concatenate([x, y])
    squared = [float(((points[i] - points[j]) ** 2).sum()) for i in range(len(points)) for j in range(i)]
    n, typical = len(x), float(np.median(squared))

    def kernel(a: np.ndarray, b: np.ndarray) -> float:
        return float(np.exp(-((a - b) ** 2).sum() / (2 * typical)))

    total = 0.0
    for i in range(n):
        for j in range(n):
            if i != j:
                total += kernel(x[i], x[j]) + kernel(y[i], y[j]) - 2 * kernel(x[i], y[j])
    return total / (n * (n - 1))


def test_mmd_is_its_definition() -> None:
    x, y = rng.normal(size=(2, 12, 3))
    assert mmd2(mmd_terms(x, y)) == pytest.approx(by_definition(x, y))
    assert mmd2(mmd_terms(x, x)) == 0
    assert mmd2(mmd_terms(np.zeros((3, 2)), np.zeros((3, 2)))) == 0


def test_mmd_is_unbiased_and_sees_a_difference() -> None:
    same = [mmd2(mmd_terms(*rng.normal(size=(2, 60, 2)))) for _ in range(100)]
    assert abs(np.mean(same)) < 3 * np.std(same) / 10
    assert min(same) < 0
    x, y = rng.normal(size=(2, 60, 2))
    assert mmd2(mmd_terms(x, y + 1)) > 10 * np.std(same)


def test_a_repeated_wafer_is_not_paired_with_itself() -> None:
    terms = mmd_terms(*rng.normal(size=(2, 4, 2)))
    counts = np.array([2, 0, 1, 0])
    assert mmd2(terms, counts) == pytest.approx(terms[0, 2])
    with pytest.raises(DataError, match="MMD of fewer than two wafers"):
        mmd2(terms, np.array([0, 5, 0, 0]))


# --- bins ---------------------------------------------------------------------------------------

WAFERS = rng.integers(1, 1000, (300, 48))
VALUES = np.arange(300) / 100


def test_nothing_lost_is_a_perfect_comparison() -> None:
    bins = compare(WAFERS, WAFERS, VALUES, [0, 1, 3], replicas=5)
    assert [(b.low, b.high, b.wafers) for b in bins] == [(0, 1, 100), (1, 3, 200)]
    for found in bins:
        assert tuple(found.figures) == FIGURES
        for name, figure in found.figures.items():
            expected = 1 if name == "response" else 0
            assert figure.value == pytest.approx(expected, abs=1e-9)
            assert figure.error == pytest.approx(0, abs=1e-9)


def test_a_scale_changes_the_response_only() -> None:
    (found,) = compare(WAFERS, WAFERS / 2, VALUES, [0, 3], replicas=5)
    assert found.figures["response"].value == 0.5
    assert all(abs(f.value) < 1e-9 for name, f in found.figures.items() if name != "response")


def test_last_edge_is_inside_and_others_are_not() -> None:
    values = np.repeat([0.0, 1.0, 2.0], 100)
    bins = compare(WAFERS, WAFERS, values, [0, 1, 2], replicas=2)
    assert [b.wafers for b in bins] == [100, 200]


def test_known_shift_is_bias_and_known_scatter_is_position() -> None:
    # The charge of cell 5 moves to its neighbours along the first spoke, 4 outwards and 6 inwards.
    true = np.zeros((200, 48))
    true[:, 5] = 1
    true[:, 20] = np.linspace(0, 1e-6, 200)  # a trace of spread: shapes cannot be compared without
    shift = PITCH_CM * (POSITIONS[4] - POSITIONS[5])
    turns, always = np.zeros((2, 200, 48))
    turns[np.arange(200), np.where(np.arange(200) % 2, 4, 6)] = 1
    always[:, 4] = 1
    (found,) = compare(true, turns, np.zeros(200), [0, 1], replicas=2)
    assert found.figures["bias x"].value == pytest.approx(0, abs=1e-4)
    assert found.figures["bias y"].value == pytest.approx(0, abs=1e-4)
    assert found.figures["position"].value == pytest.approx(PITCH_CM / np.sqrt(2), rel=1e-4)
    (found,) = compare(true, always, np.zeros(200), [0, 1], replicas=2)
    assert found.figures["bias x"].value == pytest.approx(shift[0], abs=1e-4)
    assert found.figures["bias y"].value == pytest.approx(shift[1], abs=1e-4)
    assert found.figures["position"].value == pytest.approx(0, abs=1e-4)


def test_lost_wafers_are_counted_and_left_out() -> None:
    decoded = WAFERS.copy()
    decoded[::4] = 0
    (found,) = compare(WAFERS, decoded, VALUES, [0, 3], replicas=50)
    assert found.figures["lost"].value == 0.25
    assert found.figures["lost"].error == pytest.approx(np.sqrt(0.25 * 0.75 / 300), rel=0.3)
    assert found.figures["response"].value == 1
    assert found.figures["w1 width"].value == 0
    (found,) = compare(WAFERS, 0 * decoded, VALUES, [0, 3], replicas=5)
    assert found.figures["lost"].value == 1
    assert found.figures["response"].value == 0
    assert all(np.isnan(found.figures[name].value) for name in FIGURES if name not in ("lost", "response"))


def test_bootstrap_error_is_the_error_of_the_mean_and_repeats_with_its_seed() -> None:
    decoded = WAFERS * rng.uniform(0.5, 1.5, WAFERS.shape)
    first, again, other = (
        compare(WAFERS, decoded, VALUES, [0, 3], replicas=100, seed=seed)[0].figures for seed in (1, 1, 2)
    )
    assert first == again
    assert first["response"] != other["response"]
    assert first["bias x"].value == other["bias x"].value
    expected = first["position"].value / np.sqrt(300)
    assert (first["bias x"].error + first["bias y"].error) / 2 == pytest.approx(expected, rel=0.25)


def test_bad_bins_are_errors() -> None:
    for edges in ([0], [0, 0], [1, 0]):
        with pytest.raises(DataError, match=r"edges are .*: give at least two that rise"):
            compare(WAFERS, WAFERS, VALUES, edges)
    with pytest.raises(DataError, match="the bin from 5 to 6 has 0 wafers: make it wider"):
        compare(WAFERS, WAFERS, VALUES, [0, 5, 6])
    with pytest.raises(DataError, match="300 wafers and 10 values: give one value a wafer"):
        compare(WAFERS, WAFERS, VALUES[:10], [0, 3])

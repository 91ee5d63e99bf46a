"""The loss of self-supervised embeddings against loops written from the paper, and in closed form."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
import pytest
from numpy.typing import NDArray

from zerobias.nn import SelfSupervised, active_dimensions, covariance, vicreg

Array = NDArray[np.float64]
ONLY = {"invariance": 0.0, "variance": 0.0, "decorrelation": 0.0}


def embeddings(seed: int, events: int = 40, size: int = 4) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    return (rng.normal(0, 0.6, (events, size)) @ rng.normal(0, 1, (size, size)) + 3).astype(np.float32)


def weights(events: int) -> NDArray[np.float32]:
    return np.random.default_rng(9).uniform(0.1, 4.0, events).astype(np.float32)


def slow_covariance(values: Array, weight: Array, a: int, b: int) -> float:
    total = sum(weight)
    mean = [sum(w * row[k] for w, row in zip(weight, values, strict=True)) / total for k in (a, b)]
    products = [w * (row[a] - mean[0]) * (row[b] - mean[1]) for w, row in zip(weight, values, strict=True)]
    return float(sum(products) / total)


def slow_vicreg(
    first: Array, second: Array, weight: Array, factors: tuple[float, float, float], spread: float
) -> float:
    size = first.shape[1]
    distances = [
        w * sum((a - b) ** 2 for a, b in zip(x, y, strict=True))
        for w, x, y in zip(weight, first, second, strict=True)
    ]
    terms = [float(sum(distances) / sum(weight)) / size, 0.0, 0.0]
    for view in (first, second):
        for a in range(size):
            deviation = math.sqrt(slow_covariance(view, weight, a, a) + 1e-4)
            terms[1] += max(0.0, spread - deviation) / size
            terms[2] += sum(slow_covariance(view, weight, a, b) ** 2 for b in range(size) if b != a) / size
    return sum(factor * term for factor, term in zip(factors, terms, strict=True))


def loss(first: Any, second: Any, weight: Any = None, **settings: float) -> float:
    weight = np.ones(len(first), np.float32) if weight is None else weight
    return float(vicreg(np.float32(first), np.float32(second), weight, **settings))


@pytest.mark.parametrize("factors", [(25.0, 25.0, 1.0), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)])
@pytest.mark.parametrize("spread", [1.0, 2.5])
def test_loss_is_its_definition(factors: tuple[float, float, float], spread: float) -> None:
    first, second, weight = embeddings(1), embeddings(2), weights(40)
    names = dict(zip(("invariance", "variance", "decorrelation"), factors, strict=True))
    expected = slow_vicreg(*(v.astype(float) for v in (first, second, weight)), factors, spread)
    assert expected > 0.01
    assert loss(first, second, weight, spread=spread, **names) == pytest.approx(expected, rel=1e-4)
    unweighted = loss(first, second, spread=spread, **names)
    assert abs(unweighted / expected - 1) > 1e-3, "the weights must matter"


def test_ideal_embedding_costs_nothing() -> None:
    """Two independent dimensions of standard deviation 2, equal in both views."""
    corners = np.array([[2, 2], [2, -2], [-2, 2], [-2, -2]])
    assert loss(corners, corners, spread=2.0) == 0.0
    assert loss(corners, corners, spread=3.0) == pytest.approx(25 * 2 * 1.0, rel=1e-3)


def test_collapsed_embedding_costs_the_spread() -> None:
    point = np.full((5, 3), 7.0)
    expected = 2 * (1.5 - math.sqrt(1e-4))
    assert loss(point, point, **ONLY | {"variance": 1.0}, spread=1.5) == pytest.approx(expected, rel=1e-5)


def test_repeated_dimensions_cost_their_covariance() -> None:
    """Three equal dimensions of variance 4: six covariances of 4, squared, over 3, for each of two views."""
    same = np.repeat([[2.0], [-2.0]], 3, axis=1)
    found = loss(same, same, **ONLY | {"decorrelation": 1.0})
    assert found == pytest.approx(2 * 6 * 16 / 3, rel=1e-6)
    assert loss(same, same, **ONLY | {"variance": 1.0}) == 0.0


def test_moved_view_costs_its_square_and_nothing_else() -> None:
    first = embeddings(3)
    expected = float(np.mean(np.square([3.0, 0.0, 0.0, 4.0])))
    moved = first + np.array([3.0, 0.0, 0.0, 4.0], np.float32)
    assert loss(first, moved, **ONLY | {"invariance": 1.0}) == pytest.approx(expected, rel=1e-5)
    others = ONLY | {"variance": 1.0, "decorrelation": 1.0}
    assert loss(first, moved, **others) == pytest.approx(loss(first, first, **others), rel=1e-4)


def test_event_of_weight_two_is_two_events() -> None:
    first, second = embeddings(4), embeddings(5)
    twice = np.r_[np.arange(40), 7]
    weight = np.ones(40, np.float32)
    weight[7] = 2
    assert loss(first, second, weight) == pytest.approx(loss(first[twice], second[twice]), rel=1e-5)
    assert loss(first, second, 3 * weight) == pytest.approx(loss(first, second, weight), rel=1e-5)


def test_covariance_is_numpys() -> None:
    values, weight = embeddings(6), weights(40)
    expected = np.cov(values.T.astype(float), aweights=weight.astype(float), ddof=0)
    np.testing.assert_allclose(np.asarray(covariance(values, weight)), expected, rtol=1e-4)


def test_active_dimensions_of_known_embeddings() -> None:
    rng = np.random.default_rng(1)
    free = rng.normal(0, 1, (500, 3))
    weight = rng.uniform(0.5, 2.0, 500)
    assert active_dimensions(np.full((500, 6), 2.0), weight, 1.0) == 0
    assert active_dimensions(0.01 * free, weight, 1.0) == 0
    assert active_dimensions(0.01 * free, weight, 0.01) == 3
    assert active_dimensions(np.repeat(free[:, :1], 6, axis=1), weight, 1.0) == 1
    assert active_dimensions(free @ rng.normal(0, 1, (3, 6)), weight, 1.0) == 3
    # Of two variances, 4 and 0.16, the smaller is 2 % of 2 * 2**2.
    two = np.array([[2.0, 0.4], [2.0, -0.4], [-2.0, 0.4], [-2.0, -0.4]])
    assert active_dimensions(two, np.ones(4), 2.0, share=0.0199) == 2
    assert active_dimensions(two, np.ones(4), 2.0, share=0.0201) == 1
    line = two * [1.0, 0.0]
    assert active_dimensions(np.vstack([line, [0.0, 9.0]]), np.array([1, 1, 1, 1, 1e-6]), 2.0) == 1


def spread_after(variance: float) -> float:
    """Smallest standard deviation of a trained embedding of noisy pairs, with that weight of its term."""
    keras.utils.set_random_seed(2)
    inputs = keras.Input((6,))
    encoder = keras.Model(inputs, keras.layers.Dense(3)(inputs))
    model = SelfSupervised(encoder, invariance=5.0, variance=variance, decorrelation=1.0, spread=1.0)
    model.compile(keras.optimizers.Adam(0.02), jit_compile=False)
    rng = np.random.default_rng(3)
    event = rng.normal(0, 1, (5120, 6))
    views = [(event + rng.normal(0, 0.3, event.shape)).astype(np.float32) for _ in range(2)]
    data = (*views, np.ones(5120, np.float32))
    model.fit(data, np.zeros(5120), batch_size=256, epochs=6, verbose=0)
    assert model.predict(data, verbose=0).shape == (5120, 3)
    return float(np.asarray(encoder(views[0])).std(axis=0).min())


def test_variance_keeps_a_trained_embedding_from_collapsing() -> None:
    assert spread_after(variance=25.0) > 0.9
    assert spread_after(variance=0.0) < 0.1

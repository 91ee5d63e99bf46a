"""Losses of decoded wafer images against slow oracles written from the definition."""

from __future__ import annotations

from itertools import product

import keras
import numpy as np
import pytest
from numpy.typing import NDArray

from zerobias.events.wafer import CELLS, MASK_8X8, POSITIONS, arrange_4x4x3, arrange_8x8
from zerobias.nn import squared_error, telescope, trigger_cells, weighted_squared_error

Array = NDArray[np.float64]


def images(seed: int, count: int = 5) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    return np.maximum(rng.normal(0.2, 1.0, (count, CELLS)), 0).astype(np.float32)


def turns_by_a_third() -> list[list[int]]:
    """Cell each cell comes to when the wafer is turned by 0, 120 and 240 degrees."""
    turns = []
    for angle in np.radians([0.0, 120.0, 240.0]):
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        far = np.hypot(*((POSITIONS @ turn.T)[:, None] - POSITIONS).transpose(2, 0, 1))
        assert far.min(axis=1).max() < 1e-9
        turns.append(far.argmin(axis=1).tolist())
    return turns


def super_cells() -> set[frozenset[int]]:
    """Every 2 x 2 window of the 8 x 8 image that is all sensor, in each of the wafer's three positions."""
    image = arrange_8x8(np.arange(CELLS))
    found = set()
    for row, column, turn in product(range(7), range(7), turns_by_a_third()):
        window = slice(row, row + 2), slice(column, column + 2)
        if MASK_8X8[window].all():
            found.add(frozenset(turn[cell] for cell in image[window].ravel()))
    return found


def weighted(true: list[float], decoded: list[float], weights: list[float] | None = None) -> float:
    weights = weights or [1.0] * len(true)
    terms = [w * (t - p) ** 2 * max(t, p) for t, p, w in zip(true, decoded, weights, strict=True)]
    return sum(terms) / len(terms)


def slow_telescope(true: Array, decoded: Array, groups: list[frozenset[int]]) -> float:
    often = [sum(cell in group for group in groups) for cell in range(CELLS)]
    weights = [sum(1 / often[cell] for cell in group) / 4 for group in groups]
    sums = [[float(sum(image[cell] for cell in group)) for group in groups] for image in (true, decoded)]
    sensors = [[float(image[16 * k : 16 * k + 16].sum()) for k in range(3)] for image in (true, decoded)]
    return 4 * weighted(list(true), list(decoded)) + 2 * weighted(*sums, weights) + weighted(*sensors)


def test_telescope_is_its_definition() -> None:
    true, decoded = images(1), images(2)
    groups = list(super_cells())
    assert len(groups) == 36
    pairs = list(zip(true.astype(float), decoded.astype(float), strict=True))
    found = np.asarray(telescope(true, decoded))
    np.testing.assert_allclose(found, [slow_telescope(*pair, groups) for pair in pairs], rtol=1e-5)
    # Negative control: without one block at a seam the value is another one.
    fewer = [group for group in groups if group != frozenset({0, 1, 27, 31})]
    assert len(fewer) == 35
    assert abs(found[0] / slow_telescope(*pairs[0], fewer) - 1) > 1e-3


def test_every_cell_counts_alike_in_the_blocks() -> None:
    """A lone charge in any cell, lost, costs the 48 cells, their blocks and sensor the same."""
    lost = np.asarray(telescope(np.eye(CELLS, dtype=np.float32), np.zeros((CELLS, CELLS), np.float32)))
    often = np.zeros(CELLS)
    weights = np.zeros(CELLS)
    groups = super_cells()
    for cell in range(CELLS):
        mine = [group for group in groups if cell in group]
        often[cell] = len(mine)
    for group in groups:
        for cell in group:
            weights[cell] += sum(1 / often[other] for other in group) / 4
    np.testing.assert_allclose(lost, 4 / 48 + 2 * weights / 36 + 1 / 3, rtol=1e-5)
    assert sorted(set(often)) == [1, 2, 3, 4]


def test_squared_errors_are_their_definitions() -> None:
    true, decoded = images(3), images(4)
    pairs = list(zip(true.astype(float), decoded.astype(float), strict=True))
    plain = [sum((t - p) ** 2 for t, p in zip(*pair, strict=True)) / CELLS for pair in pairs]
    np.testing.assert_allclose(np.asarray(squared_error(true, decoded)), plain, rtol=1e-5)
    heavy = [weighted(list(t), list(p)) for t, p in pairs]
    np.testing.assert_allclose(np.asarray(weighted_squared_error(true, decoded)), heavy, rtol=1e-5)


@pytest.mark.parametrize("loss", [squared_error, weighted_squared_error, telescope])
def test_layouts_give_the_same_loss_and_dead_places_none(loss: object) -> None:
    assert callable(loss)
    true, decoded = images(5), images(6)
    expected = np.asarray(loss(true, decoded)).tolist()
    assert len(expected) == len(true)
    square = arrange_8x8(decoded)
    square[:, ~MASK_8X8] = 9.0
    for t, p in (
        (arrange_4x4x3(true), arrange_4x4x3(decoded)),
        (true, square),
        (arrange_8x8(true)[..., None], square[..., None]),
    ):
        assert np.asarray(loss(t, p)).tolist() == expected


@pytest.mark.parametrize("shape", [(2, 64), (2, 4, 4, 1), (2, 8, 8, 2)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="wafer images have shape"):
        trigger_cells(np.zeros(shape, np.float32))


def test_keras_trains_with_them() -> None:
    inputs = keras.Input((CELLS,))
    model = keras.Model(inputs, keras.layers.Reshape((8, 8, 1))(keras.layers.Dense(64)(inputs)))
    model.compile("sgd", loss=telescope, jit_compile=False)
    true = images(7, 8) / 16
    history = model.fit(true, arrange_8x8(true), epochs=5, verbose=0).history["loss"]
    assert history[-1] < history[0]

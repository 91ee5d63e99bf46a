"""Energy, position and shape of wafers, on wafers whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from zerobias.econt.shapes import (
    NEAR,
    SHAPE_FEATURES,
    centre_of_gravity,
    effective_spread,
    energy_response,
    occupancy,
    shape_features,
)
from zerobias.errors import DataError
from zerobias.events.wafer import PITCH_CM, POSITIONS


def wafer(cells: dict[int, float]) -> np.ndarray:
    charges = np.zeros((1, 48))
    for cell, charge in cells.items():
        charges[0, cell] = charge
    return charges


def features(cells: dict[int, float]) -> dict[str, float]:
    return dict(zip(SHAPE_FEATURES, shape_features(wafer(cells))[0].tolist(), strict=True))


# --- energy -------------------------------------------------------------------------------------


def test_seven_cells_inside_a_sensor_and_fewer_at_its_edges() -> None:
    # Cell 3 - i + 4 j of sensor 0: neighbours are +-1 along a side, and both together.
    assert np.flatnonzero(NEAR[6]).tolist() == [2, 3, 5, 6, 7, 9, 10]
    # The first row and last column lie at seams: 6, with the nearest cell across; the others at edges.
    table = [[4, 6, 6, 6], [5, 7, 7, 6], [5, 7, 7, 6], [4, 5, 5, 4]]
    assert NEAR.sum(axis=1).reshape(3, 4, 4).tolist() == [table] * 3
    assert NEAR[3, [19, 35]].all()  # the three cells that meet in the centre
    np.testing.assert_array_equal(NEAR, NEAR.T)


def test_response_is_of_the_true_maximum_and_its_neighbours_only() -> None:
    true = wafer({6: 100, 7: 40, 10: 20, 40: 90})
    assert energy_response(true, true).tolist() == [1.0]
    assert energy_response(true, true / 4).tolist() == [0.25]
    # Charge far away does not count, even where it is now the largest.
    assert energy_response(true, wafer({6: 80, 40: 900})).tolist() == [0.5]
    assert energy_response(true, wafer({})).tolist() == [0.0]


def test_response_needs_charge_and_the_same_wafers() -> None:
    with pytest.raises(DataError, match="true wafer 1 has no charge: leave out such wafers"):
        energy_response(np.concatenate([wafer({0: 1}), wafer({})]), np.ones((2, 48)))
    with pytest.raises(DataError, match="1 true and 2 decoded wafers: compare the same wafers"):
        energy_response(np.ones((1, 48)), np.ones((2, 48)))


def test_effective_spread_is_half_the_shortest_interval_of_68_percent() -> None:
    assert effective_spread(np.arange(10000.0)) == (6827 - 1) / 2
    # Tails do not count: 700 equal values of 1000.
    assert effective_spread(np.concatenate([np.full(700, 3.0), np.linspace(-1e6, 1e6, 300)])) == 0
    assert effective_spread(np.array([5.0])) == 0
    gauss = np.random.default_rng(3).normal(7, 2, 200_000)
    assert effective_spread(gauss) == pytest.approx(2, rel=0.02)
    with pytest.raises(DataError, match="no values"):
        effective_spread(np.array([]))


# --- position and shape -------------------------------------------------------------------------


def test_centre_of_gravity_is_in_cm() -> None:
    for cell in range(48):
        np.testing.assert_allclose(
            centre_of_gravity(wafer({cell: 3}))[0], POSITIONS[cell] * PITCH_CM, atol=1e-12
        )
    np.testing.assert_allclose(centre_of_gravity(np.ones((1, 48)))[0], 0, atol=1e-12)
    middle = (3 * POSITIONS[0] + POSITIONS[40]) / 4 * PITCH_CM
    np.testing.assert_allclose(centre_of_gravity(wafer({0: 30, 40: 10}))[0], middle)


def test_features_of_one_cell() -> None:
    for cell in range(48):
        found = features({cell: 7})
        assert found["width"] == pytest.approx(0, abs=1e-6)
        del found["width"]
        assert found == {"maximum": 1, "core": 1, "roundness": 1, "cells": 1}


def test_features_of_two_neighbours() -> None:
    found = features({5: 30, 6: 10})
    # Shares 3/4 and 1/4, one pitch apart: variance 3/16, along a line.
    assert found["width"] == pytest.approx(PITCH_CM * np.sqrt(3) / 4)
    assert found["roundness"] == pytest.approx(0, abs=1e-6)
    assert found["maximum"] == 0.75
    assert found["core"] == 1
    assert found["cells"] == pytest.approx(16 / 10)


def test_features_of_a_hexagon_and_of_a_rhombus() -> None:
    ring = features(dict.fromkeys([2, 3, 5, 7, 9, 10], 1.0))
    assert ring["width"] == pytest.approx(PITCH_CM)
    assert ring["roundness"] == pytest.approx(1)
    assert ring["cells"] == pytest.approx(6)
    # A 2 x 2 rhombus: diagonals 1 and sqrt(3), so that the moments are 1 : 3.
    rhombus = features(dict.fromkeys([5, 6, 9, 10], 1.0))
    assert rhombus["roundness"] == pytest.approx(1 / np.sqrt(3))
    assert rhombus["width"] == pytest.approx(PITCH_CM / np.sqrt(2))
    far = features({6: 50, 7: 30, 40: 20})
    assert (far["core"], far["maximum"]) == (pytest.approx(0.8), 0.5)


def test_shape_does_not_depend_on_the_scale_or_a_turn() -> None:
    x = np.random.default_rng(2).integers(0, 500, (20, 48))
    np.testing.assert_allclose(shape_features(x), shape_features(x * 7), rtol=1e-12)
    # Turning by a third of a circle moves each sensor to the next.
    np.testing.assert_allclose(shape_features(x), shape_features(np.roll(x, 16, axis=1)), rtol=1e-9)


def test_empty_wafers_have_no_position_and_no_shape() -> None:
    both = np.concatenate([wafer({}), wafer({3: 1})])
    assert np.isnan(centre_of_gravity(both)).tolist() == [[True, True], [False, False]]
    assert np.isnan(shape_features(both)).all(axis=1).tolist() == [True, False]


def test_occupancy_counts_cells_that_reach_the_threshold() -> None:
    x = np.array([np.arange(48), np.zeros(48), np.full(48, 10)], np.uint32)
    assert occupancy(x).tolist() == [47, 0, 48]
    assert occupancy(x, 10).tolist() == [38, 0, 48]
    assert occupancy(x, np.array([47, 0, 11])).tolist() == [1, 48, 0]


def test_bad_charges_are_errors() -> None:
    with pytest.raises(DataError, match=r"charges have shape \(48,\): it must be \(events, 48\)"):
        shape_features(np.ones(48))
    for bad in (-1.0, np.nan, np.inf):
        with pytest.raises(DataError, match="wafer 1 has a charge that is negative or not finite"):
            centre_of_gravity(np.concatenate([wafer({0: 1}), wafer({5: bad})]))

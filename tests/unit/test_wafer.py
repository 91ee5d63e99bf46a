"""Wafer geometry against the hexagon and the published image layouts, written out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from zerobias.errors import DataError
from zerobias.events.wafer import (
    CELLS,
    DISTANCES,
    MASK_8X8,
    PITCH_CM,
    POSITIONS,
    WAFER_WIDTH_CM,
    arrange_4x4x3,
    arrange_8x8,
    cell_of,
    remap,
)

LAYOUT = """
28 29 30 31  0  4  8 12
24 25 26 27  1  5  9 13
20 21 22 23  2  6 10 14
16 17 18 19  3  7 11 15
47 43 39 35 -1 -1 -1 -1
46 42 38 34 -1 -1 -1 -1
45 41 37 33 -1 -1 -1 -1
44 40 36 32 -1 -1 -1 -1
"""
TABLE = np.array([[int(word) for word in line.split()] for line in LAYOUT.strip().splitlines()])
BACK = (
    "4,12,20,28,5,13,21,29,6,14,22,30,7,15,23,31,24,25,26,27,16,17,18,19,8,9,10,11,0,1,2,3,"
    "59,51,43,35,58,50,42,34,57,49,41,33,56,48,40,32"
)
values = arrays(np.uint32, st.tuples(st.integers(0, 3), st.just(48)))


def inside(x: float, y: float) -> bool:
    """Whether (x, y) in pitches lies in the hexagon of side 4 with corners at 90 degrees + 60 n."""
    apothem = 4 * math.sqrt(3) / 2
    return all(x * math.cos(a) + y * math.sin(a) < apothem for a in np.radians(np.arange(0, 360, 60)))


def test_8x8_is_the_published_layout() -> None:
    image = arrange_8x8(np.arange(1, 49))
    np.testing.assert_array_equal(image, TABLE + 1)
    np.testing.assert_array_equal(MASK_8X8, TABLE >= 0)
    flat = np.arange(64).reshape(8, 8)
    assert remap(flat).tolist() == [int(word) for word in BACK.split(",")]


def test_4x4x3_interleaves_the_sensors() -> None:
    flat = arrange_4x4x3(np.arange(48)).reshape(-1)
    assert flat[:6].tolist() == [0, 16, 32, 1, 17, 33]
    assert flat[-3:].tolist() == [15, 31, 47]


@given(values)
def test_remap_undoes_both_layouts(x: np.ndarray) -> None:
    for arrange, shape in ((arrange_8x8, (8, 8)), (arrange_4x4x3, (4, 4, 3))):
        image = arrange(x)
        assert image.shape == (len(x), *shape)
        assert image.dtype == x.dtype
        np.testing.assert_array_equal(remap(image), x)


def test_wrong_shapes_are_named() -> None:
    with pytest.raises(DataError, match=r"wafer has shape \(2, 47\): its last axis must hold 48"):
        arrange_8x8(np.zeros((2, 47)))
    with pytest.raises(DataError, match=r"wafer image has shape \(8, 7\): it must end in"):
        remap(np.zeros((8, 7)))


def test_every_centre_is_in_its_own_cell_of_the_hexagon() -> None:
    assert POSITIONS.shape == (CELLS, 2)
    assert [cell_of(x, y) for x, y in POSITIONS] == list(range(48))
    assert all(inside(x, y) for x, y in POSITIONS)
    np.testing.assert_allclose(POSITIONS.sum(axis=0), 0, atol=1e-12)


def test_cells_tile_the_hexagon_with_equal_areas() -> None:
    rng = np.random.default_rng(1)
    points = rng.uniform(-4.2, 4.2, (48_000, 2))
    cells = np.array([cell_of(x, y) for x, y in points])
    assert [c >= 0 for c in cells] == [inside(x, y) for x, y in points]
    counts = np.bincount(cells[cells >= 0], minlength=48)
    expected = len(points) * math.sqrt(3) / 2 / 8.4**2
    assert np.abs(counts - expected).max() < 4.5 * math.sqrt(expected)


def test_centre_and_corners_belong_to_one_cell() -> None:
    assert cell_of(0.0, 0.0) in {3, 19, 35}
    assert {cell_of(0.1 * math.cos(a), 0.1 * math.sin(a)) for a in np.radians([30, 150, 270])} == {3, 19, 35}
    assert cell_of(0.0, 4.001) == cell_of(1e9, 0.0) == -1


def test_turning_by_a_third_moves_each_sensor_to_the_next() -> None:
    c, s = math.cos(2 * math.pi / 3), math.sin(2 * math.pi / 3)
    np.testing.assert_allclose(POSITIONS[:32] @ np.array([[c, s], [-s, c]]), POSITIONS[16:], atol=1e-12)
    np.testing.assert_allclose(POSITIONS[32:] @ np.array([[c, s], [-s, c]]), POSITIONS[:16], atol=1e-12)


def test_neighbours_in_a_sensor_are_one_pitch_apart() -> None:
    np.testing.assert_array_equal(DISTANCES, DISTANCES.T)
    assert (np.diag(DISTANCES) == 0).all()
    off = DISTANCES + 10 * np.eye(48)
    sensor = np.arange(48) // 16
    same = sensor[:, None] == sensor
    np.testing.assert_allclose(np.where(same, off, 10).min(axis=1), 1, rtol=1e-12)
    np.testing.assert_allclose(off[~same].min(), math.sqrt(3) / 2, rtol=1e-12)
    # A 4 x 4 rhombus has 12 + 12 neighbours along its sides and 9 across its short diagonal.
    assert np.isclose(np.where(same, off, 10), 1).sum() // 2 == 3 * 33
    assert DISTANCES[0, 3] == pytest.approx(3)  # along spoke 0
    assert DISTANCES[3, 19] == pytest.approx(math.sqrt(3) / 2)  # around the centre


def test_neighbours_in_the_8x8_image_touch_on_the_wafer() -> None:
    pairs = [(TABLE[:, :-1], TABLE[:, 1:]), (TABLE[:-1], TABLE[1:])]
    for first, second in pairs:
        real = (first >= 0) & (second >= 0)
        apart = DISTANCES[first[real], second[real]]
        seam = first[real] // 16 != second[real] // 16
        np.testing.assert_allclose(apart[~seam], 1, rtol=1e-12)
        np.testing.assert_allclose(apart[seam], math.sqrt(3) / 2, rtol=1e-12)
        assert seam.sum() == 4
    # The third seam, hidden in the image: the lowest row of sensor 0 touches a column of sensor 2.
    for upper, lower in ((3, 35), (7, 34), (11, 33), (15, 32)):
        assert DISTANCES[upper, lower] == pytest.approx(math.sqrt(3) / 2)


def test_units() -> None:
    area = math.sqrt(3) / 2 * WAFER_WIDTH_CM**2
    assert CELLS * PITCH_CM**2 * math.sqrt(3) / 2 == pytest.approx(area)

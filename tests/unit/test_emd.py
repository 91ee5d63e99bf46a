"""Exact EMD against the axioms of a metric, closed forms and an independent linear programme; Sinkhorn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import ot
import pytest
from numpy.typing import NDArray
from scipy.optimize import linprog

from zerobias.emd import chunks as chunks_module
from zerobias.emd import emd, emd_in_chunks, sinkhorn, unit_images
from zerobias.errors import DataError, SpecError
from zerobias.events.wafer import CELLS, DISTANCES, POSITIONS
from zerobias.executor import run_chunks

Array = NDArray[np.float64]


def images(count: int, seed: int) -> NDArray[np.uint32]:
    """Counts from nearly empty wafers to full ones."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(1, 1000, (count, CELLS)) * (rng.random((count, CELLS)) < rng.random((count, 1)))
    counts[np.arange(count), rng.integers(CELLS, size=count)] += 1
    return counts.astype(np.uint32)


def point(*cells: int) -> Array:
    """One image for each cell, with all its charge there."""
    return np.eye(CELLS)[list(cells)]


def linear_programme(first: Array, second: Array) -> float:
    """Least cost of all transport plans, one variable for each pair of cells with charge."""
    sources, sinks = np.flatnonzero(first), np.flatnonzero(second)
    rows = np.kron(np.eye(len(sources)), np.ones(len(sinks)))
    columns = np.kron(np.ones(len(sources)), np.eye(len(sinks)))
    cost = np.hypot(*(POSITIONS[sources][:, None] - POSITIONS[sinks]).transpose(2, 0, 1))
    found = linprog(
        cost.ravel(),
        A_eq=np.concatenate([rows, columns]),
        b_eq=np.concatenate([first[sources] / first.sum(), second[sinks] / second.sum()]),
        options={"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10},
    )
    assert found.success
    return float(found.fun)


def test_agrees_with_a_linear_programme() -> None:
    rng = np.random.default_rng(3)
    first, second = np.zeros((2, 30, CELLS))
    for one, other in zip(first, second, strict=True):
        one[rng.choice(CELLS, rng.integers(1, 9), replace=False)] = rng.random()
        other[rng.choice(CELLS, rng.integers(1, 9), replace=False)] = rng.random()
        one *= rng.random(CELLS)
    first[:3] = images(3, 1)  # and full wafers
    expected = [linear_programme(*pair) for pair in zip(first, second, strict=True)]
    np.testing.assert_allclose(emd(first, second), expected, rtol=0, atol=1e-9)
    # Negative control: the agreement sees a change of one charge by one in a million.
    first[5, np.argmax(first[5])] *= 1 + 1e-6
    second[5] = point(17)
    assert abs(emd(first[5:6], second[5:6])[0] - expected[5]) > 1e-9


def test_point_charges_are_as_far_apart_as_their_cells() -> None:
    one, other = np.divmod(np.arange(CELLS**2), CELLS)
    assert emd(point(*one), point(*other)).tolist() == DISTANCES.ravel().tolist()


def test_two_points_closed_form() -> None:
    """The charge that has to change cells travels their distance."""
    p, q = np.random.default_rng(1).random((2, 20, 1))
    first = p * point(4) + (1 - p) * point(40)
    second = q * point(4) + (1 - q) * point(40)
    np.testing.assert_allclose(emd(first, second), abs(p - q)[:, 0] * DISTANCES[4, 40], rtol=1e-12)


def test_metric_axioms() -> None:
    a, b, c = images(60, 1), images(60, 2), images(60, 3)
    ab, bc, ac = emd(a, b), emd(b, c), emd(a, c)
    np.testing.assert_allclose(emd(b, a), ab, rtol=1e-12)
    assert emd(a, a).tolist() == [0.0] * 60
    assert (ab > 0).all()
    assert (ac <= ab + bc + 1e-12).all()
    # the triangle is not an empty statement: a point half way makes it an equality
    path = [point(0), (point(0) + point(15)) / 2, point(15)]
    legs = emd(path[0], path[1])[0], emd(path[1], path[2])[0], emd(path[0], path[2])[0]
    assert legs[2] == pytest.approx(legs[0] + legs[1], rel=1e-12)


def test_one_count_more_is_seen_and_a_scale_is_not() -> None:
    first = images(20, 4).astype(np.int64)
    second = first.copy()
    second[:, 7] += 1
    assert (emd(first, second) > 0).all()
    np.testing.assert_allclose(emd(first, 7 * images(20, 5)), emd(first, images(20, 5)), rtol=1e-12)
    assert (emd(first, 3 * first) < 1e-14).all()


def test_turning_both_wafers_changes_nothing() -> None:
    first, second = images(20, 6), images(20, 7)
    turned = [np.roll(one, 16, axis=1) for one in (first, second)]
    np.testing.assert_allclose(emd(*turned), emd(first, second), rtol=1e-10)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (
            (2, 5, -1.0),
            "charge of cell 5 in image 2 is -1.0: the EMD is of finite charges that",
        ),
        ((0, 0, np.nan), "charge of cell 0 in image 0 is nan: "),
        ((1, 9, np.inf), "charge of cell 9 in image 1 is inf: "),
        ((1, slice(None), 0.0), "image 1 has total charge 0: the EMD is of images with charge; leave empty"),
    ],
)
@pytest.mark.parametrize("function", [emd, sinkhorn])
def test_bad_charges_are_refused(function: Any, change: tuple[Any, Any, float], text: str) -> None:
    good = images(3, 1).astype(float)
    bad = good.copy()
    bad[change[0], change[1]] = change[2]
    for pair in ((bad, good), (good, bad)):
        with pytest.raises(DataError, match=text):
            function(*pair)


def test_bad_shapes_are_refused() -> None:
    with pytest.raises(DataError, match=r"shape \(2, 8, 8\): they must be \(n, 48\)"):
        unit_images(np.ones((2, 8, 8)))
    with pytest.raises(DataError, match="2 images are paired with 3: give each one partner"):
        emd(np.ones((2, CELLS)), np.ones((3, CELLS)))
    assert emd(np.ones((0, CELLS)), np.ones((0, CELLS))).shape == (0,)


# --- many processes -----------------------------------------------------------------------------


def test_workers_and_chunks_change_nothing(
    monkeypatch: pytest.MonkeyPatch, here: Any, tmp_path: Path
) -> None:
    first, second = images(20, 1), images(20, 2)
    expected = emd(first, second)
    assert emd_in_chunks(first, second, tmp_path / "a", run=here).tobytes() == expected.tobytes()
    monkeypatch.setattr(chunks_module, "_PAIRS_PER_CHUNK", 7)
    seen: list[tuple[int, int]] = []
    found = emd_in_chunks(
        first, second, tmp_path / "b", run=run_chunks, progress=lambda done, total: seen.append((done, total))
    )
    assert found.tobytes() == expected.tobytes()
    assert seen == [(0, 3), (1, 3), (2, 3), (3, 3)]


def test_only_what_is_missing_is_computed(monkeypatch: pytest.MonkeyPatch, here: Any, tmp_path: Path) -> None:
    monkeypatch.setattr(chunks_module, "_PAIRS_PER_CHUNK", 4)
    calls: list[int] = []

    def counted(first: Array, second: Array) -> Array:
        calls.append(len(first))
        return emd(first, second)

    monkeypatch.setattr(chunks_module, "emd", counted)
    first, second = images(10, 1), images(10, 2)
    expected = emd_in_chunks(first, second, tmp_path, run=here)
    assert calls == [4, 4, 2]
    next(tmp_path.glob("emd-*-00001.npy")).unlink()
    assert emd_in_chunks(first, second, tmp_path, run=here).tobytes() == expected.tobytes()
    assert calls == [4, 4, 2, 4]
    # other images share the folder and not the results
    assert (
        emd_in_chunks(second, first[::-1], tmp_path, run=here).tolist() == emd(second, first[::-1]).tolist()
    )
    assert emd_in_chunks(first[:0], second[:0], tmp_path, run=here).shape == (0,)


# --- Sinkhorn -----------------------------------------------------------------------------------


def test_sinkhorn_is_the_cost_of_the_entropic_plan() -> None:
    first, second = unit_images(images(5, 1) + 1), unit_images(images(5, 2) + 1)
    for regularisation in (0.5, 0.2):
        plans = [
            ot.sinkhorn(a, b, DISTANCES, regularisation, stopThr=1e-12, numItermax=100_000)
            for a, b in zip(first, second, strict=True)
        ]
        expected = [(plan * DISTANCES).sum() for plan in plans]
        found = sinkhorn(first, second, regularisation=regularisation)
        np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_sinkhorn_is_biased_upwards_and_the_bias_goes_with_the_regularisation() -> None:
    first, second = images(10, 1), images(10, 2)
    exact = emd(first, second)
    bias = [sinkhorn(first, second, regularisation=r, tolerance=1e-7) - exact for r in (0.5, 0.2, 0.05)]
    assert (bias[0] > bias[1]).all()
    assert (bias[1] > bias[2]).all()
    assert (bias[2] > -1e-6).all()
    assert (bias[0] / exact).mean() > 0.1
    assert (bias[2] / exact).mean() < 0.01
    assert (sinkhorn(first, first) > 0.05).all()  # equal images are not at distance 0


def test_sinkhorn_refuses_what_it_cannot_do() -> None:
    with pytest.raises(SpecError, match=r"regularisation is 0.001 pitches: .* use 0.01 or more"):
        sinkhorn(images(1, 1), images(1, 2), regularisation=0.001)
    with pytest.raises(SpecError, match="3 iterations do not reach the tolerance 1e-09: allow more"):
        sinkhorn(images(1, 1), images(1, 2), iterations=3)

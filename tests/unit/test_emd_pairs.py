"""Pairs for training, plausible decodings and the table of errors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from zerobias.emd import calibrate, emd, make_pairs, plausible_decodings, unit_images
from zerobias.emd.pairs import _combinations
from zerobias.emd.plots import draw
from zerobias.errors import DataError, SpecError
from zerobias.events.wafer import CELLS


def wafers(count: int, seed: int = 1) -> NDArray[np.uint32]:
    rng = np.random.default_rng(seed)
    return rng.poisson(rng.gamma(0.5, 40.0, (count, CELLS))).astype(np.uint32) + 1


def test_pairs_have_their_exact_distance_and_kind(here: Any, tmp_path: Path) -> None:
    real = wafers(12)
    decoded = np.stack([plausible_decodings(real, seed) for seed in (1, 2)])
    pairs = make_pairs(real, decoded, tmp_path, pairs=60, decoded_share=0.3, seed=5, run=here)
    np.testing.assert_allclose(pairs.emd, emd(pairs.first, pairs.second), rtol=1e-12)
    units = unit_images(real)
    assert pairs.decoded.sum() <= 18
    assert len(pairs) > 55
    seen = set()
    for first, second, is_decoded in zip(pairs.first, pairs.second, pairs.decoded, strict=True):
        wafer = int(np.argmin(abs(units - first).max(axis=1)))
        np.testing.assert_allclose(first, units[wafer], atol=1e-15)
        others = decoded[:, wafer] if is_decoded else units
        other = int(np.argmin(abs(others - second).max(axis=1)))
        np.testing.assert_allclose(second, others[other], atol=1e-15)
        assert is_decoded or other != wafer
        seen.add((bool(is_decoded), other, wafer) if is_decoded else frozenset({wafer, other}))
    assert len(seen) == len(pairs)  # no pair twice


def test_same_seed_same_pairs(here: Any, tmp_path: Path) -> None:
    real = wafers(10)
    decoded = plausible_decodings(real, 1)[None]

    def made(seed: int, folder: str) -> bytes:
        found = make_pairs(real, decoded, tmp_path / folder, pairs=10, decoded_share=0.5, seed=seed, run=here)
        return b"".join(array.tobytes() for array in vars(found).values())

    assert made(1, "a") == made(1, "b")
    assert made(1, "a") != made(2, "a")


def test_pairs_of_equal_images_are_left_out(here: Any, tmp_path: Path) -> None:
    real = wafers(6)
    decoded = plausible_decodings(real, 1)[None].copy()
    decoded[0, 2] = 3.0 * real[2]
    pairs = make_pairs(real, decoded, tmp_path, pairs=6, decoded_share=1.0, seed=1, run=here)
    kept = emd(real, decoded[0]) >= 1e-3
    assert not kept[2]
    assert len(pairs) == kept.sum() > 2
    assert pairs.decoded.all()
    assert pairs.emd.min() >= 1e-3


def test_combinations_count_every_pair_once() -> None:
    larger, smaller = _combinations(np.arange(40 * 39 // 2))
    assert (smaller < larger).all()
    assert (smaller >= 0).all()
    assert len(set(zip(larger.tolist(), smaller.tolist(), strict=True))) == 40 * 39 // 2
    assert larger.max() == 39
    for top in (100_003, 10_000_019):
        edge = np.array([top * (top - 1) // 2 - 1, top * (top - 1) // 2])
        assert [array.tolist() for array in _combinations(edge)] == [[top - 1, top], [top - 2, 0]]


def test_bad_requests_for_pairs(here: Any, tmp_path: Path) -> None:
    real = wafers(4)
    decoded = plausible_decodings(real, 1)[None]
    for wrong, text in (
        ({"pairs": 5, "decoded_share": 1.0}, "5 real-decoded pairs are wanted: there are 4; ask for fewer"),
        ({"pairs": 7, "decoded_share": 0.0}, "7 real-real pairs are wanted: there are 6; ask for fewer"),
        ({"pairs": 0, "decoded_share": 0.5}, "pairs is 0: at least one pair is needed"),
        ({"pairs": 2, "decoded_share": 1.5}, "decoded_share is 1.5: it is a fraction between 0 and 1"),
    ):
        with pytest.raises(SpecError, match=text):
            make_pairs(real, decoded, tmp_path, seed=1, run=here, **wrong)  # type: ignore[arg-type]
    with pytest.raises(DataError, match=r"decoded images have shape \(4, 48\): they must be \(versions"):
        make_pairs(real, decoded[0], tmp_path, pairs=2, decoded_share=0.5, seed=1, run=here)


def test_decodings_are_lossy_and_still_like_the_image() -> None:
    real = wafers(400)
    decoded = plausible_decodings(real, 3)
    np.testing.assert_allclose(decoded.sum(axis=1), 1.0)
    assert (decoded >= 0).all()
    assert decoded.tobytes() == plausible_decodings(real, 3).tobytes()
    assert decoded.tobytes() != plausible_decodings(real, 4).tobytes()
    same, other = emd(real, decoded), emd(real, np.roll(decoded, 1, axis=0))
    assert np.median(same) < 0.6 * np.median(other)
    low, high = np.quantile(same, [0.05, 0.95])
    assert high > 4 * low > 0


def test_super_cells_are_flat_and_keep_their_charge() -> None:
    real = wafers(200)
    decoded = plausible_decodings(real, 1)
    blocks = decoded.reshape(-1, 3, 2, 2, 2, 2).transpose(0, 1, 2, 4, 3, 5).reshape(-1, 12, 4)
    flat = np.ptp(blocks, axis=2).max(axis=1) == 0
    assert 30 < flat.sum() < 70  # one decoding in four
    true = unit_images(real)[flat].reshape(-1, 3, 2, 2, 2, 2).sum(axis=(3, 5)).reshape(-1, 12)
    np.testing.assert_allclose(blocks[flat].sum(axis=2), true, rtol=1e-12)


# --- calibration --------------------------------------------------------------------------------


def test_calibration_is_mean_and_spread_by_range() -> None:
    true = np.array([0.5, 0.5, 1.0, 3.0])
    predicted = np.array([0.6, 0.5, 1.1, 2.4])
    found = calibrate(predicted, true, (0.0, 1.0, 2.0, 2.5, 4.0))
    rows = [(row.low, row.high, row.pairs) for row in found.rows]
    assert rows == [(0.0, 1.0, 2), (1.0, 2.0, 1), (2.5, 4.0, 1)]
    assert [row.mean for row in found.rows] == pytest.approx([0.1, 0.1, -0.2])
    assert [row.spread for row in found.rows] == pytest.approx([0.1, 0.0, 0.0])
    assert (found.total.low, found.total.high, found.total.pairs) == (0.0, 4.0, 4)
    assert found.total.mean == pytest.approx((0.2 + 0.0 + 0.1 - 0.2) / 4)
    assert found == type(found).model_validate_json(found.model_dump_json())


@pytest.mark.parametrize(
    ("predicted", "true", "edges", "text"),
    [
        ([1.0], [1.0, 2.0], [0, 7], r"\(1,\) predicted for \(2,\) true EMDs"),
        ([], [], [0, 7], r"\(0,\) predicted"),
        ([1.0, 0.0], [1.0, 0.0], [0, 7], "EMD 1 is 0.0, predicted 0.0: a relative error needs"),
        ([np.nan], [1.0], [0, 7], "EMD 0 is 1.0, predicted nan"),
        ([1.0], [1.0], [0, 7, 7], "edges are .*: give at least two, in rising order"),
        ([1.0], [7.0], [0, 7], "EMDs from 7.0 to 7.0 reach beyond the edges 0.0 and 7.0"),
    ],
)
def test_calibration_refuses(predicted: Any, true: Any, edges: Any, text: str) -> None:
    with pytest.raises(DataError, match=text):
        calibrate(np.array(predicted), np.array(true), edges)


def test_calibration_is_drawn(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    true = rng.gamma(2.0, 0.4, 2000) + 1e-3
    predicted = true * rng.normal(1.0, 0.05, 2000)
    path = tmp_path / "new" / "calibration.png"
    draw(calibrate(predicted, true), predicted, true, "a made-up surrogate", path)
    assert path.read_bytes().startswith(b"\x89PNG")
    assert len(path.read_bytes()) > 10_000
    assert [file.name for file in path.parent.iterdir()] == ["calibration.png"]

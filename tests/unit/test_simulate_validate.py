"""Comparison of simulated zero bias with anchors, on events made by hand."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from zerobias.beam import Beam
from zerobias.cli.app import app
from zerobias.errors import DataError
from zerobias.events import EventSet, write
from zerobias.shelves import shelf
from zerobias.simulate import load_cards
from zerobias.simulate.plots import draw
from zerobias.simulate.spec import ZeroBiasCard
from zerobias.simulate.validate import (
    load_anchors,
    rate_curve,
    validate,
    weighted_median,
)

ANCHORS = load_anchors()


def events(objects: np.ndarray, weight: np.ndarray) -> EventSet:
    count = len(weight)
    regions = np.zeros((count, 18, 14), np.uint16)
    regions[:, 2, 3] = np.arange(count) % 2 * 4
    return EventSet(
        {"objects": objects.astype(np.int16), "regions": regions},
        weight.astype(np.float64),
        np.full(count, 50, np.uint16),
        np.zeros(count, np.uint8),
        np.zeros(count, np.uint8),
        ("zero_bias",),
        {},
    )


def like_the_anchors(count: int = 2000) -> EventSet:
    """Every object at its anchor, every second event; one jet of 200 GeV in all, a rate of 3 kHz."""
    objects = np.zeros((count, 19, 3))
    pt = [*ANCHORS.met, *ANCHORS.egamma, *ANCHORS.muon, *ANCHORS.jet]
    objects[: count // 2, :, 0] = 2 * np.array(pt)
    objects[0, 9, 0] = 400
    weight = np.ones(count)
    share = 3 / Beam(bunches=ANCHORS.bunches).crossings_khz
    weight[0] = share * (count - 1) / (1 - share)
    return events(objects, weight)


def test_weighted_median_by_hand() -> None:
    values = np.array([5, 1, 3])
    assert weighted_median(values, np.ones(3)) == 3
    assert weighted_median(values, np.array([5.0, 1.0, 1.0])) == 5
    assert weighted_median(values, np.array([1.0, 2.0, 1.0])) == 1
    assert math.isnan(weighted_median(np.array([]), np.array([])))


def test_anchors_pass_their_own_comparison() -> None:
    found = validate(like_the_anchors(), ANCHORS)
    assert found.ok
    assert len(found.rows) == 1 + 4 + 4 + 10 + 1
    assert [row.ratio for row in found.rows[:-1]] == [1.0] * 19
    assert found.rows[-1].value == pytest.approx(3.0)
    assert found.rows[-1].error == pytest.approx(3.0)  # one event carries it all
    assert found.occupancy[2, 3] == pytest.approx(0.5, abs=1e-3)
    assert found.mean_et[2, 3] == pytest.approx(1.0, abs=1e-3)
    assert found.occupancy.sum() == found.occupancy[2, 3]


@pytest.mark.parametrize(
    ("row", "name"), [(0, "met"), (4, "egamma 4"), (8, "muon 4"), (11, "jet 3"), (18, "jet 10")]
)
@pytest.mark.parametrize("factor", [0.75, 1.25])
def test_a_quarter_off_is_red(row: int, name: str, factor: float) -> None:
    sample = like_the_anchors()
    objects = sample.collections["objects"].copy()
    objects[1:, row, 0] = (
        np.floor(objects[1:, row, 0] * factor) if factor < 1 else np.ceil(objects[1:, row, 0] * factor)
    )
    found = validate(replace(sample, collections={**sample.collections, "objects": objects}), ANCHORS)
    assert [r.name for r in found.rows if not r.ok] == [name]


def test_missing_objects_and_rates_are_red() -> None:
    sample = like_the_anchors()
    objects = sample.collections["objects"].copy()
    objects[:, 8], objects[0, 9, 0] = 0, 62
    found = validate(replace(sample, collections={**sample.collections, "objects": objects}), ANCHORS)
    assert [(r.name, r.objects) for r in found.rows if not r.ok] == [("muon 4", 0), ("jet > 180 GeV", 0)]
    with pytest.raises(DataError, match="the sample has no regions"):
        validate(replace(sample, collections={"objects": objects}), ANCHORS)


def test_rates_count_weights_down_to_one_khz() -> None:
    weight = np.array([0.9, 0.05, 0.05 - 1e-6, 1e-6])
    curve = rate_curve("x", np.array([1, 4, 6, 9]), weight, np.array([5, 9, 2, 3]), 1000)
    total = Beam(bunches=1000).crossings_khz
    assert curve.threshold.tolist() == [0.5, 1, 1.5, 2, 2.5, 3]  # above: 0.011 kHz
    np.testing.assert_allclose(curve.khz, total * np.array([1, 0.1, 0.1, 0.1, 0.05, 0.05]), rtol=1e-9)
    assert curve.error[1] == pytest.approx(total * math.sqrt(0.05**2 + (0.05 - 1e-6) ** 2 + 1e-12))


def test_crossings_of_one_leader_count_as_one_weight() -> None:
    rng = np.random.default_rng(4)
    values, leader, weight = rng.integers(1, 9, 60), rng.integers(0, 7, 60), rng.random(60)
    weight /= weight.sum()
    curve = rate_curve("x", values, weight, leader, 1000)
    for threshold, error in zip(2 * curve.threshold, curve.error, strict=True):
        above = values >= threshold
        squares = [weight[above & (leader == own)].sum() ** 2 for own in range(7)]
        assert error == pytest.approx(Beam(bunches=1000).crossings_khz * math.sqrt(sum(squares)))


def test_plots_are_written(tmp_path: Path) -> None:
    paths = draw(validate(like_the_anchors(), ANCHORS), tmp_path / "plots")
    assert sorted(p.name for p in paths) == ["medians.png", "rates.png", "regions.png"]
    assert all(p.read_bytes().startswith(b"\x89PNG") for p in paths)
    assert len(list((tmp_path / "plots").iterdir())) == 3


def test_command_goes_red_and_says_why(tmp_path: Path) -> None:
    path = tmp_path / "sample.h5"
    write(path, like_the_anchors())
    good = CliRunner().invoke(app, ["simulate", "validate", "--sample", str(path), "--json"])
    assert good.exit_code == 0
    assert json.loads(good.stdout)["ok"] is True
    sample = like_the_anchors()
    objects = sample.collections["objects"].copy()
    objects[:, 0, 0] *= 2
    write(path, replace(sample, collections={**sample.collections, "objects": objects}))
    bad = CliRunner().invoke(app, ["simulate", "validate", "--sample", str(path)])
    assert bad.exit_code == 3
    assert "error: sample.h5: met out of range" in bad.stderr.replace("\n", " ")


def test_process_cards_are_named_after_their_files() -> None:
    _, card, processes = load_cards()
    names = [p.name for p in processes]
    assert names == sorted(path.stem for path in (shelf("triggers") / "processes").glob("*.toml"))
    assert len(names) >= 19
    assert {"ttbar", "suep", "black_hole", "hidden_valley", "hh_4b", "vbf_h_invisible"} <= set(names)
    assert {"cp5", "monash"} <= set(card.tunes)


def test_a_tune_without_settings_is_refused() -> None:
    card = load_cards()[1].model_dump()
    with pytest.raises(ValueError, match=r"tune 'none' has no settings: \[tunes\] declares monash, cp5"):
        ZeroBiasCard.model_validate({**card, "tune": "none"})

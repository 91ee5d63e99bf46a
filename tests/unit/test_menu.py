"""Menus: what a file may say, rates and gains against counting by hand, thresholds written and refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from zerobias.beam import Beam
from zerobias.errors import DataError, SpecError
from zerobias.events import EventSet, default_sample, file_digest, read
from zerobias.files import document_digest
from zerobias.physics import (
    KINDS,
    Menu,
    MenuTable,
    MenuUnit,
    ObjectSeed,
    SeedScores,
    ZeroBias,
    check_pins,
    check_thresholds,
    load_menu,
    menu_names,
    menu_path,
    menu_table,
    object_score,
    reach,
    rewrite,
)
from zerobias.zoo import digest, find_model, read_weights

TEXT = """
title = "two seeds"  # a comment
sample = ""

[[model]]
# found by hand
name = "odd"
model = "tiny"
version = "1.2.3"
weights = ""
contract = ""
goal_khz = 5
threshold = 0  # another

[beam]
bunches = 1000

[[object]]
name = "jet"
kind = "jet"
goal_khz = 2.5
threshold = 0
"""


def written(folder: Path, text: str = TEXT) -> Path:
    path = folder / "mine.toml"
    path.write_text(text)
    return path


def test_a_menu_as_it_is_read(tmp_path: Path) -> None:
    menu = load_menu(written(tmp_path))
    assert [seed.name for seed in menu.seeds] == ["jet", "odd"]
    assert menu.beam == Beam(bunches=1000)
    assert (menu.split, menu.object[0].rank) == ("test", 1)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("goal_khz = 5", "goal_kz = 5", r"unknown key 'model.0.goal_kz'; did you mean 'goal_khz'\?"),
        ("bunches = 1000", "bunchs = 1000", r"unknown key 'beam.bunchs'; did you mean 'bunches'\?"),
        ('kind = "jet"', 'kind = "jet"\nrank = 11', "there are 10 of jet: rank 11 is too high"),
        ('kind = "jet"', 'kind = "met"\nrank = 2', "there are 1 of met: rank 2 is too high"),
        ('kind = "jet"', 'kind = "photon"', "object.0.kind: Input should be 'met'"),
        ("goal_khz = 2.5", "goal_khz = 0", "object.0.goal_khz: Input should be greater than 0"),
        ("threshold = 0\n", "threshold = 1.5\n", "object.0.threshold: Input should be a valid integer"),
        ('name = "odd"', 'name = "jet"', "two seeds are named 'jet': give each its own name"),
        (TEXT[TEXT.index("[[") :], "", "a menu needs a seed"),
    ],
)
def test_a_wrong_menu_is_told(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert old in TEXT
    with pytest.raises(SpecError, match=said):
        load_menu(written(tmp_path, TEXT.replace(old, new)))


def test_unknown_menu(tmp_path: Path) -> None:
    written(tmp_path)
    with pytest.raises(SpecError, match=r"no menu named 'other': known are mine$"):
        menu_path("other", tmp_path)
    with pytest.raises(SpecError, match=r"no menu named '\.\./x'"):
        menu_path("../x")


# --- the file: thresholds are written in place ------------------------------------------------------------

VALUES: dict[str, dict[str, int | str]] = {
    "jet": {"threshold": 120},
    "odd": {"threshold": 77, "weights": "a" * 64, "contract": "b" * 64},
}


def test_rewriting_keeps_all_but_the_values(tmp_path: Path) -> None:
    path = written(tmp_path)
    before = load_menu(path)
    after = rewrite(path, VALUES, "c" * 64)
    assert load_menu(path) == after
    assert (after.sample, after.object[0].threshold, after.model[0].threshold) == ("c" * 64, 120, 77)
    assert (after.model[0].weights, after.model[0].contract) == ("a" * 64, "b" * 64)
    changed = [line for line in path.read_text().splitlines() if line not in TEXT.splitlines()]
    assert len(changed) == 5
    assert "# found by hand" in path.read_text()
    assert after.title == before.title


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("goal_khz = 2.5\nthreshold = 0", "goal_khz = 2.5\nthreshold=0"),
        ('sample = ""', "'sample' = ''"),
    ],
)
def test_rewriting_refuses_what_it_cannot_find(tmp_path: Path, old: str, new: str) -> None:
    path = written(tmp_path, TEXT.replace(old, new))
    before = path.read_bytes()
    with pytest.raises(SpecError, match="must each stand on a line of its own"):
        rewrite(path, VALUES, "c" * 64)
    assert path.read_bytes() == before


def test_another_model_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path)
    rewrite(path, VALUES, "c" * 64)
    (seed,) = load_menu(path).model
    pins = {"version": "1.2.3", "weights": "a" * 64, "contract": "b" * 64}
    check_pins(path, seed, pins)
    for key, value, said in (
        ("version", "1.2.4", "is for version 1.2.3 of tiny, which now has 1.2.4"),
        ("weights", "d" * 64, "is for weights aaaaaaaaaaaa… of tiny, which now has dddddddddddd…"),
        ("contract", "", "is for contract bbbbbbbbbbbb… of tiny, which now has none"),
    ):
        with pytest.raises(SpecError, match=f"mine.toml: seed odd {said}: restore"):
            check_pins(path, seed, pins | {key: value})


# --- the table against counting by hand -------------------------------------------------------------------

JET = {"name": "jet", "kind": "jet", "goal_khz": 10, "threshold": 9}
MODEL = {
    "name": "odd",
    "model": "tiny",
    "version": "1.2.3",
    "weights": "",
    "contract": "",
    "goal_khz": 15,
    "threshold": 1970,
}


def events(npu: np.ndarray) -> EventSet:
    count = len(npu)
    objects = np.zeros((count, 19, 3), np.int16)
    zero = np.zeros(count, np.uint8)
    names = ("zero_bias",)
    return EventSet({"objects": objects}, np.ones(count), npu.astype(np.uint16), zero, zero, names, {})


def toy(
    *, highest: int = 1 << 20, gain_khz: tuple[float, ...] = (5, 20)
) -> tuple[MenuTable, dict[str, np.ndarray]]:
    """2000 crossings of 1 MHz, a kHz each two; a jet and an anomaly seed that share some of them."""
    rng = np.random.default_rng(8)
    menu = Menu.model_validate(
        {
            "title": "toy",
            "sample": "",
            "beam": {"bunches": 1000, "revolution_hz": 1000},
            "gain_khz": gain_khz,
            "pileup_bins": 4,
            "object": [JET | {"threshold": 1980}],
            "model": [MODEL],
        }
    )
    jet = rng.permutation(2000)
    odd = np.where(jet >= 1990, 1999, rng.permutation(2000) % 1990).astype(np.int64)
    npu, own = rng.integers(30, 70, 2000), rng.integers(40, 60, 400)
    arrays = {
        "jet": jet,
        "odd": odd,
        "npu": npu,
        "signal jet": rng.integers(1500, 2100, 400),
        "signal odd": rng.integers(1500, 2100, 400),
    }
    zero_bias = ZeroBias(np.ones(2000), npu, beam=menu.beam)
    scores = {
        name: SeedScores(
            arrays[name],
            {"s": arrays[f"signal {name}"]},
            highest,
            MenuUnit(16, 6) if name == "odd" else None,
        )
        for name in ("jet", "odd")
    }
    table = menu_table(
        menu, name="toy", sample="toy.h5", zero_bias=zero_bias, signals={"s": events(own)}, scores=scores
    )
    return table, arrays


def test_rates_are_counted() -> None:
    table, a = toy()
    jet, odd = a["jet"] >= 1980, a["odd"] >= 1970
    rows = {row.name: row for row in table.seeds}
    assert rows["jet"].rate.khz == jet.sum() / 2 == 10
    assert rows["odd"].rate.khz == odd.sum() / 2
    assert rows["jet"].pure.khz == (jet & ~odd).sum() / 2
    assert rows["odd"].pure.khz == (odd & ~jet).sum() / 2
    (pair,) = table.overlaps
    assert pair.rate.khz == (jet & odd).sum() / 2 >= 5
    assert table.total.khz == pytest.approx(rows["jet"].rate.khz + rows["odd"].pure.khz)
    assert table.conventional is not None
    assert table.conventional == rows["jet"].rate
    assert (rows["jet"].raw_threshold, rows["odd"].raw_threshold) == (None, 1970 * 4)
    assert rows["jet"].plateau is None
    assert (rows["jet"].what, rows["odd"].what) == ("1 jet of 990 GeV", "tiny 1.2.3")


def test_rates_against_pileup_average_to_the_rate() -> None:
    table, a = toy()
    assert len(table.npu) == 4
    assert (table.npu[0].low, table.npu[-1].high) == (a["npu"].min(), a["npu"].max())
    sizes = [((a["npu"] >= row.low) & (a["npu"] <= row.high)).sum() for row in table.npu]
    for name in ("jet", "odd"):
        mean = np.average([row.seeds[name].khz for row in table.npu], weights=sizes)
        assert mean == pytest.approx({row.name: row.rate.khz for row in table.seeds}[name])
    assert all(row.low <= row.mean <= row.high for row in table.npu)
    assert np.average([row.total.khz for row in table.npu], weights=sizes) == pytest.approx(table.total.khz)


def test_gain_is_what_no_conventional_seed_takes() -> None:
    table, a = toy()
    base = a["signal jet"] >= 1980
    (row,) = table.efficiencies
    assert row.conventional.value == base.mean()
    assert row.menu.value == (base | (a["signal odd"] >= 1970)).mean()
    assert row.conventional.error == pytest.approx(np.sqrt(base.mean() * (1 - base.mean()) / 400), rel=0.15)
    assert [gain.khz for gain in table.gains] == [5, 20]
    for gain, point in zip(table.gains, table.points, strict=True):
        assert point.threshold is not None
        assert point.rate is not None
        assert point.pure is not None
        fired = a["odd"] >= point.threshold
        assert point.rate.khz == fired.sum() / 2 <= gain.khz
        assert point.pure.khz == (fired & (a["jet"] < 1980)).sum() / 2
        own = (a["signal odd"] >= point.threshold) & ~base
        assert gain.gain.value == pytest.approx(own.mean(), abs=1e-12)
        # The threshold moves with the zero bias drawn, so the error is not below the binomial one.
        assert gain.gain.error > 0.85 * np.sqrt(own.mean() * (1 - own.mean()) / 400)
        assert gain.gain_reweighted is not None
    # All ten crossings of 5 kHz have a jet.
    assert table.points[0].pure is not None
    assert (table.points[0].pure.khz, table.points[0].pure.low) == (0, 0)
    assert 0 < table.points[0].pure.high < table.points[0].rate.high  # type: ignore[union-attr]


def test_gain_after_reweighting_is_that_of_the_weights() -> None:
    """The gain of a signal that grows with pile-up follows the zero bias' pile-up."""
    rng = np.random.default_rng(5)
    npu, own = np.repeat([40, 60], [1500, 500]), np.repeat([40, 60], [100, 300])
    score, signal = rng.permutation(2000), np.where(own == 60, 3000, 0)
    menu = Menu.model_validate(
        {
            "title": "",
            "sample": "",
            "gain_khz": [100.0],
            "object": [JET],
            "model": [MODEL | {"threshold": 2999}],
        }
    )
    table = menu_table(
        menu,
        name="",
        sample="",
        zero_bias=ZeroBias(np.ones(2000), npu),
        signals={"s": events(own)},
        scores={
            "jet": SeedScores(np.zeros(2000, np.int64), {"s": np.zeros(400, np.int64)}, 10),
            "odd": SeedScores(score, {"s": signal}, 4000),
        },
    )
    (gain,) = table.gains
    assert gain.gain_reweighted is not None
    assert (gain.gain.value, gain.gain_reweighted.value) == (0.75, pytest.approx(0.25))
    assert table.efficiencies[0].menu.value == 0.75
    assert table.efficiencies[0].menu_reweighted is not None
    assert table.efficiencies[0].menu_reweighted.value == pytest.approx(0.25)
    assert table.efficiencies[0].conventional.value == 0


def test_a_rate_beyond_saturation_is_left_out() -> None:
    """Ten crossings, 5 kHz, hold the score's largest value: there is no threshold for less than that."""
    table, a = toy(highest=1999, gain_khz=(4, 20))
    assert (a["odd"] == 1999).sum() == 10
    assert table.points[0].threshold is None
    assert "the score's largest value, 1999, alone has" in (table.points[0].plateau or "")
    assert [gain.khz for gain in table.gains] == [20]


# --- the shelf --------------------------------------------------------------------------------------------


def seed_of(**more: object) -> ObjectSeed:
    return ObjectSeed.model_validate(JET | more)


def test_objects_are_those_of_the_sample() -> None:
    objects = np.arange(2 * 19 * 3).reshape(2, 19, 3).astype(np.int16)
    held = {"objects": objects, "ht": np.array([7, 8], np.uint16), "taus": objects[:, :4] + np.int16(1)}
    bare = events(np.full(2, 50))
    sample = replace(bare, collections=held)
    rows = {"met": 0, "egamma": 1, "muon": 5, "jet": 9}
    for kind in KINDS:
        expected = {"ht": [7, 8], "tau": [1, 58]}.get(kind) or objects[:, rows.get(kind, 0), 0].tolist()
        assert object_score(seed_of(kind=kind), sample).tolist() == expected
    assert object_score(seed_of(rank=2), sample).tolist() == objects[:, 10, 0].tolist()
    with pytest.raises(DataError, match="the events have no ht"):
        object_score(seed_of(kind="ht"), bare)


@pytest.mark.parametrize("name", menu_names())
def test_shipped_menus_are_current(name: str) -> None:
    """Pins of the models, and the thresholds of conventional seeds, on the sample the menu is for."""
    path = menu_path(name)
    menu = load_menu(path)
    for seed in menu.model:
        model = find_model(seed.model)
        weights = digest(read_weights(model.weights_path("quantised")))
        contract = document_digest(model.spec.contract.model_dump(mode="json"))
        check_pins(path, seed, {"version": model.spec.version, "weights": weights, "contract": contract})
    assert file_digest(default_sample()) == menu.sample
    background = read(default_sample(), ["objects", "taus", "ht", "leader"]).of("zero_bias", menu.split)
    zero_bias = ZeroBias(background.weight, background.npu, background.collections["leader"], menu.beam)
    only = menu.model_copy(update={"model": ()})
    found = {
        seed.name: reach(object_score(seed, background), seed.goal_khz, zero_bias, KINDS[seed.kind].pt_max)
        for seed in only.object
    }
    check_thresholds(path, only, found)
    stale = only.object[0].model_copy(update={"threshold": only.object[0].threshold + 1})
    with pytest.raises(SpecError, match=f"seed {stale.name} has the threshold {stale.threshold}, its goal"):
        check_thresholds(path, only.model_copy(update={"object": (stale, *only.object[1:])}), found)

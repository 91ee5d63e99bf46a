"""``zerobias menu`` as a user meets it: a menu of one's own, derived, shown, and refused when stale."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from zerobias.cli.app import app
from zerobias.events import read, write
from zerobias.zoo import find_model, read_weights, write_weights

MENU = """
title = "one of my own"
sample = ""
gain_khz = [100, 1000]
pileup_bins = 2

[[object]]
name = "two_taus"
kind = "tau"
rank = 2
goal_khz = 300
threshold = 0

[[model]]
name = "mine"
model = "tiny"
version = "1.2.3"
weights = ""
contract = ""
goal_khz = 1000
threshold = 0
"""


def run(*words: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.stdout, " ".join(result.stderr.split())


@pytest.fixture(scope="module")
def folder(shelf_with_tiny: Path, small_sample: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with models, a sample of three processes and a derived menu."""
    root = tmp_path_factory.mktemp("menus")
    shutil.copytree(shelf_with_tiny, root / "models")
    events = read(small_sample)
    kept = np.isin(events.process, [events.process_names.index(n) for n in ("zero_bias", "ttbar", "suep")])
    write(root / "events.h5", events.select(kept))
    (root / "own.toml").write_text(MENU)
    code, out, err = run(*words(root), "--set-thresholds")
    assert code == 0, err
    assert "total" in out
    return root


def words(root: Path) -> tuple[object, ...]:
    options = "--menus", root, "--models", root / "models", "--sample", root / "events.h5", "--build", root
    return "menu", "own", *options


def test_a_derived_menu_is_shown_again(folder: Path) -> None:
    text = (folder / "own.toml").read_text()
    assert text.count("threshold = 0") == 0
    code, out, err = run(*words(folder), "--json")
    assert code == 0, err
    document = json.loads(out)
    assert (folder / "own.toml").read_text() == text
    assert json.loads((folder / "menus" / "own" / "menu.json").read_text()) == document
    seeds = {row["name"]: row for row in document["seeds"]}
    for name in ("two_taus", "mine"):
        assert 0 < seeds[name]["rate"]["khz"] <= seeds[name]["goal_khz"]
    assert {row["signal"] for row in document["gains"]} == {"ttbar", "suep"}
    for picture in ("rates", "npu", "gain-mine"):
        assert (folder / "menus" / "own" / f"{picture}.png").stat().st_size > 10_000


def copy(folder: Path, to: Path) -> Path:
    shutil.copytree(folder, to, dirs_exist_ok=True)
    return to


def test_other_weights_are_refused(folder: Path, tmp_path: Path) -> None:
    root = copy(folder, tmp_path)
    path = find_model("tiny", root / "models").weights_path("quantised")
    arrays = read_weights(path)
    arrays["mu/bias"][0] += 0.125
    write_weights(path, arrays)
    code, out, err = run(*words(root))
    assert (code, out) == (2, "")
    assert "own.toml: seed mine is for weights" in err
    assert "or run `zerobias menu own --set-thresholds`" in err
    assert run(*words(root), "--set-thresholds")[0] == 0


def test_a_release_keeps_its_threshold(folder: Path, tmp_path: Path) -> None:
    """A seed that names a release is not touched by a new working model."""
    root = copy(folder, tmp_path)
    working = root / "models" / "tiny"
    shutil.copytree(folder / "models" / "tiny", working / "releases" / "1.2.3")
    (root / "own.toml").write_text((root / "own.toml").read_text().replace('"tiny"', '"tiny@1.2.3"'))
    (working / "weights" / "quantised.npz").unlink()
    code, out, err = run(*words(root), "--json")
    assert code == 0, err
    assert json.loads(out)["seeds"][1]["what"] == "tiny@1.2.3"


def test_another_version_is_refused_even_to_be_derived(folder: Path, tmp_path: Path) -> None:
    root = copy(folder, tmp_path)
    toml = root / "models" / "tiny" / "model.toml"
    toml.write_text(toml.read_text().replace('version = "1.2.3"', 'version = "1.3.0"'))
    for more in ((), ("--set-thresholds",)):
        code, _, err = run(*words(root), *more)
        assert code == 2
        assert "seed mine is for version 1.2.3 of tiny, which now has 1.3.0" in err
        assert "after giving its version there" in err


def test_a_stale_threshold_is_refused(folder: Path, tmp_path: Path) -> None:
    root = copy(folder, tmp_path)
    text = (root / "own.toml").read_text()
    at = text.rindex("threshold = ")
    value = int(text[at:].split()[2])
    (root / "own.toml").write_text(text[:at] + f"threshold = {value - 1}\n")
    code, out, err = run(*words(root))
    assert (code, out) == (2, "")
    assert f"seed mine has the threshold {value - 1}, its goal of 1000 kHz gives {value}" in err
    events = read(root / "events.h5")
    write(root / "events.h5", events.select(np.arange(len(events) - 1)))
    assert run(*words(root))[0] == 0, "on another sample a menu is looked at as it is"


def test_another_shipped_sample_is_refused(folder: Path) -> None:
    options = [word for word in words(folder) if word not in ("--sample", folder / "events.h5")]
    code, out, err = run(*options)
    assert (code, out) == (2, "")
    assert "own.toml: its thresholds are for the sample" in err
    assert "name that sample with --sample, or run `zerobias menu own --set-thresholds`" in err


def test_what_cannot_be_scored_is_one_sentence(folder: Path, tmp_path: Path) -> None:
    root = copy(folder, tmp_path)
    events = read(root / "events.h5")
    write(root / "events.h5", events.select(events.process > 0))
    code, _, err = run(*words(root))
    assert code == 2
    assert "has no zero bias in its split 'test'" in err
    (root / "own.toml").write_text(MENU.replace("tiny", "tiny@9.9.9"))
    code, _, err = run(*words(root))
    assert code == 2
    assert "model tiny has no release '9.9.9'" in err


@pytest.mark.long
def test_the_shipped_menu_is_not_refused(tmp_path: Path) -> None:
    code, _, err = run("menu", "run3", "--build", tmp_path)
    assert code == 0, err

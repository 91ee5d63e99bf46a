"""Minutes of work on the released model: `make test-long`."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from zerobias.cli.build import reference
from zerobias.events import default_sample, read
from zerobias.fixed import shaped
from zerobias.hls import compile_csim, run_csim, write_project
from zerobias.train import train
from zerobias.verify import extreme_events, keras_implementation
from zerobias.zoo import Model, find_model

pytestmark = pytest.mark.long

KERAS_EVENTS, CSIM_EVENTS, CHUNK = 10_000_000, 2_000_000, 500_000


@pytest.fixture(scope="module")
def model() -> Model:
    return find_model("axol1tl")


def test_training_twice_gives_the_same_weights_and_the_released_quality(model: Model, tmp_path: Path) -> None:
    shutil.copytree(model.folder, tmp_path / "models" / "axol1tl")
    copy = find_model("axol1tl", tmp_path / "models")
    assert copy.folder != model.folder
    events = read(default_sample())
    first, second = train(copy, events), train(copy, events)
    assert first["digest"] == second["digest"]
    released = json.loads((model.folder / "weights" / "history.json").read_text())
    assert first["tuning_auc"] > released["tuning_auc"] - 0.005
    assert first["active_units"] >= 4


def test_v5_training_twice_gives_the_same_weights_and_the_working_quality(tmp_path: Path) -> None:
    folder = find_model("axol1tl_v5").folder
    shutil.copytree(folder, tmp_path / "models" / "axol1tl_v5")
    copy = find_model("axol1tl_v5", tmp_path / "models")
    events = read(default_sample())
    first, second = train(copy, events), train(copy, events)
    assert first["digest"] == second["digest"]
    working = json.loads((folder / "weights" / "history.json").read_text())
    best, before = (max(row["tuning_auc"] for row in rows["quantised"]) for rows in (first, working))
    assert best > before - 0.01


def test_ten_million_random_events_in_keras(model: Model) -> None:
    network, graph = reference(model)
    keras = keras_implementation(network, model.contract, graph)
    for seed in range(KERAS_EVENTS // CHUNK):
        raw = extreme_events(model.contract, corners=1000, random=CHUNK, seed=1000 + seed)
        expected = graph.evaluate(shaped(model.contract, graph, raw))
        np.testing.assert_array_equal(keras.score(raw), expected)


def test_two_million_random_events_in_csim(model: Model, tmp_path: Path) -> None:
    network, graph = reference(model)
    project = write_project(model.spec, network, graph, model.contract, model.target, tmp_path / "hls")
    program = compile_csim(project)
    for seed in range(CSIM_EVENTS // CHUNK):
        raw = extreme_events(model.contract, corners=1000, random=CHUNK, seed=2000 + seed)
        expected = graph.evaluate(shaped(model.contract, graph, raw))
        np.testing.assert_array_equal(run_csim(program, raw), expected)

"""The search: its space in model.toml, its points, its front, and that a stopped study goes on."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from zerobias.errors import DataError, SpecError, ToolError
from zerobias.events import EventSet, read
from zerobias.search import Figures, Pareto, Point, at, checked, draw, front, search, with_values
from zerobias.specs import validate
from zerobias.train import training_data
from zerobias.zoo import Model, SearchSpec

CHOICES = {"network.hidden": (3, 4, 6), "network.latent": (1, 2, 3)}


def with_space(model: Model, network: dict[str, Any] | None = None, **space: Any) -> Model:
    changes = {"search": SearchSpec(**space)} | ({} if network is None else {"network": network})
    return replace(model, spec=model.spec.model_copy(update=changes))


@pytest.fixture(scope="module")
def events(small_sample: Path) -> EventSet:
    return read(small_sample)


def run(model: Model, events: EventSet, folder: Path, trials: int, **more: Any) -> Pareto:
    return search(
        model,
        events,
        training_data(model, events),
        storage=folder / "study.log",
        study="a",
        trials=trials,
        sample="small.h5",
        **more,
    )


def test_places_are_found_and_changed_without_touching_the_model(tiny: Model) -> None:
    spec = with_space(tiny, {"layers": [{"size": 4}, {"size": 8}], "wrap": "closed"}).spec
    assert at(spec, "network.layers.1.size") == 8
    changed = with_values(spec, {"network.layers.1.size": 16, "training.epochs": 3})
    assert changed.network == {"layers": [{"size": 4}, {"size": 16}], "wrap": "closed"}
    assert changed.training == {"epochs": 3}
    assert spec.network["layers"][1]["size"] == 8
    assert spec.training == {"epochs": 1}


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ({}, "declares no search space"),
        ({"choices": {"network.hiden": (1,)}}, "there is no 'network.hiden'; did you mean 'network.hidden'?"),
        ({"choices": {"netwrk.hidden": (1,)}}, "there is no 'netwrk.hidden'; did you mean 'network'?"),
        ({"choices": {"hls.strategy": (1,)}}, "there is no 'hls.strategy'"),
        ({"choices": {"network.hidden.0": (1,)}}, "'network.hidden' is one value: name it alone"),
        ({"choices": {"network": (1,)}}, "'network' is a whole table"),
        ({"choices": {"network.hidden": ()}}, "network.hidden has no values"),
        (
            {"choices": {"network.hidden": (1,)}, "ranges": {"network.hidden": {"low": 1, "high": 2}}},
            "network.hidden has choices and a range",
        ),
    ],
)
def test_wrong_spaces_are_refused(tiny: Model, space: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError) as caught:
        checked(with_space(tiny, **space).spec)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ({"choice": {}}, "unknown key 'choice'; did you mean 'choices'?"),
        ({"ranges": {"training.epochs": {"low": 3, "high": 3}}}, "low must be below high"),
        ({"ranges": {"training.epochs": {"low": 0, "high": 3, "log": True}}}, "above 0 with log = true"),
    ],
)
def test_wrong_search_tables_are_refused(space: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError) as caught:
        validate(space, SearchSpec, "model.toml")
    assert message in str(caught.value)


def test_front_holds_what_no_other_point_beats() -> None:
    rows = [(0.9, 100, 10), (0.8, 50, 10), (0.8, 60, 10), (0.9, 100, 9), (0.7, 200, 5), (0.9, 100, 9)]
    points = tuple(
        Point(number=i, values={}, seed=1, digest="", figures=Figures(auc=a, lut=lut, ns=ns))
        for i, (a, lut, ns) in enumerate(rows)
    )
    assert front(points) == [1, 3, 4, 5]


def test_study_trains_each_point_and_a_stopped_one_goes_on(
    tiny: Model, events: EventSet, tmp_path: Path
) -> None:
    model = with_space(tiny, choices=CHOICES)
    whole = run(model, events, tmp_path / "whole", 5)
    steps: list[tuple[int, int]] = []
    run(model, events, tmp_path / "parts", 2)
    parts = run(model, events, tmp_path / "parts", 5, progress=lambda *step: steps.append(step))
    assert steps == [(2, 5), (3, 5), (4, 5), (5, 5)]
    assert parts == whole
    assert len({point.digest for point in whole.points}) > 2
    assert {point.seed for point in whole.points} == {tiny.spec.seed}
    assert all(point.values.keys() == CHOICES.keys() for point in whole.points)
    assert len({point.figures.lut for point in whole.points}) > 2
    assert set(whole.front) <= {point.number for point in whole.points}

    # A point that has the working model's own values is the working model.
    same = with_space(tiny, choices={"network.hidden": (tiny.spec.network["hidden"],)})
    found = run(same, events, tmp_path / "same", 1)
    assert found.points[0].figures == found.chosen

    draw(whole, tmp_path / "pareto.png")
    assert (tmp_path / "pareto.png").read_bytes().startswith(b"\x89PNG")


def test_value_that_the_model_refuses_is_named_with_its_trial(
    tiny: Model, events: EventSet, tmp_path: Path
) -> None:
    model = with_space(tiny, choices={"network.hidden": (0,)})
    with pytest.raises(SpecError, match=r"trial 0 with \{'network.hidden': 0\}: model tiny"):
        run(model, events, tmp_path, 1)


def test_sample_without_tuning_signals_is_refused(tiny: Model, events: EventSet, tmp_path: Path) -> None:
    model = with_space(tiny, choices=CHOICES)
    only = events.select(np.flatnonzero(events.process == events.process_names.index("zero_bias")))
    data = training_data(model, events)
    with pytest.raises(DataError, match="no signals in its tuning split"):
        search(
            model, only, data, storage=tmp_path / "study.log", study="a", trials=1, sample="only zero bias"
        )


def test_damaged_study_is_named(tiny: Model, events: EventSet, tmp_path: Path) -> None:
    (tmp_path / "study.log").write_text("no journal\n")
    with pytest.raises(DataError, match="remove it and search again"):
        run(with_space(tiny, choices=CHOICES), events, tmp_path, 1)


def test_missing_optuna_is_named(
    tiny: Model, events: EventSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(ToolError, match="install the extra `search`"):
        run(with_space(tiny, choices=CHOICES), events, tmp_path, 1)

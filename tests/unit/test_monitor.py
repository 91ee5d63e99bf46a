"""Drift: no false alarms, and each change raises its own flag only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from zerobias.cli.build import reference as keras_and_graph
from zerobias.contract import Contract, ContractSpec, FixedType
from zerobias.errors import DataError
from zerobias.events import EventSet, default_sample, read, write
from zerobias.monitor import (
    Crossings,
    Drift,
    Limits,
    Reference,
    Tally,
    Variable,
    compare,
    make_reference,
    parts,
    plan,
)
from zerobias.monitor.drift import _Pair
from zerobias.physics.bootstrap import draws
from zerobias.score import Scorer
from zerobias.zoo import Model, find_model

TEST, TUNING = 2, 1


@pytest.fixture(scope="module")
def model(shelf_with_tiny: Path) -> Model:
    return find_model("tiny", shelf_with_tiny)


@pytest.fixture(scope="module")
def scorer(model: Model) -> Scorer:
    """By NumPy: compiling takes longer than all of these events."""
    made = Scorer(model.contract, keras_and_graph(model)[1])
    made._compiled = None
    return made


@pytest.fixture(scope="module")
def reference(model: Model, scorer: Scorer) -> Reference:
    return make_reference(model, scorer, default_sample())


@pytest.fixture(scope="module")
def events() -> EventSet:
    return read(default_sample(), ["objects", "leader"])


@pytest.fixture(scope="module")
def fresh(events: EventSet) -> EventSet:
    """Crossings that are independent of the reference's: the tuning split, as the test split of a new file."""
    found = events.of("zero_bias", "tuning")
    return replace(found, split=np.full(len(found), TEST, np.uint8))


def drift(
    reference: Reference, scorer: Scorer, events: EventSet, path: Path, limits: Limits | None = None
) -> Drift:
    write(path / "new.h5", events)
    tally = Tally(reference.variables)
    for part in parts(path / "new.h5", scorer, size=3000):
        part.count(tally)
    return compare(reference, tally, limits or Limits())


def flags(found: Drift) -> set[tuple[str, str]]:
    return {(row.kind, row.name) for row in found.rows if row.status == "drift"}


def with_objects(events: EventSet, change: Callable[[np.ndarray], object]) -> EventSet:
    objects = events.collections["objects"].copy()
    change(objects)
    return replace(events, collections={**events.collections, "objects": objects})


# --- each change and its flag -------------------------------------------------------------------

EGAMMA, MUON, JET = 1, 5, 9


def turned(objects: np.ndarray) -> None:
    """The second muon's phi, where there is one."""
    there = objects[:, MUON + 1].any(axis=1)
    objects[there, MUON + 1, 2] = (objects[there, MUON + 1, 2] + 200) % 576


def cut(objects: np.ndarray) -> None:
    """The lowest bit of the first muon's phi is lost."""
    objects[:, MUON, 2] &= ~1


def lost(objects: np.ndarray) -> None:
    """Half of the muons are lost: a dead half of the detector."""
    objects[::2, MUON : MUON + 4] = 0


def test_nothing_is_flagged_without_a_change(
    reference: Reference, scorer: Scorer, fresh: EventSet, tmp_path: Path
) -> None:
    found = drift(reference, scorer, fresh, tmp_path)
    assert (flags(found), found.pileup) == (set(), "same")
    assert found.events == len(fresh)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (turned, {("input", "muon2.phi")}),
        (cut, {("lowest bit", "muon1.phi")}),
        (lost, {("presence", "muon1"), ("presence", "muon2")}),
    ],
)
def test_a_change_of_an_input_raises_its_own_flag_only(
    reference: Reference,
    scorer: Scorer,
    fresh: EventSet,
    tmp_path: Path,
    change: Callable[[np.ndarray], None],
    expected: set[tuple[str, str]],
) -> None:
    assert flags(drift(reference, scorer, with_objects(fresh, change), tmp_path)) == expected

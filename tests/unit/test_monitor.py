"""Monitoring the sample: no false alarms, each change raises its own flag only, and a reference's file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from zerobias.cli.build import reference as network_and_graph
from zerobias.errors import DataError
from zerobias.events import EventSet, default_sample, read, write
from zerobias.monitor import (
    Drift,
    Limits,
    Reference,
    Tally,
    compare,
    make_reference,
    monitor,
    parts,
)
from zerobias.score import Scorer
from zerobias.zoo import Model, find_model, read_weights, write_weights

TEST = 2
EGAMMA, MUON, JET = 1, 5, 9


@pytest.fixture(scope="module")
def model(shelf_with_tiny: Path) -> Model:
    return find_model("tiny", shelf_with_tiny)


@pytest.fixture(scope="module")
def scorer(model: Model) -> Scorer:
    """By NumPy: compiling takes longer than all of these events."""
    made = Scorer(model.contract, network_and_graph(model)[1])
    made._ways.clear()
    return made


@pytest.fixture(scope="module")
def reference(model: Model, scorer: Scorer) -> Reference:
    return make_reference(model, scorer, default_sample())


@pytest.fixture(scope="module")
def events() -> EventSet:
    return read(default_sample(), ["objects", "leader"])


@pytest.fixture(scope="module")
def fresh(events: EventSet) -> EventSet:
    """Crossings that are independent of the reference's: the tuning split as a new file's test split."""
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


def scaled(objects: np.ndarray) -> None:
    """A tenth more pT of the hardest e/gamma; the score hardly moves."""
    objects[:, EGAMMA, 0] = np.minimum(objects[:, EGAMMA, 0] * 1.1, 511)


def truncated(objects: np.ndarray) -> None:
    """The lowest bit of a phi with steps of 1 is lost."""
    objects[:, EGAMMA, 2] &= ~1


def lost(objects: np.ndarray) -> None:
    """Every other crossing has no muons."""
    objects[::2, MUON:JET] = 0


def test_nothing_is_flagged_without_a_change(
    reference: Reference, scorer: Scorer, fresh: EventSet, tmp_path: Path
) -> None:
    found = drift(reference, scorer, fresh, tmp_path)
    assert (flags(found), found.pileup) == (set(), "same")
    assert found.events == len(fresh)
    assert 0.02 < found.resolution < 0.1
    assert sum(row.status == "same" for row in found.rows) > 90


def test_rare_heavy_crossings_that_one_sample_lacks_are_no_drift(
    reference: Reference, scorer: Scorer, events: EventSet, tmp_path: Path
) -> None:
    """The train split has no third muon in a crossing of large weight, the reference has a few."""
    train = events.of("zero_bias", "train")
    found = drift(reference, scorer, replace(train, split=np.full(len(train), TEST, np.uint8)), tmp_path)
    (muon,) = [row.change for row in found.rows if (row.kind, row.name) == ("presence", "muon3")]
    assert muon is not None
    assert muon.new < 0.3 * muon.reference
    assert flags(found) == set()


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (scaled, {("input", "egamma1.pt")}),
        (truncated, {("lowest bit", "egamma1.phi")}),
        (lost, {("presence", "muon1")}),
    ],
)
def test_a_changed_input_raises_its_own_flag_only(
    reference: Reference,
    scorer: Scorer,
    fresh: EventSet,
    tmp_path: Path,
    change: Callable[[np.ndarray], None],
    expected: set[tuple[str, str]],
) -> None:
    assert flags(drift(reference, scorer, with_objects(fresh, change), tmp_path)) == expected


def test_score_alone_drifts_when_objects_no_longer_belong_together(
    reference: Reference, scorer: Scorer, fresh: EventSet, tmp_path: Path
) -> None:
    """Jets of another crossing of the same weight: every input keeps its distribution."""

    def shuffle(objects: np.ndarray) -> None:
        rng = np.random.default_rng(1)
        for weight in np.unique(fresh.weight):
            some = np.flatnonzero(fresh.weight == weight)
            objects[some, JET:] = objects[rng.permutation(some), JET:]

    found = flags(drift(reference, scorer, with_objects(fresh, shuffle), tmp_path))
    assert found == {("score", "score")}


def test_rate_alone_drifts_with_a_few_strange_crossings(
    reference: Reference, scorer: Scorer, events: EventSet, fresh: EventSet, tmp_path: Path
) -> None:
    """A quarter of a percent of the crossings: 20 with signals without muons, above the threshold."""
    (rates,) = [variable for variable in reference.variables if variable.kind == "rate"]
    signals = events.select(events.process > 0).collections["objects"]
    high = scorer.score(signals) >= rates.starts[0]
    strange = signals[high & ~signals[:, MUON:JET].any(axis=(1, 2))]

    def replaced(objects: np.ndarray) -> None:
        rng = np.random.default_rng(0)
        usual = np.flatnonzero(fresh.weight > 1e-4)
        objects[rng.choice(usual, 20, replace=False)] = strange[rng.choice(len(strange), 20)]

    found = drift(reference, scorer, with_objects(fresh, replaced), tmp_path)
    assert flags(found) == {("rate", "rate")}


def test_other_pileup_is_said_and_what_it_explains_is_not_flagged(
    reference: Reference, scorer: Scorer, fresh: EventSet, tmp_path: Path
) -> None:
    chance = np.random.default_rng(5).random(len(fresh))
    low = fresh.select(chance < np.exp((40.0 - fresh.npu) / 10))
    found = drift(reference, scorer, low, tmp_path)
    assert (flags(found), found.pileup) == (set(), "differs")
    explained = {row.name for row in found.rows if row.status == "explained by pile-up"}
    assert {"jet8", "jet9", "jet10"} <= explained
    assert found.pileup_change is not None
    assert found.pileup_change.new != found.pileup_change.reference
    also = drift(reference, scorer, with_objects(low, scaled), tmp_path)
    assert flags(also) == {("input", "egamma1.pt")}


def test_part_of_the_pileup_is_compared_with_that_part(
    reference: Reference, scorer: Scorer, fresh: EventSet, tmp_path: Path
) -> None:
    found = drift(reference, scorer, fresh.select(fresh.npu < 48), tmp_path)
    assert (flags(found), found.pileup) == (set(), "differs")
    assert 0.2 < found.common < 0.5
    assert sum(row.status == "explained by pile-up" for row in found.rows) > 10


def test_without_pileup_nothing_is_reweighted(
    reference: Reference, scorer: Scorer, fresh: EventSet, tmp_path: Path
) -> None:
    found = drift(reference, scorer, replace(fresh, npu=np.zeros_like(fresh.npu)), tmp_path)
    assert (flags(found), found.pileup, found.common) == (set(), "not known", 0.0)
    assert all(row.at_pileup is None for row in found.rows)


def test_limits_decide(reference: Reference, scorer: Scorer, fresh: EventSet, tmp_path: Path) -> None:
    changed = with_objects(fresh, scaled)
    assert not flags(drift(reference, scorer, changed, tmp_path, Limits(shift=0.5)))
    assert flags(drift(reference, scorer, changed, tmp_path, Limits(significance=1e-12)))
    assert not flags(drift(reference, scorer, changed, tmp_path, Limits(significance=1e-300)))
    halved = with_objects(fresh, lost)
    assert not flags(drift(reference, scorer, halved, tmp_path, Limits(shift=0.5, change=0.6)))


def test_signals_and_other_splits_are_no_zero_bias(
    model: Model, reference: Reference, scorer: Scorer, events: EventSet, tmp_path: Path
) -> None:
    others = np.flatnonzero((events.process > 0) | (events.split != TEST))[::100]
    with pytest.raises(DataError, match=r"no zero bias to compare: they need some in the split 'test'"):
        drift(reference, scorer, events.select(others), tmp_path)
    with pytest.raises(DataError, match=r"new\.h5 has no zero bias in its split 'test': give another sample"):
        make_reference(model, scorer, tmp_path / "new.h5")
    write(tmp_path / "new.h5", events.select(slice(0, 0)))
    with pytest.raises(DataError, match=r"new\.h5 has no zero bias in its split 'test': give another sample"):
        make_reference(model, scorer, tmp_path / "new.h5")
    with pytest.raises(DataError, match=r"new\.h5 holds no events: give a file with events"):
        monitor("tiny", scorer, reference, [tmp_path / "new.h5"])


# --- the file ------------------------------------------------------------------------------------


def test_reference_is_the_same_bytes_and_reads_back(
    model: Model, scorer: Scorer, reference: Reference, tmp_path: Path
) -> None:
    content = reference.content()
    assert make_reference(model, scorer, default_sample()).content() == content
    path = tmp_path / "reference.npz"
    path.write_bytes(content)
    found = Reference.read(path, model)
    assert (found.about, found.variables) == (reference.about, reference.variables)
    for one, other in zip(found.shares, reference.shares, strict=True):
        for name in ("share", "variance", "by_pileup", "variance_at_pileup", "effective"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    assert len(content) < 500_000


def test_reference_of_another_model_or_damaged_is_refused(
    model: Model, reference: Reference, shelf_with_tiny: Path, tmp_path: Path
) -> None:
    path = tmp_path / "reference.npz"
    content = reference.content()
    for broken in (content[:-100], b"", b"text"):
        path.write_bytes(broken)
        with pytest.raises(DataError, match=r"reference\.npz is no reference of a release"):
            Reference.read(path, model)
    with pytest.raises(DataError, match=r"missing\.npz is no reference of a release"):
        Reference.read(tmp_path / "missing.npz", model)
    path.write_bytes(content)
    (tmp_path / "tiny" / "weights").mkdir(parents=True)
    weights = read_weights(model.weights_path("quantised"))
    weights["mu/bias"] = weights["mu/bias"] + 0.125
    other = replace(model, folder=tmp_path / "tiny")
    write_weights(other.weights_path("quantised"), weights)
    with pytest.raises(DataError, match=r"is of other weights than those of tiny: restore both"):
        Reference.read(path, other)


def test_a_large_sample_is_binned_by_an_even_choice(
    model: Model, scorer: Scorer, fresh: EventSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zerobias.monitor.reference._PLANNED", 1000)
    write(tmp_path / "sample.h5", fresh)
    made = make_reference(model, scorer, tmp_path / "sample.h5")
    assert made.about.events == len(fresh)
    (pt,) = [n for n, v in enumerate(made.variables) if (v.kind, v.name) == ("input", "met.pt")]
    values = fresh.collections["objects"][:, 0, 0]
    start = made.variables[pt].starts[4]
    expected = np.average(values >= start, weights=fresh.weight * (values > 0))
    assert made.shares[pt].share[4] == pytest.approx(expected, rel=1e-2)

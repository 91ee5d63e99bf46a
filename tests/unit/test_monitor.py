"""Drift: honest errors, no false alarms, and each change raises its own flag only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from zerobias.cli.build import reference as network_and_graph
from zerobias.contract import Contract, ContractSpec, FixedType
from zerobias.errors import DataError
from zerobias.events import EventSet, default_sample, read, write
from zerobias.monitor import (
    Crossings,
    Drift,
    Limits,
    Reference,
    Tally,
    compare,
    make_reference,
    monitor,
    parts,
    plan,
)
from zerobias.monitor.drift import _Pair
from zerobias.monitor.reference import About
from zerobias.physics.bootstrap import draws
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


# --- the statistics, on a toy whose truth is known -----------------------------------------------

SPEC = ContractSpec.model_validate(
    {
        "collection": "objects",
        "raw_type": "ap_fixed<18,13>",
        "offset_type": "ap_fixed<10,10>",
        "network_type": "ap_fixed<8,6>",
        "group": [
            {
                "name": "jet",
                "count": 2,
                "fields": [
                    {"name": "pt", "width": 10, "lsb": 1, "unit": "GeV"},
                    {"name": "phi", "width": 4, "lsb": 1, "unit": "rad"},
                ],
            }
        ],
    }
)


def toy(rng: np.random.Generator, leaders: int) -> tuple[Crossings, np.ndarray, np.ndarray]:
    """Crossings of which up to nine share a leading collision, which decides nearly all; two weights."""
    leader = rng.permutation(np.repeat(np.arange(leaders), rng.integers(1, 10, leaders)))
    hard = rng.random(leaders) < 0.2
    pt = rng.geometric(np.where(hard, 0.02, 0.1))[leader] + rng.integers(0, 2, len(leader))
    phi = rng.integers(0, 16, leaders)[leader]
    second = rng.random(len(leader)) < 0.6
    raw = np.stack([pt, phi, second * rng.geometric(0.2, len(pt)), second * rng.integers(0, 16, len(pt))], 1)
    raw = np.minimum(raw, [1023, 15, 1023, 15]).astype(np.int64)
    weight = np.where(hard, 0.1, 1.0)[leader]
    npu = rng.poisson(40, len(leader)).astype(np.uint16)
    return Crossings(Contract(SPEC), raw, raw[:, :1] + raw[:, 2:3], npu), weight, leader


def counted(variables: tuple, sample: tuple[Crossings, np.ndarray, np.ndarray], leaders: bool) -> Tally:
    tally = Tally(variables)
    tally.add(sample[0], sample[1], sample[2] if leaders else None)
    return tally


def referred(sample: tuple[Crossings, np.ndarray, np.ndarray], leaders: bool = True) -> Reference:
    variables = plan(sample[0], sample[1], FixedType(12, 12, False))
    tally = counted(variables, sample, leaders)
    shares = tuple(tally.shares(number, tally.profile) for number in range(len(variables)))
    about = About(
        model="toy@1.0.0",
        weights="",
        contract="",
        sample="toy",
        sample_sha256="",
        split="test",
        events=tally.events,
        weight=tally.weight,
        effective=shares[-1].effective,
        knows_pileup=True,
        weighted=True,
    )
    return Reference(about, variables, shares, tally.profile)


def test_false_flags_are_as_rare_as_stated() -> None:
    """60 pairs without a difference: at a probability of 0.1 each, more than 12 flags are rarer than 1 %."""
    limits = Limits(significance=0.1, shift=0, change=0)
    flagged = {True: 0, False: 0}
    for leaders, pairs in ((True, 60), (False, 6)):
        for seed in range(pairs):
            rng = np.random.default_rng(seed)
            before, now = toy(rng, 1200), toy(rng, 800)
            made = referred(before, leaders)
            found = compare(made, counted(made.variables, now, leaders), limits)
            flagged[leaders] += bool(flags(found)) or found.pileup == "differs"
    assert flagged[True] <= 12
    assert flagged[False] > 4, "crossings of one leader are not independent"


def test_variance_is_that_of_the_bootstrap_by_leader() -> None:
    rng = np.random.default_rng(3)
    crossings, weight, leader = toy(rng, 1500)
    made = referred((crossings, weight, leader))
    drawn = draws(rng, 300, len(weight), leader) * weight
    for variable, shares in zip(made.variables, made.shares, strict=True):
        values, inside = crossings.values(variable)
        if inside is None:
            continue
        for place, start in enumerate(variable.starts):
            if not 0.02 < shares.share[place] < 0.98:
                continue
            several = (drawn[:, inside] @ (values[inside] >= start)) / drawn[:, inside].sum(axis=1)
            assert np.sqrt(shares.variance[place]) == pytest.approx(several.std(ddof=1), rel=0.3)


def test_probability_is_that_of_fishers_exact_test() -> None:
    """Between that and the one of the next more extreme table; weaker where a side has all of many."""
    variable = referred(toy(np.random.default_rng(0), 200)).variables[0]
    for before, now, size in ((0, 12, 1000), (3, 25, 1000), (400, 480, 1000), (1000, 950, 1000)):
        sides = [(p := np.array([count / size]), p * (1 - p) / size) for count in (before, now)]
        pair = _Pair(variable, *sides, (size, size), weighted=False)
        exact = [
            stats.fisher_exact([[before, size - before], [n, size - n]]).pvalue
            for n in (now, now + int(np.sign(now - before)))
        ]
        assert exact[1] * 0.5 < pair.probability[0] < max(exact[0] * 1.2, 1e-11)


def test_chunks_and_leaders_across_them_do_not_matter() -> None:
    crossings, weight, leader = toy(np.random.default_rng(4), 500)
    whole = referred((crossings, weight, leader))
    tally = Tally(whole.variables)
    for some in np.array_split(np.arange(len(weight)), 7):
        tally.add(crossings.at(some), weight[some], leader[some])
    for number, shares in enumerate(whole.shares):
        found = tally.shares(number, whole.profile)
        np.testing.assert_allclose(found.share, shares.share, rtol=1e-12)
        np.testing.assert_allclose(found.variance, shares.variance, rtol=1e-9)


def test_what_is_never_seen_may_appear_or_vanish() -> None:
    """Nothing of a kind on one side is no proof against a few, but one against many."""
    crossings, weight, leader = toy(np.random.default_rng(6), 2000)
    empty = crossings.raw.copy()
    empty[:, 2:] = 0
    none = replace(crossings, raw=empty)
    for before, now in ((none, crossings), (crossings, none)):
        made = referred((before, weight, leader))
        found = compare(made, counted(made.variables, (now, weight, leader), True), Limits())
        assert ("presence", "jet2") in flags(found)
        assert {row.status for row in found.rows if row.name.startswith("jet2.")} == {"too few"}


def test_bins_are_integers_or_of_equal_weight() -> None:
    made = referred(toy(np.random.default_rng(7), 2000))
    of = {(variable.kind, variable.name): variable for variable in made.variables}
    assert of["input", "jet1.phi"].starts == tuple(range(1, 16))
    (pt,) = [n for n, variable in enumerate(made.variables) if variable == of["input", "jet1.pt"]]
    inner = made.shares[pt].share[len(made.variables[pt].starts) :]
    assert inner.max() < 0.2
    assert 10 <= made.variables[pt].bins <= 18
    assert made.variables[pt].what(0).startswith(">= ")
    assert len(of["rate", "rate"].starts) >= 1


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

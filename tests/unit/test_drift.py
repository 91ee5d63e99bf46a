"""Drift between samples whose truth is known: errors, probabilities and how often chance raises a flag."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from zerobias.contract import Contract, ContractSpec, FixedType
from zerobias.monitor import Crossings, Drift, Limits, Reference, Shares, Tally, compare, plan
from zerobias.monitor.drift import SHARE, _Pair, _side_at_pileup
from zerobias.monitor.reference import About
from zerobias.physics.bootstrap import draws


def flags(found: Drift) -> set[tuple[str, str]]:
    return {(row.kind, row.name) for row in found.rows if row.status == "drift"}


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


def test_a_share_is_tested_where_one_side_holds_enough_of_it() -> None:
    variable = referred(toy(np.random.default_rng(0), 200)).variables[0]
    none, size = (np.zeros(1), np.zeros(1)), (1000, 1000)
    for few in (0, SHARE - 1, SHARE):
        p = np.array([few / 1000])
        some, rest = (p, p * (1 - p) / 1000), (1 - p, p * (1 - p) / 1000)
        for sides in ((none, some), (some, none), ((1 - none[0], none[1]), rest)):
            assert _Pair(variable, *sides, size, weighted=False).tested.tolist() == [few == SHARE]


def test_part_of_the_pileup_has_the_error_of_fewer_crossings() -> None:
    """Shares of four intervals of equal weight and error: a quarter of them has four times the variance."""
    share = np.array([[0.1, 0.2, 0.3, 0.4]])
    shares = Shares(share.mean(axis=1), np.array([0.01]), share, np.array([0.01]), 1000)
    profile = np.full(4, 0.25)
    found = _side_at_pileup(shares, profile * [0, 0, 1, 0], profile)
    assert np.concatenate(found) == pytest.approx([0.3, 0.04])

"""Crossings from deposits in memory: weights, closure of forced slices, splits, reproducibility."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import numpy as np
import pytest

from zerobias.errors import SpecError
from zerobias.simulate import crossings, load_cards
from zerobias.simulate.crossings import OverlayChunk, Simulation, join, plan_crossings
from zerobias.simulate.generate import Particles
from zerobias.simulate.overlay import NO_LEADER, overlay
from zerobias.simulate.spec import SliceCard, ZeroBiasCard
from zerobias.simulate.strata import Strata
from zerobias.simulate.towers import deposit

DETECTOR, CARD, _ = load_cards()
ANY = (0, 4)


def toy_events(events: int, particles: int, scale: float, seed: int) -> Particles:
    """Photons, pions and some muons of exponential pT, without a generator."""
    rng = np.random.default_rng(seed)
    size = events * particles
    pdg = rng.choice([22, 211, -211, 13], size, p=[0.4, 0.285, 0.285, 0.03]).astype(np.int32)
    pt = (0.1 + rng.exponential(scale, size)).astype(np.float32)
    eta, phi = rng.uniform(-4, 4, size).astype(np.float32), rng.uniform(-3, 3, size).astype(np.float32)
    mass = np.where(pdg == 22, 0.0, 0.13957).astype(np.float32)
    return Particles(np.arange(events + 1) * particles, pdg, pt, eta, phi, mass, 1.0)


@pytest.fixture(autouse=True)
def _few_trials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Muon probabilities good to a few per cent are enough here, and quick."""
    monkeypatch.setattr(crossings, "_TRIES", 2_000)
    monkeypatch.setattr(crossings, "_TRIES_MAX", 40_000)


@pytest.fixture(scope="module")
def toy() -> Simulation:
    """Three slices of which the hardest two are forced; no signals."""
    sizes, scales = (400, 200, 200), (1.2, 3.0, 8.0)
    parts = [
        deposit(toy_events(n, 30, s, i), DETECTOR, i)
        for i, (n, s) in enumerate(zip(sizes, scales, strict=True))
    ]
    strata = Strata((0.955, 0.03, 0.015), (False, True, True), 20.0, 3.0)
    return Simulation(DETECTOR, strata, join(parts), (0, 400, 600, 800), ())


def test_leader_is_the_collision_with_the_hardest_deposits(toy: Simulation) -> None:
    """Forced crossings are led by a hard slice, most by the one that was forced; each split by its own."""
    chunks = [c for c in planned(toy_card(200, (), 200), toy, 7) if c.stratum == 2]
    assert [c.split for c in chunks] == [0, 1, 2]
    leaders = [toy.run(chunk).leader for chunk in chunks]
    assert all((leader >= toy.starts[2]).mean() > 0.9 for leader in leaders)
    assert not set(leaders[0]) & set(leaders[1])
    assert not set(leaders[1]) & set(leaders[2])


def test_crossing_without_a_collision_has_no_leader(toy: Simulation) -> None:
    none = np.zeros(0, np.int64), np.zeros(3, np.int64)
    made = overlay(*none, toy.deposits, None, toy.deposits, DETECTOR, np.arange(3))
    assert made.leader.tolist() == [NO_LEADER] * 3
    made = overlay(*none, toy.deposits, np.array([5, 6, 7]), toy.deposits, DETECTOR, np.arange(3))
    assert made.leader.tolist() == [5, 6, 7]


def toy_card(natural: int, muon: tuple[int, ...], forced: int) -> ZeroBiasCard:
    slices = [
        SliceCard(name=n, settings=(), pool=1, forced=f)
        for n, f in (("soft", 0), ("hard", forced), ("harder", forced))
    ]
    return CARD.model_copy(
        update={"natural": natural, "muon": muon, "muon_min": 2, "slice": tuple(slices), "signal": 0}
    )


def planned(card: ZeroBiasCard, toy: Simulation, seed: int) -> list[OverlayChunk]:
    """The chunks of ``card``, with the muon probabilities of ``toy``."""
    muons = [toy.muon_probabilities(split, 20_000, seed) for split in range(3)]
    return plan_crossings(card, toy.strata, muons, 0, seed)


@pytest.mark.parametrize("card", [toy_card(3, (1,), 1), toy_card(700, (60, 30), 90), toy_card(700, (), 90)])
def test_weights_of_every_split_sum_to_one_at_any_scale(toy: Simulation, card: ZeroBiasCard) -> None:
    chunks = planned(card, toy, 1)
    assert len({c.muons[0] for c in chunks} - {0}) == len(card.muon)
    for split in range(3):
        total = sum(c.weight * c.events for c in chunks if c.split == split)
        assert total == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize(("factor", "pool"), [(0.25, 0.25), (1.0, 1.0), (9.0, 3.0)])
def test_scale_multiplies_events_and_spares_the_pool(factor: float, pool: float) -> None:
    scaled = CARD.scaled(factor)
    assert scaled.natural == CARD.natural * factor
    assert scaled.signal == CARD.signal * factor
    for own, former in zip(scaled.slice, CARD.slice, strict=True):
        assert own.forced == pytest.approx(former.forced * factor, abs=0.5)
        assert own.pool == pytest.approx(former.pool * pool, abs=0.5)


def weighted_histograms(toy: Simulation, chunks: list[OverlayChunk]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Contents and variances of histograms of leading jet, total regions and number of muons."""
    results = [toy.run(c) for c in chunks]
    weight = np.repeat([c.weight for c in chunks], [c.events for c in chunks])
    weight /= weight.sum()
    objects = np.concatenate([r.objects for r in results])
    values = (
        (objects[:, 9, 0], [0, 20, 40, 60, 90, 130, 200, 2048]),
        (np.concatenate([r.regions for r in results]).sum(axis=(1, 2)), [0, 150, 250, 350, 500, 1e6]),
        ((objects[:, 5:9, 0] > 0).sum(axis=1), [0, 1, 2, 3, 5]),
    )
    return [
        (np.histogram(v, edges, weights=weight)[0], np.histogram(v, edges, weights=weight**2)[0])
        for v, edges in values
    ]


def test_closure_weighted_sample_is_the_unconditioned_one(toy: Simulation) -> None:
    """Spectra of the strata, weighted, against crossings drawn without any condition."""
    strata = planned(toy_card(6000, (1500,), 3000), toy, 3)
    plain = [
        OverlayChunk(0, split, None, ANY, 2000, w, -1, 50 + split) for split, w in enumerate((5.0, 2.0, 3.0))
    ]
    # Each split has its own pool: give the strata the shares of the plain crossings.
    strata = [replace(c, weight=c.weight * (0.5, 0.2, 0.3)[c.split]) for c in strata]
    pairs = zip(weighted_histograms(toy, strata), weighted_histograms(toy, plain), strict=True)
    for (found, error2), (expected, spread2) in pairs:
        full = (expected > 0) & (spread2 > 0)
        assert full.sum() >= 4
        pull2 = (found - expected)[full] ** 2 / (error2 + spread2)[full]
        assert pull2.mean() < 3.0, pull2


def test_muon_chunk_holds_muons_and_nothing_else_changes(toy: Simulation) -> None:
    many = toy.run(OverlayChunk(0, 0, -1, (2, 4), 100, 1.0, -1, 4))
    assert ((many.objects[:, 5:9, 0] > 0).sum(axis=1) >= 2).all()
    few = toy.run(OverlayChunk(0, 0, -1, (0, 1), 400, 1.0, -1, 4))
    assert ((few.objects[:, 5:9, 0] > 0).sum(axis=1) <= 1).all()


def test_muons_that_never_come_are_an_error(toy: Simulation) -> None:
    still = replace(
        toy, detector=DETECTOR.model_copy(update={"muon_endcap_p_min": 1e6, "muon_barrel_pt_min": 1e6})
    )
    with pytest.raises(SpecError, match="none of 40000 crossings has 1 muons: set muon = \\[\\]"):
        still.run(OverlayChunk(0, 0, -1, (1, 4), 3, 1.0, -1, 4))


def test_chunk_is_json_and_depends_on_itself_only(toy: Simulation) -> None:
    chunk = OverlayChunk(0, 1, 2, ANY, 30, 1.0, -1, 77)
    again = OverlayChunk(**json.loads(json.dumps(asdict(chunk))))
    first = toy.run(chunk)
    toy.run(replace(chunk, seed=78))
    second = toy.run(again)
    for name, array in vars(first).items():
        assert (array == vars(second)[name]).all(), name
    assert not (first.regions == toy.run(replace(chunk, seed=78)).regions).all()


def test_splits_share_no_interaction(toy: Simulation) -> None:
    usable = [np.concatenate(toy._usable(split)) for split in range(3)]
    assert sorted(np.concatenate(usable)) == list(range(800))


def test_hard_and_soft_smearing_agree(toy: Simulation) -> None:
    """All deposits smeared one by one against all summed: the same mean energy, nearly the same spread."""
    events = toy_events(300, 30, 1.0, 9)
    sums = []
    for limit in (1e-3, 1e6):
        detector = DETECTOR.model_copy(update={"individual_et": limit})
        sim = replace(
            toy, detector=detector, deposits=deposit(events, detector, 1), starts=(0, 100, 200, 300)
        )
        made = sim.run(OverlayChunk(0, 0, None, ANY, 3000, 1.0, -1, 5))
        sums.append(made.regions.sum(axis=(1, 2)) / made.npu)
    assert sums[0].mean() == pytest.approx(sums[1].mean(), rel=0.06)
    assert sums[0].std() == pytest.approx(sums[1].std(), rel=0.15)

"""Crossings from a pool: weights, closure of forced slices, splits, reproducibility, files."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from zerobias.errors import DataError, SpecError
from zerobias.events import SHAPES, read
from zerobias.shelves import shelf
from zerobias.simulate import crossings, load_cards, make_pool, simulate_to_file
from zerobias.simulate.crossings import OverlayChunk, Simulation, join, plan_crossings
from zerobias.simulate.generate import Particles
from zerobias.simulate.overlay import NO_LEADER, overlay
from zerobias.simulate.pool import chunk_path, generate_chunk, plan_pool
from zerobias.simulate.spec import ProcessCard, SliceCard, ZeroBiasCard
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
    monkeypatch.setattr(crossings, "_TRIALS", 20_000)
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
    chunks = [c for c in plan_crossings(toy_card(200, (), 200), toy, 7) if c.stratum == 2]
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


@pytest.mark.parametrize("card", [toy_card(3, (1,), 1), toy_card(700, (60, 30), 90), toy_card(700, (), 90)])
def test_weights_of_every_split_sum_to_one_at_any_scale(toy: Simulation, card: ZeroBiasCard) -> None:
    chunks = plan_crossings(card, toy, 1)
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
    strata = plan_crossings(toy_card(6000, (1500,), 3000), toy, 3)
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


SMALL = """
description = "small"
tune = "monash"
sigma_inelastic_mb = 78.6
pileup_mean = 20.0
pileup_sigma = 3.0
natural = 40
muon_min = 1
muon = [10]
signal = 8
seed = 3
[tunes]
monash = ["Tune:pp = 14"]
[[slice]]
name = "inelastic"
settings = ["SoftQCD:inelastic = on"]
pthat_max = 20.0
pool = 60
[[slice]]
name = "hard"
settings = ["HardQCD:all = on", "PhaseSpace:pTHatMin = 80", "PartonLevel:MPI = off"]
pool = 40
forced = 20
"""


@pytest.fixture(scope="module")
def cards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cards")
    (folder / "processes").mkdir()
    (folder / "zero_bias.toml").write_text(SMALL)
    (folder / "detector.toml").write_bytes((shelf("triggers") / "detector.toml").read_bytes())
    suep = (shelf("triggers") / "processes" / "suep.toml").read_text()
    (folder / "processes" / "suep.toml").write_text(
        suep.replace("settings = [", 'settings = [\n    "PartonLevel:MPI = off",')
    )
    return folder


@pytest.fixture(scope="module")
def pool_folder(cards: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pool")
    make_pool(folder, load_cards(cards)[1])
    return folder


def test_sample_depends_on_the_seed_only(cards: Path, pool_folder: Path, tmp_path: Path) -> None:
    """One or two workers, a pool made here or found on disk: the same bytes."""
    steps = set()
    kept = shutil.copytree(pool_folder, tmp_path / "pool")
    for name, workers, pool in (("one", 1, None), ("two", 2, kept), ("kept", 1, kept)):
        simulate_to_file(
            tmp_path / f"{name}.h5",
            cards=cards,
            workers=workers,
            pool=pool,
            progress=lambda step, done, total: steps.add(step),
        )
    assert steps == {"generate", "overlay"}
    assert (tmp_path / "one.h5").read_bytes() == (tmp_path / "two.h5").read_bytes()
    assert (tmp_path / "one.h5").read_bytes() == (tmp_path / "kept.h5").read_bytes()
    events = read(tmp_path / "one.h5")
    assert {name: len(events.of(name)) for name in events.process_names} == {"zero_bias": 70, "suep": 8}
    for split in ("train", "tuning", "test"):
        assert events.of("zero_bias", split).weight.sum() == pytest.approx(1.0, abs=1e-12)
    assert set(events.collections) == set(SHAPES) - {"wafer", "wafer_place", "wafer_energy"}
    assert events.collections["objects"][:, 9, 0].max() > 20
    simulate_to_file(tmp_path / "other.h5", cards=cards, seed=4, pool=kept)
    assert (tmp_path / "one.h5").read_bytes() != (tmp_path / "other.h5").read_bytes()


def test_pool_grows_and_names_damage(cards: Path, pool_folder: Path, tmp_path: Path) -> None:
    _, card, _ = load_cards(cards)
    shutil.copytree(pool_folder, tmp_path, dirs_exist_ok=True)
    pool = make_pool(tmp_path, card)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    large = card.model_copy(update={"slice": (card.slice[0], card.slice[1].model_copy(update={"pool": 45}))})
    grown = make_pool(tmp_path, large)
    assert grown.slices[0] == pool.slices[0]
    assert all(path.stat().st_mtime_ns == time for path, time in before.items())
    assert len(list(tmp_path.iterdir())) == len(before) + 1
    first = pool.slices[0][0]
    assert len(pool.particles(first)) == first.events == 60
    path = chunk_path(tmp_path, first)
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(DataError, match=r"inelastic-0000-.*\.npz cannot be read as a pool chunk"):
        pool.particles(first)


@pytest.mark.long
@pytest.mark.parametrize("process", load_cards()[2], ids=lambda p: p.name)
def test_every_process_card_runs(process: ProcessCard, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.getbasetemp() / "pool"
    pool = plan_pool(folder, CARD.model_copy(update={"signal": 5}), (process,), 1)
    if not folder.is_dir():
        make_pool(folder, CARD.model_copy(update={"slice": (CARD.slice[0].model_copy(update={"pool": 1}),)}))
    (chunk,) = pool.signals[0]
    generate_chunk(folder, chunk)
    particles = pool.particles(chunk)
    assert len(particles) == 5
    assert np.isfinite(particles.pt).all()
    assert particles.pt.sum() / 5 > 50
    assert math.isfinite(particles.sigma_mb)


@pytest.mark.long
@pytest.mark.parametrize("tune", sorted(CARD.tunes))
def test_every_tune_runs(tune: str, tmp_path: Path) -> None:
    soft = CARD.slice[0].model_copy(update={"pool": 20})
    card = CARD.model_copy(update={"tune": tune, "slice": (soft,)})
    pool = make_pool(tmp_path, card)
    assert len(pool.particles(pool.chunks[0])) == 20

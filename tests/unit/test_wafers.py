"""Wafer images: impact points, charges, read-out against closed forms; splits, weights, reproducibility."""

from __future__ import annotations

import math
import multiprocessing
import os
import signal
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from zerobias.errors import DataError, SpecError
from zerobias.events import EventSet, read, write
from zerobias.events.wafer import CELLS, PITCH_CM, POSITIONS
from zerobias.executor import Run, run_chunks
from zerobias.shelves import shelf
from zerobias.simulate import make_pool
from zerobias.simulate.arrays import save
from zerobias.simulate.generate import Particles, generate
from zerobias.simulate.hgcal import Hgcal, Place, load_hgcal
from zerobias.simulate.pool import GenerateChunk, Pool, chunk_path
from zerobias.simulate.showers import (
    CHARGED,
    ELECTRON,
    MUON,
    NEUTRAL,
    PHOTON,
    em_signal,
    stack_of,
    start_shower,
)
from zerobias.simulate.spec import ZeroBiasCard
from zerobias.simulate.wafer_images import Hits, digitise, expose, strike
from zerobias.simulate.wafer_shape import wafer_shape
from zerobias.simulate.wafers import WaferSimulation, plan_wafers, simulate_wafers

HGCAL = load_hgcal()
PLACE = Place(layer=9, u=3, v=1)
ONE = HGCAL.model_copy(update={"place": (PLACE,)})
NONE = Hits(np.zeros(3, np.int64), *(np.zeros(0) for _ in range(3)), np.zeros(0, np.int64))


def particles(*rows: tuple[int, float, float, float, float], events: int = 1) -> Particles:
    """``events`` equal events of (pdg, pT, eta, phi, mass)."""
    pdg, *columns = np.array(rows * events, dtype=np.float64).reshape(-1, 5).T
    offset = np.arange(events + 1) * len(rows)
    return Particles(offset, pdg.astype(np.int32), *columns, 1.0)


def shoot(x: float, y: float, energy: float, kind: int, number: int, hgcal: Hgcal = ONE) -> np.ndarray:
    """Charges (number, 48) of one particle each at (x, y) cm from the centre of the wafer."""
    place = hgcal.place[0]
    depth, centre = hgcal.depth_cm(place.layer), hgcal.centre_cm(place)
    signal = np.tile([(centre[0] + x) / depth, (centre[1] + y) / depth, energy, kind], (number, 1))
    which = np.zeros((number, 1), np.int64)
    no = np.zeros(number, np.int64)
    return expose(NONE, np.zeros(0, np.int64), no, signal, which, hgcal, 1)[:, 0]


def test_neutral_particles_strike_where_they_point() -> None:
    hits = strike([particles((22, 3.0, 2.2, 0.7, 0.0), (2112, 3.0, -2.5, 2.0, 0.9396))], HGCAL)
    assert hits.offset.tolist() == [0, 1, 2]  # the backward side first
    np.testing.assert_allclose(np.hypot(hits.x, hits.y), [1 / math.sinh(2.5), 1 / math.sinh(2.2)])
    np.testing.assert_allclose(np.arctan2(hits.y, hits.x), [2.0, 0.7])
    kinetic = math.sqrt((3 * math.cosh(2.5)) ** 2 + 0.9396**2) - 0.9396
    np.testing.assert_allclose(hits.energy, [kinetic, 3 * math.cosh(2.2)])
    assert hits.kind.tolist() == [NEUTRAL, PHOTON]


def test_charged_particles_strike_at_the_end_of_their_helix() -> None:
    pt, eta, phi = 1.5, 2.0, 0.3
    (hits,) = [strike([particles((211, pt, eta, phi, 0.13957))], HGCAL)]
    bending = pt / (0.299792458 * 3.8)
    turn = 3.21 / math.sinh(eta) / bending
    x = bending * (math.sin(phi) - math.sin(phi - turn))  # a positive charge turns clockwise
    y = bending * (math.cos(phi - turn) - math.cos(phi))
    np.testing.assert_allclose([hits.x[0] * 3.21, hits.y[0] * 3.21], [x, y], rtol=1e-9)


def test_kinds_and_acceptance() -> None:
    codes = {11: ELECTRON, -13: MUON, -321: CHARGED, 130: NEUTRAL, 3122: NEUTRAL}
    hits = strike([particles(*((code, 20.0, 2.2, 0.0, 0.1) for code in codes))], HGCAL)
    assert hits.kind.tolist() == list(codes.values())
    assert len(strike([particles((22, 5.0, 0.9, 0.0, 0.0), (22, 5.0, 4.0, 0.0, 0.0))], HGCAL).x) == 0


def test_two_slices_follow_each_other() -> None:
    a, b = particles((22, 5.0, 2.0, 0.0, 0.0), events=2), particles((22, 9.0, -2.0, 0.0, 0.0))
    hits = strike([a, b], HGCAL)
    assert hits.offset.tolist() == [0, 0, 1, 1, 2, 3, 3]
    np.testing.assert_allclose(hits.energy, np.array([5, 5, 9]) * math.cosh(2.0))


def test_muon_charges_its_cell_with_a_mip() -> None:
    centre, depth = HGCAL.centre_cm(PLACE), HGCAL.depth_cm(9)
    for cell in (0, 3, 22, 47):
        x, y = POSITIONS[cell] * PITCH_CM
        charge = shoot(x, y, 50.0, MUON, 4000)
        assert (charge[:, np.arange(CELLS) != cell] == 0).all()
        seen = charge[:, cell]
        slant = math.hypot(1, (centre[0] + x) / depth, (centre[1] + y) / depth)
        assert seen.min() >= HGCAL.mip_peak_fc[0] * slant * (1 - 1e-9)
        assert seen.mean() == pytest.approx(HGCAL.mip_mean_fc[0] * slant, rel=0.03)


def test_electron_charge_is_its_share_of_the_visible_energy() -> None:
    """A shower in the middle of a wafer: nearly all of the layer's charge, the most in the centre."""
    wide = ONE.model_copy(update={"place": tuple(Place(layer=n, u=3, v=1) for n in range(1, 27))})
    stack = stack_of(wide)
    total = np.zeros(CELLS)
    for number in range(26):
        one = wide.model_copy(update={"place": wide.place[number : number + 1]})
        total += shoot(0.0, 0.0, 60.0, ELECTRON, 60, one).mean(axis=0)
    expected = 60.0 * stack.e_over_mip / stack.loss * HGCAL.mip_mean_fc[0]
    assert 0.85 * expected < total.sum() < expected
    assert set(np.argsort(total)[-3:]) == {3, 19, 35}
    np.testing.assert_allclose(total[[3, 19, 35]] / total[[3, 19, 35]].mean(), 1, atol=0.1)


def test_a_shower_beside_the_wafer_charges_the_near_side_only_within_reach() -> None:
    charge = shoot(12.0, 0.0, 200.0, ELECTRON, 200).mean(axis=0)
    assert charge.sum() > 0
    assert charge[POSITIONS[:, 0] > 2].sum() > 3 * charge[POSITIONS[:, 0] < 0].sum()
    assert shoot(25.1, 0.0, 200.0, ELECTRON, 50).sum() == 0


def chance(x: float, y: float, scale: float) -> float:
    """Chance that a spot of a shower at (x, y) cm with the median radius ``scale`` falls on the wafer."""
    rng = np.random.default_rng(3)
    u, angle = rng.random(200_000), rng.uniform(0, 2 * np.pi, 200_000)
    radius = scale * np.sqrt(u / (1 - u))
    points = np.stack([x + radius * np.cos(angle), y + radius * np.sin(angle)], axis=1)
    normals = np.radians(np.arange(0, 360, 60))
    apothem = 2 * math.sqrt(3) * PITCH_CM
    return float((points @ np.stack([np.cos(normals), np.sin(normals)]) < apothem).all(axis=1).mean())


def test_hadronic_spots_beside_the_wafer_are_thinned_without_bias() -> None:
    card = ONE.model_copy(
        update={
            "hadron_core_share": 0.0,
            "interaction_length_radiation_lengths": 0.01,
            "place": (Place(layer=1, u=3, v=1),),
        }
    )
    charge = shoot(14.0, 3.0, 2.0, NEUTRAL, 20_000, card)
    mips = 2.0 * (1 - np.mean(hadron_em_share(2.0))) * HGCAL.hadron_response / stack_of(ONE).loss
    expected = mips * chance(14.0, 3.0, HGCAL.hadron_halo_cm) * HGCAL.mip_mean_fc[0]
    assert charge.sum(axis=1).mean() == pytest.approx(expected, rel=0.03)


def test_electromagnetic_spots_beside_the_wafer_follow_core_and_tail() -> None:
    x, y, energy = 10.5, 1.0, 30.0
    centre, depth, stack = HGCAL.centre_cm(PLACE), HGCAL.depth_cm(9), stack_of(ONE)
    slant = math.hypot(1, (centre[0] + x) / depth, (centre[1] + y) / depth)
    charge = shoot(x, y, energy, ELECTRON, 4000).sum(axis=1).mean()  # seeds the showers drawn next, too
    drawn = [em_signal(start_shower(ELECTRON, energy, stack), 9, slant, stack) for _ in range(40)]
    mips = [
        spots * each * (share * chance(x, y, core) + (1 - share) * chance(x, y, tail))
        for spots, each, core, tail, share in drawn
    ]
    assert charge == pytest.approx(np.mean(mips) * HGCAL.mip_mean_fc[0], rel=0.1)


def hadron_em_share(energy: float) -> np.ndarray:
    """Electromagnetic shares of hadrons, drawn here."""
    mean = 1 - energy**-0.18
    drawn = mean * (1 + 0.5 * np.random.default_rng(4).standard_normal(200_000))
    return np.clip(drawn, 0, 1)


def test_interactions_turn_freely_and_are_mirrored_half_of_the_time() -> None:
    """One muon per interaction on the ring of the wafer: it hits with the chance of the wafer's angle."""
    centre = np.array(HGCAL.centre_cm(PLACE))
    eta = math.asinh(HGCAL.depth_cm(9) / np.hypot(*centre))
    hits = strike([particles((22, 1.0, -eta, 0.0, 0.0))], HGCAL)
    hits = replace(hits, kind=np.full(1, MUON))
    number = 200_000
    charge = expose(
        hits,
        np.zeros(number, np.int64),
        np.full(10, number // 10),
        np.zeros((10, 4)),
        np.zeros((10, 1), np.int64),
        ONE,
        5,
    )
    turn = np.linspace(0, 2 * np.pi, 20_000, endpoint=False)
    ring = np.hypot(*centre) * np.stack([np.cos(turn), np.sin(turn)], axis=1) - centre
    normals = np.radians(np.arange(0, 360, 60))
    inside = (ring @ np.stack([np.cos(normals), np.sin(normals)]) < 2 * math.sqrt(3) * PITCH_CM).all(axis=1)
    expected = number * 0.5 * inside.mean()
    slant = 1 / math.tanh(eta)
    assert charge.sum() / slant / HGCAL.mip_mean_fc[0] == pytest.approx(expected, rel=5 / math.sqrt(expected))


def test_digitisation_truncates_saturates_and_adds_positive_noise() -> None:
    quiet = HGCAL.model_copy(update={"noise_fc": (0.0, 0.0, 0.0)})
    charge = np.zeros((1, CELLS))
    charge[0, :4] = np.array([0.999, 1.0, 7.5, 1e9]) * HGCAL.lsb_fc
    rng = np.random.default_rng(1)
    assert digitise(rng, charge, np.array([1]), quiet)[0, :5].tolist() == [0, 1, 7, 2**22 - 1, 0]
    sensor = np.repeat([0, 1, 2], 2000)
    counts = digitise(rng, np.zeros((6000, CELLS)), sensor, HGCAL)
    for number in range(3):
        cells, noise = HGCAL.sensor_cells[number], HGCAL.noise_fc[number]
        mean = cells * noise / math.sqrt(2 * math.pi) / HGCAL.lsb_fc - 0.5  # truncation takes half a count
        assert counts[sensor == number].mean() == pytest.approx(mean, rel=0.03)


def test_wafers_lie_on_the_hexagonal_lattice() -> None:
    centre = np.array(HGCAL.centre_cm(Place(layer=5, u=3, v=1)))
    steps = [(1, 0), (0, 1), (1, 1), (-1, 0), (0, -1), (-1, -1)]
    around = [np.array(HGCAL.centre_cm(Place(layer=5, u=3 + u, v=1 + v))) - centre for u, v in steps]
    np.testing.assert_allclose(np.linalg.norm(around, axis=1), HGCAL.wafer_pitch_cm)
    angles = np.sort(np.degrees([math.atan2(y, x) for x, y in around]) % 360)
    np.testing.assert_allclose(np.diff(angles), 60)
    np.testing.assert_allclose(angles[0], 0, atol=1e-9)  # sides face the neighbours: corners at 90 degrees
    assert [HGCAL.type_of(Place(layer=5, u=u, v=0)) for u in (4, 5, 8)] == [0, 1, 2]
    assert HGCAL.eta(Place(layer=5, u=2, v=0)) == pytest.approx(
        math.asinh((321 + 5 * 1.22) / 33.488), rel=1e-6
    )


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("signal_pt_gev = [5.0, 100.0]", "signal_pt_gev = [5.0, 5.0]", "give 0 < lower end < upper end"),
        (
            "{ layer = 5, u = 2, v = 0 }",
            "{ layer = 27, u = 2, v = 0 }",
            "place has layer 27: the stack has 26",
        ),
        ("{ layer = 5, u = 2, v = 0 }", "{ layer = 5, u = 0, v = 0 }", r"place \(0, 0\) is the beam pipe"),
        ("bits = 22", "bit = 22", "unknown key 'bit'; did you mean 'bits'"),
    ],
)
def test_bad_cards_say_what_to_mend(tmp_path: Path, old: str, new: str, message: str) -> None:
    text = (shelf("triggers") / "hgcal.toml").read_text()
    assert old in text
    (tmp_path / "hgcal.toml").write_text(text.replace(old, new))
    with pytest.raises(SpecError, match=message):
        load_hgcal(tmp_path)


PLACES = (Place(layer=7, u=2, v=0), Place(layer=9, u=3, v=1))
SMALL = HGCAL.model_copy(update={"crossings": 30, "signal": 40, "place": PLACES, "pileup_mean": 40.0})


def on_disk(folder: Path, *slices: Particles) -> Pool:
    """A pool in the new folder ``folder`` that holds these events."""
    folder.mkdir()
    chunks = [GenerateChunk(f"slice{i}", 0, len(part), 1, (), ()) for i, part in enumerate(slices)]
    for chunk, part in zip(chunks, slices, strict=True):
        save(chunk_path(folder, chunk), part)
    return Pool(folder, tuple((chunk,) for chunk in chunks), ())


@pytest.fixture(scope="module")
def slices() -> tuple[Particles, Particles]:
    settings = ["HardQCD:all = on", "PartonLevel:MPI = off"]  # quick to start
    soft = generate([*settings, "PhaseSpace:pTHatMin = 5"], 120, 11)
    hard = generate([*settings, "PhaseSpace:pTHatMin = 20"], 20, 12)
    return soft, hard


SHARES = (0.99, 0.01)


@pytest.fixture(scope="module")
def pool(slices: tuple[Particles, Particles], tmp_path_factory: pytest.TempPathFactory) -> Pool:
    return on_disk(tmp_path_factory.mktemp("wafers") / "pool", *slices)


@pytest.fixture(scope="module")
def small(pool: Pool, here: Run) -> EventSet:
    return simulate_wafers(pool, SHARES, SMALL, seed=5, run=here)


def test_sample_holds_what_the_card_says(small: EventSet, tmp_path: Path) -> None:
    assert small.process_names == ("zero_bias", "electron", "photon")
    counts = {
        (name, split): len(small.of(name, split))
        for name in small.process_names
        for split in ("train", "tuning", "test")
    }
    assert [counts["zero_bias", s] for s in ("train", "tuning", "test")] == [30, 12, 18]
    assert [counts["photon", s] for s in ("train", "tuning", "test")] == [20, 8, 12]
    for split in ("train", "tuning", "test"):
        assert small.of("zero_bias", split).weight.sum() == pytest.approx(1.0, abs=1e-12)
    assert (small.of("electron").weight == 1).all()
    assert (small.collections["wafer"].sum(axis=1) > 0).all()
    known = [[p.layer, p.u, p.v, 0, round(1000 * HGCAL.eta(p))] for p in PLACES]
    assert np.unique(small.collections["wafer_place"], axis=0).tolist() == sorted(known)
    assert 30 < small.npu.mean() < 50
    assert small.provenance["pool_events"] == [120, 20]
    write(tmp_path / "wafers.h5", small)
    again = read(tmp_path / "wafers.h5")
    np.testing.assert_array_equal(again.collections["wafer"], small.collections["wafer"])


def test_signals_carry_their_energy_and_stand_out(small: EventSet) -> None:
    assert (small.of("zero_bias").collections["wafer_energy"] == 0).all()
    energies = small.collections["wafer_energy"][small.process > 0]
    assert len(np.unique(energies)) == len(energies)  # no two chunks alike
    for name in ("electron", "photon"):
        signal = small.of(name)
        eta = signal.collections["wafer_place"][:, 4] / 1000
        pt = signal.collections["wafer_energy"] / 1000 / np.cosh(eta)
        assert (pt > 5 * 0.7).all()  # the particle's own eta differs from the centre's
        assert (pt < 100 / 0.7).all()
        assert pt.max() > 40
        assert np.median(pt) < 40  # flat in the logarithm
        ratio = np.median(signal.collections["wafer"].max(axis=1))
        assert ratio > 3 * np.median(small.of("zero_bias").collections["wafer"].max(axis=1))


def test_killed_workers_change_nothing(
    slices: tuple[Particles, Particles], small: EventSet, tmp_path: Path
) -> None:
    killed = []

    def kill(step: str, done: int, total: int) -> None:
        if done == 1:
            for worker in multiprocessing.active_children():
                assert worker.pid
                os.kill(worker.pid, signal.SIGKILL)
                killed.append(worker.pid)

    pool = on_disk(tmp_path / "pool", *slices)
    run = partial(run_chunks, workers=2)
    again = simulate_wafers(pool, SHARES, SMALL, seed=5, run=run, progress=kill)
    assert len(killed) == 2
    for name, array in small.collections.items():
        np.testing.assert_array_equal(again.collections[name], array)
    before = {path: path.stat().st_mtime_ns for path in pool.folder.glob("images-*")}
    simulate_wafers(pool, SHARES, SMALL, seed=5, run=run)
    assert before == {path: path.stat().st_mtime_ns for path in pool.folder.glob("images-*")}
    assert len(before) == 2 * len(list(plan_wafers(SMALL, 5)))


def test_chunks_stand_alone_and_follow_the_seed(
    pool: Pool, slices: tuple[Particles, Particles], small: EventSet, here: Run
) -> None:
    other = simulate_wafers(pool, SHARES, SMALL, seed=6, run=here)
    assert not np.array_equal(other.collections["wafer"][:50], small.collections["wafer"][:50])
    last = list(plan_wafers(SMALL, 5))[-1]  # run first, alone: the photons of the test split
    counts = WaferSimulation(SMALL, (120, 20), SHARES, strike(slices, SMALL)).run(last).counts
    np.testing.assert_array_equal(counts, small.of("photon", "test").collections["wafer"])


def test_splits_share_no_interaction(here: Run, tmp_path: Path) -> None:
    """Only the first half of the pool, train's, holds particles: without noise the rest stays empty."""
    full, empty = particles((22, 5.0, 2.7, 0.0, 0.0), (22, 5.0, -2.7, 0.0, 0.0), events=10), 10
    offset = np.concatenate([full.offset, np.full(empty, full.offset[-1])])
    card = SMALL.model_copy(update={"noise_fc": (0.0, 0.0, 0.0), "signal": 0})
    pool = on_disk(tmp_path / "pool", replace(full, offset=offset))
    events = simulate_wafers(pool, (1.0,), card, seed=1, run=here)
    assert set(events.split.tolist()) == {0}
    assert len(events) > 20


def test_too_small_a_slice_is_named(slices: tuple[Particles, Particles], here: Run, tmp_path: Path) -> None:
    card = SMALL.model_copy(update={"crossings": 4, "signal": 4})
    tiny = on_disk(tmp_path / "tiny", slices[0], particles((22, 5.0, 2.7, 0.0, 0.0), events=3))
    with pytest.raises(SpecError, match="slice 1 of the pool has 3 events: each split needs its own"):
        simulate_wafers(tiny, (0.9, 0.1), card, seed=1, run=here)
    enough = on_disk(tmp_path / "enough", slices[0], particles((22, 5.0, 2.7, 0.0, 0.0), events=4))
    assert set(simulate_wafers(enough, (0.9, 0.1), card, seed=1, run=here).split.tolist()) == {0, 1, 2}


@pytest.mark.long
def test_pool_is_that_of_the_level1_sample(here: Run, tmp_path: Path) -> None:
    text = {
        "description": "small",
        "tune": "monash",
        "tunes": {"monash": ("Tune:pp = 14", "HardQCD:all = on")},
        "sigma_inelastic_mb": 78.6,
        "pileup_mean": 20.0,
        "pileup_sigma": 0.0,
        "natural": 1,
        "muon_min": 3,
        "muon": (),
        "signal": 1,
        "seed": 1,
        "slice": (
            {"name": "soft", "settings": ("PhaseSpace:pTHatMin = 10",), "pthat_max": 20.0, "pool": 1030},
            {"name": "hard", "settings": ("PhaseSpace:pTHatMin = 80",), "pool": 20},
        ),
    }
    card = ZeroBiasCard.model_validate(text)
    made = make_pool(tmp_path, card, seed=card.seed, run=here)
    shares = made.strata(card).p
    assert sum(shares) == pytest.approx(1.0)
    assert shares[1] == pytest.approx(made.particles(made.slices[1][0]).sigma_mb / 78.6)
    events = simulate_wafers(made, shares, SMALL, seed=1, run=here)
    assert events.provenance["pool_events"] == [1030, 20]
    simulation = WaferSimulation.load(next(tmp_path.glob("wafers-*.json")))
    assert (simulation.hgcal, simulation.sizes, simulation.probabilities) == (SMALL, (1030, 20), shares)
    alone = strike([made.particles(made.slices[0][1])], SMALL)  # the second file starts with event 1000
    first, last = simulation.hits.offset[[2 * 1000, 2 * 1030]]
    np.testing.assert_array_equal(simulation.hits.energy[first:last], alone.energy)


def images(rng: np.random.Generator, number: int) -> EventSet:
    """Wafers at two places, 100 and 10 counts a cell: cells exponential, a common factor of width 0.2."""
    place = np.repeat([[5, 2, 0, 0, 2975], [9, 3, 1, 0, 2700]], number, axis=0).astype(np.int16)
    scale = np.repeat([1e5, 1e4], number) * rng.normal(1, 0.2, 2 * number)
    cells = rng.exponential(size=(2 * number, 48))
    cells *= (scale / cells.mean(axis=1))[:, None]
    zero = np.zeros(2 * number, np.uint8)
    return EventSet(
        {"wafer": cells.astype(np.uint32), "wafer_place": place},
        np.full(2 * number, 0.5 / number),
        np.full(2 * number, 200, np.uint16),
        zero,
        zero,
        ("zero_bias",),
        {},
    )


def test_shape_of_known_images() -> None:
    rows = wafer_shape(images(np.random.default_rng(1), 4000))
    # Exponential values over the sum of 48 follow a beta distribution (1, 47).
    for row, q in zip(rows, (0.1, 0.5, 0.99), strict=False):
        assert row.value == pytest.approx(48 * (1 - (1 - q) ** (1 / 47)), rel=0.02)
    assert rows[3].value == pytest.approx(0.2, rel=0.03)
    assert [row.target for row in rows] == [0.18, 0.71, 4.6, 0.24]
    assert rows[3].ratio == pytest.approx(rows[3].value / 0.24)


def test_shape_needs_wafers(small: EventSet) -> None:
    with pytest.raises(DataError, match="no zero-bias wafers to compare"):
        wafer_shape(small.select(small.process == 1))


@pytest.mark.long
def test_shipped_card_has_the_shape_of_full_simulation(tmp_path: Path) -> None:
    soft = generate(["SoftQCD:inelastic = on", "Tune:pp = 14"], 1500, 21)
    card = HGCAL.model_copy(update={"crossings": 300, "signal": 0})
    pool = on_disk(tmp_path / "pool", soft)
    for row in wafer_shape(simulate_wafers(pool, (1.0,), card, seed=3)):
        assert 0.75 < row.ratio < 1.25, row

"""Simulation: kinematics, weights and Level-1 read-out against closed forms; reproducibility."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from zerobias.errors import SpecError
from zerobias.events import read
from zerobias.shelves import shelf
from zerobias.simulate import load_cards, simulate_to_file
from zerobias.simulate.generate import Particles, generate
from zerobias.simulate.level1 import egammas, insert, jets, met, regions
from zerobias.simulate.sample import _batches
from zerobias.simulate.spec import SuepCard
from zerobias.simulate.strata import Strata, truncated_poisson
from zerobias.simulate.suep import boost, decay_scalar, two_body
from zerobias.simulate.towers import COLUMNS, ETA_CENTRES, FIRST_CENTRAL, ROWS, deposit, tower_row

DETECTOR = load_cards()[0]


def one_particle(pdg: int, pt: float, eta: float, phi: float, mass: float = 0.0) -> Particles:
    def column(value: float) -> np.ndarray:
        return np.array([value], dtype=np.float64)

    return Particles(
        np.array([0, 1]), np.array([pdg], np.int32), column(pt), column(eta), column(phi), column(mass), 1.0
    )


@pytest.mark.parametrize("eta", [-5.0, -3.05, -1.5, -0.04, 0.04, 0.5, 1.8, 2.9, 4.0])
def test_photon_goes_straight_to_its_tower(eta: float) -> None:
    hit = deposit(one_particle(22, 10.0, eta, 1.0), DETECTOR, 1)
    assert abs(ETA_CENTRES[hit.row[0]] - eta) < 0.2
    assert hit.row[0] == tower_row(eta)
    assert hit.column[0] == int(1.0 / (2 * math.pi) * 72)
    assert hit.energy[0] == pytest.approx(10 * math.cosh(eta), rel=1e-6)
    assert hit.transverse[0] == pytest.approx(1 / math.cosh(eta), rel=1e-6)


def test_rows_are_symmetric_and_end_at_the_edges() -> None:
    assert tower_row(5.2) == tower_row(-5.2) == -1
    for eta in (0.01, 0.7, 1.74, 2.99, 3.2, 5.1):
        assert tower_row(-eta) == ROWS - 1 - tower_row(eta)
    assert tower_row(0.01) == FIRST_CENTRAL + 28


@pytest.mark.parametrize(("pdg", "sign"), [(211, -1), (-211, 1), (-11, -1), (11, 1), (2212, -1)])
def test_charged_particles_bend_by_the_helix(pdg: int, sign: int) -> None:
    pt = 2.0
    hit = deposit(one_particle(pdg, pt, 0.0, 2.0), DETECTOR, 1)
    radius = pt / (0.299792458 * DETECTOR.field_t)
    turn = math.asin(DETECTOR.calorimeter_radius_m / (2 * radius))  # half the turning angle
    assert hit.column[0] == int((2.0 + sign * turn) / (2 * math.pi) * 72)


def test_soft_particles_spiral_to_the_endcap() -> None:
    radius = 0.3 / (0.299792458 * DETECTOR.field_t)
    assert 2 * radius < DETECTOR.calorimeter_radius_m
    hit = deposit(one_particle(211, 0.3, 1.5, 0.0, 0.13957), DETECTOR, 1)
    assert ETA_CENTRES[hit.row[0]] > 1.479


def test_antinucleons_give_their_mass_twice() -> None:
    energies = [
        deposit(one_particle(pdg, 3.0, 0.1, 0.0, 0.938), DETECTOR, 1).energy[0] for pdg in (2112, -2112)
    ]
    assert energies[1] - energies[0] == pytest.approx(2 * 0.938, rel=1e-5)


def test_muon_candidates() -> None:
    prompt = deposit(one_particle(13, 20.0, 0.5, 0.0, 0.106), DETECTOR, 1).muon
    assert prompt[0, 3:].tolist() == [DETECTOR.muon_efficiency, 1.0]
    kaon = deposit(one_particle(321, 5.0, 0.5, 0.0, 0.494), DETECTOR, 1).muon[0]
    path = DETECTOR.calorimeter_radius_m * math.cosh(0.5)
    decays = 1 - math.exp(-path * 0.494 / 3.712 / (5.0 * math.cosh(0.5)))  # c tau = 3.712 m
    assert kaon[3] == pytest.approx(DETECTOR.muon_efficiency * 0.6356 * decays, rel=0.01)
    assert len(deposit(one_particle(13, 20.0, 2.6, 0.0), DETECTOR, 1).muon) == 0


STRATA = Strata((0.97, 0.02, 0.008, 0.002), (False, True, False, True), 52.0, 6.0)


def test_probabilities_sum_to_one() -> None:
    total = STRATA.probability(-1) + STRATA.probability(1) + STRATA.probability(3)
    assert total == pytest.approx(1.0, abs=1e-12)


def test_probabilities_without_spread_are_the_closed_form() -> None:
    strata = Strata((0.97, 0.02, 0.01), (False, True, True), 50.0, 0.0)
    assert strata.probability(-1) == pytest.approx(math.exp(-50 * 0.03), rel=1e-12)
    assert strata.probability(1) == pytest.approx((1 - math.exp(-1.0)) * math.exp(-0.5), rel=1e-12)
    assert strata.probability(2) == pytest.approx(1 - math.exp(-0.5), rel=1e-12)


def multiplicities(strata: Strata, stratum: int | None, events: int, seed: int) -> np.ndarray:
    """Interactions of each slice in each crossing; pool event s stands for slice s."""
    pools = [np.array([s]) for s in range(len(strata.p))]
    chosen, counts = strata.draw(np.random.default_rng(seed), stratum, events, pools)
    owner = np.repeat(np.arange(events), counts)
    return np.stack([np.bincount(owner[chosen == s], minlength=events) for s in range(len(pools))], axis=1)


def test_strata_hold_what_they_must() -> None:
    natural = multiplicities(STRATA, -1, 4000, 1)
    assert natural[:, [1, 3]].max() == 0
    assert natural[:, 2].max() > 0
    first = multiplicities(STRATA, 1, 4000, 2)
    assert first[:, 1].min() >= 1
    assert first[:, 3].max() == 0
    last = multiplicities(STRATA, 3, 4000, 3)
    assert last[:, 3].min() >= 1
    assert last[:, 1].min() == 0


def test_closure_weighted_strata_are_the_plain_crossings() -> None:
    """Mean multiplicities and their joint zeros: the weighted strata against unconditioned crossings."""
    events = 40_000
    plain = multiplicities(STRATA, None, events, 4)
    parts = [(STRATA.probability(s), multiplicities(STRATA, s, events, 5 + s)) for s in (-1, 1, 3)]
    for s in range(4):
        expected = plain[:, s].mean()
        found = sum(p * m[:, s].mean() for p, m in parts)
        spread = 2 * plain[:, s].std() / math.sqrt(events)
        assert abs(found - expected) < 4 * spread, s
    mixed = (plain[:, 1] > 0) & (plain[:, 2] == 0)
    found = sum(p * ((m[:, 1] > 0) & (m[:, 2] == 0)).mean() for p, m in parts)
    assert abs(found - mixed.mean()) < 0.015


def test_weights_of_every_split_sum_to_one_at_any_scale() -> None:
    card = load_cards()[1]
    forced = tuple(s.forced > 0 for s in card.slice)
    strata = Strata((0.983, 0.009, 0.0045, 0.003, 2e-4, 2e-4, 5e-5, 4e-5, 1e-5), forced, 52.0, 6.0)
    tiny = card.model_copy(
        update={
            "natural": 3,
            "slice": tuple(
                s.model_copy(update={"forced": int(f)}) for s, f in zip(card.slice, forced, strict=True)
            ),
        }
    )
    for recipe in (card, tiny):
        batches = list(_batches(recipe, (), strata, iter(range(1000))))
        for split in range(3):
            total = sum(b.weight * b.events for b in batches if b.split == split)
            assert total == pytest.approx(1.0, abs=1e-12)


def test_truncated_poisson_has_the_closed_form_mean() -> None:
    rng = np.random.default_rng(8)
    for mean in (0.01, 0.5, 3.0):
        drawn = truncated_poisson(rng, np.full(200_000, mean))
        expected = mean / -math.expm1(-mean)
        assert drawn.min() == 1
        assert drawn.mean() == pytest.approx(expected, abs=5 * drawn.std() / math.sqrt(200_000) + 1e-9)


def test_insert_keeps_the_hardest_in_order() -> None:
    table = np.zeros((3, 3), np.int16)
    for pt in (5, 9, 2, 7, 9):
        insert(table, pt, pt, pt)
    assert table[:, 0].tolist() == [9, 9, 7]


def empty() -> np.ndarray:
    return np.zeros((ROWS, COLUMNS), np.int64)


def test_regions_sum_four_by_four_and_saturate() -> None:
    counts = empty()
    counts[FIRST_CENTRAL, 0] = 3
    counts[FIRST_CENTRAL + 3, 3] = 4
    counts[FIRST_CENTRAL + 55, 71] = 511
    counts[FIRST_CENTRAL + 54, 71] = 511
    counts[FIRST_CENTRAL + 53, 71] = 511
    counts[0, 10] = 200  # forward calorimeter: no region
    out = np.zeros((18, 14), np.uint16)
    regions(counts, out)
    assert out[0, 0] == 7
    assert out[17, 13] == 1023
    assert int(out.sum()) == 1030


def test_met_points_away_from_the_energy() -> None:
    counts = empty()
    counts[FIRST_CENTRAL + 20, 9] = 100
    out = np.zeros(3, np.int16)
    met(counts, np.zeros(ROWS, np.int64), out)
    angle = (9.5 * 2 * math.pi / 72 + math.pi) % (2 * math.pi)
    assert out.tolist() == [100, 0, int(angle / (2 * math.pi) * 144)] or out[0] == 99
    balanced = empty()
    balanced[FIRST_CENTRAL + 20, 9] = balanced[FIRST_CENTRAL + 30, 45] = 100
    met(balanced, np.zeros(ROWS, np.int64), out)
    assert out[0] == 0


def test_jet_is_its_window_less_pileup() -> None:
    counts = empty()
    row, column = FIRST_CENTRAL + 28, 0
    counts[row, column] = 60
    counts[row + 2, (column - 3) % 72] = 20
    counts[row + 6, column] = 7  # in the strip above: the highest strip is left out
    counts[row - 6, column] = 5  # counted as pile-up
    out = np.zeros((10, 3), np.int16)
    jets(counts, empty(), 6, 1.0, out)
    assert out[0].tolist() == [75, round(ETA_CENTRES[row] / 0.0435), 1]
    assert out[1, 0] == 0


def test_equal_seeds_give_one_jet() -> None:
    counts = empty()
    counts[40, 10] = counts[40, 12] = counts[41, 11] = 50
    out = np.zeros((10, 3), np.int16)
    jets(counts, empty(), 6, 1.0, out)
    assert out[:2, 0].tolist() == [150, 0]


def test_egamma_needs_little_hadronic_energy() -> None:
    em, had = empty(), empty()
    em[40, 20], em[40, 21], em[41, 20] = 40, 10, 6
    out = np.zeros((4, 3), np.int16)
    egammas(em, had, 4, 0.0625, 1.0, out)
    assert out[0].tolist() == [56, round(ETA_CENTRES[40] / 0.0435), 41]
    had[40, 20] = 3  # above 0.0625 x 40
    out[:] = 0
    egammas(em, had, 4, 0.0625, 1.0, out)
    assert out[0, 0] == 0


def test_suep_conserves_the_scalar() -> None:
    card = SuepCard(meson_mass=2.0, temperature=2.0, photon_mass=0.7, electron=0.15, muon=0.15)
    momentum = np.array([30.0, -20.0, 200.0, math.sqrt(400.0**2 + 30**2 + 20**2 + 200**2)])
    rows = np.array(decay_scalar(np.random.default_rng(1), momentum, card))
    np.testing.assert_allclose(rows[:, 1:].sum(axis=0), momentum, rtol=1e-5, atol=1e-3)
    masses = np.sqrt(np.maximum(rows[:, 4] ** 2 - (rows[:, 1:4] ** 2).sum(axis=1), 0))
    pions = np.abs(rows[:, 0]) == 211
    np.testing.assert_allclose(masses[pions], 0.13957, atol=1e-3)
    assert rows[:, 0].sum() == 0  # as many particles as antiparticles
    assert len(rows) > 60


def test_boost_and_decay_by_hand() -> None:
    moving = boost(np.array([[0.0, 0.0, 0.0, 1.0]]), np.array([0.0, 0.0, 0.6]))
    np.testing.assert_allclose(moving, [[0, 0, 0.75, 1.25]], atol=1e-12)
    still = boost(moving, np.array([0.0, 0.0, -0.6]))
    np.testing.assert_allclose(still, [[0, 0, 0, 1]], atol=1e-12)
    pair = two_body(np.random.default_rng(0), np.array([[0.0, 0.0, 0.0, 10.0]]), 3.0, 3.0)
    np.testing.assert_allclose(pair[:, 3], 5.0)
    np.testing.assert_allclose(np.linalg.norm(pair[:, :3], axis=1), 4.0)


def test_bad_setting_is_named() -> None:
    with pytest.raises(SpecError, match="Pythia refuses the setting 'SoftQCD:everything = on'"):
        generate(["SoftQCD:everything = on"], 1, 1)


SMALL = """
description = "small"
tune = ["Tune:pp = 14"]
sigma_inelastic_mb = 78.6
pileup_mean = 20.0
pileup_sigma = 3.0
natural = 40
signal = 8
seed = 3
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


def test_sample_depends_on_the_seed_only(tmp_path: Path) -> None:
    cards = tmp_path / "cards"
    (cards / "processes").mkdir(parents=True)
    (cards / "zero_bias.toml").write_text(SMALL)
    (cards / "detector.toml").write_bytes((shelf("triggers") / "detector.toml").read_bytes())
    suep = (shelf("triggers") / "processes" / "suep.toml").read_text()
    (cards / "processes" / "suep.toml").write_text(
        suep.replace("settings = [", 'settings = [\n    "PartonLevel:MPI = off",')
    )
    steps = set()
    for name, workers in (("one", 1), ("two", 2)):
        simulate_to_file(
            tmp_path / f"{name}.h5",
            cards=cards,
            workers=workers,
            progress=lambda step, done, total: steps.add(step),
        )
    assert steps == {"generate", "overlay"}
    assert (tmp_path / "one.h5").read_bytes() == (tmp_path / "two.h5").read_bytes()
    events = read(tmp_path / "one.h5")
    assert {name: len(events.of(name)) for name in events.process_names} == {"zero_bias": 60, "suep": 8}
    assert events.of("zero_bias", "train").weight.sum() == pytest.approx(1.0, abs=1e-12)
    assert events.collections["objects"][:, 9, 0].max() > 20
    simulate_to_file(tmp_path / "other.h5", cards=cards, seed=4)
    assert (tmp_path / "one.h5").read_bytes() != (tmp_path / "other.h5").read_bytes()

"""Simulation: kinematics, deposits, responses and weights against closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest

from zerobias.errors import SpecError
from zerobias.simulate import load_cards
from zerobias.simulate.black_hole import phase_space
from zerobias.simulate.generate import Particles, generate
from zerobias.simulate.response import hadron_moments, response_constants, smear
from zerobias.simulate.spec import SuepCard
from zerobias.simulate.strata import Strata, truncated_poisson
from zerobias.simulate.suep import boost, decay_scalar, two_body
from zerobias.simulate.towers import ETA_CENTRES, FIRST_CENTRAL, ROWS, deposit, tower_row

DETECTOR = load_cards()[0]


def one_particle(pdg: int, pt: float, eta: float, phi: float, mass: float = 0.0) -> Particles:
    def column(value: float) -> np.ndarray:
        return np.array([value], dtype=np.float32)

    return Particles(
        np.array([0, 1]), np.array([pdg], np.int32), column(pt), column(eta), column(phi), column(mass), 1.0
    )


@pytest.mark.parametrize("eta", [-5.0, -3.05, -1.5, -0.04, 0.04, 0.5, 1.8, 2.9, 4.0])
def test_photon_goes_straight_to_its_tower(eta: float) -> None:
    hit = deposit(one_particle(22, 10.0, eta, 1.0), DETECTOR, 1)
    assert abs(ETA_CENTRES[hit.place[0, 0]] - eta) < 0.2
    assert hit.place[0, 0] == tower_row(eta)
    assert hit.place[0, 1] == int(1.0 / (2 * math.pi) * 72)
    assert hit.energy[0] == pytest.approx(10 * math.cosh(eta), rel=1e-6)
    assert hit.transverse[0] == pytest.approx(1 / math.cosh(eta), rel=1e-6)
    assert (len(hit), len(hit.soft)) == (1, 0)


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
    assert hit.place[0, 1] == int((2.0 + sign * turn) / (2 * math.pi) * 72)


def test_soft_particles_spiral_to_the_endcap() -> None:
    radius = 0.3 / (0.299792458 * DETECTOR.field_t)
    assert 2 * radius < DETECTOR.calorimeter_radius_m
    hit = deposit(one_particle(211, 0.3, 1.5, 0.0, 0.13957), DETECTOR, 1)
    assert ETA_CENTRES[hit.soft_place[0, 0]] > 1.479


def test_antinucleons_give_their_mass_twice() -> None:
    energies = [
        deposit(one_particle(pdg, 3.0, 0.1, 0.0, 0.938), DETECTOR, 1).energy[0] for pdg in (2112, -2112)
    ]
    assert energies[1] - energies[0] == pytest.approx(2 * 0.938, rel=1e-5)


def test_soft_deposits_of_one_event_share_their_tower() -> None:
    """Three photons, two of them in one tower; the second event starts anew."""
    phi = np.array([1.0, 1.0, 2.0, 1.0], np.float32)
    pt = np.array([0.6, 0.4, 0.5, 0.6], np.float32)
    zero = np.zeros(4, np.float32)
    event = Particles(np.array([0, 3, 4]), np.full(4, 22, np.int32), pt, zero + 0.04, phi, zero, 1.0)
    hit = deposit(event, DETECTOR, 1)
    assert hit.soft_offset.tolist() == [0, 2, 3]
    assert hit.soft_place[0].tolist() == hit.soft_place[2].tolist()
    assert hit.soft[0, 0] == pytest.approx(1.0, rel=0.01)
    single = [0.6, 0.4]
    spread = [DETECTOR.ecal_stochastic**2 * e + DETECTOR.ecal_noise**2 for e in single]
    assert hit.soft[0, 1] == pytest.approx(sum(spread), rel=0.02)
    assert hit.soft[:, 2:].max() == 0


@pytest.mark.parametrize("energy", [0.3, 1.0, 3.0, 20.0])
def test_moments_of_soft_hadrons_are_those_of_the_rolls(energy: float) -> None:
    constants = response_constants(DETECTOR)
    rolls = np.array([smear(1, energy, constants) for _ in range(40_000)])
    table = hadron_moments(DETECTOR)
    found = [np.interp(math.log(energy), table[:, 0], table[:, k]) for k in (1, 2, 3, 4)]
    expected = [rolls[:, 0].mean(), rolls[:, 0].var(), rolls[:, 1].mean(), rolls[:, 1].var()]
    np.testing.assert_allclose(found, expected, rtol=0.05)


def test_soft_photon_has_the_moments_of_the_rolls() -> None:
    constants = response_constants(DETECTOR)
    hit = deposit(one_particle(22, 0.15, 0.04, 0.0), DETECTOR, 1)  # so soft that the roll is cut at zero
    rolls = np.array([smear(0, 0.15 * math.cosh(0.04), constants)[0] for _ in range(40_000)])
    assert hit.soft[0, 0] == pytest.approx(rolls.mean(), rel=0.02)
    assert hit.soft[0, 1] == pytest.approx(rolls.var(), rel=0.05)


def test_muon_candidates() -> None:
    prompt = deposit(one_particle(13, 20.0, 0.5, 0.0, 0.106), DETECTOR, 1).muon
    assert prompt[0, 3:].tolist() == [np.float32(DETECTOR.muon_efficiency), 1.0]
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


def test_truncated_poisson_has_the_closed_form_mean() -> None:
    rng = np.random.default_rng(8)
    for mean in (0.01, 0.5, 3.0):
        drawn = truncated_poisson(rng, np.full(200_000, mean))
        expected = mean / -math.expm1(-mean)
        assert drawn.min() == 1
        assert drawn.mean() == pytest.approx(expected, abs=5 * drawn.std() / math.sqrt(200_000) + 1e-9)


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


def test_phase_space_conserves_energy_and_momentum() -> None:
    four = phase_space(np.random.default_rng(2), 6000.0, 8)
    np.testing.assert_allclose(four.sum(axis=0), [0, 0, 0, 6000.0], atol=1e-8)
    np.testing.assert_allclose(np.linalg.norm(four[:, :3], axis=1), four[:, 3])


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

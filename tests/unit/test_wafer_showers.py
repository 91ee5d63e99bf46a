"""Parametrised showers against numbers worked out by hand and closed forms."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from numba import njit
from scipy.special import gammainc

from zerobias.simulate.hgcal import load_hgcal
from zerobias.simulate.showers import (
    CHARGED,
    ELECTRON,
    MUON,
    NEUTRAL,
    PHOTON,
    Shower,
    em_share,
    em_signal,
    hadron_signal,
    longitudinal,
    radial,
    stack_of,
    start_shower,
    track_signal,
)

HGCAL = load_hgcal()
STACK = stack_of(HGCAL)
ROUND = STACK._replace(z=50.0, e_over_mip=0.8, step=2.0, critical=0.01)


@njit
def seed(number: int) -> None:
    np.random.seed(number)


def showers(kind: int, energy: float, count: int) -> list[Shower]:
    seed(1)
    return [start_shower(kind, energy, STACK) for _ in range(count)]


def test_medium_follows_the_published_rules() -> None:
    assert STACK.e_over_mip == pytest.approx(1 / (1 + 0.007 * (66 - 14)))
    assert STACK.moliere == pytest.approx(1.22 / 1.065 * 21.2 / 8.5)
    assert STACK.loss == pytest.approx(0.0109)


def test_longitudinal_parameters_by_hand() -> None:
    """ln y = 6, Z = 50, 1 - e^ = 0.2, F_S = 1 / 2."""
    found = longitudinal(0.01 * math.exp(6), ROUND)
    assert found == pytest.approx((3.95, 2.8772, 0.2, 1 / 3.92, 0.646), rel=1e-9)


def test_longitudinal_parameters_stay_usable_at_low_energy() -> None:
    low = longitudinal(0.0101, ROUND)
    assert low == longitudinal(0.02, ROUND)  # ln y is held at 2.5
    assert low[2:4] == (0.5, 0.5)
    thick = longitudinal(0.1, ROUND._replace(step=4.0))
    assert thick[:2] == (0.3, 1.1)


def test_radial_profile_by_hand() -> None:
    """E = 1 GeV, tau = 1, Z = 50, 1 - e^ = 0.2, F_S = 1 / 2."""
    core, tail, share = radial(1.0, 1.0, ROUND)
    assert core == pytest.approx(0.0251 + 0.09715 - 0.00406 + 0.0794 * math.exp(-1), rel=1e-9)
    assert tail == pytest.approx(0.5045 * (0.398738 + 1.135724) - 0.028 - 0.99 * 0.367879, rel=1e-5)
    u = (0.401 + 0.0935 - 1) / 1.313
    assert share == pytest.approx(2.585 * math.exp(u - math.exp(u)) + 0.2 * (0.348 - 1.284), rel=1e-9)
    assert radial(10.0, 3.0, STACK)[1] > radial(10.0, 1.0, STACK)[1]  # showers widen with depth
    for energy in (0.02, 1.0, 500.0):
        for tau in (0.0, 0.3, 1.0, 8.0):
            core, tail, share = radial(energy, tau, STACK)
            assert 0 < core <= tail
            assert 0 <= share <= 1


@pytest.mark.parametrize("energy", [0.3, 5.0, 200.0])
def test_share_of_a_layer_is_the_gamma_distribution(energy: float) -> None:
    for shower in showers(ELECTRON, energy, 50):
        edges = np.arange(27) * STACK.step
        exact = np.diff(gammainc(shower.alpha, shower.beta * edges))
        found = [em_share(shower, low, high) for low, high in pairwise(edges)]
        np.testing.assert_allclose(found[1:], exact[1:], atol=0.002)
        assert found[0] == pytest.approx(exact[0], abs=0.02)  # a cusp at the start: alpha may be near 1


def test_fluctuations_have_the_published_medians_widths_and_correlation() -> None:
    energy, sample = 50.0, showers(ELECTRON, 50.0, 20_000)
    t, alpha, sigma_t, sigma_alpha, rho = longitudinal(energy, STACK)
    ln_alpha = np.log([s.alpha for s in sample])
    ln_t = np.log([(s.alpha - 1) / s.beta for s in sample])
    assert ln_t.mean() == pytest.approx(math.log(t), abs=5 * sigma_t / math.sqrt(20_000))
    assert ln_alpha.mean() == pytest.approx(math.log(alpha), abs=5 * sigma_alpha / math.sqrt(20_000))
    assert ln_t.std() == pytest.approx(sigma_t, rel=0.03)
    assert ln_alpha.std() == pytest.approx(sigma_alpha, rel=0.03)
    assert np.corrcoef(ln_t, ln_alpha)[0, 1] == pytest.approx(rho, abs=0.03)


@pytest.mark.parametrize("slant", [1.0, 1.2])
def test_all_the_energy_of_an_electron_is_seen_along_the_stack(slant: float) -> None:
    energy = 20.0
    found = [
        sum(spots * mips for spots, mips, *_ in (em_signal(s, n, slant, STACK) for n in range(1, 61)))
        for s in showers(ELECTRON, energy, 200)
    ]
    assert np.mean(found) == pytest.approx(energy * STACK.e_over_mip / STACK.loss, rel=0.01)
    spots = sum(em_signal(showers(ELECTRON, energy, 1)[0], n, slant, STACK)[0] for n in range(1, 61))
    assert spots == pytest.approx(10.3 / HGCAL.sampling_resolution * energy**0.959, rel=0.02)


def test_radii_are_those_of_the_papers_depth() -> None:
    """tau = t / <t> m / (m - 1), <t> = alpha / beta being the centre of gravity and m = exp<ln alpha>."""
    energy = 20.0
    mean = longitudinal(energy, STACK)[1]
    for shower in showers(ELECTRON, energy, 20):
        tau = 8.5 * 1.1 * STACK.step * shower.beta / shower.alpha * mean / (mean - 1)
        core, tail, share = radial(energy, tau, STACK)
        found = em_signal(shower, 9, 1.1, STACK)[2:]
        assert found == pytest.approx((core * STACK.moliere, tail * STACK.moliere, share), rel=1e-9)


def test_photons_convert_after_nine_sevenths_of_a_radiation_length() -> None:
    starts = [s.start for s in showers(PHOTON, 5.0, 20_000)]
    assert np.mean(starts) == pytest.approx(9 / 7, rel=0.03)
    late = Shower(4.0, 0.0, 5.0, 3.0, 0.5, 3 * math.log(0.5) - math.lgamma(3), 100.0, 0.2, 0.0)
    assert em_signal(late, 3, 1.0, STACK)[0] == 0
    assert em_signal(late, 4, 1.0, STACK)[0] > 0


def test_muons_cross_every_layer_and_shower_nowhere() -> None:
    (muon,) = showers(MUON, 30.0, 1)
    for layer in (1, 13, 26):
        assert track_signal(muon, layer, 1.1, STACK) == 1.1
        assert em_signal(muon, layer, 1.1, STACK)[0] == hadron_signal(muon, layer, 1.1, STACK) == 0


def test_a_slow_charged_hadron_stops_where_its_energy_is_used_up() -> None:
    energy = 5.5 * STACK.loss
    slow = [s for s in showers(CHARGED, energy, 50) if s.start > 6 * STACK.step]
    assert len(slow) > 20
    for hadron in slow:
        assert [track_signal(hadron, n, 1.0, STACK) for n in range(4, 8)] == [1.0, 1.0, 0.0, 0.0]
        assert all(
            hadron_signal(hadron, n, 1.0, STACK) == em_signal(hadron, n, 1.0, STACK)[0] == 0 for n in (5, 60)
        )


def test_hadrons_interact_after_one_interaction_length_and_share_their_energy() -> None:
    energy = 100.0
    sample = showers(CHARGED, energy, 20_000)
    assert np.mean([s.start for s in sample]) == pytest.approx(20.5, rel=0.03)
    assert all(s.em + s.hadronic == pytest.approx(energy) or s.em == 0 for s in sample[:100])
    mean = 1 - 100**-0.18
    assert np.mean([s.em for s in sample]) / energy == pytest.approx(mean, rel=0.03)
    hadron = next(s for s in sample if 2 < s.start < 3)
    total = sum(hadron_signal(hadron, n, 1.0, STACK) for n in range(1, 300))
    assert total == pytest.approx(hadron.hadronic * HGCAL.hadron_response / STACK.loss, rel=1e-4)
    assert track_signal(hadron, 1, 1.0, STACK) == 1.0
    assert track_signal(hadron, 4, 1.0, STACK) == 0.0
    assert all(s.track_end == 0 for s in showers(NEUTRAL, energy, 10))

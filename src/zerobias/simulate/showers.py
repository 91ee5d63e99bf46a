"""Parametrised showers in a sampling calorimeter, compiled.

Electromagnetic showers: G. Grindhammer and S. Peters, hep-ex/0001020, appendix on sampling calorimeters:
a gamma distribution in depth whose logarithmic parameters fluctuate, and two components in the radius.
Hadrons: an ionising track up to the first interaction, then an electromagnetic part (same
parametrisation) and an exponential hadronic part with two radial components: a plain model of ours.

Depths are in radiation lengths X0, radii in cm, energies in GeV; signals in MIPs, the mean signal of a
minimum ionising particle that crosses one silicon layer at a right angle.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit

from zerobias.simulate.hgcal import Hgcal

__all__ = [
    "CHARGED",
    "ELECTRON",
    "MUON",
    "NEUTRAL",
    "NOTHING",
    "PHOTON",
    "Shower",
    "Stack",
    "em_share",
    "em_signal",
    "hadron_signal",
    "longitudinal",
    "radial",
    "stack_of",
    "start_shower",
    "track_signal",
]

PHOTON, ELECTRON, CHARGED, NEUTRAL, MUON = range(5)
"""Kinds of particles; ``CHARGED`` and ``NEUTRAL`` are hadrons."""

_Z_SILICON = 14.0
_SCALE_MEV = 21.2  # the Moliere radius is X0 times this over the critical energy
_ENERGY_MIN = 0.01
_LN_Y_MIN = 2.5  # below, the published widths of the fluctuations lose their meaning
_SIGMA_MAX = 0.5
_ALPHA_MIN = 1.05


class Stack(NamedTuple):
    """Medium: see :class:`~zerobias.simulate.hgcal.Hgcal`, from which :func:`stack_of` makes it.

    ``step`` is the thickness of a layer in X0, the inverse of the paper's sampling frequency F_S;
    ``e_over_mip`` the paper's e^ = 1 / (1 + 0.007 (Z_passive - Z_active)).
    """

    z: float
    e_over_mip: float
    step: float
    critical: float
    moliere: float
    loss: float
    interaction: float
    resolution: float
    response: float
    core: float
    halo: float
    core_share: float


class Shower(NamedTuple):
    """One particle's shower, common to all layers.

    ``start``: depth of the first interaction. ``track_end``: depth at which its ionising track ends (0:
    none). ``em``: energy of the electromagnetic part, ``alpha`` and ``beta`` of its gamma distribution
    and the logarithm of the distribution's ``norm``, its number of ``spots``; ``tau`` times a depth is
    the paper's tau. ``hadronic``: energy of the hadronic part.
    """

    start: float
    track_end: float
    em: float
    alpha: float
    beta: float
    norm: float
    spots: float
    tau: float
    hadronic: float


NOTHING = Shower(0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0)
"""A shower without energy."""


def stack_of(hgcal: Hgcal) -> Stack:
    """The medium that ``hgcal`` declares."""
    return Stack(
        hgcal.z_absorber,
        1 / (1 + 0.007 * (hgcal.z_absorber - _Z_SILICON)),
        hgcal.layer_radiation_lengths,
        hgcal.critical_energy_mev / 1000,
        hgcal.layer_cm / hgcal.layer_radiation_lengths * _SCALE_MEV / hgcal.critical_energy_mev,
        hgcal.mip_loss_per_layer_mev / 1000,
        hgcal.interaction_length_radiation_lengths,
        hgcal.sampling_resolution,
        hgcal.hadron_response,
        hgcal.hadron_core_cm,
        hgcal.hadron_halo_cm,
        hgcal.hadron_core_share,
    )


@njit(cache=True)
def longitudinal(energy: float, stack: Stack) -> tuple[float, float, float, float, float]:
    """exp<ln T>, exp<ln alpha>, the widths of ln T and ln alpha, and their correlation.

    hep-ex/0001020, fluctuated profiles of sampling calorimeters. Widths are limited to 0.5, T to 0.3
    and alpha to 1.1 from below, where the energy is under the range of the paper's fit.
    """
    ln_y = max(math.log(energy / stack.critical), _LN_Y_MIN)
    maximum = ln_y - 0.812 - 0.55 * stack.step - 0.69 * (1 - stack.e_over_mip)
    alpha = 0.81 + (0.458 + 2.26 / stack.z) * ln_y - 0.476 * stack.step
    return (
        max(maximum, 0.3),
        max(alpha, 1.1),
        min(1 / max(-2.5 + 1.25 * ln_y, 0.1), _SIGMA_MAX),
        min(1 / (-0.82 + 0.79 * ln_y), _SIGMA_MAX),
        0.784 - 0.023 * ln_y,
    )


@njit(cache=True)
def radial(energy: float, tau: float, stack: Stack) -> tuple[float, float, float]:
    """Radii of core and tail in Moliere radii and the share of the core, at the depth ``tau``.

    hep-ex/0001020, average radial profiles of sampling calorimeters.
    """
    ln_e = math.log(energy)
    absorbed = 1 - stack.e_over_mip
    early = math.exp(-tau)
    core = 0.0251 + 0.00319 * ln_e + (0.1162 - 0.000381 * stack.z) * tau
    core += -0.0203 * absorbed + 0.0397 * stack.step * early
    shift = tau - 0.645
    tail = math.exp(-2.59 * shift) + math.exp((0.3585 + 0.0421 * ln_e) * shift)
    tail = (0.659 - 0.00309 * stack.z) * tail - 0.14 * absorbed - 0.495 * stack.step * early
    u = (0.401 + 0.00187 * stack.z - tau) / (1.313 - 0.0686 * ln_e)
    share = (2.632 - 0.00094 * stack.z) * math.exp(u - math.exp(u))
    share += absorbed * (0.348 - 0.642 * stack.step * math.exp(-((tau - 1) ** 2)))
    core = max(core, 0.005)
    return core, max(tail, core), min(max(share, 0.0), 1.0)


@njit(cache=True)
def start_shower(kind: int, energy: float, stack: Stack) -> Shower:
    """Draw what is common to all layers of one particle of ``energy`` (kinetic for matter)."""
    start = track_end = hadronic = 0.0
    em = energy
    if kind == PHOTON:
        start = -9 / 7 * math.log(1 - np.random.random())  # conversion
    elif kind != ELECTRON:
        start = -stack.interaction * math.log(1 - np.random.random())
        em = 0.0
        if kind == MUON:
            start = 1e9
        else:
            # Mean electromagnetic share: the power law of Gabriel et al. (NIM A 338) with a usual exponent.
            share = 1 - max(energy, 1.0) ** -0.18
            share = min(max(share * (1 + 0.5 * np.random.standard_normal()), 0.0), 1.0)
            em, hadronic = share * energy, (1 - share) * energy
        if kind != NEUTRAL:
            track_end = energy / stack.loss * stack.step  # all its energy is ionised away
            if track_end < start:
                em = hadronic = 0.0
            track_end = min(track_end, start)
    if em < _ENERGY_MIN:
        return Shower(start, track_end, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, hadronic)
    mean_t, mean_alpha, sigma_t, sigma_alpha, rho = longitudinal(em, stack)
    first = math.sqrt((1 + rho) / 2) * np.random.standard_normal()
    second = math.sqrt((1 - rho) / 2) * np.random.standard_normal()
    maximum = mean_t * math.exp(sigma_t * (first + second))
    alpha = max(mean_alpha * math.exp(sigma_alpha * (first - second)), _ALPHA_MIN)
    beta = (alpha - 1) / maximum
    norm = alpha * math.log(beta) - math.lgamma(alpha)
    spots = 10.3 / stack.resolution * em**0.959
    tau = (alpha - 1) / alpha * mean_alpha / (mean_alpha - 1) / maximum
    return Shower(start, track_end, em, alpha, beta, norm, spots, tau, hadronic)


@njit(cache=True)
def em_share(shower: Shower, low: float, high: float) -> float:
    """Share of the electromagnetic part between two depths after its start, by Gauss' two points."""
    total = 0.0
    for point in (0.5 - 0.5 / math.sqrt(3), 0.5 + 0.5 / math.sqrt(3)):
        depth = low + point * (high - low)
        total += math.exp(shower.norm + (shower.alpha - 1) * math.log(depth) - shower.beta * depth)
    return 0.5 * (high - low) * total


@njit(cache=True)
def track_signal(shower: Shower, layer: int, slant: float, stack: Stack) -> float:
    """MIPs of the shower's track in ``layer``; ``slant`` is its path over the thickness, 1 / cos(theta)."""
    return slant if layer * stack.step * slant <= shower.track_end else 0.0


@njit(cache=True)
def em_signal(
    shower: Shower, layer: int, slant: float, stack: Stack
) -> tuple[float, float, float, float, float]:
    """Electromagnetic signal in ``layer``: expected number of spots, MIPs of each, their radial profile
    (radii of core and tail in cm, share of the core)."""
    low, high = _after(shower.start, layer, slant, stack)
    if high <= 0 or shower.em == 0:
        return 0.0, 0.0, 0.0, 0.0, 0.0
    expected = shower.spots * em_share(shower, low, high)
    mips = shower.em * stack.e_over_mip / stack.loss / shower.spots
    core, tail, share = radial(shower.em, 0.5 * (low + high) * shower.tau, stack)
    return expected, mips, core * stack.moliere, tail * stack.moliere, share


@njit(cache=True)
def hadron_signal(shower: Shower, layer: int, slant: float, stack: Stack) -> float:
    """Hadronic signal in ``layer``: expected number of spots of one MIP each."""
    low, high = _after(shower.start, layer, slant, stack)
    if high <= 0 or shower.hadronic == 0:
        return 0.0
    share = math.exp(-low / stack.interaction) - math.exp(-high / stack.interaction)
    return shower.hadronic * stack.response / stack.loss * share


@njit(cache=True)
def _after(start: float, layer: int, slant: float, stack: Stack) -> tuple[float, float]:
    """The depths between which a layer samples the shower, counted from ``start``."""
    high = layer * stack.step * slant - start
    return max(high - stack.step * slant, 0.0), high

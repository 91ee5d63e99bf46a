"""What the calorimeters make of one hadron: an energy seen, and its split between ECAL and HCAL.

seen = E response(E) (1 + spread z), z normal, not below zero; with the probability
``hadron_mip_fraction`` ECAL gets no more than a minimum-ionising particle leaves, otherwise a uniform
share of it up to ``hadron_em_fraction``.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from zerobias.simulate.spec import Detector

__all__ = ["hadron_moments", "hadron_response", "response_constants", "smear"]

_NODES, _ENERGIES = 400, 256


def response_constants(detector: Detector) -> NDArray[np.float64]:
    """The detector's constants in the order :func:`hadron_response` and :func:`smear` know."""
    return np.array(
        [
            detector.ecal_stochastic,
            detector.ecal_noise,
            detector.ecal_constant,
            detector.hcal_stochastic,
            detector.hcal_constant,
            detector.hadron_response,
            detector.hadron_response_loss,
            detector.hadron_response_scale,
            detector.hadron_mip_fraction,
            detector.hadron_em_fraction,
            detector.mip_energy,
            detector.lateral_share,
        ]
    )


@njit(cache=True)
def hadron_response(energy: float, constants: Any) -> tuple[float, float]:
    """(mean energy seen in GeV, relative spread) of a hadron of ``energy`` GeV."""
    mean = energy * (constants[5] - constants[6] * math.exp(-energy / constants[7]))
    return mean, math.sqrt(constants[3] ** 2 / max(energy, 0.5) + constants[4] ** 2)


@njit(cache=True)
def smear(kind: int, energy: float, constants: Any) -> tuple[float, float]:
    """One roll of the energies (ECAL, HCAL) seen of a photon or electron (``kind`` 0) or a hadron (1)."""
    if kind == 0:
        spread = math.sqrt(constants[0] ** 2 / energy + (constants[1] / energy) ** 2 + constants[2] ** 2)
        return max(0.0, energy * (1 + spread * np.random.standard_normal())), 0.0
    mean, spread = hadron_response(energy, constants)
    seen = max(0.0, mean * (1 + spread * np.random.standard_normal()))
    if np.random.random() < constants[8]:
        em = min(constants[10], seen)
    else:
        em = seen * constants[9] * np.random.random()
    return em, seen - em


def hadron_moments(detector: Detector) -> NDArray[np.float64]:
    """Moments of :func:`smear` for hadrons: rows of log(E / GeV), ECAL mean, variance, HCAL mean, variance.

    The normal is integrated over its quantiles; energies are spaced evenly in the logarithm.
    """
    constants = response_constants(detector)
    quantiles = (np.arange(_NODES) + 0.5) / _NODES
    z = np.array([NormalDist().inv_cdf(q) for q in quantiles])
    share, top, least = detector.hadron_mip_fraction, detector.hadron_em_fraction, detector.mip_energy
    rows = []
    for log_energy in np.linspace(math.log(0.02), math.log(100.0), _ENERGIES):
        mean, spread = hadron_response(math.exp(log_energy), constants)
        seen = np.maximum(0.0, mean * (1 + spread * z))
        ionising = np.minimum(seen, least)
        square = np.mean(seen**2)
        em = share * np.mean(ionising) + (1 - share) * top / 2 * np.mean(seen)
        em2 = share * np.mean(ionising**2) + (1 - share) * top**2 / 3 * square
        had = np.mean(seen) - em
        had2 = share * np.mean((seen - ionising) ** 2) + (1 - share) * (1 - top + top**2 / 3) * square
        rows.append([log_energy, em, em2 - em**2, had, had2 - had**2])
    return np.array(rows)

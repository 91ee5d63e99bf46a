"""Particles -> deposits on the trigger-tower grid, without smearing, so that a re-used interaction
can be smeared anew each time it is overlaid.

Grid: 80 rows in eta (rows 12-67 are |ieta| 1-28 of barrel and endcap, the others the forward
calorimeter) by 72 columns in phi. Units: GeV, m, T.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from zerobias.simulate.generate import Particles
from zerobias.simulate.spec import Detector

__all__ = [
    "COLUMNS",
    "ETA_CENTRES",
    "ETA_EDGES",
    "FIRST_CENTRAL",
    "LAST_CENTRAL",
    "ROWS",
    "Deposits",
    "deposit",
    "tower_row",
]

_CENTRAL_EDGES = [*(np.arange(21) * 0.087), 1.83, 1.93, 2.043, 2.172, 2.322, 2.5, 2.65, 3.0]
_FORWARD_EDGES = [3.139, 3.314, 3.489, 3.664, 3.839, 4.013, 4.191, 4.363, 4.538, 4.716, 4.889, 5.191]
ETA_EDGES: NDArray[np.float64] = np.array(_CENTRAL_EDGES + _FORWARD_EDGES)
"""|eta| edges of the trigger towers (CMS layout)."""
HALF = len(ETA_EDGES) - 1
ROWS, COLUMNS = 2 * HALF, 72
FIRST_CENTRAL, LAST_CENTRAL = HALF - 28, HALF + 28
_CENTRES = 0.5 * (ETA_EDGES[1:] + ETA_EDGES[:-1])
ETA_CENTRES: NDArray[np.float64] = np.concatenate([-_CENTRES[::-1], _CENTRES])


@dataclass(frozen=True)
class Deposits:
    """Deposits and muon candidates of many interactions, flat arrays with offsets.

    ``row``, ``column``: tower; ``row2``, ``column2``: tower of the lateral leakage (or the same).
    ``energy`` GeV, ``transverse`` = 1 / cosh(eta), ``kind`` 0 electromagnetic, 1 hadron, 2 muon.
    Muon candidates: ``muon`` (n, 5) = pT, eta, phi of the parent, probability to be a muon that
    reaches the chambers, smallest momentum fraction the muon takes (1 for a prompt muon).
    """

    offset: NDArray[np.int64]
    row: NDArray[np.int16]
    column: NDArray[np.int16]
    row2: NDArray[np.int16]
    column2: NDArray[np.int16]
    energy: NDArray[np.float32]
    transverse: NDArray[np.float32]
    kind: NDArray[np.uint8]
    muon_offset: NDArray[np.int64]
    muon: NDArray[np.float64]

    def arrays(self) -> tuple[NDArray[Any], ...]:
        """The fields in order, for the compiled overlay."""
        return tuple(vars(self).values())


def deposit(particles: Particles, detector: Detector, seed: int) -> Deposits:
    """Deposits of every event of ``particles``; ``seed`` drives the direction of the lateral leakage."""
    results = _deposit(
        particles.offset,
        particles.pdg,
        particles.pt,
        particles.eta,
        particles.phi,
        particles.mass,
        detector.field_t,
        detector.calorimeter_radius_m,
        detector.calorimeter_half_length_m,
        detector.muon_efficiency,
        detector.muon_eta_max,
        seed,
    )
    return Deposits(*results)


@njit(cache=True)
def tower_row(eta: float) -> int:
    """Row of the tower at ``eta``, -1 outside the calorimeters."""
    size = abs(eta)
    if size >= ETA_EDGES[HALF]:
        return -1
    index = int(np.searchsorted(ETA_EDGES, size, side="right")) - 1
    return HALF + index if eta > 0 else HALF - 1 - index


@njit(cache=True)
def _charge(pdg: int) -> int:
    code = abs(pdg)
    sign = 1 if pdg > 0 else -1
    if code in (11, 13, 3112, 3312, 3334):
        return -sign
    if code in (211, 321, 2212, 3222):
        return sign
    return 0


@njit(cache=True)
def _impact(
    pt: float, eta: float, phi: float, charge: int, field: float, radius: float, half: float
) -> tuple[float, float, bool]:
    """Helix from the origin to the calorimeter's face: (eta, phi, reached) as seen from the origin."""
    if charge == 0:
        return eta, phi, True
    bending = pt / (0.299792458 * field)
    pz = pt * math.sinh(eta)
    endcap_turn = half * pt / max(abs(pz), 1e-6) / bending
    if 2 * bending > radius:
        turn = 2 * math.asin(radius / (2 * bending))
        if turn <= endcap_turn:
            z = pz / pt * bending * turn
            return math.asinh(z / radius), phi - charge * turn / 2, True
    if endcap_turn > 25.0:  # spirals out its energy before it reaches the endcap
        return 0.0, 0.0, False
    distance = max(abs(2 * bending * math.sin(endcap_turn / 2)), 0.02)
    return math.asinh(math.copysign(half, pz) / distance), phi - charge * endcap_turn / 2, True


@njit(cache=True)
def _muon_chance(
    pdg: int, pt: float, eta: float, radius: float, half: float, efficiency: float, eta_max: float
) -> tuple[float, float]:
    """(probability to be seen as a muon, smallest momentum fraction of the muon)."""
    code = abs(pdg)
    if abs(eta) >= eta_max:
        return 0.0, 1.0
    if code == 13:
        return efficiency, 1.0
    if code not in (211, 321) or pt <= 1.5:
        return 0.0, 1.0
    path = min(radius * math.cosh(eta), half / max(abs(math.tanh(eta)), 1e-3))
    # mass / (c tau) in GeV/m, branching to mu nu, and (m_mu / m)^2 = smallest energy fraction.
    rate, branching, smallest = (0.0179, 1.0, 0.573) if code == 211 else (0.133, 0.6356, 0.046)
    decays = 1 - math.exp(-path * rate / (pt * math.cosh(eta)))
    return efficiency * branching * decays, smallest


@njit(cache=True)
def _deposit(
    offset: Any,
    pdg: Any,
    pt: Any,
    eta: Any,
    phi: Any,
    mass: Any,
    field: float,
    radius: float,
    half: float,
    efficiency: float,
    eta_max: float,
    seed: int,
) -> Any:
    np.random.seed(seed)
    size = len(pdg)
    new_offset = np.zeros(len(offset), np.int64)
    muon_offset = np.zeros(len(offset), np.int64)
    row = np.empty(size, np.int16)
    column = np.empty(size, np.int16)
    row2 = np.empty(size, np.int16)
    column2 = np.empty(size, np.int16)
    energy = np.empty(size, np.float32)
    transverse = np.empty(size, np.float32)
    kind = np.empty(size, np.uint8)
    muon = np.empty((size, 5), np.float64)
    k = m = 0
    for event in range(len(offset) - 1):
        for j in range(offset[event], offset[event + 1]):
            code = abs(pdg[j])
            chance, smallest = _muon_chance(pdg[j], pt[j], eta[j], radius, half, efficiency, eta_max)
            if chance > 0:
                muon[m, 0], muon[m, 1], muon[m, 2] = pt[j], eta[j], phi[j]
                muon[m, 3], muon[m, 4] = chance, smallest
                m += 1
            eta_c, phi_c, reached = _impact(pt[j], eta[j], phi[j], _charge(pdg[j]), field, radius, half)
            first = tower_row(eta_c) if reached else -1
            if first < 0:
                continue
            momentum = pt[j] * math.cosh(eta[j])
            visible = math.sqrt(momentum**2 + mass[j] ** 2)
            if code in (2212, 2112):  # a nucleon keeps its mass, an antinucleon gives it twice
                visible += mass[j] if pdg[j] < 0 else -mass[j]
            electromagnetic = code in (11, 22)
            kind[k] = 2 if code == 13 else 0 if electromagnetic else 1
            energy[k] = visible
            transverse[k] = 1 / math.cosh(eta_c)
            row[k] = first
            column[k] = int((phi_c / (2 * math.pi)) % 1.0 * 72) % 72
            width = 0.02 if electromagnetic else 0.055
            second = tower_row(eta_c + width * np.random.standard_normal())
            row2[k] = second if second >= 0 else first
            leak = phi_c + width * np.random.standard_normal()
            column2[k] = int((leak / (2 * math.pi)) % 1.0 * 72) % 72
            k += 1
        new_offset[event + 1] = k
        muon_offset[event + 1] = m
    return (
        new_offset,
        row[:k].copy(),
        column[:k].copy(),
        row2[:k].copy(),
        column2[:k].copy(),
        energy[:k].copy(),
        transverse[:k].copy(),
        kind[:k].copy(),
        muon_offset,
        muon[:m].copy(),
    )

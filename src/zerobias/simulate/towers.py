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
from zerobias.simulate.response import hadron_moments
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
_SHARED_ET = 1.0  # softer deposits do not leak to a second tower
_PHOTON_WIDTH, _HADRON_WIDTH = 0.02, 0.055


@dataclass(frozen=True)
class Deposits:
    """Deposits and muon candidates of many interactions, flat arrays with offsets.

    Soft deposits are summed per tower: ``soft`` (n, 4) = mean and variance of the transverse energy in
    ECAL, then in HCAL, of tower ``soft_place`` (n, 2) = row, column. Hard ones stay single: ``place``
    (n, 4) = row, column, and those of the lateral leakage; ``energy`` GeV, ``transverse`` = 1 / cosh(eta),
    ``kind`` 0 electromagnetic, 1 hadron. Muon candidates: ``muon`` (n, 5) = pT, eta, phi of the parent,
    probability to be a muon that reaches the chambers, smallest momentum fraction the muon takes (1 for a
    prompt muon).
    """

    soft_offset: NDArray[np.int64]
    soft_place: NDArray[np.uint8]
    soft: NDArray[np.float32]
    hard_offset: NDArray[np.int64]
    place: NDArray[np.uint8]
    energy: NDArray[np.float32]
    transverse: NDArray[np.float32]
    kind: NDArray[np.uint8]
    muon_offset: NDArray[np.int64]
    muon: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.soft_offset) - 1

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
        np.array(
            [
                detector.field_t,
                detector.calorimeter_radius_m,
                detector.calorimeter_half_length_m,
                detector.muon_efficiency,
                detector.muon_eta_max,
                detector.individual_et,
                detector.ecal_stochastic,
                detector.ecal_noise,
                detector.ecal_constant,
                detector.mip_energy,
                detector.lateral_share,
            ]
        ),
        hadron_moments(detector),
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
def _column(phi: float) -> int:
    return int((phi / (2 * math.pi)) % 1.0 * COLUMNS) % COLUMNS


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
def _visible(pdg: int, pt: float, eta: float, mass: float) -> float:
    """Energy a calorimeter can see: a nucleon keeps its mass, an antinucleon gives it twice."""
    energy = math.sqrt((pt * math.cosh(eta)) ** 2 + mass**2)
    if abs(pdg) in (2212, 2112):
        energy += mass if pdg < 0 else -mass
    return energy


@njit(cache=True)
def _moments(kind: int, energy: float, constants: Any, hadron: Any, out: Any) -> None:
    """Mean and variance of the seen energy of a soft deposit -> ``out`` (4,): ECAL, then HCAL.

    ``kind`` 2 is a muon. A response below zero counts as zero, so the mean exceeds that of the normal.
    """
    out[:] = 0.0
    if kind == 2:
        out[0], out[2] = constants[9], min(energy, 2.0)
    elif kind == 0:
        spread = math.sqrt(constants[6] ** 2 * energy + constants[7] ** 2 + (constants[8] * energy) ** 2)
        z = energy / spread
        above = 0.5 * math.erfc(-z / math.sqrt(2.0))
        density = math.exp(-0.5 * z * z) / math.sqrt(2 * math.pi)
        out[0] = energy * above + spread * density
        out[1] = max((energy**2 + spread**2) * above + energy * spread * density - out[0] ** 2, 0.0)
    else:
        place = (math.log(max(energy, 1e-9)) - hadron[0, 0]) / (hadron[1, 0] - hadron[0, 0])
        low = min(max(int(place), 0), len(hadron) - 2)
        part = min(max(place - low, 0.0), 1.0)
        for k in range(4):
            out[k] = hadron[low, k + 1] * (1 - part) + hadron[low + 1, k + 1] * part


@njit(cache=True)
def _deposit(
    offset: Any, pdg: Any, pt: Any, eta: Any, phi: Any, mass: Any, constants: Any, hadron: Any, seed: int
) -> Any:
    np.random.seed(seed)
    field, radius, half, efficiency, eta_max, individual = constants[:6]
    share = constants[10]
    events, size = len(offset) - 1, len(pdg)
    soft_offset = np.zeros(events + 1, np.int64)
    hard_offset = np.zeros(events + 1, np.int64)
    muon_offset = np.zeros(events + 1, np.int64)
    soft_place = np.empty((2 * size, 2), np.uint8)
    soft = np.empty((2 * size, 4), np.float32)
    place = np.empty((size, 4), np.uint8)
    energy = np.empty(size, np.float32)
    transverse = np.empty(size, np.float32)
    kind = np.empty(size, np.uint8)
    muon = np.empty((size, 5), np.float32)
    seen = np.zeros(4)
    index = np.full((ROWS, COLUMNS), -1, np.int64)  # place of a tower's sum in this event, if it has one
    s = h = m = 0
    for event in range(events):
        for j in range(offset[event], offset[event + 1]):
            code = abs(pdg[j])
            chance, smallest = _muon_chance(pdg[j], pt[j], eta[j], radius, half, efficiency, eta_max)
            if chance > 0:
                muon[m, 0], muon[m, 1], muon[m, 2] = pt[j], eta[j], phi[j]
                muon[m, 3], muon[m, 4] = chance, smallest
                m += 1
            eta_c, phi_c, reached = _impact(pt[j], eta[j], phi[j], _charge(pdg[j]), field, radius, half)
            row = tower_row(eta_c) if reached else -1
            visible = _visible(pdg[j], pt[j], eta[j], mass[j])
            if row < 0 or visible <= 0:
                continue
            own = 2 if code == 13 else 0 if code in (11, 22) else 1
            et = 1 / math.cosh(eta_c)
            column = _column(phi_c)
            row2, column2 = row, column
            leaks = own != 2 and visible * et > _SHARED_ET
            if leaks:
                width = _PHOTON_WIDTH if own == 0 else _HADRON_WIDTH
                row2 = tower_row(eta_c + width * np.random.standard_normal())
                row2 = row2 if row2 >= 0 else row
                column2 = _column(phi_c + width * np.random.standard_normal())
            if own != 2 and visible * et >= individual:
                energy[h], transverse[h], kind[h] = visible, et, own
                place[h, 0], place[h, 1], place[h, 2], place[h, 3] = row, column, row2, column2
                h += 1
                continue
            _moments(own, visible, constants, hadron, seen)
            for part in range(2 if leaks else 1):
                weight = et * (share if part else 1 - share if leaks else 1.0)
                r, c = (row2, column2) if part else (row, column)
                if index[r, c] < 0:
                    index[r, c] = s
                    soft_place[s, 0], soft_place[s, 1] = r, c
                    soft[s] = 0
                    s += 1
                at = index[r, c]
                soft[at, 0] += weight * seen[0]
                soft[at, 1] += weight**2 * seen[1]
                soft[at, 2] += weight * seen[2]
                soft[at, 3] += weight**2 * seen[3]
        for at in range(soft_offset[event], s):
            index[soft_place[at, 0], soft_place[at, 1]] = -1
        soft_offset[event + 1], hard_offset[event + 1], muon_offset[event + 1] = s, h, m
    return (
        soft_offset,
        soft_place[:s].copy(),
        soft[:s].copy(),
        hard_offset,
        place[:h].copy(),
        energy[:h].copy(),
        transverse[:h].copy(),
        kind[:h].copy(),
        muon_offset,
        muon[:m].copy(),
    )

"""Trigger towers -> Level-1 content in hardware integers: tower counts, regions and their bits, MET.

Parametrised after the CMS calorimeter trigger's algorithms, not a bit-accurate emulation of them. LSB
0.5 GeV throughout. Arrays of counts are (ROWS, PADDED): column c of the detector is at PAD + c, and
:func:`wrap` repeats the columns of the other side in the margins, so that windows need no modulo.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from zerobias.simulate.towers import COLUMNS, FIRST_CENTRAL, LAST_CENTRAL, ROWS

__all__ = ["PAD", "PADDED", "digitise", "met", "region_bits", "regions", "wrap"]

PAD = 8
PADDED = COLUMNS + 2 * PAD
_MET_MAX = 4095
_TOWER_MAX, _TOWER_SUM_MAX, _REGION_MAX = 255, 511, 1023
_ANGLES = (np.arange(COLUMNS) + 0.5) * 2 * np.pi / COLUMNS
_COSINE: NDArray[np.float64] = np.cos(_ANGLES)
_SINE: NDArray[np.float64] = np.sin(_ANGLES)


@njit(cache=True)
def wrap(counts: Any) -> None:
    """Fill the margins of ``counts`` with the columns of the other side."""
    for r in range(ROWS):
        for c in range(PAD):
            counts[r, c] = counts[r, c + COLUMNS]
            counts[r, c + PAD + COLUMNS] = counts[r, c + PAD]


@njit(cache=True)
def _count(mean: Any, variance: Any, threshold: Any, normal: Any) -> int:
    """Counts of one deposit of normal energy: above threshold it keeps what exceeds the pedestal."""
    energy = mean + np.float32(math.sqrt(variance)) * normal
    if energy < threshold:
        return 0
    return min(int((energy - threshold) * np.float32(2.0)) + 1, _TOWER_MAX)


@njit(cache=True)
def digitise(towers: Any, constants: Any, normals: Any, em: Any, had: Any, total: Any) -> None:
    """Smearing, noise, thresholds and 0.5 GeV counts of every tower -> ``em``, ``had``, ``total``.

    ``towers`` (rows, columns, 4): mean and variance of the ET in ECAL, then in HCAL. ``constants``
    (4, rows): ECAL noise, HCAL noise, ECAL threshold, HCAL threshold in GeV. ``normals``: a table of
    standard normal numbers, read from a place drawn for each row. The forward calorimeter has no ECAL.
    """
    last = len(normals) - COLUMNS
    for r in range(ROWS):
        noise_em, noise_had = constants[0, r] ** 2, constants[1, r] ** 2
        least_em, least_had = constants[2, r], constants[3, r]
        first = normals[np.random.randint(0, last) :]
        second = normals[np.random.randint(0, last) :]
        if r < FIRST_CENTRAL or r >= LAST_CENTRAL:
            for c in range(COLUMNS):
                mean, variance = towers[r, c, 0] + towers[r, c, 2], towers[r, c, 1] + towers[r, c, 3]
                had[r, PAD + c] = _count(mean, variance + noise_had, least_had, second[c])
                em[r, PAD + c] = 0
                total[r, PAD + c] = had[r, PAD + c]
        else:
            for c in range(COLUMNS):
                e = _count(towers[r, c, 0], towers[r, c, 1] + noise_em, least_em, first[c])
                h = _count(towers[r, c, 2], towers[r, c, 3] + noise_had, least_had, second[c])
                em[r, PAD + c], had[r, PAD + c] = e, h
                total[r, PAD + c] = min(e + h, _TOWER_SUM_MAX)
    wrap(em)
    wrap(had)
    wrap(total)


@njit(cache=True)
def regions(total: Any, out: Any) -> None:
    """Sums of 4 x 4 central towers, ``out`` (18 iphi, 14 ieta), saturating at 10 bits."""
    for iphi in range(18):
        for ieta in range(14):
            found = 0
            for a in range(4):
                for b in range(4):
                    found += total[FIRST_CENTRAL + 4 * ieta + a, PAD + 4 * iphi + b]
            out[iphi, ieta] = min(found, _REGION_MAX)


@njit(cache=True)
def region_bits(em: Any, total: Any, et: Any, least: int, active: float, em_share: float, out: Any) -> None:
    """Bit 0 (tau) and bit 1 (e/gamma) of every region -> ``out`` (18, 14).

    A region of ``et`` at least ``least`` counts is tau-like when its active towers (more than the share
    ``active`` of its ET) fit in 2 x 2 towers, and e/gamma-like when besides at least ``em_share`` of its
    ET is in ECAL.
    """
    for iphi in range(18):
        for ieta in range(14):
            out[iphi, ieta] = 0
            if et[iphi, ieta] < least:
                continue
            row, column = FIRST_CENTRAL + 4 * ieta, PAD + 4 * iphi
            limit = active * et[iphi, ieta]
            low_a, high_a, low_b, high_b, ecal = 4, -1, 4, -1, 0
            for a in range(4):
                for b in range(4):
                    ecal += em[row + a, column + b]
                    if total[row + a, column + b] > limit:
                        low_a, high_a = min(low_a, a), max(high_a, a)
                        low_b, high_b = min(low_b, b), max(high_b, b)
            if high_a >= 0 and high_a - low_a < 2 and high_b - low_b < 2:
                out[iphi, ieta] = 3 if ecal >= em_share * et[iphi, ieta] else 1


@njit(cache=True)
def met(total: Any, threshold: Any, out: Any) -> None:
    """Missing transverse momentum of the central towers above ``threshold`` (rows,) counts -> out (3,)."""
    x = y = 0.0
    for r in range(FIRST_CENTRAL, LAST_CENTRAL):
        for c in range(COLUMNS):
            if total[r, PAD + c] >= threshold[r]:
                x -= total[r, PAD + c] * _COSINE[c]
                y -= total[r, PAD + c] * _SINE[c]
    out[0] = min(int(math.hypot(x, y) + 1e-9), _MET_MAX)
    out[1] = 0
    out[2] = int(math.atan2(y, x) / (2 * math.pi) % 1.0 * 144) % 144 if out[0] > 0 else 0

"""Trigger towers -> Level-1 objects in hardware integers: regions, jets, e/gamma, MET.

Parametrised after the CMS calorimeter trigger's algorithms (sliding window with pile-up
subtraction, tower clusters), not a bit-accurate emulation of it. LSB 0.5 GeV throughout.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit

from zerobias.simulate.towers import COLUMNS, ETA_CENTRES, FIRST_CENTRAL, LAST_CENTRAL, ROWS

__all__ = [
    "EGAMMA_MAX",
    "JET_MAX",
    "MET_MAX",
    "MUON_MAX",
    "digitise",
    "egammas",
    "insert",
    "jets",
    "met",
    "regions",
]

JET_MAX, EGAMMA_MAX, MUON_MAX, MET_MAX = 2047, 511, 511, 4095
_ETA_LSB = 0.0435
_TOWER_MAX, _TOWER_SUM_MAX, _REGION_MAX = 255, 511, 1023


@njit(cache=True)
def insert(table: Any, pt: int, eta: int, phi: int) -> None:
    """Insert an object into ``table`` (n, 3), ordered by falling pT; the softest falls out."""
    last = len(table) - 1
    if pt <= table[last, 0]:
        return
    while last > 0 and table[last - 1, 0] < pt:
        table[last, 0], table[last, 1], table[last, 2] = (
            table[last - 1, 0],
            table[last - 1, 1],
            table[last - 1, 2],
        )
        last -= 1
    table[last, 0], table[last, 1], table[last, 2] = pt, eta, phi


@njit(cache=True)
def digitise(em: Any, had: Any, constants: Any, counts_em: Any, counts_had: Any, counts: Any) -> None:
    """Noise, thresholds and 0.5 GeV counts of every tower.

    ``constants`` (4, rows): ECAL noise, HCAL noise, ECAL threshold, HCAL threshold in GeV. Above its
    threshold a deposit keeps the pedestal-subtracted value, so that one count stays reachable.
    """
    for r in range(ROWS):
        forward = r < FIRST_CENTRAL or r >= LAST_CENTRAL
        for c in range(COLUMNS):
            e = em[r, c] + constants[0, r] * np.random.standard_normal()
            h = had[r, c] + constants[1, r] * np.random.standard_normal()
            if forward:
                h += e
                e = 0.0
            e_counts = int((e - constants[2, r] + 0.5) * 2) if e >= constants[2, r] else 0
            h_counts = int((h - constants[3, r] + 0.5) * 2) if h >= constants[3, r] else 0
            counts_em[r, c] = min(e_counts, _TOWER_MAX)
            counts_had[r, c] = min(h_counts, _TOWER_MAX)
            counts[r, c] = min(counts_em[r, c] + counts_had[r, c], _TOWER_SUM_MAX)


@njit(cache=True)
def regions(counts: Any, out: Any) -> None:
    """Sums of 4 x 4 central towers, ``out`` (18 iphi, 14 ieta), saturating at 10 bits."""
    for iphi in range(18):
        for ieta in range(14):
            total = 0
            for a in range(4):
                for b in range(4):
                    total += counts[FIRST_CENTRAL + 4 * ieta + a, 4 * iphi + b]
            out[iphi, ieta] = min(total, _REGION_MAX)


@njit(cache=True)
def met(counts: Any, threshold: Any, out: Any) -> None:
    """Missing transverse momentum of the central towers above ``threshold`` (rows,) counts -> out (3,)."""
    x = y = 0.0
    for c in range(COLUMNS):
        total = 0
        for r in range(FIRST_CENTRAL, LAST_CENTRAL):
            if counts[r, c] >= threshold[r]:
                total += counts[r, c]
        angle = (c + 0.5) * 2 * math.pi / COLUMNS
        x -= total * math.cos(angle)
        y -= total * math.sin(angle)
    out[0] = min(int(math.hypot(x, y)), MET_MAX)
    out[1] = 0
    out[2] = int(math.atan2(y, x) / (2 * math.pi) % 1.0 * 144) % 144 if out[0] > 0 else 0


@njit(cache=True)
def jets(counts: Any, strips: Any, seed: int, scale: float, out: Any) -> None:
    """Jets: 9 x 9 towers around a local maximum of at least ``seed`` counts, less the pile-up seen in
    three of the four 3 x 9 strips around them (the highest is left out), times ``scale``.
    """
    for r in range(ROWS):
        total = 0
        for d in range(-4, 5):
            total += counts[r, d % COLUMNS]
        strips[r, 0] = total
        for c in range(1, COLUMNS):
            total += counts[r, (c + 4) % COLUMNS] - counts[r, (c - 5) % COLUMNS]
            strips[r, c] = total
    for r in range(ROWS):
        for c in range(COLUMNS):
            if counts[r, c] < seed or not _is_maximum(counts, r, c, 4, 4, 0, ROWS):
                continue
            inside = below = above = left = right = 0
            for rr in range(max(0, r - 4), min(ROWS, r + 5)):
                inside += strips[rr, c]
                for d in range(5, 8):
                    left += counts[rr, (c - d) % COLUMNS]
                    right += counts[rr, (c + d) % COLUMNS]
            for rr in range(max(0, r - 7), max(0, r - 4)):
                below += strips[rr, c]
            for rr in range(min(ROWS, r + 5), min(ROWS, r + 8)):
                above += strips[rr, c]
            pileup = below + above + left + right - max(max(below, above), max(left, right))
            hw = int((inside - pileup) * scale)
            if hw >= 1:
                insert(out, min(hw, JET_MAX), round(ETA_CENTRES[r] / _ETA_LSB), 2 * c + 1)


@njit(cache=True)
def egammas(em: Any, had: Any, seed: int, h_over_e: float, scale: float, out: Any) -> None:
    """Electron and photon candidates: a local maximum of ECAL counts with its larger neighbours."""
    for r in range(FIRST_CENTRAL, LAST_CENTRAL):
        for c in range(COLUMNS):
            centre = em[r, c]
            if centre < seed or not _is_maximum(em, r, c, 1, 2, FIRST_CENTRAL, LAST_CENTRAL):
                continue
            if centre < _TOWER_MAX and had[r, c] > h_over_e * centre:
                continue
            total = centre
            for c2 in (c - 1, c + 1):
                if em[r, c2 % COLUMNS] >= 2:
                    total += em[r, c2 % COLUMNS]
            up = em[r + 1, c] if r + 1 < LAST_CENTRAL else 0
            down = em[r - 1, c] if r - 1 >= FIRST_CENTRAL else 0
            if max(up, down) >= 2:
                total += max(up, down)
            insert(out, min(int(total * scale), EGAMMA_MAX), round(ETA_CENTRES[r] / _ETA_LSB), 2 * c + 1)


@njit(cache=True)
def _is_maximum(counts: Any, r: int, c: int, rows: int, columns: int, first: int, last: int) -> bool:
    """Whether tower (r, c) beats its window; equal towers are decided by position, so one wins."""
    own = counts[r, c]
    for dr in range(-rows, rows + 1):
        if r + dr < first or r + dr >= last:
            continue
        for dc in range(-columns, columns + 1):
            if dr == 0 and dc == 0:
                continue
            other = counts[r + dr, (c + dc) % COLUMNS]
            if other > own or (other == own and (dc > dr or (dc == dr and dr > 0))):
                return False
    return True

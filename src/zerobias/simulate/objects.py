"""Tower counts -> Level-1 jets, HT, e/gamma and tau candidates; candidates kept in order of pT.

Parametrised after the CMS calorimeter trigger (sliding window with pile-up subtraction, tower
clusters). Arrays of counts are padded, see :mod:`zerobias.simulate.level1`. LSB 0.5 GeV.
"""

from __future__ import annotations

import math
from typing import Any

from numba import njit

from zerobias.simulate.level1 import PAD
from zerobias.simulate.towers import COLUMNS, ETA_CENTRES, FIRST_CENTRAL, LAST_CENTRAL, ROWS

__all__ = ["MUON_MAX", "egammas", "insert", "jets", "taus"]

MUON_MAX = 511
_JET_MAX, _CLUSTER_MAX, _HT_MAX = 2047, 511, 4095
_ETA_LSB = 0.0435
_NEIGHBOUR_MIN = 2


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
def jets(total: Any, seed: int, least: int, scale: Any, ht_min: int, ht_eta: float, out: Any) -> int:
    """Jets -> ``out`` (n, 3); the scalar sum of those of at least ``ht_min`` counts within ``ht_eta``.

    A jet is 9 x 9 towers around a local maximum of at least ``seed`` counts, less the pile-up seen in
    three of the four 3 x 9 strips around them (the highest is left out). Its calibration falls with its
    counts j: j (scale[0] + scale[1] exp(-j / scale[2])). Jets below ``least`` counts are dropped.
    """
    ht = 0
    for r in range(ROWS):
        for c in range(PAD, PAD + COLUMNS):
            if total[r, c] < seed or not _is_maximum(total, r, c, 4, 4, 0, ROWS):
                continue
            first, last = max(0, r - 4), min(ROWS, r + 5)
            inside = _sum(total, first, last, c - 4, c + 5)
            left, right = _sum(total, first, last, c - 7, c - 4), _sum(total, first, last, c + 5, c + 8)
            below = _sum(total, max(0, r - 7), first, c - 4, c + 5)
            above = _sum(total, last, min(ROWS, r + 8), c - 4, c + 5)
            raw = inside - (below + above + left + right - max(max(below, above), max(left, right)))
            hw = min(int(raw * (scale[0] + scale[1] * math.exp(-max(raw, 0) / scale[2]))), _JET_MAX)
            if hw < least:
                continue
            insert(out, hw, round(ETA_CENTRES[r] / _ETA_LSB), 2 * (c - PAD) + 1)
            if hw >= ht_min and abs(ETA_CENTRES[r]) < ht_eta:
                ht += hw
    return min(ht, _HT_MAX)


@njit(cache=True)
def egammas(em: Any, had: Any, seed: int, h_over_e: float, scale: float, out: Any) -> None:
    """Electron and photon candidates: a local maximum of ECAL counts with its larger neighbours."""
    for r in range(FIRST_CENTRAL, LAST_CENTRAL):
        for c in range(PAD, PAD + COLUMNS):
            centre = em[r, c]
            if centre < seed or not _is_maximum(em, r, c, 1, 2, FIRST_CENTRAL, LAST_CENTRAL):
                continue
            if centre < 255 and had[r, c] > h_over_e * centre:
                continue
            found = centre
            for other in (em[r, c - 1], em[r, c + 1]):
                if other >= _NEIGHBOUR_MIN:
                    found += other
            up = em[r + 1, c] if r + 1 < LAST_CENTRAL else 0
            down = em[r - 1, c] if r - 1 >= FIRST_CENTRAL else 0
            if max(up, down) >= _NEIGHBOUR_MIN:
                found += max(up, down)
            hw = min(int(found * scale), _CLUSTER_MAX)
            insert(out, hw, round(ETA_CENTRES[r] / _ETA_LSB), 2 * (c - PAD) + 1)


@njit(cache=True)
def taus(total: Any, seed: int, share: float, scale: float, eta_max: float, out: Any) -> None:
    """Tau candidates: 3 x 3 towers around a local maximum within ``eta_max`` that hold at least the
    share ``share`` of the 5 x 9 towers around it.
    """
    for r in range(FIRST_CENTRAL, LAST_CENTRAL):
        if abs(ETA_CENTRES[r]) >= eta_max:
            continue
        for c in range(PAD, PAD + COLUMNS):
            if total[r, c] < seed or not _is_maximum(total, r, c, 1, 4, FIRST_CENTRAL, LAST_CENTRAL):
                continue
            core = _sum(total, r - 1, r + 2, c - 1, c + 2)
            if core >= share * _sum(total, r - 2, r + 3, c - 4, c + 5):
                hw = min(int(core * scale), _CLUSTER_MAX)
                insert(out, hw, round(ETA_CENTRES[r] / _ETA_LSB), 2 * (c - PAD) + 1)


@njit(cache=True)
def _sum(counts: Any, first: int, last: int, left: int, right: int) -> int:
    found = 0
    for r in range(first, last):
        for c in range(left, right):
            found += counts[r, c]
    return found


@njit(cache=True)
def _is_maximum(counts: Any, r: int, c: int, rows: int, columns: int, first: int, last: int) -> bool:
    """Whether tower (r, c) beats its window; equal towers are decided by position, so one wins."""
    own = counts[r, c]
    for rr in range(max(first, r - rows), min(last, r + rows + 1)):
        for cc in range(c - columns, c + columns + 1):
            other = counts[rr, cc]
            dr, dc = rr - r, cc - c
            if other > own or (other == own and (dc > dr or (dc == dr and dr > 0))):
                return False
    return True

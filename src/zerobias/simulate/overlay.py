"""Overlay pooled interactions into bunch crossings and read out the Level-1 objects."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from zerobias.simulate.level1 import MUON_MAX, digitise, egammas, insert, jets, met, regions
from zerobias.simulate.spec import Detector
from zerobias.simulate.towers import COLUMNS, ETA_CENTRES, ROWS, Deposits

__all__ = ["Crossings", "overlay"]

_ETA_LSB_MUON = 0.010875


@dataclass(frozen=True)
class Crossings:
    """Level-1 content of bunch crossings: ``objects`` (n, 19, 3), ``regions`` (n, 18, 14), ``npu`` (n,)."""

    objects: NDArray[np.int16]
    regions: NDArray[np.uint16]
    npu: NDArray[np.uint16]


def overlay(
    interactions: NDArray[np.int64],
    counts: NDArray[np.int64],
    pool: Deposits,
    signal: NDArray[np.int64] | None,
    signal_pool: Deposits,
    detector: Detector,
    seed: int,
) -> Crossings:
    """Crossings made of pool interactions, smeared here.

    ``interactions``: pool event numbers of all crossings in a row, ``counts`` (n,) how many belong to
    each. ``signal`` (n,): event of ``signal_pool`` put on top of each crossing, or None. Each
    interaction is turned by a random multiple of one tower in phi and mirrored in eta at random.
    """
    number = len(counts)
    central = np.abs(ETA_CENTRES)
    zone = np.where(central < 1.479, 0, np.where(central < 2.5, 1, 2))
    noise = np.where(central < 3.0, 1.0, 0.0)

    def by_row(triple: tuple[float, float, float]) -> NDArray[np.float64]:
        return np.array(triple)[zone]

    constants = np.stack(
        [
            by_row(detector.ecal_tower_noise) * noise,
            by_row(detector.hcal_tower_noise) * noise,
            by_row(detector.ecal_threshold),
            by_row(detector.hcal_threshold),
        ]
    )
    response = np.array(
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
    muons = np.array(
        [
            detector.muon_resolution,
            detector.muon_tail_resolution,
            detector.muon_tail_fraction,
            detector.muon_barrel_pt_min,
            detector.muon_endcap_p_min,
        ]
    )
    objects = np.zeros((number, 19, 3), np.int16)
    region = np.zeros((number, 18, 14), np.uint16)
    _overlay(
        interactions,
        counts,
        pool.arrays(),
        np.full(number, -1, np.int64) if signal is None else signal,
        signal_pool.arrays(),
        constants,
        response,
        muons,
        np.rint(2 * by_row(detector.met_threshold)).astype(np.int64),
        round(2 * detector.jet_seed),
        detector.jet_scale,
        round(2 * detector.egamma_seed),
        detector.egamma_h_over_e,
        detector.egamma_scale,
        objects,
        region,
        seed,
    )
    return Crossings(objects, region, np.minimum(counts, 65535).astype(np.uint16))


@njit(cache=True)
def _add(event: int, pool: Any, response: Any, muons: Any, em: Any, had: Any, muon_table: Any) -> None:
    """Add one interaction, smeared, to the tower sums and the muon table."""
    offset, row, column, row2, column2, energy, transverse, kind, muon_offset, muon = pool
    turn = np.random.randint(0, COLUMNS)
    mirror = np.random.random() < 0.5
    for k in range(offset[event], offset[event + 1]):
        e = energy[k]
        em_part = had_part = 0.0
        if kind[k] == 2:
            em_part, had_part = response[10], min(e, 2.0)
        elif kind[k] == 0:
            spread = math.sqrt(response[0] ** 2 / e + (response[1] / e) ** 2 + response[2] ** 2)
            em_part = max(0.0, e * (1 + spread * np.random.standard_normal()))
        elif e > 0:
            mean = e * (response[5] - response[6] * math.exp(-e / response[7]))
            spread = math.sqrt(response[3] ** 2 / max(e, 0.5) + response[4] ** 2)
            seen = max(0.0, mean * (1 + spread * np.random.standard_normal()))
            if np.random.random() < response[8]:
                em_part = min(response[10], seen)
            else:
                em_part = seen * response[9] * np.random.random()
            had_part = seen - em_part
        em_part *= transverse[k]
        had_part *= transverse[k]
        share = response[11] if kind[k] != 2 and e * transverse[k] > 1.0 else 0.0
        for part in range(2):
            weight = share if part else 1.0 - share
            if weight == 0.0:
                continue
            r = row2[k] if part else row[k]
            c = ((column2[k] if part else column[k]) + turn) % COLUMNS
            if mirror:
                r = ROWS - 1 - r
            em[r, c] += weight * em_part
            had[r, c] += weight * had_part
    for k in range(muon_offset[event], muon_offset[event + 1]):
        if np.random.random() > muon[k, 3]:
            continue
        pt = muon[k, 0] * (1.0 if muon[k, 4] == 1.0 else np.random.uniform(muon[k, 4], 1.0))
        eta = -muon[k, 1] if mirror else muon[k, 1]
        if abs(eta) < 1.0:
            if pt < muons[3]:
                continue
        elif pt * math.cosh(eta) < muons[4]:
            continue
        spread = muons[1] if np.random.random() < muons[2] else muons[0]
        curvature = max((1 + spread * np.random.standard_normal()) / pt, 1 / 250.0)
        hw = min(int(2 / curvature) + 1, MUON_MAX)
        phi = (muon[k, 2] / (2 * math.pi) + turn / COLUMNS) % 1.0
        insert(muon_table, hw, round(eta / _ETA_LSB_MUON), int(phi * 576) % 576)


@njit(cache=True)
def _overlay(
    interactions: Any,
    counts: Any,
    pool: Any,
    signal: Any,
    signal_pool: Any,
    constants: Any,
    response: Any,
    muons: Any,
    met_threshold: Any,
    jet_seed: int,
    jet_scale: float,
    egamma_seed: int,
    h_over_e: float,
    egamma_scale: float,
    objects: Any,
    region: Any,
    seed: int,
) -> None:
    np.random.seed(seed)
    em = np.zeros((ROWS, COLUMNS))
    had = np.zeros((ROWS, COLUMNS))
    counts_em = np.zeros((ROWS, COLUMNS), np.int64)
    counts_had = np.zeros((ROWS, COLUMNS), np.int64)
    total = np.zeros((ROWS, COLUMNS), np.int64)
    strips = np.zeros((ROWS, COLUMNS), np.int64)
    position = 0
    for crossing in range(len(counts)):
        em[:] = 0
        had[:] = 0
        for _ in range(counts[crossing]):
            _add(interactions[position], pool, response, muons, em, had, objects[crossing, 5:9])
            position += 1
        if signal[crossing] >= 0:
            _add(signal[crossing], signal_pool, response, muons, em, had, objects[crossing, 5:9])
        digitise(em, had, constants, counts_em, counts_had, total)
        regions(total, region[crossing])
        met(total, met_threshold, objects[crossing, 0])
        egammas(counts_em, counts_had, egamma_seed, h_over_e, egamma_scale, objects[crossing, 1:5])
        jets(total, strips, jet_seed, jet_scale, objects[crossing, 9:19])

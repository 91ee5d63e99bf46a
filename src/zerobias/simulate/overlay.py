"""Overlay pooled interactions into bunch crossings and read out the Level-1 content."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from zerobias.simulate.level1 import PADDED, digitise, met, region_bits, regions
from zerobias.simulate.objects import MUON_MAX, egammas, insert, jets, taus
from zerobias.simulate.response import response_constants, smear
from zerobias.simulate.spec import Detector
from zerobias.simulate.towers import COLUMNS, ETA_CENTRES, ROWS, Deposits

__all__ = ["NO_LEADER", "Crossings", "Readout", "count_muons", "overlay"]

NO_LEADER = 2**32 - 1
"""Leader of a crossing without any interaction."""
_ETA_LSB_MUON = 0.010875
_NORMALS: NDArray[np.float32] = (
    np.random.default_rng(20241).standard_normal(2**18 + COLUMNS).astype(np.float32)
)


@dataclass(frozen=True)
class Crossings:
    """Level-1 content of n bunch crossings, as :data:`zerobias.events.SHAPES` says, and their pile-up."""

    objects: NDArray[np.int16]
    regions: NDArray[np.uint16]
    region_bits: NDArray[np.uint8]
    taus: NDArray[np.int16]
    ht: NDArray[np.uint16]
    leader: NDArray[np.uint32]
    npu: NDArray[np.uint16]


@dataclass(frozen=True)
class Readout:
    """The detector's constants as the compiled overlay wants them."""

    towers: NDArray[np.float32]
    response: NDArray[np.float64]
    muons: NDArray[np.float64]
    met: NDArray[np.int64]
    jet: NDArray[np.float64]
    cluster: NDArray[np.float64]

    @classmethod
    def of(cls, detector: Detector) -> Readout:
        """From constants in GeV to counts per row."""
        central = np.abs(ETA_CENTRES)
        zone = np.where(central < 1.479, 0, np.where(central < 2.5, 1, 2))

        def by_row(triple: tuple[float, float, float]) -> NDArray[np.float64]:
            return np.array(triple)[zone]

        quiet = np.where(central < 3.0, 1.0, 0.0)  # no noise is simulated in the forward calorimeter
        return cls(
            np.stack(
                [
                    by_row(detector.ecal_tower_noise) * quiet,
                    by_row(detector.hcal_tower_noise) * quiet,
                    by_row(detector.ecal_threshold),
                    by_row(detector.hcal_threshold),
                ]
            ).astype(np.float32),
            response_constants(detector),
            np.array(
                [
                    detector.muon_resolution,
                    detector.muon_tail_resolution,
                    detector.muon_tail_fraction,
                    detector.muon_barrel_pt_min,
                    detector.muon_endcap_p_min,
                    detector.muon_scale,
                ]
            ),
            np.round(2 * by_row(detector.met_threshold)).astype(np.int64),
            np.array(
                [
                    2 * detector.jet_seed,
                    2 * detector.jet_min,
                    detector.jet_scale,
                    detector.jet_scale_soft,
                    2 * detector.jet_scale_range,
                    2 * detector.ht_jet_min,
                    detector.ht_eta_max,
                ]
            ),
            np.array(
                [
                    2 * detector.egamma_seed,
                    detector.egamma_h_over_e,
                    detector.egamma_scale,
                    2 * detector.tau_seed,
                    detector.tau_share,
                    detector.tau_scale,
                    detector.tau_eta_max,
                    2 * detector.region_bit_min,
                    detector.region_active_share,
                    detector.region_em_share,
                ]
            ),
        )


def overlay(
    interactions: NDArray[np.int64],
    counts: NDArray[np.int64],
    pool: Deposits,
    signal: NDArray[np.int64] | None,
    signal_pool: Deposits,
    detector: Detector,
    seeds: NDArray[np.int64],
) -> Crossings:
    """Crossings made of pool interactions, smeared here.

    ``interactions``: pool event numbers of all crossings in a row, ``counts`` (n,) how many belong to
    each. ``signal`` (n,): event of ``signal_pool`` put on top of each crossing, or None. Each
    interaction is turned by a random multiple of one tower in phi and mirrored in eta at random.
    ``seeds`` (n,) below 2**32: a crossing depends on its own seed only.
    """
    number = len(counts)
    made = Crossings(
        np.zeros((number, 19, 3), np.int16),
        np.zeros((number, 18, 14), np.uint16),
        np.zeros((number, 18, 14), np.uint8),
        np.zeros((number, 4, 3), np.int16),
        np.zeros(number, np.uint16),
        np.zeros(number, np.uint32),
        counts.astype(np.uint16),
    )
    readout = Readout.of(detector)
    _overlay(
        interactions,
        counts,
        pool.arrays(),
        np.full(number, -1) if signal is None else signal,
        signal_pool.arrays(),
        tuple(vars(readout).values()),
        _NORMALS,
        seeds,
        tuple(vars(made).values())[:-1],
    )
    return made


def count_muons(
    interactions: NDArray[np.int64],
    counts: NDArray[np.int64],
    pool: Deposits,
    detector: Detector,
    seeds: NDArray[np.int64],
) -> NDArray[np.int64]:
    """Muons (up to 4) each crossing would have in :func:`overlay` with the same arguments, (n,)."""
    found = np.zeros(len(counts), np.int64)
    _count_muons(interactions, counts, pool.arrays(), Readout.of(detector).muons, seeds, found)
    return found


@njit(cache=True)
def _place(count: int, turns: Any, mirrors: Any) -> None:
    for k in range(count):
        turns[k] = np.random.randint(0, COLUMNS)
        mirrors[k] = np.random.randint(0, 2)


@njit(cache=True)
def _add_muons(event: int, offset: Any, muon: Any, muons: Any, turn: int, mirror: int, table: Any) -> None:
    """Roll the muon candidates of one interaction into the muon table."""
    for k in range(offset[event], offset[event + 1]):
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
        pt *= muons[5] * math.exp(spread * np.random.standard_normal())
        hw = min(int(2 * pt) + 1, MUON_MAX)
        phi = (muon[k, 2] / (2 * math.pi) + turn / COLUMNS) % 1.0
        insert(table, hw, round(eta / _ETA_LSB_MUON), int(phi * 576) % 576)


@njit(cache=True)
def _add(event: int, pool: Any, response: Any, turn: int, mirror: int, towers: Any) -> None:
    """Put the deposits of one interaction on the towers: soft ones as moments, hard ones rolled now."""
    soft_offset, soft_place, soft, hard_offset, place, energy, transverse, kind = pool[:8]
    for k in range(soft_offset[event], soft_offset[event + 1]):
        r, c = np.int64(soft_place[k, 0]), np.int64(soft_place[k, 1]) + turn
        if c >= COLUMNS:
            c -= COLUMNS
        if mirror:
            r = ROWS - 1 - r
        for i in range(4):
            towers[r, c, i] += soft[k, i]
    for k in range(hard_offset[event], hard_offset[event + 1]):
        em, had = smear(kind[k], energy[k], response)
        for part in range(2):
            weight = transverse[k] * (response[11] if part else 1.0 - response[11])
            r, c = np.int64(place[k, 2 * part]), (np.int64(place[k, 2 * part + 1]) + turn) % COLUMNS
            if mirror:
                r = ROWS - 1 - r
            towers[r, c, 0] += np.float32(weight * em)
            towers[r, c, 2] += np.float32(weight * had)


@njit(cache=True)
def _activity(event: int, pool: Any) -> float:
    """Sum of the squared transverse energies of an interaction's single deposits and of its muons."""
    hard_offset, energy, transverse, muon_offset, muon = pool[3], pool[5], pool[6], pool[8], pool[9]
    total = 0.0
    for k in range(hard_offset[event], hard_offset[event + 1]):
        total += (energy[k] * transverse[k]) ** 2
    for k in range(muon_offset[event], muon_offset[event + 1]):
        total += muon[k, 3] * muon[k, 0] ** 2
    return total


@njit(cache=True)
def _count_muons(interactions: Any, counts: Any, pool: Any, muons: Any, seeds: Any, found: Any) -> None:
    turns, mirrors = np.zeros(counts.max() + 1, np.int64), np.zeros(counts.max() + 1, np.int64)
    table = np.zeros((4, 3), np.int16)
    position = 0
    for crossing in range(len(counts)):
        np.random.seed(seeds[crossing])
        _place(counts[crossing] + 1, turns, mirrors)
        table[:] = 0
        for k in range(counts[crossing]):
            _add_muons(interactions[position + k], pool[8], pool[9], muons, turns[k], mirrors[k], table)
        position += counts[crossing]
        for k in range(4):
            found[crossing] += table[k, 0] > 0


@njit(cache=True)
def _overlay(
    interactions: Any,
    counts: Any,
    pool: Any,
    signal: Any,
    signal_pool: Any,
    readout: Any,
    normals: Any,
    seeds: Any,
    out: Any,
) -> None:
    constants, response, muons, met_threshold, jet, cluster = readout
    objects, region, bits, tau, ht, leader = out
    turns, mirrors = np.zeros(counts.max() + 1, np.int64), np.zeros(counts.max() + 1, np.int64)
    towers = np.zeros((ROWS, COLUMNS, 4), np.float32)
    em = np.zeros((ROWS, PADDED), np.int32)
    had = np.zeros((ROWS, PADDED), np.int32)
    total = np.zeros((ROWS, PADDED), np.int32)
    position = 0
    for crossing in range(len(counts)):
        np.random.seed(seeds[crossing])
        count, table = counts[crossing], objects[crossing]
        _place(count + 1, turns, mirrors)
        for k in range(count):  # all muons first, so that count_muons rolls the same
            _add_muons(interactions[position + k], pool[8], pool[9], muons, turns[k], mirrors[k], table[5:9])
        towers[:] = 0
        leader[crossing], most = NO_LEADER, -1.0
        for k in range(count):
            event = interactions[position + k]
            _add(event, pool, response, turns[k], mirrors[k], towers)
            activity = _activity(event, pool)
            if activity > most:
                leader[crossing], most = event, activity
        position += count
        own = signal[crossing]
        if own >= 0:
            leader[crossing] = own
            turn, mirror = turns[count], mirrors[count]
            _add_muons(own, signal_pool[8], signal_pool[9], muons, turn, mirror, table[5:9])
            _add(own, signal_pool, response, turn, mirror, towers)
        digitise(towers, constants, normals, em, had, total)
        regions(total, region[crossing])
        region_bits(em, total, region[crossing], cluster[7], cluster[8], cluster[9], bits[crossing])
        met(total, met_threshold, table[0])
        egammas(em, had, cluster[0], cluster[1], cluster[2], table[1:5])
        taus(total, cluster[3], cluster[4], cluster[5], cluster[6], tau[crossing])
        ht[crossing] = jets(total, jet[0], jet[1], jet[2:5], jet[5], jet[6], table[9:19])

"""Particles -> charges of the trigger cells of HGCAL wafers: the compiled core of the wafer simulation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from zerobias.events.wafer import CELLS, PITCH_CM, WAFER_WIDTH_CM, cell_of
from zerobias.simulate.generate import Particles
from zerobias.simulate.hgcal import Hgcal
from zerobias.simulate.showers import (
    CHARGED,
    ELECTRON,
    MUON,
    NEUTRAL,
    NOTHING,
    PHOTON,
    em_signal,
    hadron_signal,
    stack_of,
    start_shower,
    track_signal,
)
from zerobias.simulate.towers import _charge, _impact

__all__ = ["Hits", "digitise", "expose", "strike"]

_ETA_MIN, _ETA_MAX = 1.2, 3.5  # wider than any wafer and the reach of its showers
_CIRCUMRADIUS_CM = WAFER_WIDTH_CM / math.sqrt(3)
_cell_of = njit(cell_of)


@dataclass(frozen=True)
class Hits:
    """Particles at the face of the endcaps: event i owns ``offset[2 i]:offset[2 i + 1]`` in the backward
    and ``offset[2 i + 1]:offset[2 i + 2]`` in the forward one.

    ``x``, ``y``: direction from the collision point, as x / |z| and y / |z|. ``energy`` in GeV, kinetic
    for nucleons; ``kind`` of :mod:`~zerobias.simulate.showers`.
    """

    offset: NDArray[np.int64]
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    energy: NDArray[np.float64]
    kind: NDArray[np.int64]


def strike(slices: Sequence[Particles], hgcal: Hgcal) -> Hits:
    """The endcap hits of all events of ``slices``, in order: a helix in the field, no material before."""
    parts = [
        _strike(
            s.offset,
            s.pdg,
            s.pt,
            s.eta,
            s.phi,
            s.mass,
            hgcal.field_t,
            hgcal.outer_radius_m,
            hgcal.front_cm / 100,
        )
        for s in slices
    ]
    offset, shift = [np.zeros(1, np.int64)], 0
    for part in parts:
        offset.append(part[0][1:] + shift)
        shift += part[0][-1]
    return Hits(np.concatenate(offset), *(np.concatenate([p[k] for p in parts]) for k in range(1, 5)))


def expose(
    hits: Hits,
    interactions: NDArray[np.int64],
    pileup: NDArray[np.int64],
    signal: NDArray[np.float64],
    which: NDArray[np.int64],
    hgcal: Hgcal,
    seed: int,
) -> NDArray[np.float64]:
    """Charges in fC (crossings, k, 48) of the wafers ``hgcal.place[which]``, ``which`` (crossings, k).

    ``interactions``: events of ``hits`` of all crossings in a row, ``pileup`` (crossings,) how many belong
    to each; each is turned by a random angle and mirrored at random. ``signal`` (crossings, 4): x / z, y / z,
    energy in GeV (0: no signal) and kind of a particle on top.
    """
    sensors = [hgcal.type_of(p) for p in hgcal.place]
    places = np.array(
        [
            (
                p.layer,
                hgcal.depth_cm(p.layer),
                *hgcal.centre_cm(p),
                hgcal.mip_peak_fc[t],
                hgcal.mip_mean_fc[t],
            )
            for p, t in zip(hgcal.place, sensors, strict=True)
        ]
    )
    charge = np.zeros((*which.shape, CELLS))
    _expose(
        interactions,
        pileup,
        (hits.offset, hits.x, hits.y, hits.energy, hits.kind),
        signal,
        which,
        places,
        stack_of(hgcal),
        hgcal.reach_cm,
        charge,
        seed,
    )
    return charge


def digitise(
    rng: np.random.Generator, charge: NDArray[np.float64], sensor: NDArray[Any], hgcal: Hgcal
) -> NDArray[np.uint32]:
    """ADC counts of charges in fC (..., 48) of wafers of the type ``sensor`` (...).

    Each sensor cell of a trigger cell adds Gaussian noise, which the pedestal subtraction limits to
    positive values; the sum is truncated to counts and saturates.
    """
    seen = charge.copy()
    for number, (noise, cells) in enumerate(zip(hgcal.noise_fc, hgcal.sensor_cells, strict=True)):
        mine = sensor == number
        drawn = noise * rng.standard_normal((mine.sum(), CELLS, cells))
        seen[mine] += np.maximum(drawn, 0).sum(axis=-1)
    counts: NDArray[np.uint32] = np.minimum(seen / hgcal.lsb_fc, 2**hgcal.bits - 1).astype(np.uint32)
    return counts


@njit(cache=True)
def _kind(pdg: int) -> int:
    code = abs(pdg)
    if code == 22:
        return PHOTON
    if code == 11:
        return ELECTRON
    if code == 13:
        return MUON
    return NEUTRAL if _charge(pdg) == 0 else CHARGED


@njit(cache=True)
def _strike(
    offset: Any,
    pdg: Any,
    pt: Any,
    eta: Any,
    phi: Any,
    mass: Any,
    field: float,
    radius_m: float,
    half: float,
) -> Any:
    new = np.zeros(2 * len(offset) - 1, np.int64)
    x, y, energy = np.empty(len(pdg)), np.empty(len(pdg)), np.empty(len(pdg))
    kind = np.empty(len(pdg), np.int64)
    k = 0
    for event in range(len(offset) - 1):
        for side in range(2):
            for j in range(offset[event], offset[event + 1]):
                if (eta[j] > 0) != (side == 1):
                    continue
                at, angle, reached = _impact(pt[j], eta[j], phi[j], _charge(pdg[j]), field, radius_m, half)
                if not reached or not _ETA_MIN < abs(at) < _ETA_MAX:
                    continue
                total = math.sqrt((pt[j] * math.cosh(eta[j])) ** 2 + mass[j] ** 2)
                if abs(pdg[j]) in (2212, 2112):  # a nucleon keeps its mass, an antinucleon gives it twice
                    total += mass[j] if pdg[j] < 0 else -mass[j]
                slope = 1 / math.sinh(abs(at))
                x[k], y[k] = slope * math.cos(angle), slope * math.sin(angle)
                energy[k], kind[k] = total, _kind(pdg[j])
                k += 1
            new[2 * event + side + 1] = k
    return new, x[:k].copy(), y[:k].copy(), energy[:k].copy(), kind[:k].copy()


@njit(cache=True)
def _deposit(mips: float, x: float, y: float, peak: float, mean: float, out: Any) -> None:
    """Add the charge of ``mips`` at (x, y) cm: exponential above its most probable value ``peak``, a plain
    stand-in for straggling."""
    cell = _cell_of(x / PITCH_CM, y / PITCH_CM)
    if cell >= 0:
        out[cell] += mips * (peak - (mean - peak) * math.log(1 - np.random.random()))


@njit(cache=True)
def _spots(
    expected: float, mips: float, scale: float, x: float, y: float, peak: float, mean: float, out: Any
) -> None:
    """Add Poisson many spots of ``mips`` around the axis (x, y) cm.

    Radii follow 2 r R^2 / (r^2 + R^2)^2 with the median R = ``scale`` cm. Only spots far enough from the
    axis to reach the wafer are drawn.
    """
    if expected <= 0:
        return
    gap = max(math.hypot(x, y) - _CIRCUMRADIUS_CM, 0.0)
    beyond = scale**2 / (gap**2 + scale**2)  # share of the spots that are further out than the gap
    for _ in range(np.random.poisson(expected * beyond)):
        u = beyond * (1 - np.random.random())
        away = scale * math.sqrt((1 - u) / u)
        angle = 2 * math.pi * np.random.random()
        _deposit(mips, x + away * math.cos(angle), y + away * math.sin(angle), peak, mean, out)


@njit(cache=True)
def _particle(
    x: float, y: float, energy: float, kind: int, which: Any, places: Any, stack: Any, reach: float, out: Any
) -> None:
    """Add one particle to the wafers ``which`` near its axis."""
    started = False
    slant = math.sqrt(1 + x * x + y * y)
    shower = NOTHING
    for w in range(len(which)):
        place = places[which[w]]
        dx, dy = x * place[1] - place[2], y * place[1] - place[3]
        if dx * dx + dy * dy > reach * reach:
            continue
        if not started:
            shower = start_shower(kind, energy, stack)
            started = True
        layer, peak, mean = int(place[0]), place[4], place[5]
        track = track_signal(shower, layer, slant, stack)
        if track > 0:
            _deposit(track, dx, dy, peak, mean, out[w])
        spots, mips, core, tail, share = em_signal(shower, layer, slant, stack)
        _spots(spots * share, mips, core, dx, dy, peak, mean, out[w])
        _spots(spots * (1 - share), mips, tail, dx, dy, peak, mean, out[w])
        spots = hadron_signal(shower, layer, slant, stack)
        _spots(spots * stack.core_share, 1.0, stack.core, dx, dy, peak, mean, out[w])
        _spots(spots * (1 - stack.core_share), 1.0, stack.halo, dx, dy, peak, mean, out[w])


@njit(cache=True)
def _expose(
    interactions: Any,
    pileup: Any,
    hits: Any,
    signal: Any,
    which: Any,
    places: Any,
    stack: Any,
    reach: float,
    charge: Any,
    seed: int,
) -> None:
    np.random.seed(seed)
    offset, x, y, energy, kind = hits
    position = 0
    for crossing in range(len(pileup)):
        for _ in range(pileup[crossing]):
            side = 2 * interactions[position] + np.random.randint(0, 2)
            position += 1
            turn = 2 * math.pi * np.random.random()
            c, s = math.cos(turn), math.sin(turn)
            for k in range(offset[side], offset[side + 1]):
                _particle(
                    c * x[k] - s * y[k],
                    s * x[k] + c * y[k],
                    energy[k],
                    kind[k],
                    which[crossing],
                    places,
                    stack,
                    reach,
                    charge[crossing],
                )
        px, py, e, code = signal[crossing]
        if e > 0:
            _particle(px, py, e, int(code), which[crossing], places, stack, reach, charge[crossing])

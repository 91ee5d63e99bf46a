"""Fit thresholds and scales of triggers/detector.toml to the medians of real zero bias.

``python tools/fit_detector.py POOL`` takes a pool folder (``zerobias simulate --pool POOL``), fits and writes
the fitted lines of detector.toml. The same pool and constants give the same result. Two fits:

* muons: reach, scale and resolution, on muon candidates drawn by their probabilities; the k-th muon of a
  crossing with k of them is the softest of k independent ones;
* calorimeter: thresholds and scales, on whole crossings; the single-jet rate on forced ones.

Each is a pattern search: every constant in turn is tried a step up and down, the step halves when nothing
improves. The loss is the sum of fourth powers of the logarithm of the ratio to the anchor, in units of 10 %
(rate: 30 %), so that the worst ratio counts most. Common random numbers make it deterministic, and medians
are interpolated within a hardware count to make it smooth.
"""

from __future__ import annotations

import math
import os
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from zerobias.beam import Beam
from zerobias.events import OBJECTS
from zerobias.shelves import shelf
from zerobias.simulate import load_cards
from zerobias.simulate.crossings import OverlayChunk, Simulation
from zerobias.simulate.pool import plan_pool
from zerobias.simulate.spec import Detector
from zerobias.simulate.stages import make_deposits
from zerobias.simulate.validate import Anchors, load_anchors

__all__ = ["main"]

_CROSSINGS, _FORCED, _MUONS = 2000, 120, 400_000
_ROUNDS = 2
_MUON_KNOBS = (
    "muon_barrel_pt_min",
    "muon_endcap_p_min",
    "muon_scale",
    "muon_resolution",
    "muon_tail_fraction",
)
_CALO_KNOBS = (
    "ecal_threshold",
    "hcal_threshold",
    "met_threshold",
    "jet_seed",
    "jet_scale",
    "jet_scale_soft",
    "jet_scale_range",
    "jet_min",
    "egamma_seed",
    "egamma_scale",
    "egamma_h_over_e",
)
_LIMITS = {
    "muon_barrel_pt_min": (2.5, 4.0),
    "muon_endcap_p_min": (4.0, 8.0),
    "muon_scale": (1.0, 1.6),
    "muon_resolution": (0.15, 0.3),
    "muon_tail_fraction": (0.01, 0.1),
    "jet_scale": (0.9, 1.3),
    "jet_scale_soft": (0.05, 1.0),
    "jet_scale_range": (10.0, 60.0),
    "jet_min": (0.5, 9.0),
    "jet_seed": (2.0, 5.0),
    "egamma_seed": (1.5, 3.0),
    "egamma_scale": (1.0, 1.7),
    "egamma_h_over_e": (0.03, 0.3),
}
Loss = Callable[[Detector], float]


def smooth_median(hardware: NDArray[np.int64], weight: NDArray[np.float64] | None = None) -> float:
    """Median in GeV of 0.5 GeV counts, interpolated within the count that holds it; 0 of nothing."""
    if not len(hardware):
        return 0.0
    content = np.bincount(hardware, weight)
    total = np.cumsum(content)
    k = int(np.searchsorted(total, 0.5 * total[-1]))
    return float(k - 0.5 + (0.5 * total[-1] - (total[k] - content[k])) / content[k]) / 2


def distance(value: float, anchor: float, unit: float = 0.1) -> float:
    """Fourth power of the logarithm of the ratio; a missing object counts as one tenth of the anchor."""
    return (math.log(max(value, 0.1 * anchor) / anchor) / unit) ** 4


def muon_loss(simulation: Simulation, anchors: Anchors) -> Loss:
    """Loss of the four muon medians, on candidates drawn once by their probabilities."""
    rng = np.random.default_rng(1)
    pool, strata = simulation.deposits, simulation.strata
    chance = np.zeros(len(pool))
    for p, start, stop in zip(strata.p, simulation.starts[:-1], simulation.starts[1:], strict=True):
        chance[start:stop] = p / (stop - start)
    weight = np.repeat(chance, np.diff(pool.muon_offset)) * pool.muon[:, 3]
    muon = pool.muon[rng.choice(len(weight), _MUONS, p=weight / weight.sum())].astype(np.float64)
    pt = muon[:, 0] * np.where(muon[:, 4] == 1, 1.0, rng.uniform(muon[:, 4], 1.0))
    momentum, barrel = pt * np.cosh(muon[:, 1]), np.abs(muon[:, 1]) < 1.0
    normal, tail = rng.standard_normal(_MUONS), rng.random(_MUONS)

    def loss(detector: Detector) -> float:
        seen = np.where(barrel, pt > detector.muon_barrel_pt_min, momentum > detector.muon_endcap_p_min)
        spread = np.where(
            tail < detector.muon_tail_fraction, detector.muon_tail_resolution, detector.muon_resolution
        )
        hardware = (2 * detector.muon_scale * pt * np.exp(spread * normal))[seen].astype(np.int64) + 1
        return sum(
            distance(smooth_median(hardware[: len(hardware) // k * k].reshape(-1, k).min(axis=1)), anchor)
            for k, anchor in enumerate(anchors.muon, 1)
        )

    return loss


def calorimeter_loss(simulation: Simulation, anchors: Anchors) -> Loss:
    """Loss of the medians of MET, e/gamma and jets and of the single-jet rate."""
    plain = OverlayChunk(0, 0, None, (0, 4), _CROSSINGS, 1.0, -1, 1)
    forced = [
        OverlayChunk(0, 0, s, (0, 4), _FORCED, simulation.strata.probability(s) / _FORCED, -1, 2 + s)
        for s, is_forced in enumerate(simulation.strata.forced)
        if is_forced
    ]
    khz = Beam(bunches=anchors.bunches).crossings_khz
    low, high = anchors.jet_rate_khz

    def loss(detector: Detector) -> float:
        own = replace(simulation, detector=detector)
        pt = own.run(plain).objects[:, :, 0].astype(np.int64)
        total = 0.0
        for kind in ("met", "egamma", "jet"):
            for values, anchor in zip(pt[:, OBJECTS[kind]].T, getattr(anchors, kind), strict=True):
                total += distance(smooth_median(values[values > 0]), anchor)
        threshold = 2 * anchors.jet_rate_gev
        rate = sum(c.weight * int((own.run(c).objects[:, 9, 0] >= threshold).sum()) for c in forced) * khz
        return total + distance(rate, math.sqrt(low * high), 0.3)

    return loss


def search(loss: Loss, detector: Detector, knobs: tuple[str, ...], step: float) -> Detector:
    """Pattern search over the logarithms of ``knobs``; a triple is scaled as a whole."""
    best = loss(detector)
    sys.stdout.write(f"start: loss {best:.2f}\n")
    for _ in range(_ROUNDS):
        better = True
        while better:
            better = False
            for knob in knobs:
                for factor in (1 + step, 1 / (1 + step)):
                    tried = scaled(detector, knob, factor)
                    found = loss(tried)
                    if found < best - 0.01:
                        detector, best, better = tried, found, True
                        sys.stdout.write(f"{knob} = {getattr(detector, knob)}: loss {best:.2f}\n")
                        sys.stdout.flush()
                        break
        step /= 2
    return detector


def scaled(detector: Detector, knob: str, factor: float) -> Detector:
    """``detector`` with one constant scaled, rounded to what the file will say, inside its limits."""
    value = getattr(detector, knob)
    if isinstance(value, tuple):
        return detector.model_copy(update={knob: tuple(round(v * factor, 3) for v in value)})
    low, high = _LIMITS[knob]
    return detector.model_copy(update={knob: round(min(max(value * factor, low), high), 4)})


def main(arguments: list[str]) -> int:
    """Fit with the pool folder named on the command line and rewrite detector.toml."""
    if len(arguments) != 1:
        sys.stderr.write("usage: fit_detector.py POOL\n")
        return 2
    detector, card, _ = load_cards()
    anchors = load_anchors()
    pool = plan_pool(Path(arguments[0]), card, (), card.seed)
    simulation = Simulation.load(make_deposits(pool, pool.strata(card), detector))
    detector = search(muon_loss(simulation, anchors), detector, _MUON_KNOBS, 0.05)
    detector = search(calorimeter_loss(simulation, anchors), detector, _CALO_KNOBS, 0.05)
    path = shelf("triggers") / "detector.toml"
    text = path.read_text()
    for knob in (*_MUON_KNOBS, *_CALO_KNOBS):
        value = getattr(detector, knob)
        shown = list(value) if isinstance(value, tuple) else value
        text = re.sub(rf"^{knob} = .*$", f"{knob} = {shown}", text, flags=re.MULTILINE)
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(text)
    os.replace(temporary, path)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

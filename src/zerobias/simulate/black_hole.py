"""Black-hole-like signals: a heavy state that decays democratically to many particles at once.

Pairs of quarks (3 of 4), charged leptons and photons share the massless n-body phase space (RAMBO,
Kleiss, Stirling and Ellis 1986); Pythia showers and hadronises them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from zerobias.simulate.spec import BlackHoleCard
from zerobias.simulate.suep import boost, directions

__all__ = ["fill", "phase_space"]

_QUARKS, _LEPTONS = 0.75, 0.88
_MASSES = {1: 0.33, 2: 0.33, 3: 0.5, 4: 1.5, 5: 4.8, 11: 0.000511, 13: 0.10566, 15: 1.77686, 22: 0.0}


def phase_space(rng: np.random.Generator, mass: float, count: int) -> NDArray[np.float64]:
    """Momenta (count, 4) = px, py, pz, E of massless particles at rest together, total energy ``mass``."""
    energy = -np.log(rng.random(count) * rng.random(count))
    four = np.column_stack([energy[:, None] * directions(rng, count), energy])
    total = four.sum(axis=0)
    own = np.sqrt(total[3] ** 2 - np.sum(total[:3] ** 2))
    return boost(four, -total[:3] / total[3]) * float(mass / own)


def fill(rng: np.random.Generator, pythia: Any, card: BlackHoleCard) -> None:
    """Put the decay of one black hole into Pythia's event record and let it radiate."""
    pairs = max(2, int(rng.poisson(card.pairs)))
    four = phase_space(rng, card.mass, 2 * pairs)
    four = boost(four, np.array([0.0, 0.0, np.tanh(rng.normal(0, card.rapidity))]))
    event = pythia.event
    event.reset()
    for pair in range(pairs):
        choice = rng.random()
        colour = 0
        if choice < _QUARKS:
            kind, colour = int(rng.integers(1, 6)), 101 + pair
        elif choice < _LEPTONS:
            kind = int(rng.choice([11, 13, 15]))
        else:
            kind = 22
        mass = _MASSES[kind]
        for particle, code in enumerate((kind, kind if kind == 22 else -kind)):
            px, py, pz, size = (float(v) for v in four[2 * pair + particle])
            colours = (0, colour) if particle else (colour, 0)
            event.append(code, 23, *colours, px, py, pz, float(np.hypot(size, mass)), mass)
    for index in range(1, event.size()):
        event[index].scale(card.mass / 4)
    pythia.forceTimeShower(1, 2 * pairs, card.mass / 4)

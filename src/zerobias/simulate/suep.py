"""Soft unclustered energy patterns: a scalar decays to a thermal spray of dark mesons.

Momenta follow a relativistic Boltzmann distribution p^2 exp(-E/T) (arXiv:1612.00850), are rescaled
so that energy is conserved in the scalar's rest frame, and each meson decays to two dark photons,
each to a pair of electrons, muons or charged pions.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from zerobias.simulate.spec import SuepCard

__all__ = ["boost", "decay_scalar", "directions", "two_body"]

_MASSES = {11: 0.000511, 13: 0.10566, 211: 0.13957}
_Array = NDArray[np.float64]


def decay_scalar(
    rng: np.random.Generator, momentum: _Array, card: SuepCard
) -> list[tuple[int, float, float, float, float]]:
    """Visible decay products (pdg id, px, py, pz, E) of a scalar with four-momentum (px, py, pz, E)."""
    mass = float(np.sqrt(momentum[3] ** 2 - np.sum(momentum[:3] ** 2)))
    mesons = boost(_thermal(rng, mass, card), momentum[:3] / momentum[3])
    photons = two_body(rng, mesons, card.photon_mass, card.photon_mass)
    choice = rng.random(len(photons))
    kinds = np.where(choice < card.electron, 11, np.where(choice < card.electron + card.muon, 13, 211))
    products: list[tuple[int, float, float, float, float]] = []
    for pdg in (11, 13, 211):
        pairs = two_body(rng, photons[kinds == pdg], _MASSES[pdg], _MASSES[pdg])
        half = len(pairs) // 2
        for sign, part in ((1, pairs[:half]), (-1, pairs[half:])):
            products.extend((sign * pdg, *row) for row in part.tolist())
    return products


def _thermal(rng: np.random.Generator, mass: float, card: SuepCard) -> _Array:
    """Mesons at rest frame of the scalar: zero total momentum, total energy ``mass``, (n, 4)."""
    grid = np.linspace(0.0, card.meson_mass + 25 * card.temperature, 4000)
    energy = np.sqrt(grid**2 + card.meson_mass**2)
    cumulative = np.cumsum(grid**2 * np.exp(-(energy - card.meson_mass) / card.temperature))
    mean_energy = np.sum(np.diff(cumulative, prepend=0) * energy) / cumulative[-1]
    count = max(4, round(mass / mean_energy))
    size = np.interp(rng.random(count), cumulative / cumulative[-1], grid)
    vectors = size[:, None] * directions(rng, count)
    vectors -= vectors.mean(axis=0)
    low, high = 0.0, 50.0
    for _ in range(60):
        scale = 0.5 * (low + high)
        total = np.sqrt(np.sum((scale * vectors) ** 2, axis=1) + card.meson_mass**2).sum()
        low, high = (low, scale) if total > mass else (scale, high)
    vectors *= low
    return np.column_stack([vectors, np.sqrt(np.sum(vectors**2, axis=1) + card.meson_mass**2)])


def two_body(rng: np.random.Generator, parents: _Array, first: float, second: float) -> _Array:
    """Isotropic decays of ``parents`` (n, 4) to masses ``first`` and ``second``: (2n, 4), firsts first."""
    mass2 = parents[:, 3] ** 2 - np.sum(parents[:, :3] ** 2, axis=1)
    mass = np.sqrt(np.maximum(mass2, (first + second) ** 2))
    size = np.sqrt(np.maximum((mass**2 - (first + second) ** 2) * (mass**2 - (first - second) ** 2), 0.0)) / (
        2 * mass
    )
    vectors = size[:, None] * directions(rng, len(parents))
    results = []
    for sign, own in ((1, first), (-1, second)):
        daughter = np.column_stack([sign * vectors, np.sqrt(size**2 + own**2)])
        results.append(boost(daughter, parents[:, :3] / parents[:, 3:]))
    return np.concatenate(results)


def boost(four: _Array, beta: _Array) -> _Array:
    """Four-vectors (n, 4) seen from where their frame moves with velocity ``beta``, (3,) or (n, 3)."""
    beta = np.broadcast_to(beta, (len(four), 3))
    beta2 = np.sum(beta**2, axis=1)
    gamma = 1 / np.sqrt(1 - beta2)
    along = np.sum(four[:, :3] * beta, axis=1)
    factor = np.divide(gamma - 1, beta2, out=np.zeros_like(beta2), where=beta2 > 0)
    vectors = four[:, :3] + (factor * along + gamma * four[:, 3])[:, None] * beta
    return np.column_stack([vectors, gamma * (four[:, 3] + along)])


def directions(rng: np.random.Generator, count: int) -> _Array:
    """Isotropic unit vectors (count, 3)."""
    cosine = rng.uniform(-1, 1, count)
    azimuth = rng.uniform(0, 2 * np.pi, count)
    sine = np.sqrt(1 - cosine**2)
    return np.column_stack([sine * np.cos(azimuth), sine * np.sin(azimuth), cosine])

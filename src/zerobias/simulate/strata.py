"""Which interactions a bunch crossing holds, and what the crossing weighs.

Interactions come in slices, ordered soft to hard, slice s with probability p_s. A crossing with
pile-up parameter mu holds Poisson(mu p_s) of each. Crossings are partitioned by the hardest *forced*
slice they hold; crossings that hold none are the natural stratum:

    P(natural) = E_mu[exp(-mu sum_forced p)]
    P(s)       = E_mu[(1 - exp(-mu p_s)) exp(-mu sum_{forced t > s} p_t)]

These sum to one exactly, so do the weights P / N of N events a stratum.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Strata", "truncated_poisson"]

_NODES = 4001
_Array = NDArray[np.float64]


@dataclass(frozen=True)
class Strata:
    """Slices with probabilities ``p`` (they sum to one) and whether each is ``forced``.

    mu is normal with ``mean`` and ``sigma``, truncated to positive values.
    """

    p: tuple[float, ...]
    forced: tuple[bool, ...]
    mean: float
    sigma: float

    def _mu(self) -> tuple[_Array, _Array]:
        """Grid of mu and its normalised probabilities."""
        if self.sigma == 0:
            return np.array([self.mean]), np.array([1.0])
        low = max(self.mean - 6 * self.sigma, 1e-3)
        grid = np.linspace(low, self.mean + 6 * self.sigma, _NODES)
        density = np.exp(-0.5 * ((grid - self.mean) / self.sigma) ** 2)
        return grid, density / density.sum()

    def _harder(self, stratum: int) -> float:
        """Sum of p over the forced slices above ``stratum`` (-1: the natural stratum)."""
        return sum(p for s, (p, f) in enumerate(zip(self.p, self.forced, strict=True)) if f and s > stratum)

    def _density(self, stratum: int) -> tuple[_Array, _Array]:
        grid, density = self._mu()
        density = density * np.exp(-grid * self._harder(stratum))
        if stratum >= 0:
            density = density * -np.expm1(-grid * self.p[stratum])
        return grid, density

    def probability(self, stratum: int) -> float:
        """P(stratum); -1 is the natural one."""
        return float(self._density(stratum)[1].sum())

    def draw(
        self, rng: np.random.Generator, stratum: int | None, events: int, pools: Sequence[NDArray[np.int64]]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Pool events of ``events`` crossings: all their numbers in a row, and how many each holds.

        ``pools[s]`` are the pool events that may be used for slice s. ``stratum`` None draws plain
        crossings without any condition (pile-up under a signal).
        """
        grid, density = self._mu() if stratum is None else self._density(stratum)
        mu = rng.choice(grid, events, p=density / density.sum())
        multiplicity = np.empty((events, len(self.p)), dtype=np.int64)
        for s, p in enumerate(self.p):
            if s == stratum:
                multiplicity[:, s] = truncated_poisson(rng, mu * p)
            elif stratum is not None and self.forced[s] and s > stratum:
                multiplicity[:, s] = 0
            else:
                multiplicity[:, s] = rng.poisson(mu * p)
        counts = multiplicity.sum(axis=1)
        slices = np.repeat(np.tile(np.arange(len(self.p)), events), multiplicity.reshape(-1))
        chosen = np.empty(len(slices), dtype=np.int64)
        for s, pool in enumerate(pools):
            mask = slices == s
            chosen[mask] = rng.choice(pool, int(mask.sum())) if mask.any() else 0
        return chosen, counts


def truncated_poisson(rng: np.random.Generator, mean: _Array) -> NDArray[np.int64]:
    """Poisson numbers given that they are at least one: the first arrival in (0, 1], then the rest."""
    first = -np.log1p(rng.random(len(mean)) * np.expm1(-mean))  # time of the first arrival times mean
    return 1 + rng.poisson(np.maximum(mean - first, 0.0))

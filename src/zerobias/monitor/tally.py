"""Weighted histograms of crossings in random groups, and the shares and errors they give."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from zerobias.monitor.variables import Crossings, Variable
from zerobias.physics.metrics import ROUNDING

__all__ = ["GROUPS", "Shares", "Tally"]

GROUPS = 200
"""Random groups. A variance from them is known to one part in ten."""
FEWEST = 20
"""An interval of nPU is used where at least this many groups have something in it."""


_Array = NDArray[np.float64]


@dataclass(frozen=True)
class Shares:
    """Shares (shares,) of a variable's crossings, see ``Variable.sums``, with their variances.

    ``effective``: independent crossings of one weight that are worth as much. ``by_pileup`` (shares,
    intervals): in each interval of nPU, NaN in those that hold too little. ``variance_at_pileup``: of their
    mean, with a profile of nPU as weights, over the intervals that hold enough.
    """

    share: _Array
    variance: _Array
    by_pileup: _Array
    variance_at_pileup: _Array
    effective: float


@dataclass
class Tally:
    """Crossings counted one chunk after the other; memory does not grow with their number.

    Those of one leading collision fall into one group, so that the spread of the groups holds their
    correlation (the random groups of Wolter, Introduction to Variance Estimation, chapter 2).
    """

    variables: Sequence[Variable]
    events: int = 0
    seen_pileup: bool = False
    weighted: bool = False

    def __post_init__(self) -> None:
        (self._strata,) = [variable for variable in self.variables if variable.kind == "pile-up"]
        self._cells = [np.zeros((GROUPS, self._strata.bins, v.bins)) for v in self.variables]

    def add(self, crossings: Crossings, weight: _Array, leader: NDArray[np.integer] | None) -> None:
        """Count crossings of these weights (events,); without ``leader`` (events,) each is on its own."""
        key = np.arange(self.events, self.events + len(weight)) if leader is None else leader
        place = _group(key.astype(np.uint64)) * self._strata.bins
        place += np.searchsorted(self._strata.starts, crossings.npu, side="right")
        for variable, cells in zip(self.variables, self._cells, strict=True):
            values, inside = crossings.values(variable)
            at = place * variable.bins + np.searchsorted(variable.starts, values, side="right")
            counted = weight if inside is None else weight * inside
            cells += np.bincount(at, counted, cells.size).reshape(cells.shape)
        self.events += len(weight)
        self.seen_pileup |= bool(crossings.npu.any())
        self.weighted |= bool((weight != weight[:1]).any())

    @property
    def weight(self) -> float:
        """Sum of the weights."""
        return float(self._cells[-1].sum())

    @property
    def profile(self) -> _Array:
        """Share of the weight in each interval of nPU."""
        found: _Array = self._cells[-1].sum(axis=(0, 2)) / self.weight
        return found

    def shares(self, number: int, profile: _Array) -> Shares:
        """Those of variable ``number``, and at a ``profile`` (intervals,) of nPU."""
        cells, sums = self._cells[number], self.variables[number].sums
        taken, total = cells @ sums, cells.sum(axis=2)  # (groups, intervals, shares), (groups, intervals)
        share, variance = _ratio(taken.sum(axis=1), total.sum(axis=1))
        known = (total > 0).sum(axis=0) >= FEWEST
        by_pileup = np.full((sums.shape[1], len(profile)), np.nan)
        spread = np.zeros((GROUPS, sums.shape[1]))
        use = np.where(known, profile, 0.0)
        for k in np.flatnonzero(use):
            whole = total[:, k].sum()
            by_pileup[:, k] = _snapped(taken[:, k].sum(axis=0) / whole)
            spread += use[k] / use.sum() * (taken[:, k] - total[:, k, None] * by_pileup[:, k]) / whole
        effective = min(_effective(total.sum(axis=1)), self.events)
        return Shares(share, variance, by_pileup, _variance(spread), effective)


def _ratio(taken: _Array, total: _Array) -> tuple[_Array, _Array]:
    """Ratios (shares,) of the sums over groups of ``taken`` (groups, shares) and ``total`` (groups,), and
    their variances."""
    whole = total.sum()
    if whole == 0:
        return np.zeros(taken.shape[1]), np.zeros(taken.shape[1])
    share = _snapped(taken.sum(axis=0) / whole)
    return share, _variance((taken - total[:, None] * share) / whole)


def _snapped(share: _Array) -> _Array:
    """Shares with all of the weight as 1, which the rounding of sums may miss."""
    return np.where(share < 1 - ROUNDING, share, 1.0)


def _variance(rest: _Array) -> _Array:
    """Variance (shares,) of a sum over groups, from what each adds to its deviation (groups, shares)."""
    found: _Array = GROUPS / (GROUPS - 1) * (rest**2).sum(axis=0)
    return np.where(found > ROUNDING**2, found, 0.0)


def _effective(total: _Array) -> float:
    """(sum w)^2 / sum w^2 of crossings, those of one leader taken as one, from their sums (groups,)."""
    spread = GROUPS * total.var(ddof=1)
    return float(total.sum() ** 2 / spread) if spread else 0.0


def _group(key: NDArray[np.uint64]) -> NDArray[np.int64]:
    """A random group for each number, always the same (the mixing of splitmix64, OOPSLA 2014, 453)."""
    mixed = (key + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ mixed >> np.uint64(shift)) * np.uint64(factor)
    return ((mixed ^ mixed >> np.uint64(31)) % np.uint64(GROUPS)).astype(np.int64)

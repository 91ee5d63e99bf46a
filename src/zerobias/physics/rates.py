"""Rates of zero-bias crossings that fire, and the integer thresholds that give a wanted rate.

rate = bunches x revolution frequency x sum(weights that fire) / sum(weights); a seed fires on
score >= threshold.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict
from scipy.special import betaincinv

from zerobias.beam import Beam
from zerobias.errors import DataError
from zerobias.physics.bootstrap import Resampled, resampled
from zerobias.physics.metrics import ROUNDING, effective_events

__all__ = ["MenuUnit", "Point", "Rate", "Reach", "ZeroBias", "clopper_pearson", "reach"]

_TAIL = 0.15865525393145707
"""Probability below the central interval of one standard deviation of a Gaussian, 68.27 %."""

_Array = NDArray[np.float64]
_Ints = NDArray[np.integer]
_Mask = NDArray[np.bool_]


class _Row(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Rate(_Row):
    """A rate in kHz, its central 68.27 % interval, and how many crossings of the sample fired."""

    khz: float
    low: float
    high: float
    crossings: int

    def holds(self, khz: float) -> bool:
        """Whether ``khz`` lies in the interval of a rate that was seen at all."""
        return self.crossings > 0 and self.low * (1 - ROUNDING) <= khz <= self.high * (1 + ROUNDING)


class Point(_Row):
    """A threshold and the rate at or above it."""

    threshold: int
    rate: Rate


class Reach(_Row):
    """The two rates nearest to a goal that a score can give.

    ``below``: the lowest threshold whose rate is not above the goal (None: the score's largest value alone is
    more frequent); ``above``: the next lower threshold, whose rate is.
    """

    goal_khz: float
    below: Point | None
    above: Point

    @property
    def reached(self) -> bool:
        """Whether the goal lies within the error of the rate at ``below``."""
        return self.below is not None and self.below.rate.holds(self.goal_khz)

    def __str__(self) -> str:
        if self.below is None:
            return (
                f"the score's largest value, {self.above.threshold}, alone has {_text(self.above.rate)}: no "
                f"threshold gives {self.goal_khz:g} kHz"
            )
        tied = self.above.rate.crossings - self.below.rate.crossings
        return (
            f"nearest to {self.goal_khz:g} kHz are {_text(self.below.rate)} at {self.below.threshold} and "
            f"{_text(self.above.rate)} at {self.above.threshold}, the score of {tied} crossings"
        )


def _text(rate: Rate) -> str:
    return f"{rate.khz:.3g} kHz ({rate.low:.3g} to {rate.high:.3g})"


@dataclass(frozen=True)
class MenuUnit:
    """Unit of a menu's thresholds: a seed fires when ``scale`` x score >= threshold, all of them integers but
    the score, which counts 2^-``frac``."""

    scale: int
    frac: int

    def counts(self, score: _Ints) -> NDArray[np.int64]:
        """Score integers (...) in whole menu units: they fire at the same thresholds."""
        up, down = self._ratio
        return score.astype(np.int64) * up // down

    def raw(self, threshold: int) -> int:
        """The lowest score integer that fires at ``threshold``."""
        up, down = self._ratio
        return -(-threshold * down // up)

    @property
    def _ratio(self) -> tuple[int, int]:
        return self.scale << max(-self.frac, 0), 1 << max(self.frac, 0)


@dataclass(frozen=True)
class ZeroBias:
    """Zero-bias crossings: ``weight``, ``npu`` and ``leader`` (events,), at a ``beam``.

    Intervals of crossings of one weight without ``leader`` are Clopper and Pearson's. All others are
    quantiles of bootstrap replicas in which the crossings of one ``leader``, the collision that dominates
    them, are drawn together.

    Raises ``DataError`` as :class:`zerobias.physics.Sample` does.
    """

    weight: _Array
    npu: _Ints
    leader: _Ints | None = None
    beam: Beam = field(default_factory=Beam)
    replicas: int = 200
    seed: int = 1

    def __post_init__(self) -> None:
        self.events.of(self.npu)

    @cached_property
    def events(self) -> Resampled:
        """The crossings with their draws."""
        rng = np.random.default_rng(self.seed)
        return resampled(rng, self.replicas, self.weight, self.npu, self.leader)

    def rate(self, fired: _Mask, among: _Mask | None = None, of: _Mask | None = None) -> Rate:
        """Rate of the crossings of a mask (events,).

        ``among`` (events,): if all crossings were like those. ``of`` (events,): crossings of which those that
        fire are a part; where none fire, the upper limit is on that part (None: on a part of all).

        Raises ``DataError`` when no weight is among those.
        """
        inside = np.ones(len(self.weight), bool) if among is None else among
        weight = self.weight * inside
        if not weight.any():
            raise DataError("no zero bias to take a rate of: widen the selection")
        share = min(float(weight[fired].sum() / weight.sum()), 1.0)
        count = int((fired & inside).sum())
        if self.leader is None and len(np.unique(self.weight[inside])) == 1:
            low, high = clopper_pearson(count, int(inside.sum()))
        elif 0 < share < 1:
            total = self.events.drawn @ weight
            several = (self.events.drawn @ (weight * fired))[total > 0] / total[total > 0]
            low, high = np.quantile(several, [_TAIL, 1 - _TAIL])
        else:  # replicas of none or all are all alike: as many crossings as the weights are worth
            parent = weight if of is None or not weight[of].any() else weight * of
            leader = np.arange(len(weight)) if self.leader is None else self.leader
            together = np.bincount(np.unique(leader, return_inverse=True)[1], parent)
            effective = effective_events(together)
            low, high = clopper_pearson(share * effective, effective)
            high *= float(parent.sum() / weight.sum())
        scale = self.beam.crossings_khz
        return Rate(khz=scale * share, low=scale * low, high=scale * high, crossings=count)


def clopper_pearson(passed: float, total: float) -> tuple[float, float]:
    """Central 68.27 % interval of a probability seen ``passed`` of ``total`` times (Biometrika 26, 404)."""
    low = betaincinv(passed, total - passed + 1, _TAIL) if passed > 0 else 0.0
    high = betaincinv(passed + 1, total - passed, 1 - _TAIL) if passed < total else 1.0
    return float(low), float(high)


def reach(score: _Ints, goal_khz: float, zero_bias: ZeroBias, highest: int | None = None) -> Reach:
    """The thresholds that bring integer scores (events,), at most ``highest``, nearest to a rate.

    Raises ``DataError`` for a goal that is not between zero and the rate of all crossings.
    """
    scale = zero_bias.beam.crossings_khz
    if not 0 < goal_khz < scale:
        raise DataError(f"a rate of {goal_khz:g} kHz: give one above 0 and below all crossings' {scale:g}")
    levels, index = np.unique(score, return_inverse=True)
    above = np.bincount(index, zero_bias.weight)[::-1].cumsum()[::-1]
    allowed = np.append(scale * above / above[0], 0.0) <= goal_khz * (1 + ROUNDING)
    last = int(levels[np.argmax(allowed) - 1])  # the lowest level has the rate of all crossings

    def point(threshold: int) -> Point:
        return Point(threshold=threshold, rate=zero_bias.rate(score >= threshold))

    return Reach(
        goal_khz=goal_khz,
        below=None if last == highest else point(last + 1),
        above=point(last),
    )

"""Bootstrap: Poisson(1) draws of the events of a class, those of one collision together."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from zerobias.errors import DataError
from zerobias.physics.metrics import Sample
from zerobias.physics.pileup import PileupWeights, pileup_bins, pileup_weights

__all__ = ["Estimate", "Resampled", "Value", "draws", "resampled", "reweighted"]

_Array = NDArray[np.float64]


class Value(BaseModel):
    """A figure with its bootstrap error (standard deviation over the replicas that hold both classes)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    value: float
    """The figure."""
    error: float
    """Its error."""


@dataclass(frozen=True)
class Estimate:
    """A figure and its bootstrap replicas (replicas,)."""

    central: float
    replicas: _Array

    def __sub__(self, other: Estimate) -> Estimate:
        return Estimate(self.central - other.central, self.replicas - other.replicas)

    @property
    def value(self) -> Value:
        """The figure with its error."""
        return Value(value=self.central, error=float(np.nanstd(self.replicas, ddof=1)))


@dataclass(frozen=True)
class Resampled:
    """Weights and nPU (events,) of one class of events; how often each is drawn (replicas, events)."""

    weight: _Array
    npu: NDArray[np.integer]
    drawn: NDArray[np.number]

    def of(self, score: NDArray[np.generic]) -> Sample:
        """The class with its scores (events,)."""
        return Sample(score, self.weight)


def draws(
    rng: np.random.Generator, replicas: int, events: int, leader: NDArray[np.integer] | None = None
) -> NDArray[np.uint8]:
    """How often each event is drawn (replicas, events).

    Events of one ``leader`` (events,), the collision that dominates them, are drawn together, since they are
    not independent (None: all are).
    """
    found, member = np.unique(np.arange(events) if leader is None else leader, return_inverse=True)
    drawn: NDArray[np.uint8] = rng.poisson(1.0, (replicas, len(found))).astype(np.uint8)[:, member]
    return drawn


def resampled(
    rng: np.random.Generator,
    replicas: int,
    weight: _Array,
    npu: NDArray[np.integer],
    leader: NDArray[np.integer] | None = None,
) -> Resampled:
    """A class of events with its :func:`draws`."""
    return Resampled(weight, npu, draws(rng, replicas, len(weight), leader))


def reweighted(signal: Resampled, background: Resampled) -> tuple[Resampled, PileupWeights] | None:
    """The signal with the background's pile-up, None if the two have none in common.

    Pile-up weights are made anew in each replica.
    """
    [(low, high)] = pileup_bins(background.npu, background.weight, 1)
    if not signal.weight[(signal.npu >= low) & (signal.npu <= high)].any():
        return None
    found = pileup_weights(signal.npu, signal.weight, background.npu, background.weight)
    drawn = np.zeros(signal.drawn.shape)
    for r in range(len(drawn)):
        with suppress(DataError):  # a replica may draw nothing in common, so nothing at all
            weight = pileup_weights(
                signal.npu,
                signal.weight * signal.drawn[r],
                background.npu,
                background.weight * background.drawn[r],
            ).weight
            np.divide(weight, found.weight, out=drawn[r], where=found.weight > 0)
    return Resampled(found.weight, signal.npu, drawn), found

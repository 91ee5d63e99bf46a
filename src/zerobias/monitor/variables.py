"""What a monitor looks at: every input, the objects that are there, the score, rates and pile-up."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from zerobias.beam import Beam
from zerobias.contract import Contract, FixedType, IntArray
from zerobias.physics import Sample, figures
from zerobias.physics.metrics import ROUNDING

__all__ = ["Crossings", "Kind", "Variable", "plan"]

Kind = Literal["input", "lowest bit", "presence", "score", "rate", "pile-up"]
RATES_KHZ = (100.0, 30.0, 10.0, 3.0)
"""Rates, at a full fill's crossings, whose thresholds a reference keeps."""
BINS, PILEUP_BINS = 16, 10
"""Bins of about equal weight, of a variable and of nPU."""

_Array = NDArray[np.float64]


@dataclass(frozen=True)
class Variable:
    """Integers of each crossing and the bins they fall into: bin i begins at ``starts[i - 1]``, the first and
    the last are open. ``column``: which input, object or score it is.

    An ``input`` and its ``lowest bit`` are taken where their object is present; ``presence`` is 0 or 1.
    """

    name: str
    kind: Kind
    column: int
    starts: tuple[int, ...]

    @property
    def bins(self) -> int:
        """Number of bins."""
        return len(self.starts) + 1

    @cached_property
    def sums(self) -> _Array:
        """(bins, shares): which bins each share of the variable takes.

        At or above each start; for an input, a score and pile-up also each inner bin alone.
        """
        above = np.tri(self.bins, k=-1)[:, :-1]
        inner = np.eye(self.bins)[:, 1:-1]
        whole = self.kind in ("input", "score", "pile-up")
        return np.hstack([above, inner]) if whole else above

    def what(self, share: int) -> str:
        """The share of this number in words."""
        if share < len(self.starts):
            return f">= {self.starts[share]}"
        low, high = self.starts[share - len(self.starts) : share - len(self.starts) + 2]
        return f"{low}" if high == low + 1 else f"{low} to {high - 1}"


@dataclass(frozen=True)
class Crossings:
    """Hardware integers (events, features), scores (events, values) and nPU (events,) of some crossings."""

    contract: Contract
    raw: IntArray
    score: IntArray
    npu: NDArray[np.integer]

    @cached_property
    def present(self) -> NDArray[np.bool_]:
        """(events, objects): whether any field of an object is not the absent value."""
        absent = np.array([feature.absent for feature in self.contract.features])
        first = [first for _, first, _ in objects(self.contract)]
        found: NDArray[np.bool_] = np.logical_or.reduceat(self.raw != absent, first, axis=1)
        return found

    def values(self, variable: Variable) -> tuple[NDArray[Any], NDArray[np.bool_] | None]:
        """The integers (events,) of a variable, and in which crossings it is taken (None: in all)."""
        kind, column = variable.kind, variable.column
        if kind == "presence":
            return self.present[:, column].astype(np.int64), None
        if kind == "pile-up":
            return self.npu, None
        if kind in ("score", "rate"):
            return self.score[:, column], None
        values = self.raw[:, column]
        owner = self._owner[column]
        return values & 1 if kind == "lowest bit" else values, self.present[:, owner]

    def at(self, places: NDArray[np.intp]) -> Crossings:
        """The crossings at these places."""
        return Crossings(self.contract, self.raw[places], self.score[places], self.npu[places])

    @classmethod
    def joined(cls, several: Sequence[Crossings]) -> Crossings:
        """All crossings of ``several``, of one contract."""
        raw, score, npu = (
            np.concatenate([getattr(one, name) for one in several]) for name in ("raw", "score", "npu")
        )
        return cls(several[0].contract, raw, score, npu)

    @cached_property
    def _owner(self) -> list[int]:
        """Object of each feature."""
        return [number for number, (_, _, count) in enumerate(objects(self.contract)) for _ in range(count)]


def objects(contract: Contract) -> list[tuple[str, int, int]]:
    """Name, first feature and number of features of each object."""
    found, first = [], 0
    for group in contract.spec.group:
        for _ in range(group.count):
            found.append((contract.features[first].name.rpartition(".")[0], first, len(group.fields)))
            first += len(group.fields)
    return found


def plan(crossings: Crossings, weight: _Array, score_type: FixedType) -> tuple[Variable, ...]:
    """The variables of a model with bins that suit crossings of these weights (events,).

    One bin an integer where at most 16 values are allowed, otherwise at most 16 of about equal weight and one
    beyond each end of what was seen. A score of one value has a variable of rates too, whose starts are the
    lowest thresholds that give ``RATES_KHZ`` or less.
    """
    return tuple(_variables(crossings, weight, score_type))


def _variables(crossings: Crossings, weight: _Array, score_type: FixedType) -> Iterator[Variable]:
    features = crossings.contract.features
    for number, (name, first, count) in enumerate(objects(crossings.contract)):
        yield Variable(name, "presence", number, (1,))
        inside = crossings.present[:, number]
        for column in range(first, first + count):
            feature = features[column]
            values = crossings.raw[inside, column]
            starts = _starts(values, weight[inside], feature.low, feature.high)
            yield Variable(feature.name, "input", column, starts)
            if feature.high - feature.low > 1:
                yield Variable(feature.name, "lowest bit", column, (1,))
    several = crossings.score.shape[1] > 1
    limits = score_type.min_int, score_type.max_int
    for column, values in enumerate(crossings.score.T):
        name = f"score[{column}]" if several else "score"
        yield Variable(name, "score", column, _starts(values, weight, *limits))
    if not several:
        zero_bias = Sample(crossings.score[:, 0], weight)
        shares = [khz / Beam().crossings_khz for khz in RATES_KHZ]
        thresholds = figures(zero_bias, zero_bias, shares).threshold
        yield Variable("rate", "rate", 0, tuple(sorted({int(t) for t in thresholds if np.isfinite(t)})))
    yield Variable("nPU", "pile-up", 0, _quantiles(crossings.npu, weight, PILEUP_BINS)[1:])


def _starts(values: NDArray[Any], weight: _Array, low: int, high: int) -> tuple[int, ...]:
    if high - low < BINS:
        return tuple(range(low + 1, high + 1))
    if not weight.any():
        return ()
    found = {*_quantiles(values, weight, BINS), int(values.max()) + 1}
    return tuple(sorted(start for start in found if low < start <= high))


def _quantiles(values: NDArray[Any], weight: _Array, bins: int) -> tuple[int, ...]:
    """First values of at most ``bins`` intervals of about equal weight; one value is never cut in two."""
    levels, index = np.unique(values, return_inverse=True)
    total = np.bincount(index, weight)
    below = np.cumsum(total) - total
    _, first = np.unique(np.floor(bins * below / total.sum() + ROUNDING), return_index=True)
    return tuple(int(start) for start in levels[first])

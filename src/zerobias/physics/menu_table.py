"""What a menu does: total, pure and overlap rates, rates against nPU, signal gained by anomaly seeds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from zerobias.events import EventSet
from zerobias.physics.bootstrap import Estimate, Resampled, Value, resampled, reweighted
from zerobias.physics.menu import Menu
from zerobias.physics.metrics import Sample, figures, replicate
from zerobias.physics.pileup import pileup_bins
from zerobias.physics.rates import MenuUnit, Rate, Reach, ZeroBias, reach

__all__ = [
    "EfficiencyRow",
    "GainRow",
    "MenuTable",
    "NpuRow",
    "OverlapRow",
    "PointRow",
    "SeedRow",
    "SeedScores",
    "menu_table",
]

_Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class SeedScores:
    """Integers that a seed compares with its threshold, (events,) of zero bias and of each signal.

    ``highest``: the largest there is. ``unit``: that of a model's threshold; None for a conventional seed.
    """

    zero_bias: NDArray[np.int64]
    signals: Mapping[str, NDArray[np.int64]]
    highest: int
    unit: MenuUnit | None = None

    def reach(self, goal_khz: float, zero_bias: ZeroBias) -> Reach:
        """The thresholds nearest to a rate."""
        return reach(self.zero_bias, goal_khz, zero_bias, self.highest)


class _Row(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SeedRow(_Row):
    """A seed: its rate, and its ``pure`` rate, of crossings that no other seed takes.

    ``raw_threshold``: in integers of the model's score. ``plateau``: the nearest rates there are, when the
    goal is not within the error of one of them.
    """

    name: str
    what: str
    threshold: int
    raw_threshold: int | None
    goal_khz: float
    rate: Rate
    pure: Rate
    plateau: str | None


class OverlapRow(_Row):
    """Rate of crossings that both seeds take."""

    first: str
    second: str
    rate: Rate


class NpuRow(_Row):
    """Rates if all crossings had low <= nPU <= high; ``mean`` nPU of these crossings."""

    low: int
    high: int
    mean: float
    total: Rate
    seeds: dict[str, Rate]


class PointRow(_Row):
    """An anomaly seed at another rate: its threshold (None: the score has none for that rate), the rate there
    and the ``pure`` rate that it adds to the conventional seeds."""

    seed: str
    khz: float
    threshold: int | None
    rate: Rate | None
    pure: Rate | None
    plateau: str | None


class EfficiencyRow(_Row):
    """Share of a signal that the conventional seeds take, and that all do, at the menu's thresholds.

    ``*_reweighted``: with zero bias' pile-up; None if the two have none in common.
    """

    signal: str
    events: int
    conventional: Value
    conventional_reweighted: Value | None
    menu: Value
    menu_reweighted: Value | None


class GainRow(_Row):
    """Share of a signal that an anomaly seed of this rate takes and no conventional seed does.

    The errors hold those of the threshold, which is found anew in each replica.
    """

    signal: str
    seed: str
    khz: float
    gain: Value
    gain_reweighted: Value | None


class MenuTable(_Row):
    """All rows, and what they were made from."""

    menu: str
    title: str
    sample: str
    split: str
    crossings_khz: float
    zero_bias_events: int
    replicas: int
    total: Rate
    conventional: Rate | None
    seeds: tuple[SeedRow, ...]
    overlaps: tuple[OverlapRow, ...]
    npu: tuple[NpuRow, ...]
    points: tuple[PointRow, ...]
    efficiencies: tuple[EfficiencyRow, ...]
    gains: tuple[GainRow, ...]


def menu_table(
    menu: Menu,
    *,
    name: str,
    sample: str,
    zero_bias: ZeroBias,
    signals: Mapping[str, EventSet],
    scores: Mapping[str, SeedScores],
) -> MenuTable:
    """The table of a menu, with the scores of every seed.

    The gain is over the conventional seeds at their thresholds. Errors of signals: bootstrap of their
    events, with pile-up weights made anew in each replica.
    """
    count = len(zero_bias.weight)
    fired = {seed.name: scores[seed.name].zero_bias >= seed.threshold for seed in menu.seeds}
    total = _any(fired.values(), count)
    conventional = _any([fired[seed.name] for seed in menu.object], count)
    alone = np.sum(list(fired.values()), axis=0) == 1
    points = {
        seed.name: [scores[seed.name].reach(khz, zero_bias) for khz in menu.gain_khz] for seed in menu.model
    }
    rng = np.random.default_rng(zero_bias.seed + 1)
    efficiencies: list[EfficiencyRow] = []
    gains: list[GainRow] = []
    for signal, events in signals.items():
        classes = [resampled(rng, zero_bias.replicas, events.weight, events.npu)]
        matched = reweighted(classes[0], zero_bias.events)
        classes += [] if matched is None else [matched[0]]
        own = {seed.name: scores[seed.name].signals[signal] for seed in menu.seeds}
        taken = {seed.name: own[seed.name] >= seed.threshold for seed in menu.seeds}
        base = _any([taken[seed.name] for seed in menu.object], len(events))
        efficiencies.append(_efficiencies(signal, classes, base, _any(taken.values(), len(events))))
        for seed in menu.model:
            rates = [point.goal_khz for point in points[seed.name] if point.below is not None]
            pair = own[seed.name], scores[seed.name].zero_bias
            found = [_gains(part, zero_bias, pair, base, rates) for part in classes]
            gains += [
                GainRow(
                    signal=signal, seed=seed.name, khz=khz, gain=values[0], gain_reweighted=_second(values)
                )
                for khz, values in zip(rates, zip(*found, strict=True), strict=True)
            ]
    return MenuTable(
        menu=name,
        title=menu.title,
        sample=sample,
        split=menu.split,
        crossings_khz=zero_bias.beam.crossings_khz,
        zero_bias_events=len(zero_bias.weight),
        replicas=zero_bias.replicas,
        total=zero_bias.rate(total),
        conventional=zero_bias.rate(conventional) if menu.object else None,
        seeds=tuple(
            SeedRow(
                name=seed.name,
                what=seed.what,
                threshold=seed.threshold,
                raw_threshold=_raw(scores[seed.name].unit, seed.threshold),
                goal_khz=seed.goal_khz,
                rate=zero_bias.rate(fired[seed.name]),
                pure=zero_bias.rate(fired[seed.name] & alone, of=fired[seed.name]),
                plateau=_plateau(scores[seed.name].reach(seed.goal_khz, zero_bias)),
            )
            for seed in menu.seeds
        ),
        overlaps=tuple(
            OverlapRow(first=a, second=b, rate=zero_bias.rate(fired[a] & fired[b], of=fired[a]))
            for a, b in combinations(fired, 2)
        ),
        npu=tuple(_by_npu(zero_bias, total, fired, menu.pileup_bins)),
        points=tuple(
            row
            for seed in menu.model
            for row in _points(seed.name, points[seed.name], zero_bias, scores[seed.name], conventional)
        ),
        efficiencies=tuple(efficiencies),
        gains=tuple(gains),
    )


def _any(masks: Iterable[_Mask], events: int) -> _Mask:
    found: _Mask = np.logical_or.reduce([np.zeros(events, bool), *masks])
    return found


def _raw(unit: MenuUnit | None, threshold: int) -> int | None:
    return None if unit is None else unit.raw(threshold)


def _second(values: Sequence[Value]) -> Value | None:
    return values[1] if len(values) > 1 else None


def _efficiencies(signal: str, classes: Sequence[Resampled], base: _Mask, whole: _Mask) -> EfficiencyRow:
    """``classes``: the signal as it is, and with zero bias' pile-up where it can be."""
    conventional, menu = ([_share(part, mask) for part in classes] for mask in (base, whole))
    return EfficiencyRow(
        signal=signal,
        events=len(base),
        conventional=conventional[0],
        conventional_reweighted=_second(conventional),
        menu=menu[0],
        menu_reweighted=_second(menu),
    )


def _plateau(found: Reach) -> str | None:
    return None if found.reached else str(found)


def _by_npu(zero_bias: ZeroBias, total: _Mask, fired: Mapping[str, _Mask], bins: int) -> Iterator[NpuRow]:
    for low, high in pileup_bins(zero_bias.npu, zero_bias.weight, bins):
        inside = (zero_bias.npu >= low) & (zero_bias.npu <= high)
        seeds = {seed: zero_bias.rate(mask, inside) for seed, mask in fired.items()}
        mean = float(np.average(zero_bias.npu[inside], weights=zero_bias.weight[inside]))
        yield NpuRow(low=low, high=high, mean=mean, total=zero_bias.rate(total, inside), seeds=seeds)


def _points(
    seed: str, reaches: Sequence[Reach], zero_bias: ZeroBias, scores: SeedScores, conventional: _Mask
) -> Iterator[PointRow]:
    for found in reaches:
        threshold = None if found.below is None else found.below.threshold
        pure = None
        if threshold is not None:
            own = scores.zero_bias >= threshold
            pure = zero_bias.rate(own & ~conventional, of=own)
        yield PointRow(
            seed=seed,
            khz=found.goal_khz,
            threshold=threshold,
            rate=None if found.below is None else found.below.rate,
            pure=pure,
            plateau=_plateau(found),
        )


def _share(events: Resampled, taken: _Mask) -> Value:
    """Share of the weight that is taken."""
    total = events.drawn @ events.weight
    replicas = np.divide(
        events.drawn @ (events.weight * taken), total, out=np.full(len(total), np.nan), where=total > 0
    )
    return Estimate(float(events.weight[taken].sum() / events.weight.sum()), replicas).value


def _gains(
    events: Resampled,
    zero_bias: ZeroBias,
    scores: tuple[NDArray[np.int64], NDArray[np.int64]],
    base: _Mask,
    rates: Sequence[float],
) -> list[Value]:
    """Share of the weight that is not in ``base`` and at or above the threshold of each rate.

    It is the efficiency among the events that are not in ``base``, times their share. ``scores``: of the
    events and of zero bias.
    """
    rest = events.weight * ~base
    if not rest.any():
        return [Value(value=0.0, error=0.0)] * len(rates)
    shares = [rate / zero_bias.beam.crossings_khz for rate in rates]
    pair = Sample(scores[0], rest), zero_bias.events.of(scores[1])
    central = figures(*pair, shares).efficiency
    _, replicas = replicate(*pair, shares, events.drawn, zero_bias.events.drawn)
    total = events.drawn @ events.weight
    left = np.divide(events.drawn @ rest, total, out=np.full(len(total), np.nan), where=total > 0)
    replicas[left == 0] = 0.0
    return [
        Estimate(float(efficiency * rest.sum() / events.weight.sum()), left * replicas[:, i]).value
        for i, efficiency in enumerate(central)
    ]

"""The physics table: what a score is worth, per signal, beside the baselines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from zerobias.physics.bootstrap import Estimate, Resampled, Value, resampled, reweighted
from zerobias.physics.metrics import Sample, auc, figures, replicate
from zerobias.physics.pileup import pileup_bins

__all__ = [
    "FALSE_POSITIVE_RATES",
    "MeanRow",
    "PhysicsTable",
    "PileupRow",
    "Quantisation",
    "ReweightRow",
    "ScoreRow",
    "physics_table",
]

FALSE_POSITIVE_RATES = (1e-2, 1e-3)
MODEL, FLOAT = "model", "model_float"
_PILEUP_ROWS = 3

Scores = Mapping[str, NDArray[np.generic]]
_Array = NDArray[np.float64]


class _Row(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ScoreRow(_Row):
    """One score on one signal."""

    signal: str
    """The process."""
    score: str
    """``model``, ``model_float`` or a conventional quantity."""
    auc: Value
    """Area under the ROC curve against zero bias."""
    auc_reweighted: Value | None
    """The same with the signal's pile-up reweighted; null: no pile-up in common."""
    efficiency: dict[str, Value]
    """False-positive rate -> signal efficiency."""
    efficiency_reweighted: dict[str, Value] | None
    """The same with the signal's pile-up reweighted; null: no pile-up in common."""
    background_above: dict[str, float]
    """False-positive rate -> effective zero-bias events above its threshold; below ten, read with care."""
    signal_events: int
    """Events of the signal."""
    background_events: int
    """Events of zero bias."""


class PileupRow(_Row):
    """AUC of the model's score with signal and zero bias both in low <= nPU <= high."""

    signal: str
    """The process."""
    low: int
    """Lowest nPU."""
    high: int
    """Highest nPU."""
    auc: Value
    """Area under the ROC curve of the model's score."""


class ReweightRow(_Row):
    """What the reweighting of a signal leaves out (see ``PileupWeights``), and its effective events."""

    signal: str
    """The process."""
    background_dropped: float
    """Share of zero bias in bins without signal."""
    signal_dropped: float
    """Share of the signal outside the range of zero bias."""
    effective_events: float
    """(sum w)^2 / sum w^2 of the reweighted signal."""


class MeanRow(_Row):
    """Mean AUC of a score over the signals."""

    score: str
    """``model``, ``model_float`` or a conventional quantity."""
    auc: Value
    """Mean over the signals."""
    auc_reweighted: Value | None
    """The same of the reweighted AUCs; null unless every signal has one."""


class Quantisation(_Row):
    """AUC of the quantised minus the float network, paired bootstrap."""

    mean: Value
    """Mean over the signals."""
    by_signal: dict[str, Value]
    """Process -> difference."""


class PhysicsTable(_Row):
    """All rows, and what they were made from."""

    sample: str
    """The event file."""
    split: str
    """Its split."""
    replicas: int
    """Bootstrap replicas."""
    rows: tuple[ScoreRow, ...]
    """A row for each signal and score."""
    means: tuple[MeanRow, ...]
    """A row for each score."""
    reweighting: tuple[ReweightRow, ...]
    """A row for each signal."""
    pileup: tuple[PileupRow, ...]
    """A row for each signal and interval of nPU."""
    quantisation: Quantisation | None
    """What quantisation costs; null without a float network."""


@dataclass(frozen=True)
class _Measured:
    auc: Estimate
    efficiency: dict[str, Value]
    background_above: dict[str, float]


def physics_table(
    *,
    background: Scores,
    background_weight: _Array,
    background_npu: NDArray[np.integer],
    signals: Mapping[str, Scores],
    signal_weight: Mapping[str, _Array],
    signal_npu: Mapping[str, NDArray[np.integer]],
    sample: str,
    split: str,
    background_leader: NDArray[np.integer] | None = None,
    replicas: int = 200,
    seed: int = 1,
) -> PhysicsTable:
    """Figures of every score in ``background`` (name -> (events,)) on every signal.

    ``model`` and ``model_float`` are the quantised and the float network. Bootstrap: Poisson(1)
    resampling of the events of each class, the same for all scores; background events of one
    ``background_leader`` (events,), the collision that dominates them, are drawn together, since they are
    not independent (None: all are). Pile-up weights are made anew in each replica.
    """
    rng = np.random.default_rng(seed)
    zero_bias = resampled(rng, replicas, background_weight, background_npu, background_leader)
    intervals = pileup_bins(background_npu, background_weight, _PILEUP_ROWS)
    rows: list[ScoreRow] = []
    pileup: list[PileupRow] = []
    reweighting: list[ReweightRow] = []
    aucs: dict[str, dict[str, Estimate]] = {name: {} for name in background}
    aucs_reweighted: dict[str, dict[str, Estimate]] = {name: {} for name in background}
    for signal, scores in signals.items():
        events = resampled(rng, replicas, signal_weight[signal], signal_npu[signal])
        matched = reweighted(events, zero_bias)
        if matched is not None:
            reweighting.append(
                ReweightRow(
                    signal=signal,
                    background_dropped=matched[1].background_dropped,
                    signal_dropped=matched[1].signal_dropped,
                    effective_events=matched[1].effective_events,
                )
            )
        for name, values in background.items():
            plain = _measure(scores[name], events, values, zero_bias)
            aucs[name][signal] = plain.auc
            other = None
            if matched is not None:
                other = _measure(scores[name], matched[0], values, zero_bias)
                aucs_reweighted[name][signal] = other.auc
            rows.append(
                ScoreRow(
                    signal=signal,
                    score=name,
                    auc=plain.auc.value,
                    auc_reweighted=other.auc.value if other else None,
                    efficiency=plain.efficiency,
                    efficiency_reweighted=other.efficiency if other else None,
                    background_above=plain.background_above,
                    signal_events=len(events.weight),
                    background_events=len(background_weight),
                )
            )
        pileup += _by_pileup(signal, (events, scores[MODEL]), (zero_bias, background[MODEL]), intervals)
    means = tuple(
        MeanRow(
            score=name,
            auc=_mean(aucs[name].values()).value,
            auc_reweighted=_mean(aucs_reweighted[name].values()).value
            if len(reweighting) == len(signals)
            else None,
        )
        for name in (background if signals else ())
    )
    quantisation = None
    if FLOAT in background and signals:
        differences = {signal: aucs[MODEL][signal] - aucs[FLOAT][signal] for signal in signals}
        quantisation = Quantisation(
            mean=_mean(differences.values()).value,
            by_signal={signal: difference.value for signal, difference in differences.items()},
        )
    return PhysicsTable(
        sample=sample,
        split=split,
        replicas=replicas,
        rows=tuple(rows),
        means=means,
        reweighting=tuple(reweighting),
        pileup=tuple(pileup),
        quantisation=quantisation,
    )


def _measure(
    signal_score: NDArray[np.generic], signal: Resampled, score: NDArray[np.generic], background: Resampled
) -> _Measured:
    pair = signal.of(signal_score), background.of(score)
    central = figures(*pair, FALSE_POSITIVE_RATES)
    aucs, effs = replicate(*pair, FALSE_POSITIVE_RATES, signal.drawn, background.drawn)
    labels = [f"{rate:g}" for rate in FALSE_POSITIVE_RATES]
    return _Measured(
        Estimate(central.auc, aucs),
        {label: Estimate(central.efficiency[i], effs[:, i]).value for i, label in enumerate(labels)},
        dict(zip(labels, central.background_above, strict=True)),
    )


def _by_pileup(
    name: str,
    signal: tuple[Resampled, NDArray[np.generic]],
    background: tuple[Resampled, NDArray[np.generic]],
    intervals: Sequence[tuple[int, int]],
) -> Iterator[PileupRow]:
    """AUC in the intervals of nPU that hold two events of each class and some weight."""
    for low, high in intervals:
        pair, drawn = [], []
        for events, score in (signal, background):
            inside = (events.npu >= low) & (events.npu <= high)
            if inside.sum() < 2 or not events.weight[inside].any():
                break
            pair.append(Sample(score[inside], events.weight[inside]))
            drawn.append(events.drawn[:, inside])
        else:
            aucs, _ = replicate(pair[0], pair[1], (), drawn[0], drawn[1])
            estimate = Estimate(auc(pair[0], pair[1]), aucs)
            yield PileupRow(signal=name, low=low, high=high, auc=estimate.value)


def _mean(estimates: Iterable[Estimate]) -> Estimate:
    several = list(estimates)
    return Estimate(
        float(np.mean([one.central for one in several])), np.mean([one.replicas for one in several], axis=0)
    )

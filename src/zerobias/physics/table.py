"""The physics table: what a score is worth, per signal, beside the baselines."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from zerobias.physics.metrics import Sample, auc, figures, replicate

__all__ = ["FALSE_POSITIVE_RATES", "PhysicsTable", "PileupRow", "Quantisation", "ScoreRow", "physics_table"]

FALSE_POSITIVE_RATES = (1e-2, 1e-3)
MODEL, FLOAT = "model", "model_float"
_PILEUP_BINS = 3

Scores = Mapping[str, NDArray[np.generic]]


class _Row(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Value(_Row):
    """A figure with its bootstrap error (standard deviation over the replicas that hold both classes)."""

    value: float
    error: float


class ScoreRow(_Row):
    """One score on one signal; ``efficiency`` is keyed by the false-positive rate.

    ``background_above`` is the effective number of background events above each threshold: below
    about ten, read the efficiency with care.
    """

    signal: str
    score: str
    auc: Value
    efficiency: dict[str, Value]
    background_above: dict[str, float]
    signal_events: int
    background_events: int


class PileupRow(_Row):
    """AUC of the model's score with signal and zero bias both in low <= nPU <= high."""

    signal: str
    low: int
    high: int
    auc: Value


class Quantisation(_Row):
    """AUC of the quantised minus the float network, paired bootstrap; ``mean`` over the signals."""

    mean: Value
    by_signal: dict[str, Value]


class PhysicsTable(_Row):
    """All rows, and what they were made from."""

    sample: str
    split: str
    replicas: int
    rows: tuple[ScoreRow, ...]
    pileup: tuple[PileupRow, ...]
    quantisation: Quantisation | None

    def mean_auc(self, score: str) -> float:
        """Mean AUC of a score over the signals."""
        return float(np.mean([row.auc.value for row in self.rows if row.score == score]))


def physics_table(
    *,
    background: Scores,
    background_weight: NDArray[np.float64],
    background_npu: NDArray[np.integer],
    signals: Mapping[str, Scores],
    signal_npu: Mapping[str, NDArray[np.integer]],
    sample: str,
    split: str,
    replicas: int = 200,
    seed: int = 1,
) -> PhysicsTable:
    """Figures of every score in ``background`` (name -> (events,)) on every signal.

    Signal events weigh 1. ``model`` and ``model_float`` are the quantised and the float network.
    Bootstrap: Poisson(1) resampling of the events of each class, the same for all scores.
    """
    rng = np.random.default_rng(seed)
    count = len(background_weight)
    drawn_background = rng.poisson(1.0, (replicas, count)).astype(np.uint8)
    rows: list[ScoreRow] = []
    pileup: list[PileupRow] = []
    differences: dict[str, tuple[float, NDArray[np.float64]]] = {}
    edges = np.quantile(background_npu, np.linspace(0, 1, _PILEUP_BINS + 1)).astype(int)
    for signal, scores in signals.items():
        size = len(signal_npu[signal])
        drawn = rng.poisson(1.0, (replicas, size)).astype(np.uint8)
        aucs: dict[str, tuple[float, NDArray[np.float64]]] = {}
        for name, values in background.items():
            pair = Sample(scores[name], np.ones(size)), Sample(values, background_weight)
            central = figures(*pair, FALSE_POSITIVE_RATES)
            replica_auc, replica_eff = replicate(*pair, FALSE_POSITIVE_RATES, drawn, drawn_background)
            aucs[name] = (central.auc, replica_auc)
            labels = [f"{rate:g}" for rate in FALSE_POSITIVE_RATES]
            rows.append(
                ScoreRow(
                    signal=signal,
                    score=name,
                    auc=_value(central.auc, replica_auc),
                    efficiency={
                        label: _value(central.efficiency[i], replica_eff[:, i])
                        for i, label in enumerate(labels)
                    },
                    background_above=dict(zip(labels, central.background_above, strict=True)),
                    signal_events=size,
                    background_events=count,
                )
            )
        if FLOAT in aucs:
            difference = aucs[MODEL][1] - aucs[FLOAT][1]
            differences[signal] = (aucs[MODEL][0] - aucs[FLOAT][0], difference)
        for index in range(_PILEUP_BINS):
            low, high = int(edges[index]) + (index > 0), int(edges[index + 1])
            in_b = (background_npu >= low) & (background_npu <= high)
            in_s = (signal_npu[signal] >= low) & (signal_npu[signal] <= high)
            if in_s.sum() < 2 or in_b.sum() < 2 or background_weight[in_b].sum() <= 0:
                continue
            pair = (
                Sample(scores[MODEL][in_s], np.ones(int(in_s.sum()))),
                Sample(background[MODEL][in_b], background_weight[in_b]),
            )
            replica_auc, _ = replicate(*pair, (), drawn[:, in_s], drawn_background[:, in_b])
            pileup.append(PileupRow(signal=signal, low=low, high=high, auc=_value(auc(*pair), replica_auc)))
    quantisation = None
    if differences:
        quantisation = Quantisation(
            mean=_value(
                float(np.mean([d[0] for d in differences.values()])),
                np.mean([d[1] for d in differences.values()], axis=0),
            ),
            by_signal={name: _value(*d) for name, d in differences.items()},
        )
    return PhysicsTable(
        sample=sample,
        split=split,
        replicas=replicas,
        rows=tuple(rows),
        pileup=tuple(pileup),
        quantisation=quantisation,
    )


def _value(central: float, replicas: NDArray[np.float64]) -> Value:
    return Value(value=central, error=float(np.nanstd(replicas, ddof=1)))

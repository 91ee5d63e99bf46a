"""Paired comparison of two scores on the same events: what one loses against the other in AUC."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from zerobias.errors import DataError
from zerobias.physics.bootstrap import draws
from zerobias.physics.metrics import Sample, auc, replicate

__all__ = ["AucLoss", "LossRow", "auc_loss"]

_UPPER = 0.84
"""Quantile of the bootstrap at the upper end of the central 68 % interval."""

Scores = Mapping[str, NDArray[np.generic]]


class LossRow(BaseModel):
    """AUC of the former minus that of the new score; ``upper`` is the upper limit of its 68 % interval."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    signal: str
    former: float
    new: float
    loss: float
    upper: float
    signal_events: int


class AucLoss(BaseModel):
    """Rows of the signals and their mean (``signal`` "mean", with the fewest events of any signal)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rows: tuple[LossRow, ...]
    mean: LossRow
    background_events: int
    replicas: int


def auc_loss(
    *,
    former_background: NDArray[np.generic],
    new_background: NDArray[np.generic],
    background_weight: NDArray[np.float64],
    former_signals: Scores,
    new_signals: Scores,
    signal_weight: Mapping[str, NDArray[np.float64]],
    replicas: int = 200,
    seed: int = 1,
) -> AucLoss:
    """Loss of AUC on each signal and of their mean, both scores given for the same events (events,).

    Bootstrap: Poisson(1) resampling of the events of each class, the same for both scores, so what both
    have in common drops out of the error.

    Raises ``DataError`` without signals, and as :class:`Sample` does.
    """
    if not new_signals:
        raise DataError("no signal to compare on: give a sample with signals")
    rng = np.random.default_rng(seed)
    background = {
        "former": Sample(former_background, background_weight),
        "new": Sample(new_background, background_weight),
    }
    background_drawn = draws(rng, replicas, len(background_weight))
    rows, differences = [], []
    for name, weight in signal_weight.items():
        signal_drawn = draws(rng, replicas, len(weight))
        central, replica = {}, {}
        for which, scores in (("former", former_signals), ("new", new_signals)):
            pair = Sample(scores[name], weight), background[which]
            central[which] = auc(*pair)
            replica[which], _ = replicate(*pair, (), signal_drawn, background_drawn)
        differences.append(replica["former"] - replica["new"])
        rows.append(_row(name, central["former"], central["new"], differences[-1], len(weight)))
    former, new = (float(np.mean([getattr(row, which) for row in rows])) for which in ("former", "new"))
    fewest = min(row.signal_events for row in rows)
    mean = _row("mean", former, new, np.mean(differences, axis=0), fewest)
    return AucLoss(rows=tuple(rows), mean=mean, background_events=len(background_weight), replicas=replicas)


def _row(signal: str, former: float, new: float, replica: NDArray[np.float64], events: int) -> LossRow:
    upper = float(np.nanquantile(replica, _UPPER))
    return LossRow(
        signal=signal, former=former, new=new, loss=former - new, upper=upper, signal_events=events
    )

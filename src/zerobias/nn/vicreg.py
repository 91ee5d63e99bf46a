"""Self-supervised embeddings: variance, invariance and covariance of two views of each event."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

__all__ = ["SelfSupervised", "active_dimensions", "covariance", "vicreg"]

_FLOOR = 1e-4
"""Added to a variance before its square root, whose gradient is infinite at zero."""


def covariance(values: Any, weight: Any) -> Any:
    """Covariance (d, d) of vectors (n, d) that count with ``weight`` (n,); any scale of the weights."""
    share = weight / ops.sum(weight)
    centred = values - ops.sum(share[:, None] * values, axis=0)
    return ops.matmul(ops.transpose(centred * share[:, None]), centred)


def vicreg(
    first: Any,
    second: Any,
    weight: Any,
    *,
    invariance: float = 25.0,
    variance: float = 25.0,
    decorrelation: float = 1.0,
    spread: float = 1.0,
) -> Any:
    """VICReg loss (scalar) of the embeddings (n, d) of two views of n events (arXiv:2105.04906).

    * invariance: mean squared distance of the two embeddings of an event, over d;
    * variance, for each view: mean over the dimensions of max(0, ``spread`` - standard deviation), which
      keeps the embedding from collapsing to a point;
    * decorrelation, for each view: sum of the squared covariances of different dimensions, over d, which
      keeps the dimensions from saying the same thing.

    ``invariance``, ``variance`` and ``decorrelation`` are their weights. Events count with ``weight`` (n,);
    with equal ones the loss is the paper's, but for its n - 1 in place of n in the variances.
    """
    size = first.shape[-1]
    share = weight / ops.sum(weight)
    loss = invariance * ops.sum(share * ops.mean(ops.square(first - second), axis=-1))
    for view in (first, second):
        matrix = covariance(view, weight)
        diagonal = ops.diagonal(matrix)
        missing = ops.relu(spread - ops.sqrt(diagonal + _FLOOR))
        common = (ops.sum(ops.square(matrix)) - ops.sum(ops.square(diagonal))) / size
        loss = loss + variance * ops.mean(missing) + decorrelation * common
    return loss


def active_dimensions(
    values: NDArray[np.floating], weight: NDArray[np.floating], spread: float, share: float = 0.01
) -> int:
    """Dimensions an embedding (n, d) of events with ``weight`` (n,) really uses.

    Counts the eigenvalues of its covariance above ``share`` of ``d * spread**2``, the variance that
    :func:`vicreg` asks for in all: 0 where all events have one value, 1 where all dimensions say the same
    thing, at most d.
    """
    matrix = np.cov(np.asarray(values, np.float64), rowvar=False, aweights=weight, ddof=0)
    return int((np.linalg.eigvalsh(matrix) > share * len(matrix) * spread**2).sum())


class SelfSupervised(keras.Model):  # type: ignore[misc]
    """Trains ``encoder`` on two views of each event; its loss is :func:`vicreg` with the settings ``terms``.

    Inputs: (view (n, features), other view (n, features), weight (n,)); gives the first view's embedding.
    """

    def __init__(self, encoder: keras.Model, **terms: float) -> None:
        super().__init__()
        self.encoder = encoder
        self.terms = terms

    def call(self, inputs: Any) -> Any:
        """Embedding (n, d) of the first view; the loss is added."""
        view, other, weight = inputs
        first, second = self.encoder(view), self.encoder(other)
        self.add_loss(vicreg(first, second, weight, **self.terms))
        return first

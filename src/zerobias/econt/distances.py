"""Distances of two distributions of the same wafers' features: before and after a compression.

Features are standardised first (:func:`standardise`), so that every distance is in units of the spread of
the input. Row i of both samples is the same wafer.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import wasserstein_distance

from zerobias.errors import DataError

__all__ = ["frechet", "mmd2", "mmd_terms", "standardise", "w1"]

_Array = NDArray[np.float64]


def standardise(true: _Array, decoded: _Array) -> tuple[_Array, _Array]:
    """Both (events, features), less the mean and over the standard deviation of ``true``.

    Raises ``DataError`` when shapes differ or a feature of ``true`` has no spread.
    """
    if true.shape != decoded.shape or true.ndim != 2:
        raise DataError(f"features have shapes {true.shape} and {decoded.shape}: compare the same wafers")
    spread = true.std(axis=0)
    flat = np.flatnonzero(~(spread > 0))
    if len(flat):
        raise DataError(f"feature {flat[0]} of {len(true)} true wafers has no spread: take more wafers")
    mean = true.mean(axis=0)
    return (true - mean) / spread, (decoded - mean) / spread


def w1(x: _Array, y: _Array, counts: NDArray[np.int64] | None = None) -> float:
    """Wasserstein-1 distance of two samples (n,); ``counts`` (n,) says how often each wafer counts."""
    return float(wasserstein_distance(x, y, counts, counts))


def mmd_terms(x: _Array, y: _Array) -> _Array:
    """Terms h_ij (n, n) of the squared maximum mean discrepancy of x and y (n, features); 0 for i = j.

    h_ij = k(x_i, x_j) + k(y_i, y_j) - k(x_i, y_j) - k(x_j, y_i) with k = exp(-d^2 / (2 s^2)), s the median
    distance of two different points of x and y together (Gretton et al., JMLR 13 (2012) 723).
    """
    xx, yy, xy = _squared(x, x), _squared(y, y), _squared(x, y)
    upper = np.triu_indices(len(x), 1)
    typical = np.median(np.concatenate([xx[upper], yy[upper], xy.ravel()]))
    scale = 2 * typical if typical > 0 else 1.0
    terms: _Array = np.exp(-xx / scale) + np.exp(-yy / scale) - np.exp(-xy / scale) - np.exp(-xy.T / scale)
    np.fill_diagonal(terms, 0)
    return terms


def mmd2(terms: _Array, counts: NDArray[np.int64] | None = None) -> float:
    """Unbiased estimate from :func:`mmd_terms`: their mean over pairs of different wafers.

    It may be negative. ``counts`` (n,) says how often each wafer counts; no wafer is paired with itself,
    or the estimate would not be unbiased. Raises ``DataError`` for fewer than two wafers.
    """
    weight = np.ones(len(terms)) if counts is None else counts.astype(np.float64)
    pairs = weight.sum() ** 2 - weight @ weight
    if pairs <= 0:
        raise DataError("MMD of fewer than two wafers: take more wafers")
    return float(weight @ terms @ weight / pairs)


def frechet(x: _Array, y: _Array, counts: NDArray[np.int64] | None = None) -> float:
    """Squared Frechet distance of the Gaussians with the mean and covariance of x and y (n, features).

    |m_x - m_y|^2 + tr(C_x + C_y - 2 (C_x C_y)^(1/2)) (Dowson and Landau, J. Multivar. Anal. 12 (1982) 450),
    with the covariances of the samples themselves (n in the denominator).
    """
    mean = [np.average(z, axis=0, weights=counts) for z in (x, y)]
    cov = [np.atleast_2d(np.cov(z, rowvar=False, ddof=0, fweights=counts)) for z in (x, y)]
    values, vectors = np.linalg.eigh(cov[0])
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    cross = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ cov[1] @ root), 0)).sum()
    return float(np.sum((mean[0] - mean[1]) ** 2) + np.trace(cov[0]) + np.trace(cov[1]) - 2 * cross)


def _squared(x: _Array, y: _Array) -> _Array:
    """Squared distances (n, m) of the rows."""
    total: _Array = np.zeros((len(x), len(y)))
    for a, b in zip(x.T, y.T, strict=True):
        total += np.subtract.outer(a, b) ** 2
    return total

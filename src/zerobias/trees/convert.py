"""Fitted scikit-learn ensembles as trees of real numbers, up to a constant in the score.

Gradient boosting: a leaf is worth its prediction times the learning rate; the first guess is left out.

Isolation forest (Liu, Ting, Zhou, ICDM 2008): a leaf is worth minus its path length, the number of decisions
on the way to it plus the mean path length c(n) of a search tree of the n training events left in it. The
forest rates an event by 2^(-E(h) / c(m)), with the mean E(h) over its trees and the constant c(m) of its
sample size m. This falls with E(h), so the sum of the leaves ranks events as the forest does, the most
isolated one highest, and the firmware needs no exponential.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zerobias.errors import UnsupportedError
from zerobias.trees.ensemble import LEAF, TreeEnsemble

__all__ = ["from_gradient_boosting", "from_isolation_forest"]


def from_gradient_boosting(name: str, fitted: Any) -> TreeEnsemble:
    """Trees of a fitted ``GradientBoostingClassifier`` or ``GradientBoostingRegressor`` of one output.

    The score is its ``decision_function`` (or prediction) less the first guess. Raises ``UnsupportedError``
    for more than two classes.
    """
    if fitted.estimators_.shape[1] != 1:
        raise UnsupportedError(
            f"{name}: {fitted.estimators_.shape[1]} scores of {fitted.estimators_.shape[1]} classes; "
            "fit two classes, signal and background"
        )
    trees = [estimator.tree_ for estimator in fitted.estimators_[:, 0]]
    values = [tree.value[:, 0, 0] * fitted.learning_rate for tree in trees]
    return _joined(name, fitted.n_features_in_, trees, [tree.feature for tree in trees], values)


def from_isolation_forest(name: str, fitted: Any) -> TreeEnsemble:
    """Trees of a fitted ``IsolationForest``: minus path lengths, whose sum ranks as ``-score_samples``."""
    trees = [estimator.tree_ for estimator in fitted.estimators_]
    features = [
        np.where(tree.feature < 0, tree.feature, columns[tree.feature])
        for tree, columns in zip(trees, fitted.estimators_features_, strict=True)
    ]
    return _joined(name, fitted.n_features_in_, trees, features, [-_path_lengths(tree) for tree in trees])


def _mean_path_length(events: NDArray[Any]) -> NDArray[np.float64]:
    """c(n) = 2 H(n-1) - 2 (n-1) / n: mean length of an unsuccessful search in a search tree of n events.

    H is ln + Euler's constant, as in the paper and in scikit-learn; c(0) = c(1) = 0, c(2) = 1.
    """
    n = np.asarray(events, dtype=np.float64)
    large = np.maximum(n, 3)
    found: NDArray[np.float64] = 2 * (np.log(large - 1) + np.euler_gamma) - 2 * (large - 1) / large
    return np.where(n > 2, found, np.where(n == 2, 1.0, 0.0))


def _path_lengths(tree: Any) -> NDArray[np.float64]:
    """Path length of each node of a tree as if it were a leaf."""
    depth = np.zeros(tree.node_count)
    for node in np.flatnonzero(tree.feature >= 0):
        depth[[tree.children_left[node], tree.children_right[node]]] = depth[node] + 1
    lengths: NDArray[np.float64] = depth + _mean_path_length(tree.n_node_samples)
    return lengths


def _joined(
    name: str,
    features: int,
    trees: Sequence[Any],
    feature: Sequence[NDArray[Any]],
    value: Sequence[NDArray[np.float64]],
) -> TreeEnsemble:
    """scikit-learn's trees one behind the other; their children already lie behind their parents."""
    counts = [tree.node_count for tree in trees]
    root = np.cumsum([0, *counts[:-1]])
    leaf = np.concatenate(feature) < 0
    own = np.arange(len(leaf))
    shift = np.repeat(root, counts)

    def children(side: str) -> NDArray[np.int64]:
        found = np.concatenate([getattr(tree, side) for tree in trees]) + shift
        return np.where(leaf, own, found)

    return TreeEnsemble(
        name,
        int(features),
        root=root,
        feature=np.where(leaf, LEAF, np.concatenate(feature)),
        threshold=np.where(leaf, 0.0, np.concatenate([tree.threshold for tree in trees])),
        left=children("children_left"),
        right=children("children_right"),
        value=np.where(leaf, np.concatenate(value), 0.0),
    )

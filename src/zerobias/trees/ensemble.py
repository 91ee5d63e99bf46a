"""A sum of decision trees as flat arrays: what a model folder of trees builds, trains and stores."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zerobias.contract import FixedType, IntArray
from zerobias.errors import DataError, UnsupportedError

__all__ = ["LEAF", "TreeEnsemble"]

LEAF = -1
"""In the place of a leaf's feature."""
_PREFIX = "trees/"
_FLOAT32_BITS = 24


def _no_nodes() -> IntArray:
    return np.zeros(0, dtype=np.int64)


@dataclass(frozen=True, eq=False)
class TreeEnsemble:
    """``score(x) = sum over trees of the value of the leaf that x falls into``.

    The nodes of all trees lie one behind the other. Node i asks whether ``x[feature[i]] <= threshold[i]`` and
    goes on at node ``left[i]``, else at ``right[i]``; children lie behind their parent. Where ``feature[i]``
    is ``LEAF`` it ends with ``value[i]`` (both children are i itself). ``root`` is each tree's first node.

    With a ``score_type`` the ensemble is quantised: thresholds are integers in LSBs of the network's input,
    values integers in LSBs of ``score_type``. Without, both are real numbers.
    """

    name: str
    features: int
    score_type: FixedType | None = None
    root: IntArray = field(default_factory=_no_nodes)
    feature: IntArray = field(default_factory=_no_nodes)
    threshold: NDArray[Any] = field(default_factory=_no_nodes)
    left: IntArray = field(default_factory=_no_nodes)
    right: IntArray = field(default_factory=_no_nodes)
    value: NDArray[Any] = field(default_factory=_no_nodes)

    @property
    def arrays(self) -> dict[str, NDArray[Any]]:
        """The arrays as a weights file holds them, keyed ``trees/<array>``."""
        return {f"{_PREFIX}{key}": getattr(self, key) for key in _ARRAYS}

    def with_arrays(self, arrays: Mapping[str, NDArray[Any]]) -> TreeEnsemble:
        """This ensemble with the trees of a weights file.

        Raises ``DataError`` for missing or superfluous arrays, and for arrays that are no trees.
        """
        wanted = {f"{_PREFIX}{key}" for key in _ARRAYS}
        if arrays.keys() != wanted:
            raise DataError(
                f"the weights hold {', '.join(sorted(arrays))}: trees are {', '.join(sorted(wanted))}"
            )
        parts: dict[str, Any] = {key: arrays[f"{_PREFIX}{key}"] for key in _ARRAYS}
        found = replace(self, **parts)
        found._check()
        return found

    def quantised(self, network_type: FixedType, score_type: FixedType) -> TreeEnsemble:
        """These trees of real numbers in integers, for inputs of ``network_type``.

        A threshold becomes the largest integer that is not above it, which changes no decision. A value
        becomes the nearest multiple of the LSB of ``score_type``, less the lowest one of its tree: the score
        starts at zero and is that of the rounded values up to a constant.

        Raises ``UnsupportedError`` when float32, in which scikit-learn compares, does not hold every input.
        """
        if network_type.width > _FLOAT32_BITS:
            raise UnsupportedError(
                f"trees of inputs in {network_type}: scikit-learn compares in float32, which holds "
                f"{_FLOAT32_BITS} bits exactly; use a narrower network_type"
            )
        threshold = np.floor(np.ldexp(self.threshold, network_type.frac)).astype(np.int64)
        value = np.rint(np.ldexp(self.value, score_type.frac)).astype(np.int64)
        for nodes in self.slices():
            leaves = self.feature[nodes] == LEAF
            value[nodes] = np.where(leaves, value[nodes] - value[nodes][leaves].min(), 0)
        return replace(self, score_type=score_type, threshold=threshold, value=value)

    def slices(self) -> Iterator[slice]:
        """The nodes of each tree."""
        for first, last in zip(self.root, [*self.root[1:], len(self.feature)], strict=True):
            yield slice(int(first), int(last))

    @cached_property
    def depth(self) -> int:
        """Most decisions on the way to a leaf."""
        levels = np.zeros(len(self.feature), dtype=np.int64)
        for node in np.flatnonzero(self.feature != LEAF):  # parents come before their children
            levels[[self.left[node], self.right[node]]] = levels[node] + 1
        return int(levels.max(initial=0))

    def leaf_values(self, inputs: NDArray[Any]) -> NDArray[Any]:
        """Values (events, trees) of the leaves that inputs (events, features) fall into."""
        node = np.broadcast_to(self.root, (len(inputs), len(self.root)))
        events = np.arange(len(inputs))[:, None]
        for _ in range(self.depth):
            # A leaf looks at some feature, and stays where it is.
            goes_left = inputs[events, np.maximum(self.feature, 0)[node]] <= self.threshold[node]
            node = np.where(goes_left, self.left[node], self.right[node])
        found: NDArray[Any] = self.value[node]
        return found

    def predict(self, inputs: NDArray[Any]) -> NDArray[Any]:
        """Scores (events,) of inputs (events, features) in the unit of the thresholds."""
        found: NDArray[Any] = self.leaf_values(inputs).sum(axis=1)
        return found

    def _check(self) -> None:
        """Raise ``DataError`` unless the arrays are trees."""
        nodes = np.arange(len(self.feature))
        leaf = self.feature == LEAF
        parts = self.feature, self.threshold, self.left, self.right, self.value
        integers = (
            (self.root, *parts) if self.score_type else (self.root, self.feature, self.left, self.right)
        )
        faults = {
            "differ in length": any(part.shape != nodes.shape for part in parts),
            "hold numbers that are no integers": any(part.dtype.kind not in "iu" for part in integers),
        }
        if not any(faults.values()):
            tree = np.searchsorted(self.root, nodes, side="right")
            children = np.concatenate([self.left[~leaf], self.right[~leaf]])
            parents = np.concatenate([nodes[~leaf], nodes[~leaf]])
            inside = ((children > parents) & (children < len(nodes))).all()
            born = np.sort(np.concatenate([children, self.root]))
            faults = {
                "hold no tree": not len(self.root) or not len(nodes),
                f"look at features beyond the {self.features} of the contract": bool(
                    ((self.feature < LEAF) | (self.feature >= self.features)).any()
                ),
                "hold a leaf that goes on": bool((self.left[leaf] != nodes[leaf]).any())
                or bool((self.right[leaf] != nodes[leaf]).any()),
                "hold a node that is the child of none, of two or of another tree": not inside
                or not np.array_equal(born, nodes)
                or bool((tree[children] != tree[parents]).any()),
            }
        wrong = [fault for fault, present in faults.items() if present]
        if wrong:
            raise DataError(f"the trees' arrays {wrong[0]}: train the model again or export them again")


_ARRAYS = tuple(
    part.name for part in fields(TreeEnsemble) if part.name not in ("name", "features", "score_type")
)

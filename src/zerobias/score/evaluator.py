"""What every fast way to score shares: stored types, errors, the check against the reference."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zerobias.contract import Contract, IntArray
from zerobias.errors import GateError
from zerobias.fixed import Graph, shaped

__all__ = ["STORED", "Evaluator", "Run", "admitted"]

STORED = tuple(np.dtype(f"{sign}{8 * size}") for sign in ("int", "uint") for size in (1, 2, 4, 8))
"""Types of raw integers that are read as they are stored."""

Run = Callable[[NDArray[Any]], IntArray | None]
"""Scores of contiguous raw integers (events, features), or None when a value is not admitted."""

_CHECKED = 1000


def admitted(contract: Contract, kind: np.dtype[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Smallest and largest raw integer of each feature that the contract admits and ``kind`` holds."""
    held = np.iinfo(kind)
    low, high = contract.low.astype(object), contract.high.astype(object)
    return np.maximum(low, held.min).astype(kind), np.minimum(high, held.max).astype(kind)


class Evaluator(ABC):
    """Scores of raw integers, the same integers as the reference's, by code made once for a stored type.

    The code is held against the reference on 1000 events before it is used.
    """

    name: str
    """Who scores, as messages call it."""

    def __init__(self, contract: Contract, graph: Graph) -> None:
        self._contract, self._graph = contract, graph
        self._made: dict[np.dtype[Any], Run] = {}

    def evaluate(self, collection: NDArray[Any]) -> IntArray:
        """Score integers (events, *score_shape) of an event array (events, ...) of raw integers.

        Raises ``DataError`` as the contract's ``flatten``, ``ToolError`` when a tool is missing or fails,
        ``UnsupportedError`` when the graph needs more than 64 bits and ``GateError`` when the code does not
        give the reference's scores.
        """
        raw = np.asarray(collection)
        count = len(self._contract.features)
        if not self._takes(raw.dtype) or raw.ndim < 2 or math.prod(raw.shape[1:]) != count:
            raw = self._contract.flatten(raw)  # int64, after its check: what wraps would pass the code's own
        raw = np.ascontiguousarray(raw).reshape(len(raw), count)
        if raw.dtype not in self._made:
            self._made[raw.dtype] = self._checked(raw.dtype)
        scores = self._made[raw.dtype](raw)
        if scores is None:
            self._contract.check(raw)
            raise GateError(f"{self.name} refuses values that the contract admits: report this")
        return scores

    @abstractmethod
    def _make(self, kind: np.dtype[Any]) -> tuple[Run, str]:
        """The code for raw integers stored as ``kind``, and what to do when it is wrong."""

    def _takes(self, kind: np.dtype[Any]) -> bool:
        """Whether the code reads values as ``kind`` stores them, which holds one of every feature."""
        if kind not in STORED:
            return False
        held = np.iinfo(kind)
        return bool(self._contract.low.max() <= held.max and self._contract.high.min() >= held.min)

    def _checked(self, kind: np.dtype[Any]) -> Run:
        run, remedy = self._make(kind)
        low, high = admitted(self._contract, kind)
        rng = np.random.default_rng(0)
        raw = rng.integers(low, high, (_CHECKED, len(low)), kind.type, endpoint=True)
        corners = rng.integers(0, 2, (_CHECKED // 4, len(low))) == 1
        raw[: len(corners)] = np.where(corners, high, low)
        expected = self._graph.evaluate(shaped(self._contract, self._graph, raw.astype(np.int64)))
        found = run(raw)
        if found is None or not np.array_equal(found, expected):
            raise GateError(f"{self.name} does not give the reference's scores: {remedy}")
        return run

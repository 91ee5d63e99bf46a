"""Exact scores of event arrays, as fast as this machine can."""

from __future__ import annotations

import logging
from typing import Any

from numpy.typing import NDArray

from zerobias.contract import Contract, IntArray
from zerobias.errors import ToolError, UnsupportedError
from zerobias.fixed import Graph, shaped
from zerobias.score.compiled import CompiledGraph

__all__ = ["Scorer"]

log = logging.getLogger(__name__)


class Scorer:
    """Scores by compiled code or, after a warning, by NumPy where that cannot be had: the same integers."""

    def __init__(self, contract: Contract, graph: Graph) -> None:
        self.contract, self.graph = contract, graph
        self._compiled: CompiledGraph | None = CompiledGraph(contract, graph)

    def score(self, collection: NDArray[Any]) -> IntArray:
        """Score integers (events, *score_shape) of the contract's collection; raises ``DataError``."""
        if self._compiled is not None:
            try:
                return self._compiled.evaluate(collection)
            except (ToolError, UnsupportedError) as error:
                log.warning("NumPy scores the events: slower, the same integers (%s)", error)
                self._compiled = None
        return self.graph.evaluate(shaped(self.contract, self.graph, self.contract.flatten(collection)))

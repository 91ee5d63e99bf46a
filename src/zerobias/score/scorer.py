"""Exact scores of event arrays, as fast as this machine can."""

from __future__ import annotations

import logging
from importlib.metadata import entry_points
from typing import Any, Literal, get_args

from numpy.typing import NDArray

from zerobias.contract import Contract, IntArray
from zerobias.errors import SpecError, ToolError
from zerobias.fixed import Graph, shaped
from zerobias.score.compiled import CompiledGraph
from zerobias.score.evaluator import Evaluator

__all__ = ["Device", "Scorer"]

Device = Literal["auto", "cpu", "gpu"]
"""Where scores are computed; ``auto``: on a graphics processor where JAX finds one."""

log = logging.getLogger(__name__)


class Scorer:
    """Scores on a graphics processor, by compiled code or by NumPy: the same integers.

    ``device``: ``gpu`` through JAX; ``cpu`` by compiled code or, after a warning, by NumPy where that cannot
    be had; ``auto`` is ``gpu`` where JAX has a plugin for graphics processors and sees one, else ``cpu``.
    Raises ``SpecError`` for another device and ``ToolError`` when there is no JAX or GPU for ``gpu``.
    """

    def __init__(self, contract: Contract, graph: Graph, device: Device = "auto") -> None:
        if device not in get_args(Device):
            raise SpecError(f"device {device!r} is unknown: use one of {', '.join(get_args(Device))}")
        self.contract, self.graph, self._device = contract, graph, device
        self._ways: list[Evaluator] = [CompiledGraph(contract, graph)]
        if device == "gpu":
            self._ways = [_on_gpu(contract, graph)]
        elif device == "auto" and entry_points(group="jax_plugins"):
            try:
                self._ways.insert(0, _on_gpu(contract, graph))
            except ToolError as error:
                log.info("%s", error)

    def score(self, collection: NDArray[Any]) -> IntArray:
        """Score integers (events, *score_shape) of the contract's collection.

        Raises ``DataError`` for values outside the contract, ``UnsupportedError`` for a graph that needs more
        than 64 bits, which NumPy has not either; with device ``gpu`` also ``ToolError``.
        """
        while self._ways:
            try:
                return self._ways[0].evaluate(collection)
            except ToolError as error:
                if self._device == "gpu":
                    raise
                del self._ways[0]
                name = self._ways[0].name if self._ways else "NumPy"
                log.warning("%s scores the events: slower, the same integers (%s)", name, error)
        return self.graph.evaluate(shaped(self.contract, self.graph, self.contract.flatten(collection)))


def _on_gpu(contract: Contract, graph: Graph) -> Evaluator:
    try:
        from zerobias.score.device import XlaGraph, find_gpu
    except ImportError:
        raise ToolError("scoring on a GPU needs JAX: pip install 'zerobias[jax]' 'jax[cuda13]'") from None
    return XlaGraph(contract, graph, find_gpu())

"""The fixed-point graph through XLA, on a graphics processor or any other device of JAX."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import numpy as np
from jax import export
from numpy.typing import NDArray

from zerobias.contract import Contract, IntArray
from zerobias.errors import ToolError
from zerobias.fixed import Graph
from zerobias.score.evaluator import Evaluator, Run
from zerobias.score.stream import Stream
from zerobias.score.xla import scoring_function

__all__ = ["XlaGraph", "exported", "find_gpu"]


def find_gpu() -> Any:
    """JAX's first graphics processor; raises ``ToolError`` when it sees none."""
    try:
        return jax.devices("gpu")[0]
    except RuntimeError:
        raise ToolError(
            f"JAX {jax.__version__} sees no GPU: install its CUDA plugin (pip install 'jax[cuda13]') on a "
            "machine that has one, or score with --device cpu"
        ) from None


class XlaGraph(Evaluator):
    """Scores of raw integers by the program that XLA makes for ``device``."""

    def __init__(self, contract: Contract, graph: Graph, device: Any) -> None:
        super().__init__(contract, graph)
        self._device = device
        self.name = f"the XLA program on {device.device_kind}"

    def _make(self, kind: np.dtype[Any]) -> tuple[Run, str]:
        function = scoring_function(self._contract, self._graph, kind)
        stream = Stream(function, len(self._contract.features), kind, self._device)
        return partial(self._run, stream), f"score with --device cpu and report it with jax {jax.__version__}"

    def _run(self, stream: Stream, raw: NDArray[Any]) -> IntArray | None:
        scores = np.empty((len(raw), *self._graph.score_shape), dtype=np.int64)
        try:
            admitted = not len(raw) or stream.score(raw, scores)
        except jax.errors.JaxRuntimeError as error:
            raise ToolError(f"{self.name} failed ({error}): score with --device cpu") from None
        return scores if admitted else None


def exported(contract: Contract, graph: Graph, kind: np.dtype[Any]) -> bytes:
    """The scoring function for any number of events, on CPU and CUDA, as ``jax.export`` writes it."""
    with jax.enable_x64(True):
        events = jax.ShapeDtypeStruct((*export.symbolic_shape("events"), len(contract.features)), kind)
        function = jax.jit(scoring_function(contract, graph, kind))
        return bytes(export.export(function, platforms=["cpu", "cuda"])(events).serialize())

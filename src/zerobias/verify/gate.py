"""The agreement gate: every implementation gives the reference's integers on every event."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from zerobias.contract import Contract, IntArray
from zerobias.errors import DataError
from zerobias.fixed import Graph, shaped

__all__ = ["Disagreement", "Implementation", "Traced", "Verdict", "compare"]

Traced = Mapping[str, tuple[str, NDArray[np.float64]]]
"""Values of each layer by its name, with the name of the graph's node they must equal."""

_TRACED_EVENTS = 32


@dataclass(frozen=True)
class Implementation:
    """One way to compute the score.

    ``score``: raw integers (events, features) -> score integers (events, *score_shape). ``trace``: the same
    events -> each layer's output values in order, keyed by the layer's name, with the name of the graph's
    node they must equal (the network's input is ``"contract"``). ``suspect``: name of a diverging
    layer -> what in this implementation differs from the reference there, or an empty string.
    """

    name: str
    score: Callable[[IntArray], IntArray]
    trace: Callable[[IntArray], Traced]
    suspect: Callable[[str], str]


@dataclass(frozen=True)
class Disagreement:
    """What went wrong in one implementation; ``lsb`` is the largest distance in score LSBs.

    ``outputs``: where a score has several values, those that differ, the worst one first.
    """

    implementation: str
    count: int
    worst_event: int
    expected: int
    found: int
    lsb: int
    layer: str
    cause: str
    outputs: tuple[int, ...] = ()

    def __str__(self) -> str:
        return (
            f"{self.implementation} differs from the reference in {self.count} events; worst is event "
            f"{self.worst_event}{self._output()}: {self.found} instead of {self.expected} ({self.lsb} LSB); "
            f"first diverging layer: {self.layer}; {self.cause}"
        )

    def _output(self) -> str:
        if not self.outputs:
            return ""
        others = ", ".join(map(str, sorted(self.outputs[1:])))
        return f", output {self.outputs[0]}" + f" (also different: {others})" * bool(others)


@dataclass(frozen=True)
class Verdict:
    """Result of the gate; ``equal`` when nothing differs on ``events`` + ``extremes`` events."""

    events: int
    extremes: int
    implementations: tuple[str, ...]
    disagreements: tuple[Disagreement, ...]

    @property
    def equal(self) -> bool:
        """True when every implementation agrees on every event."""
        return not self.disagreements

    @property
    def mismatches(self) -> dict[str, int]:
        """Events that differ, by implementation (the reference is compared with the others)."""
        found = {d.implementation: d.count for d in self.disagreements}
        return {name: found.get(name, 0) for name in self.implementations}


def compare(
    contract: Contract,
    graph: Graph,
    implementations: Sequence[Implementation],
    events: IntArray,
    extremes: IntArray,
) -> Verdict:
    """Compare each implementation with the integer reference on ``events`` and ``extremes``.

    Raises ``DataError`` when there is no event: an empty gate proves nothing.
    """
    if not len(events) or not len(extremes):
        raise DataError(f"{len(events)} events and {len(extremes)} extremes: the gate needs some of each")
    raw = np.concatenate([events, extremes])
    expected = graph.evaluate(shaped(contract, graph, raw))
    disagreements = []
    for implementation in implementations:
        found = implementation.score(raw)
        if found.shape != expected.shape:
            raise DataError(
                f"{implementation.name} gave {found.shape} scores for {len(raw)} events: "
                f"give {expected.shape[1:] or 'one'} each"
            )
        if (found != expected).any():
            disagreements.append(_explain(contract, graph, implementation, raw, expected, found))
    names = ("reference", *(i.name for i in implementations))
    return Verdict(len(events), len(extremes), names, tuple(disagreements))


def _explain(
    contract: Contract,
    graph: Graph,
    implementation: Implementation,
    raw: IntArray,
    expected: IntArray,
    found: IntArray,
) -> Disagreement:
    distance = np.abs(found - expected).reshape(len(raw), -1)
    worst, output = (int(v) for v in np.unravel_index(distance.argmax(), distance.shape))
    wrong = np.flatnonzero(distance.any(axis=1))
    outputs = [output, *(int(v) for v in np.flatnonzero(distance.any(axis=0)) if v != output)]
    sample = raw[np.unique(np.concatenate([[worst], wrong[:_TRACED_EVENTS]]))]
    scaled = contract.scale(sample)
    inner = graph.trace(scaled.reshape(len(scaled), *graph.input.shape))
    layer, cause = graph.output, ""
    for name, (node, values) in implementation.trace(sample).items():
        if name == "contract":
            want = scaled.astype(np.float64) * contract.network_type.lsb
        else:
            want = inner[node].real().reshape(len(sample), -1)
        got = np.asarray(values).reshape(len(sample), -1)
        if got.shape != want.shape or (got != want).any():
            layer = name
            if name == "contract":
                cause = _scaling_cause(contract, want, got)
            break
    cause = implementation.suspect(layer) or cause or "no suspect found: look at this layer's arithmetic"
    return Disagreement(
        implementation=implementation.name,
        count=len(wrong),
        worst_event=worst,
        expected=int(expected[worst].reshape(-1)[output]),
        found=int(found[worst].reshape(-1)[output]),
        lsb=int(distance.max()),
        layer=layer,
        cause=cause,
        outputs=tuple(outputs) if graph.score_shape else (),
    )


def _scaling_cause(contract: Contract, want: NDArray[np.float64], got: NDArray[np.float64]) -> str:
    """Name the features whose scaling differs, and say so when two of them look swapped."""
    columns = [int(i) for i in np.flatnonzero((want != got).any(axis=0))]
    names = [contract.features[i].name for i in columns]
    if len(columns) == 2:
        first, second = columns
        if (got[:, first] == want[:, second]).all() and (got[:, second] == want[:, first]).all():
            return f"features {names[0]} and {names[1]} are swapped"
    return f"offset, shift or order of {', '.join(names[:4])}{' …' if len(names) > 4 else ''} differs"

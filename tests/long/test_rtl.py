"""RTL simulation of the shipped models on more events than CI has time for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from zerobias.contract import Contract, IntArray
from zerobias.fixed import graph_of, shaped
from zerobias.rtl import simulate, trace, write_design
from zerobias.verify import extreme_events, read_golden
from zerobias.zoo import find_model, model_names

STEP = 100_000


def blocks(contract: Contract) -> Iterator[IntArray]:
    """Extremes and random events of which half are mostly absent objects."""
    absent = np.array([feature.absent for feature in contract.features])
    for seed in range(5):
        yield extreme_events(contract, random=STEP, seed=seed)
        rng = np.random.default_rng(seed)
        sparse = rng.integers(contract.low, contract.high, (STEP, len(absent)), endpoint=True)
        kept = rng.random(sparse.shape) < rng.random((STEP, 1)) * 0.1
        yield np.where(kept, sparse, absent)


@pytest.mark.long
@pytest.mark.parametrize("name", model_names())
def test_a_million_events(name: str, tmp_path: Path) -> None:
    model = find_model(name)
    contract = model.contract
    graph = graph_of(model.load(), contract)
    circuit = trace(contract, graph, model.target)
    design = write_design(circuit, model.target, tmp_path / "rtl", name=name)
    golden = read_golden(model.folder / "golden" / "golden.npz")
    np.testing.assert_array_equal(simulate(design, golden.raw).scores, golden.score)
    for raw in blocks(contract):
        expected = graph.evaluate(shaped(contract, graph, raw))
        np.testing.assert_array_equal(circuit.predict(raw), expected)
        measured = simulate(design, raw)
        np.testing.assert_array_equal(measured.scores, expected)
        assert (measured.latency, measured.ii) == (design.stages + 1, 1)

"""RTL simulation of the shipped models on more events than CI has time for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from zerobias.fixed import graph_of
from zerobias.rtl import simulate, trace, write_design
from zerobias.verify import extreme_events, read_golden
from zerobias.zoo import find_model, model_names


@pytest.mark.long
@pytest.mark.parametrize("name", model_names())
def test_a_million_events(name: str, tmp_path: Path) -> None:
    """Golden vectors, extremes, and random events of which half are mostly absent objects."""
    model = find_model(name)
    contract = model.contract
    graph = graph_of(model.load(), contract)
    circuit = trace(contract, graph, model.target)
    design = write_design(circuit, model.target, tmp_path / "rtl", name=name)
    golden = read_golden(model.folder / "golden" / "golden.npz")
    extremes = extreme_events(contract, random=500_000)
    rng = np.random.default_rng(1)
    sparse = rng.integers(contract.low, contract.high, (500_000, len(contract.features)), endpoint=True)
    absent = np.array([feature.absent for feature in contract.features])
    kept = rng.random(sparse.shape) < rng.random((len(sparse), 1)) * 0.1
    raw = np.concatenate([golden.raw, extremes, np.where(kept, sparse, absent)])
    expected = graph.evaluate(contract.scale(raw).reshape(len(raw), *graph.input.shape))
    np.testing.assert_array_equal(circuit.predict(raw), expected)
    measured = simulate(design, raw)
    np.testing.assert_array_equal(measured.scores, expected)
    np.testing.assert_array_equal(measured.scores[: len(golden.raw)], golden.score)
    assert (measured.latency, measured.ii) == (design.stages + 1, 1)

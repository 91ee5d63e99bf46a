"""Machine code and reference on as many random events as ZEROBIAS_EVENTS says, a model at a time."""

from __future__ import annotations

import os

import numpy as np
import pytest

from zerobias.events import default_sample, read
from zerobias.fixed import from_keras, shaped
from zerobias.score import CompiledGraph
from zerobias.zoo import find_model, model_names

EVENTS = int(os.environ.get("ZEROBIAS_EVENTS", "2000000"))
STEP = 100_000


@pytest.mark.long
@pytest.mark.parametrize("name", model_names())
def test_many_events(name: str) -> None:
    """Half of them uniform in the contract's ranges, half with every feature of any size."""
    model = find_model(name)
    contract, graph = model.contract, from_keras(model.load(), model.contract)
    stored = read(default_sample(contract.spec.collection)).collections[contract.spec.collection].dtype
    made = CompiledGraph(contract, graph)
    rng = np.random.default_rng(0)
    for start in range(0, EVENTS, STEP):
        shape = (min(STEP, EVENTS - start), len(contract.low))
        raw = rng.integers(contract.low, contract.high, shape, endpoint=True)
        raw[::2] >>= rng.integers(0, 12, raw[::2].shape)
        raw = np.clip(raw, contract.low, contract.high)
        np.testing.assert_array_equal(
            made.evaluate(raw.astype(stored)),
            graph.evaluate(shaped(contract, graph, raw)),
            f"events from {start}",
        )

"""Fast scoring on as many random events as ZEROBIAS_EVENTS says, a model at a time."""

from __future__ import annotations

import os
import runpy
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jax
import numpy as np
import pytest

from zerobias.contract import Contract, IntArray
from zerobias.events import default_sample, read
from zerobias.fixed import Graph, graph_of, shaped
from zerobias.score import CompiledGraph
from zerobias.score.device import XlaGraph
from zerobias.zoo import find_model, model_names

CHECK = SimpleNamespace(**runpy.run_path(str(Path(__file__).resolve().parents[2] / "tools" / "gpu_check.py")))
EVENTS = int(os.environ.get("ZEROBIAS_EVENTS", "2000000"))
STEP = 100_000


def loaded(name: str) -> tuple[Contract, Graph, np.dtype[Any]]:
    """Contract, graph and stored type of a model."""
    model = find_model(name)
    collection = model.contract.spec.collection
    stored = read(default_sample(collection)).collections[collection].dtype
    return model.contract, graph_of(model.load(), model.contract), stored


def blocks(contract: Contract) -> Iterator[tuple[str, IntArray]]:
    """Half of them uniform in the contract's ranges, half with every feature of any size."""
    rng = np.random.default_rng(0)
    for start in range(0, EVENTS, STEP):
        shape = (min(STEP, EVENTS - start), len(contract.low))
        raw = rng.integers(contract.low, contract.high, shape, endpoint=True)
        raw[::2] >>= rng.integers(0, 12, raw[::2].shape)
        yield f"events from {start}", np.clip(raw, contract.low, contract.high)


@pytest.mark.long
@pytest.mark.parametrize("name", model_names())
def test_machine_code_and_reference(name: str) -> None:
    contract, graph, stored = loaded(name)
    made = CompiledGraph(contract, graph)
    for place, raw in blocks(contract):
        expected = graph.evaluate(shaped(contract, graph, raw))
        np.testing.assert_array_equal(made.evaluate(raw.astype(stored)), expected, place)


@pytest.mark.long
@pytest.mark.parametrize("name", model_names())
def test_xla_and_machine_code(name: str) -> None:
    """On a graphics processor if JAX sees one."""
    contract, graph, stored = loaded(name)
    made, through_xla = CompiledGraph(contract, graph), XlaGraph(contract, graph, jax.devices()[0])
    for place, raw in blocks(contract):
        events = raw.astype(stored)
        np.testing.assert_array_equal(through_xla.evaluate(events), made.evaluate(events), place)


@pytest.mark.long
def test_the_check_for_other_machines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    CHECK.pack(tmp_path, [])
    CHECK.run(tmp_path, [], 200_000, 0.01, "cpu")
    lines = capsys.readouterr().out.splitlines()
    for name in model_names():
        assert sum(line.startswith(f"{name}: 200000 of 200000 events equal, ") for line in lines) == 1
        assert sum(line.startswith(f"{name}: host to host") for line in lines) == 5

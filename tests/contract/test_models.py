"""The contract suite: runs on every model found on the shelf; a new model gets its tests for free."""

from __future__ import annotations

import json
from pathlib import Path

import jax
import numpy as np
import pytest

from zerobias.emulator import write_emulator
from zerobias.events import default_sample, read
from zerobias.fixed import Dense, Graph, Trees, graph_of, shaped
from zerobias.release import INDEX, check_files, index_text
from zerobias.score import CompiledGraph
from zerobias.score.device import XlaGraph
from zerobias.verify import extreme_events, framework_implementation, golden_inputs, read_golden
from zerobias.zoo import Model, collect_weights, digest, find_model, model_names, read_weights


@pytest.fixture(scope="module", params=model_names())
def model(request: pytest.FixtureRequest) -> Model:
    return find_model(request.param)


def loaded(model: Model) -> Graph:
    return graph_of(model.load(), model.contract)


def test_shelf_holds_axol1tl() -> None:
    assert "axol1tl" in model_names()


def test_releases_are_as_they_were_made() -> None:
    """On the shelf itself; that a change is found is shown in tests/unit/test_release.py."""
    shelf = find_model("axol1tl").folder.parent
    for folder in sorted(path.parent for path in shelf.glob("*/releases/*/model.toml")):
        check_files(folder)
    index = json.loads(index_text(shelf))
    if index["emulators"]:
        assert json.loads((shelf / INDEX).read_text()) == index


def test_weights_file_holds_what_the_firmware_computes_with(model: Model) -> None:
    arrays = read_weights(model.weights_path("quantised"))
    assert digest(collect_weights(model.load())) == digest(arrays)
    history = json.loads((model.folder / "weights" / "history.json").read_text())
    assert history["digest"] == digest(arrays)


def test_no_accumulator_and_no_score_can_overflow(model: Model) -> None:
    graph = loaded(model)
    rows = graph.headroom(graph.intervals(*model.contract.box))
    assert [row.node for row in rows if row.overflows] == []


def test_golden_scores_are_reproduced_by_reference_and_framework(model: Model) -> None:
    golden = read_golden(model.folder / "golden" / "golden.npz")
    assert len(golden.raw) > 1000
    network = model.load()
    graph = graph_of(network, model.contract)
    model.contract.check(golden.raw)
    np.testing.assert_array_equal(graph.evaluate(shaped(model.contract, graph, golden.raw)), golden.score)
    np.testing.assert_array_equal(
        framework_implementation(network, model.contract, graph).score(golden.raw), golden.score
    )


def test_golden_inputs_are_those_of_the_sample(model: Model) -> None:
    golden = read_golden(model.folder / "golden" / "golden.npz")
    np.testing.assert_array_equal(
        golden.raw, golden_inputs(model.contract, read(default_sample(model.contract.spec.collection)))
    )


def test_golden_sees_every_layer(model: Model) -> None:
    """Negative control: flip one weight bit in each dense layer, or a bit of every leaf of each tree, or move
    every threshold of it; the golden scores must change."""
    golden = read_golden(model.folder / "golden" / "golden.npz")
    graph = loaded(model)
    inputs = shaped(model.contract, graph, golden.raw)
    for node in graph:
        if isinstance(node.op, Trees):
            trees = node.op.ensemble
            for number, nodes in enumerate(trees.slices()):
                for array in (trees.threshold, trees.value):
                    array[nodes] ^= 1
                    changed = (graph.evaluate(inputs) != golden.score).any()
                    array[nodes] ^= 1
                    assert changed, number
        if not isinstance(node.op, Dense):
            continue
        row, column = np.argwhere(node.op.kernel != 0)[0]
        node.op.kernel[row, column] ^= 1
        changed = (graph.evaluate(inputs) != golden.score).any()
        node.op.kernel[row, column] ^= 1
        assert changed, node.name
    np.testing.assert_array_equal(graph.evaluate(inputs), golden.score)


def test_fast_scores_are_the_references(model: Model, tmp_path: Path) -> None:
    """Golden events as they are stored, borders of the contract and random events."""
    golden = read_golden(model.folder / "golden" / "golden.npz")
    graph = loaded(model)
    stored = read(default_sample(model.contract.spec.collection)).collections[model.contract.spec.collection]
    raw = np.concatenate([golden.raw, extreme_events(model.contract, corners=1000, random=4000)])
    expected = graph.evaluate(shaped(model.contract, graph, raw))
    made = CompiledGraph(model.contract, graph, tmp_path)
    np.testing.assert_array_equal(made.evaluate(raw.astype(stored.dtype)), expected)
    through_xla = XlaGraph(model.contract, graph, jax.devices("cpu")[0])
    np.testing.assert_array_equal(through_xla.evaluate(raw.astype(stored.dtype)), expected)


def test_emulator_library_can_be_written(model: Model, tmp_path: Path) -> None:
    golden = read_golden(model.folder / "golden" / "golden.npz")
    network = model.load()
    graph = graph_of(network, model.contract)
    package = write_emulator(model, network, graph, golden.raw, golden.score, tmp_path / "emulator")
    assert package.library.stem.endswith(f"_v{model.spec.version.replace('.', 'p')}")
    assert json.loads(package.sidecar.read_text())["golden_events"] == len(golden.raw)

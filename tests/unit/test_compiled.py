"""Compiled scoring: the reference's integers, for every operation and stored type; what else is an error."""

from __future__ import annotations

import logging
import runpy
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from zerobias import fixed
from zerobias.contract import Contract, ContractSpec, FixedType
from zerobias.errors import DataError, GateError, ToolError, UnsupportedError
from zerobias.fixed import Cast, Dense, Graph, Input, Node, Op, Square, from_trees, shaped
from zerobias.rtl import process
from zerobias.score import CompiledGraph, Scorer, compiled
from zerobias.score.evaluator import admitted
from zerobias.score.lanes import CppStatements, Lane, Text
from zerobias.score.source import _RULES, source
from zerobias.trees import TreeEnsemble
from zerobias.verify import extreme_events

GRAPHS = SimpleNamespace(**runpy.run_path(str(Path(__file__).parents[1] / "data" / "random_graphs.py")))
random_graph = cache(GRAPHS.random_graph)
EVERY = {
    kind for kind in map(vars(fixed).get, fixed.__all__) if isinstance(kind, type) and issubclass(kind, Op)
}
SEEDS = ((10, 14), (21, 14))
WIDE = FixedType(30, 30)


def same(contract: Contract, graph: Graph, kind: str, folder: Path, events: int = 1000) -> None:
    """Compiled scores are the reference's on borders and random events stored as ``kind``."""
    raw = extreme_events(contract, corners=events // 4, random=events)
    raw = np.clip(raw, *(end.astype(np.int64) for end in admitted(contract, np.dtype(kind))))
    expected = graph.evaluate(shaped(contract, graph, raw))
    assert len(np.unique(expected, axis=0)) > 100, "a constant score proves nothing"
    np.testing.assert_array_equal(CompiledGraph(contract, graph, folder).evaluate(raw.astype(kind)), expected)


def test_every_operation_is_compiled() -> None:
    assert set(_RULES) | {Input, Op} == EVERY | {Op}


def test_graphs_of_these_tests_hold_every_operation() -> None:
    seen = {type(node.op) for seed, length in SEEDS for node in random_graph(seed, length)[1]}
    assert seen == EVERY - {Op}


@pytest.mark.parametrize(("seed", "kind"), [(SEEDS[0], "int16"), (SEEDS[1], "uint64")])
def test_random_graphs(seed: tuple[int, int], kind: str, tmp_path: Path) -> None:
    same(*random_graph(*seed), kind, tmp_path)


def test_a_sum_that_is_wider_than_its_values(tmp_path: Path) -> None:
    same(*GRAPHS.wide_totals(), "int32", tmp_path)


@pytest.mark.parametrize("features", [1, 7, 9])
def test_any_number_of_features(features: int, tmp_path: Path) -> None:
    contract = GRAPHS.plain_contract(12, features)
    nodes = Node("in", Input(contract.network_type, (features,)), ()), Node("score", Cast(WIDE), ("in",))
    same(contract, Graph(nodes), "int16", tmp_path)


def test_rounding_next_to_the_end_of_a_type(tmp_path: Path) -> None:
    same(*GRAPHS.rounded_at_the_border(), "int32", tmp_path)


@pytest.mark.parametrize(("zeros", "drop"), [(0, 0), (3, 2), (3, 3)])
def test_zeros_are_dropped_without_rounding(zeros: int, drop: int) -> None:
    code = CppStatements()
    found = code.round(Lane(Text("x"), 0, 100, zeros), drop, FixedType(20, 20, True, "RND"))
    assert (found.high, found.zeros, code.lines) == (100, zeros - drop, [])


@pytest.mark.parametrize(("width", "weight"), [(20, 3), (8, 70_001)])
def test_operands_beyond_16_bits_are_no_pairs(width: int, weight: int, tmp_path: Path) -> None:
    contract = GRAPHS.plain_contract(width)
    dense = Dense(np.array([[weight], [-weight]]), WIDE, np.array([5]), WIDE)
    inputs = Node("in", Input(contract.network_type, (2,)), ())
    nodes = inputs, Node("dense", dense, ("in",)), Node("score", Cast(WIDE), ("dense",))
    same(contract, Graph(nodes), "int32", tmp_path)


def test_intervals_are_integers_of_any_size() -> None:
    """Zeros of a padded border too: int64 ones would overflow."""
    for seed in SEEDS:
        contract, graph = random_graph(*seed)
        for interval in graph.intervals(*contract.box).values():
            assert {type(value) for side in (interval.low, interval.high) for value in side.flat} == {int}


@pytest.mark.long
@pytest.mark.parametrize("seed", range(40))
def test_many_random_graphs(seed: int, tmp_path: Path) -> None:
    kind = ("int16", "int32", "int64", "uint16", "int8")[seed % 5]
    same(*random_graph(seed, 14), kind, tmp_path)


@pytest.fixture(scope="module")
def head() -> tuple[Contract, Graph]:
    made: tuple[Contract, Graph] = GRAPHS.sum_of_squares()
    return made


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("libraries")


@pytest.mark.parametrize("count", [0, 1, 31, 33, 20_001])
def test_any_number_of_events(count: int, head: tuple[Contract, Graph], folder: Path) -> None:
    contract, graph = head
    raw = np.random.default_rng(1).integers(contract.low, contract.high, (count, 30), endpoint=True)
    expected = graph.evaluate(shaped(contract, graph, raw))
    made = CompiledGraph(contract, graph, folder)
    np.testing.assert_array_equal(made.evaluate(raw.astype(np.int16).reshape(count, 6, 5)), expected)
    wide = np.repeat(raw.astype(np.int16), 2, axis=1)[:, ::2]
    np.testing.assert_array_equal(made.evaluate(wide), expected)


@pytest.mark.parametrize("kind", [">u8", "uint64"])
def test_large_unsigned_integers_do_not_wrap_into_the_range(
    kind: str, head: tuple[Contract, Graph], folder: Path
) -> None:
    contract, graph = head
    assert contract.low.min() < 0
    raw = np.broadcast_to(contract.low, (2, 30)).astype(np.uint64).astype(kind)
    with pytest.raises(DataError, match=r"^event 0, feature .* is outside"):
        CompiledGraph(contract, graph, folder).evaluate(raw)


@pytest.mark.parametrize(("low", "high"), [(-8, -1), (300, 400)])
def test_a_stored_type_that_holds_no_value_of_a_feature(low: int, high: int, tmp_path: Path) -> None:
    field = {"name": "x", "width": 10, "signed": True, "minimum": low, "maximum": high, "lsb": 1.0}
    kinds = dict.fromkeys(("raw_type", "offset_type", "network_type"), "ap_fixed<12,12>")
    group = [{"name": "object", "count": 1, "absent": low, "fields": [field | {"unit": "none"}]}]
    contract = Contract(ContractSpec.model_validate({"collection": "objects", "group": group} | kinds))
    nodes = Node("in", Input(contract.network_type, (1,)), ()), Node("score", Cast(WIDE), ("in",))
    with pytest.raises(DataError, match=r"raw value 255 is outside \["):
        CompiledGraph(contract, Graph(nodes), tmp_path).evaluate(np.array([[255]], np.uint8))


def test_leaves_of_more_than_32_bits(head: tuple[Contract, Graph], folder: Path) -> None:
    contract, kind = head[0], FixedType(40, 8, False)
    feature = int(np.argmax(contract.box[1] - contract.box[0]))
    threshold = int(contract.box[0][feature] + contract.box[1][feature]) // 2
    nodes = np.array([[feature, threshold, 1, 2, 0], [-1, 0, 1, 1, 3], [-1, 0, 2, 2, kind.max_int]]).T
    trees = TreeEnsemble("trees", 30, kind, np.array([0]), *nodes)
    raw = extreme_events(contract, corners=10, random=100)
    graph = from_trees(trees, contract)
    expected = graph.evaluate(shaped(contract, graph, raw))
    assert set(expected.tolist()) == {3, kind.max_int}
    np.testing.assert_array_equal(CompiledGraph(contract, graph, folder).evaluate(raw), expected)


def wrong(monkeypatch: pytest.MonkeyPatch, old: str, new: str) -> None:
    """The source with ``old`` replaced."""

    def changed(contract: Contract, graph: Graph, raw: np.dtype[Any]) -> str:
        text = source(contract, graph, raw)
        assert text.count(old) == 1, text
        return text.replace(old, new)

    monkeypatch.setattr(compiled, "source", changed)


def test_a_narrowed_accumulator_is_seen(
    head: tuple[Contract, Graph], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong(monkeypatch, "int32_t b5[2][EVENTS]", "int16_t b5[2][EVENTS]")
    with pytest.raises(GateError, match=r"does not give the reference's scores: remove .*\.so and run again"):
        CompiledGraph(*head, folder).evaluate(np.zeros((0, 30), np.int16))


def test_a_changed_weight_is_seen(
    head: tuple[Contract, Graph], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    contract, graph = head
    dense = graph.nodes[1].op
    assert isinstance(dense, Dense)
    kernel = dense.kernel.copy()
    kernel[7, 3] ^= 1
    changed = replace(graph.nodes[1], op=replace(dense, kernel=kernel))
    other = Graph((graph.nodes[0], changed, *graph.nodes[2:]))
    monkeypatch.setattr(compiled, "source", lambda c, g, raw: source(c, other, raw))
    with pytest.raises(GateError, match="does not give the reference's scores"):
        CompiledGraph(contract, graph, folder).evaluate(np.zeros((0, 30), np.int16))


def test_a_library_is_built_once_and_again_for_another_graph_or_type(
    head: tuple[Contract, Graph], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = np.clip(np.zeros((1, 30), np.int64), head[0].low, head[0].high)
    CompiledGraph(*head, folder).evaluate(events.astype(np.int16))
    commands: list[str] = []

    def run(command: list[str], **more: Any) -> None:
        commands.append(command[-1])
        process.run_tool(command, **more)

    monkeypatch.setattr(compiled, "run_tool", run)
    CompiledGraph(*head, folder).evaluate(events.astype(np.int16))
    assert commands == ["-"]
    texts = {source(*head, np.dtype(kind)) for kind in ("int16", "int32")}
    assert len(texts) == 2


def test_a_value_outside_the_contract_is_named_as_by_the_contract(
    head: tuple[Contract, Graph], folder: Path
) -> None:
    contract, graph = head
    raw = np.clip(np.zeros((100, 30), np.int16), contract.low, contract.high).astype(np.int16)
    for bad in (raw, raw.astype(np.float32), raw[:, :7]):
        if bad is raw:
            bad[50, 4] = contract.high[4] + 1
        with pytest.raises(DataError) as expected:
            contract.flatten(bad)
        with pytest.raises(DataError) as found:
            CompiledGraph(contract, graph, folder).evaluate(bad)
        assert str(found.value) == str(expected.value)


def test_without_a_compiler_numpy_scores_and_it_is_said(
    head: tuple[Contract, Graph], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    contract, graph = head
    raw = extreme_events(contract, corners=10, random=10)
    monkeypatch.setenv("PATH", "")
    scorer = Scorer(contract, graph)
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            np.testing.assert_array_equal(scorer.score(raw), graph.evaluate(shaped(contract, graph, raw)))
    assert [record.message for record in caplog.records] == [
        "NumPy scores the events: slower, the same integers (g++ was not found: compiled scoring needs a "
        "C++17 compiler, install the package g++)"
    ]


def test_a_graph_beyond_64_bits_is_refused(head: tuple[Contract, Graph]) -> None:
    nodes = list(head[1].nodes[:-1])
    for number in range(3):
        nodes.append(Node(f"more{number}", Square(), (nodes[-1].name,)))
    with pytest.raises(UnsupportedError, match=r"^node more1: values in \[.*\] need more .*: cast .* first$"):
        Scorer(head[0], Graph(tuple(nodes)), "cpu").score(np.zeros((0, 30), np.int16))


def test_a_damaged_library_is_named(head: tuple[Contract, Graph], tmp_path: Path, folder: Path) -> None:
    events = np.clip(np.zeros((1, 30), np.int64), head[0].low, head[0].high).astype(np.int16)
    CompiledGraph(*head, folder).evaluate(events)
    for path in folder.glob("*.so"):
        (tmp_path / path.name).write_bytes(path.read_bytes()[:100])
    with pytest.raises(ToolError, match=r"cannot be loaded .* remove it and run again"):
        CompiledGraph(*head, tmp_path).evaluate(events)

"""Scoring through XLA: the reference's integers, and in which types; streams, devices, errors.

JAX's processor runs the same program here that a graphics processor runs elsewhere.
"""

from __future__ import annotations

import logging
import re
import runpy
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jax
import numpy as np
import pytest

from zerobias.contract import Contract, FixedType
from zerobias.errors import DataError, GateError, SpecError, ToolError, UnsupportedError
from zerobias.fixed import Builder, Cast, Concatenate, Dense, Graph, Input, Interval, Node, Square, shaped
from zerobias.score import Scorer, device, scorer, stream, xla
from zerobias.score.device import XlaGraph, exported, find_gpu
from zerobias.score.evaluator import admitted
from zerobias.score.source import _RULES
from zerobias.verify import extreme_events

ROOT = Path(__file__).parents[2]
GRAPHS = SimpleNamespace(**runpy.run_path(str(ROOT / "tests" / "data" / "random_graphs.py")))
CHECK = SimpleNamespace(**runpy.run_path(str(ROOT / "tools" / "gpu_check.py")))
SEEDS = ((10, 14), (21, 14))
random_graph, plain = cache(GRAPHS.random_graph), GRAPHS.plain_contract
CPU = jax.devices("cpu")[0]


def same(contract: Contract, graph: Graph, kind: str) -> None:
    """Scores through XLA are the reference's on borders and random events stored as ``kind``."""
    raw = extreme_events(contract, corners=250, random=1000)
    raw = np.clip(raw, *(end.astype(np.int64) for end in admitted(contract, np.dtype(kind))))
    expected = graph.evaluate(shaped(contract, graph, raw))
    assert len(np.unique(expected, axis=0)) > 100, "a constant score proves nothing"
    np.testing.assert_array_equal(XlaGraph(contract, graph, CPU).evaluate(raw.astype(kind)), expected)


def test_every_operation_has_a_form() -> None:
    """``test_compiled.py`` shows that these are all, and that the graphs of these seeds hold every one."""
    assert set(xla.RULES) == set(_RULES)


@pytest.mark.parametrize(("seed", "kind"), [(SEEDS[0], "int16"), (SEEDS[1], "int32")])
def test_random_graphs(seed: tuple[int, int], kind: str) -> None:
    same(*random_graph(*seed), kind)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(40))
def test_many_random_graphs(seed: int) -> None:
    same(*random_graph(seed, 14), ("int16", "int32", "int64", "uint16", "int8")[seed % 5])


def test_no_product_is_left_to_a_librarys_rounding() -> None:
    """A float32 product without HIGHEST may run in TF32; a convolution may run in transformed inputs."""
    contract, graph = random_graph(*SEEDS[0])
    with jax.enable_x64(True):
        function = jax.jit(xla.scoring_function(contract, graph, np.dtype(np.int16)))
        text = function.lower(jax.ShapeDtypeStruct((8, 30), np.int16)).as_text()
    products = [line for line in text.splitlines() if "stablehlo.dot_general" in line]
    assert products
    assert all("precision = [HIGHEST, HIGHEST]" in line for line in products)
    assert "stablehlo.convolution" not in text


def products(kernel: list[int], bias: int = 0, before: int | None = None) -> tuple[Contract, Graph]:
    """A score that is one sum of products; of squares when ``before`` is a width of the inputs."""
    contract, builder = plain(before or 12), Builder()
    builder.add("in", Input(contract.network_type, (2,)))
    inputs = builder.add("square", Square(), "in") if before else "in"
    wide = FixedType(40, 40)
    dense = Dense(np.array(kernel)[:, None], wide, np.array([bias]), wide)
    builder.add("dense", dense, inputs)
    builder.add("score", Cast(FixedType(62, 62)), "dense")
    return contract, Graph(tuple(builder.nodes))


BORDERS = [
    (products([4096, 1]), "float32"),  # 4095 * 4097 = 2**24 - 1
    (products([4096, 1], 1), "int32"),
    (products([4096, 3]), "int32"),
    (products([4096 * 8, 8]), "float32"),  # multiples of 8
    (products([4096 * 8, 3]), "int32"),
    (products([-(2**19), 3], 1), "int32"),
    (products([2**20, 1]), "float64"),
    (products([2**32 + 1, 2**30 + 1], 0, 10), "float64"),
    (products([2**32 + 1, 3], 1, 11), "int64"),
]
"""Graphs and the type of their products, for inputs of 12 bits, or squares of 10 and 11 bits."""


@pytest.mark.parametrize(("case", "kind"), BORDERS)
def test_the_narrowest_exact_type_is_chosen(case: tuple[Contract, Graph], kind: str) -> None:
    contract, graph = case
    name, op = next((node.inputs[0], node.op) for node in graph if isinstance(node.op, Dense))
    intervals = graph.intervals(*contract.box)
    assert xla.product_type(op, intervals[name], intervals["dense"]) == kind
    same(contract, graph, "int16")


def test_negative_inputs_reach_as_far() -> None:
    kind, none = FixedType(20, 20), np.zeros(1, np.int64)
    dense = Dense(np.array([[4096]]), kind, none, kind)
    inputs = Interval(np.array([-4096], object), np.array([0], object), 0)
    assert xla.product_type(dense, inputs, dense.interval(inputs)) == "float32"  # multiples of 4096
    dense = replace(dense, kernel=np.array([[4097]]))
    assert xla.product_type(dense, inputs, dense.interval(inputs)) == "int32"


@pytest.mark.parametrize(("case", "kind"), [(BORDERS[2][0], "float32"), (BORDERS[8][0], "float64")])
def test_a_float_beyond_its_range_is_seen(
    case: tuple[Contract, Graph], kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(xla, "product_type", lambda *given: np.dtype(kind))
    with pytest.raises(GateError, match=r"^the XLA program on cpu does not give the reference's scores: "):
        same(*case, "int16")


@pytest.fixture(scope="module")
def head() -> tuple[Contract, Graph]:
    made: tuple[Contract, Graph] = GRAPHS.sum_of_squares()
    return made


@pytest.mark.parametrize("kind", ["int8", "uint8", "uint16", "uint32", "int64", "uint64", ">i4"])
def test_every_stored_type(kind: str, head: tuple[Contract, Graph]) -> None:
    same(*head, kind)


def test_any_number_of_events(head: tuple[Contract, Graph], monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing, less than a chunk, several chunks and a rest; from memory in any order."""
    monkeypatch.setattr(stream, "_CPU_CHUNK_BYTES", 2048 * 60)
    contract, graph = head
    made = XlaGraph(contract, graph, CPU)
    for count in (0, 1, 1025, 20_001):
        raw = np.random.default_rng(1).integers(contract.low, contract.high, (count, 30), endpoint=True)
        expected = graph.evaluate(shaped(contract, graph, raw))
        np.testing.assert_array_equal(made.evaluate(raw.astype(np.int16).reshape(count, 6, 5)), expected)
    wide = np.repeat(raw.astype(np.int16), 2, axis=1)[:, ::2]
    np.testing.assert_array_equal(made.evaluate(wide), expected)
    assert not jax.config.jax_enable_x64


def test_a_score_of_several_values_far_from_zero() -> None:
    contract, builder = plain(12), Builder()
    builder.add("in", Input(contract.network_type, (2,)))
    kind = FixedType(24, 24)
    builder.add("dense", Dense(np.array([[1, 2], [3, -4]]), kind, np.array([70_000, 0]), kind), "in")
    builder.add("score", Cast(kind), "dense")
    same(contract, Graph(tuple(builder.nodes)), "int16")


@pytest.mark.parametrize("shift", [-3, -11, 11])
def test_the_contracts_shift_wraps_in_its_type(shift: int) -> None:
    contract, builder = plain(12, 2 * abs(shift), shift), Builder()
    builder.add("in", Input(contract.network_type, (2 * abs(shift),)))
    builder.add("score", Cast(FixedType(12, 12, False)), "in")
    same(contract, Graph(tuple(builder.nodes)), "int16")


def test_a_sum_that_is_wider_than_its_values() -> None:
    same(*GRAPHS.wide_totals(), "int32")


def test_rounding_next_to_the_end_of_a_type() -> None:
    same(*GRAPHS.rounded_at_the_border(), "int32")


def test_products_of_more_than_32_bits() -> None:
    same(*products([1, 1], 0, 20), "int32")


def test_a_layer_of_zeros_with_an_lsb_above_one() -> None:
    contract, builder = plain(12), Builder()
    builder.add("in", Input(contract.network_type, (2,)))
    kind, none = FixedType(8, 11), np.zeros((2, 1), np.int64)
    dense = builder.add("dense", Dense(none, kind, none[0], kind), "in")
    builder.add("score", Cast(FixedType(30, 30)), builder.add("all", Concatenate(), dense, "in"))
    same(contract, Graph(tuple(builder.nodes)), "int16")


def test_a_changed_weight_is_seen(head: tuple[Contract, Graph], monkeypatch: pytest.MonkeyPatch) -> None:
    contract, graph = head
    dense = graph.nodes[1].op
    assert isinstance(dense, Dense)
    kernel = dense.kernel.copy()
    kernel[7, 3] ^= 1
    changed = replace(graph.nodes[1], op=replace(dense, kernel=kernel))
    other = Graph((graph.nodes[0], changed, *graph.nodes[2:]))
    monkeypatch.setattr(device, "scoring_function", lambda c, g, raw: xla.scoring_function(c, other, raw))
    with pytest.raises(GateError, match=r"scores: score with --device cpu and report it with jax \d"):
        XlaGraph(contract, graph, CPU).evaluate(np.zeros((0, 30), np.int16))


def test_a_value_outside_the_contract_is_named_as_by_the_contract(head: tuple[Contract, Graph]) -> None:
    contract, graph = head
    made = XlaGraph(contract, graph, CPU)
    raw = np.clip(np.zeros((5000, 30), np.int16), contract.low, contract.high).astype(np.int16)
    for feature in (0, 4, 29):
        for beyond in (contract.low - 1, contract.high + 1):
            bad = raw.copy()
            bad[4999, feature] = beyond[feature]
            with pytest.raises(DataError) as expected:
                contract.flatten(bad)
            with pytest.raises(DataError) as found:
                made.evaluate(bad)
            assert str(found.value) == str(expected.value)
    with pytest.raises(DataError, match=r"the contract needs \(events, 30\) integers"):
        made.evaluate(raw[:, :7])


def test_a_graph_beyond_64_bits_is_refused(head: tuple[Contract, Graph]) -> None:
    nodes = list(head[1].nodes[:-1])
    for number in range(3):
        nodes.append(Node(f"more{number}", Square(), (nodes[-1].name,)))
    graph = Graph((*nodes, Node("score", Cast(FixedType(30, 20)), (nodes[-1].name,))))
    with pytest.raises(UnsupportedError) as error:
        XlaGraph(head[0], graph, CPU).evaluate(np.zeros((0, 30), np.int16))
    assert re.fullmatch(r"node more1: values in \[.*\] need more than 64 bits: cast .*", str(error.value))


def scores_on(head: tuple[Contract, Graph], where: Any) -> None:
    contract, graph = head
    raw = extreme_events(contract, corners=10, random=10)
    found = Scorer(contract, graph, where).score(raw)
    np.testing.assert_array_equal(found, graph.evaluate(shaped(contract, graph, raw)))


def no_jax(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "zerobias.score.device", None)


def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jax, "devices", refuse)


def refuse(platform: str) -> Any:
    raise RuntimeError(f"Unknown backend: {platform!r} requested")


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        (no_jax, r"^scoring on a GPU needs JAX: pip install 'zerobias\[jax\]' 'jax\[cuda13\]'$"),
        (no_gpu, r"^JAX .* sees no GPU: install its CUDA plugin .*, or score with --device cpu$"),
    ],
)
def test_without_a_gpu(
    missing: Callable[[pytest.MonkeyPatch], None],
    message: str,
    head: tuple[Contract, Graph],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    missing(monkeypatch)
    with pytest.raises(ToolError, match=message):
        Scorer(*head, "gpu")
    monkeypatch.setattr(scorer, "entry_points", lambda group: ["xla_cuda13"])
    scores_on(head, "auto")


def test_an_unknown_device_is_refused(head: tuple[Contract, Graph]) -> None:
    with pytest.raises(SpecError, match=r"^device 'tpu' is unknown: use one of auto, cpu, gpu$"):
        Scorer(*head, "tpu")  # type: ignore[arg-type]


def test_where_jax_has_no_plugin_it_is_not_asked(
    head: tuple[Contract, Graph], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Importing JAX costs a second."""
    monkeypatch.setattr(scorer, "entry_points", lambda group: [])
    monkeypatch.setattr(device, "find_gpu", lambda: pytest.fail("asked"))
    scores_on(head, "auto")
    scores_on(head, "cpu")


def test_a_gpu_that_fails(
    head: tuple[Contract, Graph], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A processor stands for it. Asked for, it fails; found, the compiled code takes over and says so."""
    used: list[str] = []

    def fail(self: Any, raw: Any, scores: Any) -> bool:
        used.append(self._device.platform)
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: out of memory")

    monkeypatch.setattr(device, "find_gpu", lambda: CPU)
    monkeypatch.setattr(scorer, "entry_points", lambda group: ["xla_cuda13"])
    scores_on(head, "gpu")
    monkeypatch.setattr(stream.Stream, "score", fail)
    message = "the XLA program on cpu failed (RESOURCE_EXHAUSTED: out of memory): score with --device cpu"
    with pytest.raises(ToolError) as error:
        scores_on(head, "gpu")
    assert str(error.value) == message
    with caplog.at_level(logging.WARNING):
        scores_on(head, "auto")
    assert used == ["cpu", "cpu"]
    assert [record.message for record in caplog.records] == [
        f"the compiled code scores the events: slower, the same integers ({message})"
    ]


def test_find_gpu_asks_jax(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jax, "devices", lambda platform: [platform, "second"])
    assert find_gpu() == "gpu"


def test_a_check_without_zerobias(
    head: tuple[Contract, Graph], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The exported function and the C++ agree; then not, with one bias changed in the C++."""
    CHECK.pack_graph(tmp_path, "head", *head, np.dtype(np.int16))
    CHECK.run(tmp_path, [], 3000, 0.001, "cpu")
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].startswith("head: 3000 of 3000 events equal, ")
    assert int(lines[1].split(", ")[1].split()[0]) > 100
    assert [line.split(": ")[1][:12] for line in lines[2:]] == [
        *["host to host"] * 5,
        "machine code",
        "on the devic",
        "from page-lo",
    ]
    changed = shutil.copytree(tmp_path, tmp_path / "changed", ignore=shutil.ignore_patterns("*.so"))
    text = (changed / "head.cpp").read_text()
    assert text.count("c12[] = {-3840}") == 1
    (changed / "head.cpp").write_text(text.replace("c12[] = {-3840}", "c12[] = {-3800}"))
    with pytest.raises(SystemExit, match=r"^head: event \d+ \[.*\]: XLA -?\d+, machine code -?\d+$"):
        CHECK.run(changed, ["head"], 3000, 0.001, "cpu")


def test_an_export_is_for_both_platforms(head: tuple[Contract, Graph]) -> None:
    made = jax.export.deserialize(bytearray(exported(*head, np.dtype(np.int16))))
    assert made.platforms == ("cpu", "cuda")

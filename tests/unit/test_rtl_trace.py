"""Circuits: every operation has a rule, every cast is exact, what is not exact or too large is refused.

The networks of tests/csim compare the circuit of every layer with the reference too.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass

import numpy as np
import pytest
from alkaid.trace import trace as collect
from alkaid.trace.fixed_variable import FVariable

import zerobias.fixed
from zerobias.contract import Contract, ContractSpec, FixedType
from zerobias.errors import UnsupportedError
from zerobias.fixed import Cast, Dense, Dot, FixedArray, Graph, Input, Interval, Node, Op, Square, Sum
from zerobias.rtl import trace
from zerobias.rtl.trace import _RULES
from zerobias.rtl.wires import HARDWARE, cast, multiply, normalised, plus, square
from zerobias.targets import load_target
from zerobias.verify import extreme_events


def contract_of(count: int, width: int = 8) -> Contract:
    """``count`` signed features of ``width`` bits, scaled in every way a contract can."""
    field = {
        "name": "x",
        "width": width,
        "signed": True,
        "lsb": 1.0,
        "unit": "1",
        "step": 0.5,
        "offset": [0.25 * i for i in range(count)],
        "shift": [i % 4 - 1 for i in range(count)],
    }
    spec = {
        "collection": "objects",
        "raw_type": "ap_fixed<14,11>",
        "offset_type": "ap_fixed<10,7>",
        "network_type": "ap_fixed<8,6,RND_CONV,SAT>",
        "group": [{"name": "input", "count": count, "fields": [field]}],
    }
    return Contract(ContractSpec.model_validate(spec))


def dense(inputs: int, outputs: int, seed: int = 0) -> Dense:
    rng = np.random.default_rng(seed)
    kernel, bias = rng.integers(-15, 16, (inputs, outputs)), rng.integers(-40, 41, outputs)
    return Dense(kernel, FixedType(5, 2), bias, FixedType(7, 4))


def graph_of(contract: Contract, *ops: Op) -> Graph:
    nodes = [Node("in", Input(contract.network_type, (len(contract.features),)), ())]
    for op in ops:
        name = type(op).__name__.lower() + str(len(nodes))
        nodes.append(Node(name, op, (nodes[-1].name,)))
    return Graph(tuple(nodes))


def subclasses(kind: type[Op]) -> set[type[Op]]:
    return {kind} | {found for part in kind.__subclasses__() for found in subclasses(part)}


def test_every_operation_of_the_reference_has_a_rule() -> None:
    known = {
        kind for kind in subclasses(Op) - {Op} if kind.__module__.startswith(zerobias.fixed.__name__ + ".")
    }
    assert len(known) >= 15
    assert known <= _RULES.keys()


@dataclass(frozen=True)
class Strange(Op):
    """An operation nobody registered."""

    def evaluate(self, *inputs: FixedArray) -> FixedArray:
        return inputs[0]

    def interval(self, *inputs: Interval) -> Interval:
        return inputs[0]


def test_operation_without_a_rule_is_refused() -> None:
    contract = contract_of(2)
    with pytest.raises(UnsupportedError, match="layer strange1: Strange has no circuit; register one with"):
        trace(contract, graph_of(contract, Strange(), Cast(FixedType(8, 6))))


def wires(seed: int) -> tuple[FVariable, np.ndarray]:
    """A wire with random bounds and LSB, and every value of it (or 3000 of them, both ends included)."""
    rng = np.random.default_rng(seed)
    low, high = sorted(int(v) for v in rng.integers(-(2 ** rng.integers(1, 13)), 2 ** rng.integers(1, 13), 2))
    high += low == high
    step = 2.0 ** float(rng.integers(-5, 3))
    values = np.arange(low, high + 1)
    if len(values) > 3000:
        values = np.concatenate([values[[0, -1]], rng.choice(values, 2998)])
    return FVariable(low * step, high * step, step, hwconf=HARDWARE), values * step


def outputs(inputs: list[FVariable], results: list[FVariable], values: list[np.ndarray]) -> np.ndarray:
    """Results (events, results) of alkaid's interpreter for a multiple of 16 events."""
    events = np.stack(values, axis=1)
    whole = np.concatenate([events, np.repeat(events[-1:], -len(events) % 16, axis=0)])
    return collect(inputs, results, optimize=False).predict(whole, n_threads=1)[: len(events)]


@pytest.mark.parametrize("rounding", ["TRN", "RND", "RND_CONV"])
@pytest.mark.parametrize("overflow", ["WRAP", "SAT", "SAT_SYM"])
def test_casts_are_those_of_the_reference(rounding: str, overflow: str) -> None:
    rng = np.random.default_rng(len(rounding) * 10 + len(overflow))
    for seed in range(200):
        wire, values = wires(seed)
        signed = bool(rng.integers(2))
        width = int(rng.integers(1 + signed, 12))
        kind = FixedType(width, int(rng.integers(-3, 12)), signed, rounding, overflow)
        shifted = plus(wire, float(rng.integers(-9, 9)) * wire.step / 2)  # merges with the rounding
        result = cast(shifted, kind)
        real = values + (shifted.low - wire.low)
        want = kind.cast(np.rint(real * 2.0**8).astype(np.int64), 8) * kind.lsb
        found = outputs([wire], [result], [values])[:, 0]
        np.testing.assert_array_equal(found, want, err_msg=f"{wire} {kind}")
        assert result.low <= want.min()
        assert result.high >= want.max()


@pytest.mark.parametrize(("high", "frac"), [((1, 1), 3), ((5, 0, 1), 2), ((7, 12, 3), 0), ((300, 17), 7)])
def test_values_are_normalised_by_their_sum(high: tuple[int, ...], frac: int) -> None:
    """Every combination of values from 0 to ``high``."""
    events = np.stack(np.meshgrid(*(np.arange(h + 1) for h in high), indexing="ij"), axis=-1)
    columns = list(events.reshape(-1, len(high)).astype(np.float64).T)
    inputs = [FVariable(0.0, float(h), 1.0, hwconf=HARDWARE) for h in high]
    found = outputs(inputs, normalised(inputs, frac), columns)
    total = np.maximum(sum(columns), 1.0)
    scale = 2.0 ** (frac - np.floor(np.log2(total)))
    assert (found * 2.0**frac).T.tolist() == [np.floor(column * scale).tolist() for column in columns]


def test_products_and_squares_are_exact_without_a_multiplier() -> None:
    for seed in range(60):
        (a, x), (b, y) = wires(seed), wires(seed + 1000)
        count = min(len(x), len(y))
        x, y = x[:count], y[:count]
        results = [multiply(a, b), square(a)]
        assert all(op.opcode != 7 for op in collect([a, b], results, optimize=False).ops)
        found = outputs([a, b], results, [x, y])
        np.testing.assert_array_equal(found[:, 0], x * y)
        np.testing.assert_array_equal(found[:, 1], x * x)


@pytest.mark.parametrize("seed", range(4))
def test_scaling_and_layers_on_the_whole_box(seed: int) -> None:
    contract = contract_of(6)
    graph = graph_of(
        contract,
        dense(6, 5, seed),
        Cast(FixedType(7, 5, False, "RND_CONV", "SAT")),
        dense(5, 3, seed + 10),
        Cast(FixedType(8, 5, True, "RND_CONV", "SAT_SYM")),
        Square(),
        dense(3, 1, seed + 20),
        Cast(FixedType(18, 14, True, "RND", "SAT")),
    )
    raw = extreme_events(contract, random=3000, corners=300)
    want = graph.evaluate(contract.scale(raw))
    circuit = trace(contract, graph)
    np.testing.assert_array_equal(circuit.predict(raw), want)
    np.testing.assert_array_equal(circuit.predict(raw[:1]), want[:1])
    assert len(circuit.predict(raw[:0])) == 0
    assert len(np.unique(want)) > 100


def test_one_weight_bit_is_seen() -> None:
    contract = contract_of(4)
    layer, kind = dense(4, 1), Cast(FixedType(14, 10))
    other = Dense(
        layer.kernel ^ np.array([[1], [0], [0], [0]]), layer.kernel_type, layer.bias, layer.bias_type
    )
    raw = extreme_events(contract, random=500, corners=10)
    right = graph_of(contract, layer, kind).evaluate(contract.scale(raw))
    assert (trace(contract, graph_of(contract, layer, kind)).predict(raw) == right).all()
    assert (trace(contract, graph_of(contract, other, kind)).predict(raw) != right).any()


def test_dot_of_a_node_with_itself_is_made_of_squares() -> None:
    contract, score = contract_of(3), Cast(FixedType(20, 16, True, "RND_CONV", "SAT"))
    squares = graph_of(contract, Square(), Sum(), score)
    start = squares.nodes[0].name
    dot = Graph((squares.nodes[0], Node("dot", Dot(), (start, start)), Node("score", score, ("dot",))))
    raw = extreme_events(contract, random=2000, corners=100)
    circuit = trace(contract, dot)
    np.testing.assert_array_equal(circuit.predict(raw), dot.evaluate(contract.scale(raw)))
    assert circuit.logic.cost == trace(contract, squares).logic.cost
    # Negative control: a node with the same values, which the circuit cannot know to be the same.
    copy = Node("copy", Cast(contract.network_type), (start,))
    both = Node("dot", Dot(), (start, "copy"))
    other = Graph((squares.nodes[0], copy, both, Node("score", score, ("dot",))))
    assert trace(contract, other).logic.cost > circuit.logic.cost


def test_constant_score_is_refused() -> None:
    contract = contract_of(2)
    layer = Dense(np.zeros((2, 1), dtype=np.int64), FixedType(4, 2), np.array([3]), FixedType(6, 4))
    with pytest.raises(UnsupportedError, match=r"layer cast2: it is constant"):
        trace(contract, graph_of(contract, layer, Cast(FixedType(8, 6))))


def test_score_of_several_values() -> None:
    """The second sum contains the first; the third is the first again; two values never change."""
    contract = contract_of(3)
    kernel = np.array([[1, 1, 1, 0, 0], [1, 1, 1, 0, 0], [0, 1, 0, 0, 0]])
    layer = Dense(kernel, FixedType(4, 2), np.array([0, 0, 0, 3, -2]), FixedType(6, 4))
    graph = graph_of(contract, layer, Cast(FixedType(20, 14)))
    assert graph.score_shape == (5,)
    raw = extreme_events(contract, random=500, corners=10)
    want = graph.evaluate(contract.scale(raw))
    assert want.shape == (len(raw), 5)
    circuit = trace(contract, graph)
    assert circuit.constants == {3: 3 * 2**4, 4: -2 * 2**4}
    np.testing.assert_array_equal(circuit.predict(raw), want)
    assert circuit.predict(raw[:0]).shape == (0, 5)
    read = {source for op in circuit.logic.ops for source in op.input_ids}
    assert read.isdisjoint(circuit.logic.out_idxs), "the pipeline moves results into its last stage"


def test_values_that_are_too_wide_are_refused() -> None:
    contract = contract_of(1)
    ops = [Square(), Square(), Square(), Square(), Cast(FixedType(60, 40))]
    with pytest.raises(UnsupportedError, match=r"layer square3: its values need \d+ bits"):
        trace(contract, graph_of(contract, *ops))


def test_wide_constant_is_refused() -> None:
    wire = FVariable(0, 7, 1, hwconf=HARDWARE)
    with pytest.raises(UnsupportedError, match="needs more than 32 bits"):
        plus(wire, 2.0**33 + 1)


def test_ten_million_products_are_refused_at_once() -> None:
    contract = contract_of(2500)
    layer = Dense(np.ones((2500, 4000), dtype=np.int64), FixedType(4, 2), np.zeros(4000), FixedType(4, 2))
    graph = graph_of(contract, layer, Cast(FixedType(8, 6)))
    start = time.perf_counter()
    message = "layer dense1: 10000000 products with non-zero weights (the network: 10000000), all in parallel"
    with pytest.raises(UnsupportedError, match=re.escape(message)):
        trace(contract, graph, load_target("ugt"))
    assert time.perf_counter() - start < 0.5

"""The fixed-point graph against brute force in exact rationals, and what it refuses."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import keras
import numpy as np
import pytest
import qkeras

from zerobias.contract import FixedType
from zerobias.errors import UnsupportedError
from zerobias.fixed import (
    Cast,
    Dense,
    Dot,
    FixedArray,
    Graph,
    Input,
    Interval,
    Multiply,
    Node,
    Op,
    Square,
    Sum,
    from_keras,
    graph_of,
    quantiser_type,
)
from zerobias.nn import bits
from zerobias.zoo import Model


def small_graph(sum_type: FixedType) -> Graph:
    """3 inputs -> 2 -> squares -> score, all types narrow."""
    kernel = np.array([[3, -2], [-4, 1], [2, 3]])
    return Graph(
        (
            Node("in", Input(FixedType(4, 3), (3,)), ()),
            Node("dense", Dense(kernel, FixedType(4, 2), np.array([1, -3]), FixedType(5, 1)), ("in",)),
            Node("act", Cast(FixedType(5, 4, True, "RND_CONV", "SAT")), ("dense",)),
            Node("square", Square(), ("act",)),
            Node("sum", Sum(), ("square",)),
            Node("score", Cast(sum_type), ("sum",)),
        )
    )


def every_input(kind: FixedType, size: int) -> np.ndarray:
    values = np.arange(kind.min_int, kind.max_int + 1)
    return np.stack(np.meshgrid(*[values] * size, indexing="ij"), axis=-1).reshape(-1, size)


def test_graph_is_exact_rational_arithmetic() -> None:
    graph = small_graph(FixedType(6, 5, False, "TRN", "WRAP"))
    events = every_input(FixedType(4, 3), 3)
    found = graph.evaluate(events)
    kernel = [[3, -2], [-4, 1], [2, 3]]
    for event, score in zip(events[::7], found[::7], strict=True):
        total = Fraction(0)
        for j in range(2):
            value = Fraction([1, -3][j], 16)
            value += sum(Fraction(int(event[i]), 2) * Fraction(kernel[i][j], 4) for i in range(3))
            half = round(value * 2)  # LSB 1/2, ties to even
            total += Fraction(min(max(half, -16), 15), 2) ** 2
        assert score == (total * 2).__floor__() % 64


def test_intervals_are_exact_for_one_layer_and_hold_for_all() -> None:
    graph = small_graph(FixedType(6, 5, False, "TRN", "WRAP"))
    kind = FixedType(4, 3)
    low, high = np.full(3, kind.min_int), np.full(3, kind.max_int)
    events = every_input(kind, 3)
    intervals, values = graph.intervals(low, high), graph.trace(events)
    dense = values["dense"].value
    assert intervals["dense"].low.tolist() == dense.min(axis=0).tolist()
    assert intervals["dense"].high.tolist() == dense.max(axis=0).tolist()
    for name, value in values.items():
        assert (value.value >= intervals[name].low.astype(np.int64)).all(), name
        assert (value.value <= intervals[name].high.astype(np.int64)).all(), name


def test_headroom_names_the_node_that_can_overflow() -> None:
    kind = FixedType(4, 3)
    box = np.full(3, kind.min_int), np.full(3, kind.max_int)
    wraps = small_graph(FixedType(6, 5, False, "TRN", "WRAP"))
    rows = wraps.headroom(wraps.intervals(*box))
    assert [row.node for row in rows if row.overflows] == ["score"]
    wide = small_graph(FixedType(12, 9, False, "TRN", "WRAP"))
    assert not any(row.overflows for row in wide.headroom(wide.intervals(*box)))


def test_headroom_is_tight() -> None:
    graph = Graph(
        (
            Node("in", Input(FixedType(4, 4), (2,)), ()),
            Node("sum", Sum(), ("in",)),
            Node("out", Cast(FixedType(5, 5)), ("sum",)),
        )
    )
    row = graph.headroom(graph.intervals(np.full(2, -8), np.full(2, 7)))[-1]
    assert (row.low, row.high, row.bits_used, row.bits_available, row.overflows) == (-16, 14, 5, 5, False)


@pytest.mark.parametrize(
    ("low", "high", "bits"),
    [(0, 0, 1), (0, 1, 1), (0, 255, 8), (-1, 0, 1), (-128, 127, 8), (-129, 0, 9), (-1, 3, 3)],
)
def test_bits_needed(low: int, high: int, bits: int) -> None:
    graph = Graph(
        (
            Node("in", Input(FixedType(16, 16), (1,)), ()),
            Node("out", Cast(FixedType(16, 16)), ("in",)),
        )
    )
    assert graph.headroom(graph.intervals(np.array([low]), np.array([high])))[-1].bits_used == bits


def test_weights_whose_sizes_add_up_to_more_than_64_bits() -> None:
    kind, none = FixedType(62, 62), np.zeros(1, np.int64)
    kernel = np.repeat([[2**61 - 1], [1 - 2**61]], 3, axis=0)
    found = Dense(kernel, kind, none, kind).evaluate(FixedArray(np.array([[1, 0, 0, 0, 0, 0]]), 0))
    assert found.value.tolist() == [[2**61 - 1]]


def test_dense_beyond_float64_stays_exact() -> None:
    op = Dense(np.array([[2**30 + 1], [1]]), FixedType(40, 40), np.array([0]), FixedType(1, 1))
    found = op.evaluate(FixedArray(np.array([[2**30 + 1, 1]]), 0)).value[0, 0]
    assert found == (2**30 + 1) ** 2 + 1


def test_square_interval_across_zero() -> None:
    interval = Square().interval(Interval(np.array([-3, 2], object), np.array([2, 5], object), 0))
    assert interval.low.tolist() == [0, 4]
    assert interval.high.tolist() == [9, 25]


@pytest.mark.parametrize(("op", "low", "high"), [(Multiply(), [0, 4], [9, 25]), (Dot(), [4], [34])])
def test_product_with_itself_is_a_square(op: Op, low: list[int], high: list[int]) -> None:
    """Over [-3, 2] and [2, 5]; two nodes with the same bounds may differ in sign."""
    one, other = (Interval(np.array([-3, 2], object), np.array([2, 5], object), 0) for _ in range(2))
    own = op.interval(one, one)
    assert (own.low.tolist(), own.high.tolist()) == (low, high)
    assert op.interval(one, other).low.min() < 0


def values_of(quantiser: Any, x: np.ndarray) -> np.ndarray:
    return np.asarray(quantiser(keras.ops.convert_to_tensor(x.astype(np.float32))), dtype=np.float64)


@pytest.mark.parametrize(
    "quantiser",
    [
        qkeras.quantized_bits(6, 2, alpha=1.0),
        qkeras.quantized_bits(10, 6, alpha=1.0),
        qkeras.quantized_bits(5, 0, symmetric=1, alpha=1.0),
        qkeras.quantized_bits(4, 1, keep_negative=0, alpha=1.0),
        qkeras.quantized_bits(3, 5, alpha=1.0),
        qkeras.quantized_relu(10, 6),
        qkeras.quantized_relu(4, 0),
    ],
    ids=str,
)
def test_quantiser_type_has_the_values_of_qkeras(quantiser: Any) -> None:
    x = np.arange(-(2**13), 2**13) / 2.0**6  # every multiple of 1/64 in [-128, 128): ties included
    kind = quantiser_type("layer", quantiser)
    found = kind.cast(np.rint(x * 64).astype(np.int64), 6) * kind.lsb
    np.testing.assert_array_equal(found, values_of(quantiser, x))


@pytest.mark.parametrize(
    ("quantiser", "message"),
    [
        (qkeras.quantized_bits(6, 2, alpha="auto"), "alpha='auto'.*set alpha=1"),
        (qkeras.quantized_bits(6, 2, alpha="auto_po2"), "set alpha=1"),
        (qkeras.quantized_bits(6, 2, alpha=0.7), "alpha=0.7"),
        (qkeras.quantized_bits(6, 2, alpha=1.0, use_stochastic_rounding=True), "stochastic"),
        (qkeras.quantized_bits(6, 2, alpha=1.0, qnoise_factor=0.5), "qnoise_factor"),
        (qkeras.quantized_bits(1, 0, alpha=1.0), "binary"),
        (qkeras.quantized_relu(6, 2, use_sigmoid=1), "use_sigmoid"),
        (qkeras.quantized_ulaw(6), "quantized_ulaw has no exact"),
    ],
)
def test_quantisers_without_fixed_point_meaning_are_refused(quantiser: Any, message: str) -> None:
    with pytest.raises(UnsupportedError, match=f"layer odd.*{message}"):
        quantiser_type("odd", quantiser)


def test_unknown_layer_is_refused_by_name(tiny: Model) -> None:
    inputs = keras.Input((57,))
    network = keras.Model(inputs, keras.layers.Softmax(name="soft")(inputs))
    with pytest.raises(UnsupportedError, match=r"layer soft \(Softmax\)"):
        from_keras(network, tiny.contract)


def test_unquantised_output_is_refused(tiny: Model) -> None:
    inputs = keras.Input((57,))
    quantiser = {"kernel_quantizer": qkeras.quantized_bits(6, 2, alpha=1.0), "use_bias": False}
    network = keras.Model(inputs, qkeras.QDense(2, name="last", **quantiser)(inputs))
    with pytest.raises(UnsupportedError, match="no declared type"):
        from_keras(network, tiny.contract)


def test_unquantised_bias_is_refused(tiny: Model) -> None:
    inputs = keras.Input((57,))
    layer = qkeras.QDense(2, kernel_quantizer=qkeras.quantized_bits(6, 2, alpha=1.0), name="loose")
    network = keras.Model(inputs, layer(inputs))
    with pytest.raises(UnsupportedError, match="layer loose: the bias has no quantiser"):
        from_keras(network, tiny.contract)


def test_values_beyond_64_bits_are_refused(tiny: Model) -> None:
    quantiser = {"kernel_quantizer": bits("ap_fixed<24,12>"), "use_bias": False}
    x = inputs = keras.Input((57,))
    for number in range(3):
        x = qkeras.QDense(2, name=f"wide{number}", **quantiser)(x)
    network = keras.Model(inputs, qkeras.QActivation(bits("ap_fixed<16,8>"), name="score")(x))
    for layer in network.layers[1:-1]:
        layer.set_weights([np.full(w.shape, 2000.0) for w in layer.get_weights()])
    with pytest.raises(UnsupportedError, match=r"node wide2: values in \[-\d+, \d+\] need more than 64 bits"):
        graph_of(network, tiny.contract)


def test_wrong_input_size_is_refused(tiny: Model) -> None:
    inputs = keras.Input((56,))
    with pytest.raises(UnsupportedError, match="gives 57 features"):
        from_keras(keras.Model(inputs, keras.layers.Flatten()(inputs)), tiny.contract)


def test_repeated_node_names_are_refused() -> None:
    node = Node("in", Input(FixedType(4, 4), (1,)), ())
    with pytest.raises(UnsupportedError, match="twice"):
        Graph((node, node))

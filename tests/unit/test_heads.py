"""The score head in Keras and in the graph against its closed form, and the wrap it closes."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from zerobias.contract import FixedType
from zerobias.errors import SpecError
from zerobias.fixed import Builder, Graph, Input, from_keras
from zerobias.fixed.frontend import _HANDLERS
from zerobias.nn import SumOfSquares, bits, relu
from zerobias.zoo import Model

MU = FixedType(10, 7, True, "RND_CONV", "SAT")


def head(wrap: str) -> tuple[Graph, keras.Model]:
    """Score head on 8 latent units as a graph and as a Keras model."""
    layer = SumOfSquares(wrap=wrap, name="score")
    builder = Builder()
    builder.add("mu", Input(MU, (8,)))
    _HANDLERS["SumOfSquares"](layer, builder, ("mu",))
    inputs = keras.Input((8,))
    return Graph(tuple(builder.nodes)), keras.Model(inputs, layer(inputs))


def vectors() -> np.ndarray:
    rng = np.random.default_rng(2)
    corners = rng.choice([MU.min_int, MU.max_int], (200, 8))
    return np.concatenate(
        [np.full((1, 8), MU.min_int), corners, rng.integers(MU.min_int, MU.max_int, (2000, 8))]
    )


@pytest.mark.parametrize("wrap", ["closed", "v4"])
def test_graph_is_the_closed_form(wrap: str) -> None:
    graph, model = head(wrap)
    mu = vectors()
    # floor(16 mu^2) with mu in units of 1/8, summed, then modulo or at most 2^18 - 1.
    total = (mu.astype(object) ** 2 * 16 // 64).sum(axis=1)
    expected = total % 2**18 if wrap == "v4" else np.minimum(total, 2**18 - 1)
    assert graph.evaluate(mu).tolist() == expected.tolist()
    values = np.asarray(model(mu * MU.lsb), dtype=np.float64).ravel() * 16
    assert values.tolist() == expected.tolist()
    assert (total >= 2**18).any(), "the vectors must reach the wrap"


def test_published_wrap_turns_the_largest_score_to_zero_and_is_named() -> None:
    largest = np.full((1, 8), MU.min_int)  # eight squares of 64^2 = 32 768 = 2 * 2^14
    box = np.full(8, MU.min_int), np.full(8, MU.max_int)
    v4, closed = head("v4")[0], head("closed")[0]
    assert v4.evaluate(largest).tolist() == [0]
    assert closed.evaluate(largest).tolist() == [2**18 - 1]
    assert [r.node for r in v4.headroom(v4.intervals(*box)) if r.overflows] == ["score_sum_cast"]
    assert not any(r.overflows for r in closed.headroom(closed.intervals(*box)))


def test_truncation_is_of_each_square_not_of_the_sum() -> None:
    mu = np.full((1, 8), 5)  # mu = 0.625: 16 * 0.390625 = 6.25
    assert head("closed")[0].evaluate(mu).tolist() == [8 * 6]


def test_unknown_wrap_is_refused() -> None:
    with pytest.raises(ValueError, match="'closed' or 'v4'"):
        SumOfSquares(wrap="open")


@pytest.mark.parametrize(("make", "text"), [(bits, "ap_ufixed<6,3>"), (relu, "ap_fixed<6,3>")])
def test_signedness_is_checked(make: Any, text: str) -> None:
    with pytest.raises(SpecError, match="signed"):
        make(text)


def test_tiny_runs_through_keras_and_graph(tiny: Model) -> None:
    network = tiny.load()
    graph = from_keras(network, tiny.contract)
    raw = np.random.default_rng(1).integers(tiny.contract.low, tiny.contract.high, (500, 57), endpoint=True)
    scaled = tiny.contract.scale(raw)
    values = network.predict((scaled * tiny.contract.network_type.lsb).astype(np.float32), verbose=0)
    assert (np.asarray(values, dtype=np.float64).ravel() * 16).tolist() == graph.evaluate(scaled).tolist()

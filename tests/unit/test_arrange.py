"""Block normalisation and arrangement: Keras and the graph against their definition, and what is refused."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from zerobias.contract import FixedType
from zerobias.errors import UnsupportedError
from zerobias.fixed import Builder, Cast, FixedArray, Input, Interval
from zerobias.fixed import Gather as GatherOp
from zerobias.fixed import SumShift as SumShiftOp
from zerobias.fixed.frontend import _HANDLERS
from zerobias.nn import Gather, SumShift

KIND = FixedType(8, 1, signed=False)


def vectors(size: int, bits: int) -> np.ndarray:
    """Zeros, single values, sums just below, at and above every power of two, and values of every size."""
    rng = np.random.default_rng(size)
    rows = [np.zeros(size, dtype=np.int64)]
    for place in range(bits):
        for total in ((1 << place) - 1, 1 << place, (1 << place) + 1):
            parts = np.sort(rng.integers(0, total + 1, size - 1))
            rows += [np.diff(parts, prepend=0, append=total), np.eye(size, dtype=np.int64)[0] * total]
    top = rng.integers(0, bits, (400, 1))
    return np.concatenate([np.stack(rows), rng.integers(0, 1 << top, (400, size))])


def expected(events: np.ndarray, kind: FixedType) -> list[list[int]]:
    """Python's integers, event by event."""
    return [
        [(int(v) << kind.frac) >> max(int(event.sum()).bit_length() - 1, 0) for v in event]
        for event in events
    ]


@pytest.mark.parametrize("kind", [KIND, FixedType(4, 1, signed=False), FixedType(20, 1, signed=False)])
def test_values_are_shifted_by_the_highest_bit_of_their_sum(kind: FixedType) -> None:
    events = vectors(5, 18)
    found = SumShiftOp(kind).evaluate(FixedArray(events, 3))
    assert found.frac == kind.frac
    assert found.value.tolist() == expected(events, kind)
    assert found.value.max() >= 2**kind.frac
    assert kind.holds(int(found.value.min()), int(found.value.max()))


def test_sum_beyond_float64_is_not_rounded_up_to_a_power_of_two() -> None:
    events = np.array([[2**60 - 1, 0], [2**59, 2**59 - 1], [2**59, 2**59]])
    assert SumShiftOp(KIND).evaluate(FixedArray(events, 0)).value.tolist() == expected(events, KIND)


def test_keras_layer_is_the_same() -> None:
    events = vectors(7, 18)
    layer = SumShift("ap_ufixed<8,1>")
    found = np.asarray(layer(events.astype(np.float32) / 4), dtype=np.float64)
    assert (found * 2**7).tolist() == expected(events, KIND)


def test_bounds_are_reached_and_hold() -> None:
    rng = np.random.default_rng(3)
    for _ in range(60):
        low = rng.integers(0, 6, 3)
        high = low + rng.integers(0, 7, 3)
        op = SumShiftOp(FixedType(int(rng.integers(1, 7)), 1, signed=False))
        every = np.stack(
            np.meshgrid(*(np.arange(a, b + 1) for a, b in zip(low, high, strict=True)), indexing="ij"),
            axis=-1,
        ).reshape(-1, 3)
        values = op.evaluate(FixedArray(every, 0)).value
        found = op.interval(Interval(low.astype(object), high.astype(object), 0))
        assert found.low.tolist() == values.min(axis=0).tolist()
        assert found.high.tolist() == values.max(axis=0).tolist()
        assert found.frac == op.kind.frac


@pytest.mark.parametrize("source", [Input(FixedType(8, 4), (3,)), Cast(FixedType(8, 4))])
def test_signed_values_are_refused(source: Input | Cast) -> None:
    builder = Builder()
    builder.add("in", Input(FixedType(8, 4), (3,)))
    name = "in" if isinstance(source, Input) else builder.add("cast", source, "in")
    with pytest.raises(UnsupportedError, match="layer norm: its input has no unsigned type"):
        _HANDLERS["SumShift"](SumShift(name="norm"), builder, (name,))


@pytest.mark.parametrize("kind", ["ap_fixed<8,1>", "ap_ufixed<8,2>", "ap_ufixed<8,1,RND,SAT>"])
def test_result_type_is_checked(kind: str) -> None:
    with pytest.raises(ValueError, match=r"give ap_ufixed<W,1>"):
        SumShift(kind)


def test_gather_takes_and_fills() -> None:
    index = [[[2], [-1]], [[0], [0]], [[-1], [5]]]
    events = np.arange(1, 13).reshape(2, 3, 2)
    want = [[[[3], [0]], [[1], [1]], [[0], [6]]], [[[9], [0]], [[7], [7]], [[0], [12]]]]
    op = GatherOp(np.array(index))
    assert op.evaluate(FixedArray(events, 1)).value.tolist() == want
    bounds = op.interval(Interval(-events[0].astype(object), events[1].astype(object), 1))
    assert bounds.low.tolist() == (-np.array(want[0])).tolist()
    assert bounds.high.tolist() == want[1]
    assert np.asarray(Gather(index)(events.astype(np.float32))).tolist() == want


@pytest.mark.parametrize("index", [[3], [-2]])
def test_index_outside_the_input_is_refused(index: list[int]) -> None:
    with pytest.raises(ValueError, match=f"index {index[0]}: an input of 3 values takes -1 to 2"):
        Gather(index)(np.zeros((1, 3), dtype=np.float32))


def test_layers_are_made_again_from_their_configuration() -> None:
    inputs = keras.Input((3,))
    model = keras.Model(inputs, Gather([[2, -1]])(SumShift("ap_ufixed<5,1>")(inputs)))
    again = keras.Model.from_config(model.get_config())
    events = np.array([[1, 2, 4], [0, 0, 0]], dtype=np.float32)
    assert np.asarray(again(events)).tolist() == np.asarray(model(events)).tolist() == [[[1, 0]], [[0, 0]]]

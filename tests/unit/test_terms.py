"""Weights limited to few signed digits an output, against counts and choices made another way."""

from __future__ import annotations

from itertools import product

import keras
import numpy as np
import pytest
import qkeras
import tensorflow as tf
from numpy.typing import NDArray

from zerobias.contract import FixedType
from zerobias.errors import UnsupportedError
from zerobias.fixed.quantisers import quantiser_values
from zerobias.nn import LimitedTerms, bits
from zerobias.zoo import quantised_values

KINDS = ["ap_fixed<4,1>", "ap_fixed<5,2>", "ap_fixed<6,3>", "ap_fixed<3,3>"]


def fewest(value: int) -> int:
    """Fewest powers of two, added or subtracted, that make an integer: by trying all sums."""
    powers = [sign << place for place in range(7) for sign in (1, -1)]
    return next(count for count in range(6) if any(sum(c) == value for c in product(powers, repeat=count)))


def kernels(kind: str) -> NDArray[np.float32]:
    """Normal weights, and beside them every value of the type."""
    parsed = FixedType.parse(kind)
    every = np.arange(parsed.min_int, parsed.max_int + 1) * parsed.lsb
    rng = np.random.default_rng(4)
    wide = rng.normal(0, 0.6 * 2.0 ** (parsed.integer - 1), (len(every), 12))
    return np.concatenate([wide, every[:, None], rng.permuted(every)[:, None]], axis=1).astype(np.float32)


def limited(kind: str, terms: int, kernel: NDArray[np.float32]) -> NDArray[np.float64]:
    return np.asarray(LimitedTerms(kind, terms)(keras.ops.convert_to_tensor(kernel)), np.float64)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("terms", [1, 2, 3, 7])
def test_no_output_has_more_terms_and_every_value_is_of_the_type(kind: str, terms: int) -> None:
    kernel, parsed = kernels(kind), FixedType.parse(kind)
    found = np.rint(limited(kind, terms, kernel) / parsed.lsb).astype(int)
    assert found.min() >= parsed.min_int
    assert found.max() <= parsed.max_int
    counts = [sum(fewest(value) for value in column) for column in found.T.tolist()]
    assert max(counts) == terms
    again = limited(kind, terms, (found * parsed.lsb).astype(np.float32))
    np.testing.assert_array_equal(np.rint(again / parsed.lsb), found)


@pytest.mark.parametrize("kind", KINDS)
def test_without_a_limit_it_is_the_types_quantiser(kind: str) -> None:
    kernel = kernels(kind)
    expected = np.asarray(bits(kind)(keras.ops.convert_to_tensor(kernel)))
    np.testing.assert_allclose(limited(kind, 1000, kernel), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("column", "terms", "expected"),
    [
        ([0.75, 0.125, -0.5], 1, [1.0, 0, 0]),  # 0.75 = 1 - 0.25
        ([0.75, 0.125, -0.5], 2, [1.0, 0, -0.5]),
        ([0.75, 0.125, -0.5], 3, [0.75, 0, -0.5]),
        ([0.75, 0.125, -0.5], 4, [0.75, 0.125, -0.5]),
        ([0.125, 0.135, -0.13], 2, [0, 0.125, -0.125]),  # equal digits: those of the larger weights
        ([1.9, 0.125, 0.0], 1, [1.0, 0, 0]),  # 1.875 = 2 - 0.125, and 2 is past the end
        ([-2.5, 0.125, 0.0], 1, [-2.0, 0, 0]),
    ],
)
def test_the_largest_digits_stay(column: list[float], terms: int, expected: list[float]) -> None:
    kernel = np.array(column, np.float32)[:, None]
    np.testing.assert_allclose(limited("ap_fixed<5,2>", terms, kernel)[:, 0], expected, atol=1e-6)


def test_dropped_weights_still_learn() -> None:
    kernel = tf.Variable([[0.5], [0.125]])
    with tf.GradientTape() as tape:
        value = tf.reduce_sum(LimitedTerms("ap_fixed<4,1>", 1)(kernel) * [[2.0], [3.0]])
    np.testing.assert_allclose(value, 1.0)
    np.testing.assert_array_equal(tape.gradient(value, kernel), [[2.0], [3.0]])


def test_layer_trains_with_it_and_a_plain_one_holds_its_values() -> None:
    kind = "ap_fixed<5,2>"
    layer = qkeras.QDense(3, use_bias=False, kernel_quantizer=LimitedTerms(kind, 2), name="limited")
    inputs = keras.Input((8,))
    model = keras.Model(inputs, layer(inputs))
    rng = np.random.default_rng(6)
    x = rng.normal(0, 1, (2048, 8)).astype(np.float32)
    truth = np.zeros((8, 3), np.float32)
    truth[[1, 4, 6], [0, 1, 2]] = 0.5, -1.0, 0.625
    model.compile(keras.optimizers.Adam(0.02), loss="mse", jit_compile=False)
    model.fit(x, x @ truth, epochs=8, batch_size=64, verbose=0)
    held = quantised_values(layer, "kernel")
    np.testing.assert_array_equal(held, truth)
    integers, _ = quantiser_values("layer", bits(kind), held)
    np.testing.assert_array_equal(integers, truth * 8)
    with pytest.raises(UnsupportedError, match="layer limited: quantiser LimitedTerms has no exact"):
        quantiser_values("limited", LimitedTerms(kind, 2), held)


def test_no_term_is_refused() -> None:
    with pytest.raises(ValueError, match="terms=0: an output without a term is constant, give 1 or more"):
        LimitedTerms("ap_fixed<4,1>", 0)

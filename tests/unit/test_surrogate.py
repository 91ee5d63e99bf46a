"""The EMD surrogate: symmetric, bounded as the EMD is, trainable, resumable, and frozen as a loss."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray

from zerobias.emd import Pairs, emd, plausible_decodings, unit_images
from zerobias.errors import DataError
from zerobias.events.wafer import CELLS, DISTANCES, arrange_4x4x3, arrange_8x8
from zerobias.nn import EmdSurrogate, emd_loss
from zerobias.train import SurrogateRecipe, train_surrogate
from zerobias.zoo import apply_weights, collect_weights, digest, read_weights, write_weights

Array = NDArray[np.float32]
SMALL: dict[str, Any] = {"filters": 4, "convolutions": 2, "units": 8}


def images(count: int, seed: int) -> Array:
    rng = np.random.default_rng(seed)
    return unit_images(rng.gamma(0.3, 1.0, (count, CELLS)) + 1e-3).astype(np.float32)


def surrogate(seed: int = 1) -> EmdSurrogate:
    """With random weights and batch statistics, so that nothing is symmetric by accident."""
    keras.utils.set_random_seed(seed)
    made = EmdSurrogate(**SMALL)
    rng = np.random.default_rng(seed)
    for variable in made.weights:
        variable.assign(rng.uniform(0.1, 1.0, variable.shape) * rng.choice([-1, 1], variable.shape) ** 2)
    for layer in made.network.layers:
        if isinstance(layer, keras.layers.Conv2D | keras.layers.Dense):
            layer.kernel.assign(rng.normal(0.0, 0.3, layer.kernel.shape))
    return made


def values(model: keras.Model) -> list[bytes]:
    return [np.asarray(variable).tobytes() for variable in model.weights]


def predicted(model: EmdSurrogate, first: Array, second: Array) -> Array:
    return np.asarray(model((first, second)))


def test_symmetric_and_zero_for_equal_images() -> None:
    model, a, b = surrogate(), images(50, 1), images(50, 2)
    there, back = predicted(model, a, b), predicted(model, b, a)
    assert there.shape == (50,)
    assert there.tolist() == back.tolist()
    assert predicted(model, a, a).tolist() == [0.0] * 50
    # Negative control: one way alone is not symmetric.
    excess, lack = (arrange_4x4x3(np.maximum(d, 0)) for d in (a - b, b - a))
    ways = [np.asarray(model.network(np.concatenate(p, -1))) for p in ((excess, lack), (lack, excess))]
    assert (ways[0] != ways[1]).all()


def test_between_the_bounds_of_the_emd() -> None:
    model, a, b = surrogate(), images(50, 1), images(50, 2)
    moved = np.maximum(a - b, 0).sum(axis=1)
    nearest, farthest = DISTANCES[DISTANCES > 0].min(), DISTANCES.max()
    for values_in in (predicted(model, a, b), emd(a, b)):
        assert (values_in >= nearest * moved * (1 - 1e-5)).all()
        assert (values_in <= farthest * moved * (1 + 1e-5)).all()


def test_what_the_emd_does_not_depend_on() -> None:
    """Units of charge, layout, and what both images have in common."""
    model, a, b = surrogate(), images(20, 1), images(20, 2)
    expected = predicted(model, a, b)
    assert predicted(model, arrange_8x8(a)[..., None], arrange_4x4x3(b)).tolist() == expected.tolist()
    np.testing.assert_allclose(predicted(model, a, 40 * b), expected, rtol=1e-4)
    common = images(20, 3)
    np.testing.assert_allclose(predicted(model, a + common, b + common), expected / 2, rtol=1e-3)
    np.testing.assert_allclose(emd(a + common, b + common), emd(a, b) / 2, rtol=1e-5)


def test_network_has_the_published_form() -> None:
    model = EmdSurrogate(filters=32, kernel=5, convolutions=3, units=64)
    assert model.network.input_shape == (None, 4, 4, 6)
    kinds = [type(layer).__name__ for layer in model.network.layers]
    block = ["BatchNormalization", "ReLU"]
    assert kinds == [
        "InputLayer", *["Conv2D", *block] * 3, "Flatten", "Dense", *block, "Dense", "Rescaling"
    ]  # fmt: skip
    kernels = 25 * 32 * (6 + 32 + 32) + 4 * 4 * 32 * 64 + 64
    assert model.network.count_params() == kernels + 4 * (3 * 32 + 64) + 1


def test_an_empty_image_gives_finite_values_and_gradients() -> None:
    model, a = surrogate(), images(3, 1)
    dead = tf.zeros((3, CELLS))
    with tf.GradientTape() as tape:
        tape.watch(dead)
        value = model((a, dead))
    assert np.isfinite(value).all()
    assert np.isfinite(tape.gradient(value, dead)).all()


# --- a frozen loss ------------------------------------------------------------------------------


def test_gradient_reaches_the_decoded_image() -> None:
    loss = emd_loss(surrogate())
    true, decoded = images(5, 1), tf.constant(images(5, 2))
    with tf.GradientTape() as tape:
        tape.watch(decoded)
        value = loss(true, decoded)
    gradient = np.asarray(tape.gradient(value, decoded))
    assert np.isfinite(gradient).all()
    assert (abs(gradient).max(axis=1) > 1e-3).all()
    # against a difference quotient along a random direction
    step = 1e-3 * np.random.default_rng(1).normal(size=(5, CELLS)).astype(np.float32) * np.asarray(decoded)
    change = np.asarray(loss(true, decoded + step)) - np.asarray(loss(true, decoded - step))
    np.testing.assert_allclose((gradient * 2 * step).sum(axis=1), change, rtol=0.2, atol=2e-6)


def test_training_an_encoder_leaves_the_surrogate_alone() -> None:
    def coder() -> keras.Model:
        inputs = keras.Input((8, 8, 1))
        x = keras.layers.Dense(4)(keras.layers.Flatten()(inputs))
        x = keras.layers.Dense(64, activation="sigmoid")(x)
        return keras.Model(inputs, keras.layers.Reshape((8, 8, 1))(x))

    true = arrange_8x8(images(64, 1))[..., None]
    model = surrogate()
    before = values(model)
    for frozen in (False, True):  # not frozen: the negative control
        loss = emd_loss(model) if frozen else lambda t, p: model((t, p), training=True)
        encoder = coder()
        start = values(encoder)
        encoder.compile(keras.optimizers.Adam(1e-2), loss, run_eagerly=True)
        encoder.fit(true, true, epochs=2, verbose=0)
        assert (values(model) == before) == frozen
        assert all(one != other for one, other in zip(start, values(encoder), strict=True))
        before = values(model)
    assert not model.trainable_variables


# --- training -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pairs() -> Pairs:
    first = np.concatenate([images(150, 1), images(150, 2)]).astype(np.float64)
    second = np.concatenate([plausible_decodings(images(150, 1), 1), images(150, 3)])
    return Pairs(first, second, emd(first, second), np.arange(300) < 150)


def test_stopped_and_resumed_equals_uninterrupted(pairs: Pairs, tmp_path: Path) -> None:
    recipe = SurrogateRecipe(filters=4, convolutions=1, units=8, epochs=3, batch=32)
    seen: list[tuple[int, int]] = []

    def stop(done: int, total: int) -> None:
        seen.append((done, total))
        if done == 1:
            raise KeyboardInterrupt

    def at_once(done: int, total: int) -> None:
        seen.append((done, total))
        raise KeyboardInterrupt

    whole = train_surrogate(pairs, recipe, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train_surrogate(pairs, recipe, tmp_path / "parts", progress=stop)
    assert seen == [(0, 3), (1, 3)]
    # killed between record and checkpoint: the record is one epoch ahead
    (record,) = (tmp_path / "parts").glob("*.json")
    record.write_text(record.read_text().replace("]", ", 9.0]"))
    seen.clear()
    resumed = train_surrogate(
        pairs, recipe, tmp_path / "parts", progress=lambda done, total: seen.append((done, total))
    )
    assert seen == [(1, 3), (2, 3), (3, 3)]
    assert resumed.losses == whole.losses
    assert values(resumed.surrogate) == values(whole.surrogate)
    assert whole.losses[-1] < whole.losses[0]
    record.write_text("[1.0")
    with pytest.raises(DataError, match=r"lacks the losses of 3 epochs: remove fit-\w+.npz"):
        train_surrogate(pairs, recipe, tmp_path / "parts")
    # Another recipe starts anew, in the same folder.
    seen.clear()
    with pytest.raises(KeyboardInterrupt):
        train_surrogate(pairs, recipe.model_copy(update={"seed": 2}), tmp_path / "parts", progress=at_once)
    assert seen == [(0, 3)]

    path = tmp_path / "weights.npz"
    write_weights(path, collect_weights(whole.surrogate.network))
    again = EmdSurrogate(filters=4, convolutions=1, units=8)
    apply_weights(again.network, read_weights(path))
    assert digest(collect_weights(again.network)) == digest(collect_weights(whole.surrogate.network))
    first, second = images(5, 8), images(5, 9)
    assert predicted(again, first, second).tolist() == predicted(whole.surrogate, first, second).tolist()


def test_bad_pairs_are_refused(pairs: Pairs, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="300 pairs do not fill a batch of 512: give more pairs"):
        train_surrogate(pairs, SurrogateRecipe(batch=512), tmp_path)
    equal = Pairs(pairs.first, pairs.first, 0.0 * pairs.emd, pairs.decoded)
    with pytest.raises(DataError, match="pair 0 has EMD 0: a relative error needs images that differ"):
        train_surrogate(equal, SurrogateRecipe(), tmp_path)

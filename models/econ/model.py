"""The ECON-T encoder: 48 trigger cells of an HGCAL wafer -> 16 numbers, with the EMD as loss."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import Any, Literal

import keras
import numpy as np
import qkeras
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from zerobias.emd import emd, make_pairs, plausible_decodings, unit_images
from zerobias.events import EventSet
from zerobias.events.wafer import CELLS, arrange_8x8
from zerobias.nn import (
    Gather,
    SumShift,
    bits,
    emd_loss,
    largest,
    relu,
    squared_error,
    telescope,
    weighted_squared_error,
)
from zerobias.specs import validate
from zerobias.train import SurrogateRecipe, Trained, TrainingData, fit_resumable, train_surrogate
from zerobias.zoo import ModelSpec, collect_weights, digest

log = logging.getLogger(__name__)

LATENT = 16
LATENT_BITS = {2: 3, 3: 5, 4: 7, 5: 9}
"""Bits of each latent number by the number of e-links."""
PLACES_8X8 = arrange_8x8(np.arange(1, CELLS + 1))[..., None] - 1
"""Trigger cell at each place of the 8 x 8 image, -1 where there is none."""
LOSSES = {
    "telescope": telescope,
    "weighted_squared_error": weighted_squared_error,
    "squared_error": squared_error,
}
CONDITIONS = 8
UNITS = 128
"""Hidden units of the decoder."""
TUNING_IMAGES = 2000
Array = NDArray[Any]
Loss = Callable[[Any, Any], Any]


class Network(BaseModel):
    """``[network]`` of model.toml; ``conditional``: the decoder also knows where the wafer is and its sum."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    elinks: Literal[2, 3, 4, 5]
    normalised: str
    filters: int
    weights: str
    biases: str
    activations: str
    conditional: bool

    @property
    def latent(self) -> str:
        """Type of the numbers sent."""
        return f"ap_ufixed<{LATENT_BITS[self.elinks]},1>"


class Recipe(BaseModel):
    """``[training]`` of model.toml.

    ``pairs`` train the EMD surrogate, ``decoded_share`` of them a wafer with a decoding of itself.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    loss: Literal["emd", "telescope", "weighted_squared_error", "squared_error"]
    epochs: int
    quantised_epochs: int
    batch: int
    learning_rate: float
    quantised_learning_rate: float
    pairs: int
    decoded_share: float


def network(spec: ModelSpec) -> Network:
    return validate(spec.network, Network, f"model {spec.name}, [network]")


def recipe(spec: ModelSpec) -> Recipe:
    return validate(spec.training, Recipe, f"model {spec.name}, [training]")


def build(spec: ModelSpec, quantised: bool = True) -> keras.Model:
    """Charges (n, 48) in counts -> latent (n, 16) in [0, 2)."""
    net = network(spec)
    x = inputs = keras.Input((CELLS,), name="charges")
    x = SumShift(net.normalised, name="normalised")(x)
    x = Gather(PLACES_8X8, name="image")(x)
    if quantised:
        types = {"kernel_quantizer": bits(net.weights), "bias_quantizer": bits(net.biases)}
        x = qkeras.QConv2D(net.filters, 3, strides=2, padding="same", name="conv", **types)(x)
        x = keras.layers.Flatten(name="flat")(qkeras.QActivation(relu(net.activations), name="relu")(x))
        x = qkeras.QDense(LATENT, name="dense", **types)(x)
        return keras.Model(inputs, qkeras.QActivation(relu(net.latent), name="latent")(x), name=spec.name)
    # Biases start above 0: a unit that is 0 for all wafers never learns.
    first, last = (keras.initializers.Constant(value) for value in (0.1, 0.75))
    x = keras.layers.Conv2D(net.filters, 3, strides=2, padding="same", bias_initializer=first, name="conv")(x)
    x = keras.layers.ReLU(largest(net.activations), name="relu")(x)
    x = keras.layers.Dense(LATENT, bias_initializer=last, name="dense")(keras.layers.Flatten(name="flat")(x))
    latent = keras.layers.ReLU(largest(net.latent), name="latent")(x)
    return keras.Model(inputs, latent, name=spec.name)


def decoder(spec: ModelSpec) -> keras.Model:
    """Latent (n, 16) and, if conditional, conditions (n, 8) -> charges (n, 48) of unit sum; off detector."""
    net = network(spec)
    inputs = [keras.Input((LATENT,), name="latent")]
    if net.conditional:
        inputs.append(keras.Input((CONDITIONS,), name="conditions"))
    known = keras.layers.Concatenate()(inputs) if net.conditional else inputs[0]
    # What is linear is learned first and best: 16 numbers of a linear code already describe most wafers.
    linear = keras.layers.Dense(CELLS, name="linear")(known)
    hidden = keras.layers.Dense(UNITS, activation="relu", name="hidden")(known)
    x = keras.ops.softplus(
        linear + keras.layers.Dense(CELLS, kernel_initializer="zeros", name="rest")(hidden)
    )
    return keras.Model(inputs, x / keras.ops.sum(x, axis=-1, keepdims=True), name="decoder")


def conditions(events: EventSet) -> Array:
    """What the decoder may know of each wafer (n, 8): eta, v, u, type, charge and layer, of order one."""
    layer, u, v, kind, eta = events.collections["wafer_place"].astype(np.float32).T
    charge = events.collections["wafer"].sum(axis=1, dtype=np.float64)
    one_hot = np.eye(3, dtype=np.float32)[kind.astype(int)]
    columns = [eta / 3100, v / 12, u / 12, *one_hot.T, np.log1p(charge), (layer - 1) / 46]
    return np.stack(columns, axis=1).astype(np.float32)


def autoencoder(encoder: keras.Model, spec: ModelSpec) -> keras.Model:
    """Encoder and a new decoder: charges and, if conditional, conditions -> charges of unit sum."""
    inputs = [keras.Input((CELLS,))]
    if network(spec).conditional:
        inputs.append(keras.Input((CONDITIONS,)))
    return keras.Model(inputs, decoder(spec)([encoder(inputs[0]), *inputs[1:]]), name="autoencoder")


def train(spec: ModelSpec, data: TrainingData) -> Trained:
    """The float autoencoder, then its quantised partner, both with the recipe's loss."""
    plan = recipe(spec)
    loss, named = chosen_loss(spec, data)
    keras.utils.set_random_seed(spec.seed)
    floating = build(spec, quantised=False)
    first = autoencoder(floating, spec)
    losses = fit(first, spec, data, loss, named, plan.epochs, plan.learning_rate)
    quantised = build(spec)
    second = autoencoder(quantised, spec)
    second.set_weights(first.get_weights())
    losses += fit(second, spec, data, loss, named, plan.quantised_epochs, plan.quantised_learning_rate)
    history = {
        "loss": losses,
        "tuning_emd": {"float": tuning_emd(first, data), "quantised": tuning_emd(second, data)},
    }
    return Trained(quantised, floating, history, {"decoder": second.get_layer("decoder")})


def chosen_loss(spec: ModelSpec, data: TrainingData) -> tuple[Loss, str]:
    """The recipe's loss (true, decoded) -> (n,), and what identifies it."""
    plan = recipe(spec)
    if plan.loss != "emd":
        return mean_one(LOSSES[plan.loss]), plan.loss
    real = unit_images(data.raw)
    pairs = make_pairs(
        real,
        np.stack([plausible_decodings(real, spec.seed + number) for number in range(2)]),
        data.folder,
        pairs=plan.pairs,
        decoded_share=plan.decoded_share,
        seed=spec.seed,
        progress=partial(data.progress, "exact EMD of pairs, chunks"),
    )
    told = partial(data.progress, "EMD surrogate, epochs")
    surrogate = train_surrogate(pairs, SurrogateRecipe(seed=spec.seed), data.folder, progress=told).surrogate
    return emd_loss(surrogate), digest(collect_weights(surrogate.network))


def mean_one(error: Loss) -> Loss:
    """The error of images scaled to mean 1, so that gradients are of order one."""
    return lambda true, decoded: error(CELLS * true, CELLS * decoded)


def inputs_of(model: keras.Model, values: Array, events: EventSet) -> list[Array]:
    """What an autoencoder or a decoder takes: charges or latent, and conditions where it knows them."""
    known = conditions(events)
    return [values, np.tile(known, (len(values) // len(known), 1))][: len(model.inputs)]


def turned(wafers: Array) -> Array:
    """Wafers (n, 48), then all of them turned by 120 and by 240 degrees (3n, 48)."""
    return np.concatenate([np.roll(wafers, turn * CELLS // 3, axis=1) for turn in range(3)])


def fit(
    model: keras.Model,
    spec: ModelSpec,
    data: TrainingData,
    loss: Loss,
    named: str,
    epochs: int,
    learning_rate: float,
) -> list[float]:
    """Train an autoencoder on the zero bias of the train split, in three turns; ``named`` is the loss's."""
    plan = recipe(spec)
    targets = turned(unit_images(data.raw).astype(np.float32))
    steps = epochs * (len(targets) // plan.batch)
    rate = keras.optimizers.schedules.CosineDecay(learning_rate, steps, alpha=0.02)
    model.compile(keras.optimizers.Adam(rate), loss=loss, jit_compile=False)
    inputs = inputs_of(model, turned(data.inputs), data.events)
    return fit_resumable(
        model,
        inputs,
        targets,
        data.folder,
        epochs=epochs,
        batch=plan.batch,
        seed=spec.seed,
        plan=f"{named} {learning_rate}",
        progress=partial(data.progress, "encoder, epochs"),
    )


def tuning_emd(model: keras.Model, data: TrainingData) -> float:
    """Mean exact EMD of decoded and true wafers of the tuning split, in pitches."""
    some = slice(TUNING_IMAGES)
    inputs = inputs_of(model, data.tuning_inputs, data.tuning_events)
    decoded = model.predict([each[some] for each in inputs], verbose=0)
    return float(emd(data.tuning_raw[some], decoded).mean())

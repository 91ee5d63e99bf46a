"""CICADA: a small quantised student learns the anomaly score of a float autoencoder on 252 regions."""

from __future__ import annotations

import logging
from typing import Any, Literal

import keras
import numpy as np
import qkeras
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict
from sklearn.metrics import roc_auc_score

from zerobias.nn import bits, largest, relu
from zerobias.specs import validate
from zerobias.train import Trained, TrainingData
from zerobias.zoo import ModelSpec

log = logging.getLogger(__name__)

SHAPE = (18, 14, 1)
TARGET_SCALE, TARGET_MAX = 32.0, 256.0 - 1 / 256
RING_WEIGHTS = "ap_fixed<2,2>"
"""Holds 1: the saturated filters are summed over phi, ring by ring."""
HIDDEN_UNIT = 16.0
"""The float student's hidden values are in this unit, so that its parameters are of order one."""
Array = NDArray[Any]


class Network(BaseModel):
    """Student's sizes and types, ``[network]`` of model.toml."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    filters: int
    hidden: int
    conv_weights: str
    dense_weights: str
    dense_biases: str
    output_weights: str
    activations: str
    score: str


class Recipe(BaseModel):
    """``[training]`` of model.toml.

    ``transform`` of ET before the teacher, and ``power`` of its residual in the score: ``linear`` and 2
    is the classic mean squared error; with ``sqrt`` the residual is in units of its spread per ieta.
    ``saturation``: sum of ET over a 2 x 2 patch, in counts, at which each filter saturates at the start.
    ``outliers``: share of made-up events in the student's training (outlier exposure). ``copies``: every
    event is seen that many times, turned in phi and mirrored in eta.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    transform: Literal["linear", "sqrt"]
    power: float
    saturation: tuple[float, ...]
    teacher_epochs: int
    teacher_batch: int
    student_epochs: int
    quantised_epochs: int
    batch: int
    learning_rate: float
    quantised_learning_rate: float
    outliers: float
    copies: int


def network(spec: ModelSpec) -> Network:
    return validate(spec.network, Network, f"model {spec.name}, [network]")


def recipe(spec: ModelSpec) -> Recipe:
    return validate(spec.training, Recipe, f"model {spec.name}, [training]")


def build(spec: ModelSpec, quantised: bool = True) -> keras.Model:
    """Regions (n, 18, 14, 1) in counts -> score (n, 1)."""
    net = network(spec)
    x = inputs = keras.Input(SHAPE, name="regions")
    if quantised:
        conv = {"kernel_quantizer": bits(net.conv_weights), "use_bias": False, "strides": 2}
        x = qkeras.QConv2D(net.filters, 2, name="conv", **conv)(x)
        x = qkeras.QActivation(relu(net.activations), name="relu0")(x)
        ring = {"depthwise_quantizer": bits(RING_WEIGHTS), "use_bias": False, "name": "ring"}
        x = keras.layers.Flatten(name="flat")(qkeras.QDepthwiseConv2D((9, 1), **ring)(x))
        dense = {"kernel_quantizer": bits(net.dense_weights), "bias_quantizer": bits(net.dense_biases)}
        x = qkeras.QDense(net.hidden, name="dense1", **dense)(x)
        x = qkeras.QActivation(relu(net.activations), name="relu1")(x)
        x = qkeras.QDense(1, kernel_quantizer=bits(net.output_weights), use_bias=False, name="dense2")(x)
        return keras.Model(inputs, qkeras.QActivation(relu(net.score), name="score")(x), name=spec.name)
    x = keras.layers.Conv2D(net.filters, 2, strides=2, use_bias=False, name="conv")(x)
    x = keras.layers.ReLU(largest(net.activations), name="relu0")(x)
    x = keras.layers.DepthwiseConv2D((9, 1), use_bias=False, name="ring")(x)
    x = keras.layers.Flatten(name="flat")(x)
    x = keras.layers.Dense(net.hidden, name="dense1")(x)
    x = keras.layers.ReLU(largest(net.activations), name="relu1")(x)
    x = keras.layers.Dense(1, use_bias=False, name="dense2")(x)
    return keras.Model(inputs, keras.layers.ReLU(name="score")(x), name=spec.name)


def trainable(spec: ModelSpec) -> keras.Model:
    """The float network in the form that trains well; :func:`fold` turns it into that of :func:`build`.

    A filter without bias has no threshold, but it saturates: starting as plain sums of a 2 x 2 patch that
    saturate at different ET, the filters together give the dense layer a piecewise linear function of the
    patch's ET (the difference of two is zero below the lower saturation). A quarter of the hidden units
    starts with a negative weight in the score, which bends it down as the target's logarithm does.
    """
    net, plan = network(spec), recipe(spec)
    top = largest(net.activations)
    near_one = keras.initializers.RandomNormal(1.0, 0.1)
    x = inputs = keras.Input(SHAPE)
    filters = {"strides": 2, "use_bias": False, "kernel_initializer": near_one}
    x = keras.layers.Conv2D(net.filters, 2, name="conv", **filters)(x)
    x = keras.layers.Rescaling([top / edge for edge in plan.saturation], name="scale")(x)
    x = keras.layers.AveragePooling2D((9, 1))(keras.layers.ReLU(top)(x))
    x = keras.layers.Flatten()(x)
    x = keras.layers.Dense(net.hidden, name="dense1")(x)
    x = keras.layers.BatchNormalization(name="norm")(x)
    x = keras.layers.ReLU(top / HIDDEN_UNIT)(x)
    x = keras.layers.Dense(1, use_bias=False, name="dense2")(x)
    model = keras.Model(inputs, keras.layers.ReLU()(x))
    sign = np.where(np.arange(net.hidden) < net.hidden // 4, -1.0, 1.0)
    model.get_layer("dense2").set_weights([4 * sign[:, None]])
    return model


def fold(spec: ModelSpec, model: keras.Model) -> keras.Model:
    """The float network with the scales and the batch normalisation of :func:`trainable` in its weights."""
    norm = model.get_layer("norm")
    mean, variance = np.asarray(norm.moving_mean), np.asarray(norm.moving_variance)
    scale = np.asarray(norm.gamma) / np.sqrt(variance + norm.epsilon)
    kernel, bias = (np.asarray(w) for w in model.get_layer("dense1").get_weights())
    (conv,), (out,) = (model.get_layer(name).get_weights() for name in ("conv", "dense2"))
    folded = build(spec, quantised=False)
    folded.get_layer("conv").set_weights([conv * np.asarray(model.get_layer("scale").scale)])
    shift = (bias - mean) * scale + np.asarray(norm.beta)
    folded.get_layer("ring").set_weights([np.ones((9, 1, network(spec).filters, 1))])
    folded.get_layer("dense1").set_weights([kernel * scale * HIDDEN_UNIT / 9, shift * HIDDEN_UNIT])
    folded.get_layer("dense2").set_weights([out / HIDDEN_UNIT])
    return folded


def two_bits(values: Array) -> Array:
    """Values rounded to two significant bits: each filter weight is used 63 times, so its bits cost most."""
    unit = 2.0 ** (np.floor(np.log2(np.maximum(np.abs(values), 2**-7))) - 1)
    return np.round(values / unit) * unit


def teacher() -> keras.Model:
    """The float autoencoder on transformed regions (n, 18, 14, 1); never in firmware."""
    conv = {"padding": "same", "activation": "relu"}
    x = inputs = keras.Input(SHAPE)
    x = keras.layers.Conv2D(20, 3, **conv)(x)
    x = keras.layers.AveragePooling2D(2)(x)
    x = keras.layers.Conv2D(30, 3, **conv)(x)
    x = keras.layers.Flatten()(x)
    x = keras.layers.Dense(80, activation="relu")(x)
    x = keras.layers.Dense(1890)(x)
    x = keras.layers.Reshape((9, 7, 30))(x)
    x = keras.layers.ReLU()(x)
    x = keras.layers.Conv2D(30, 3, **conv)(x)
    x = keras.layers.UpSampling2D(2)(x)
    x = keras.layers.Conv2D(20, 3, **conv)(x)
    return keras.Model(inputs, keras.layers.Conv2D(1, 3, **conv)(x))


class Teacher:
    """The trained autoencoder and the score it gives to regions (n, 252)."""

    def __init__(self, plan: Recipe, inputs: Array, weight: Array) -> None:
        self.plan = plan
        self.spread: Array = np.ones(SHAPE)
        self.model = teacher()
        self.model.compile(keras.optimizers.Adam(1e-3), loss="mse")
        x = self.transformed(inputs)
        self.model.fit(
            x,
            x,
            sample_weight=weight[:, None, None],
            epochs=plan.teacher_epochs,
            batch_size=plan.teacher_batch,
            verbose=0,
        )
        if plan.transform == "sqrt":
            variance = np.average(self.residual(inputs) ** 2, axis=0, weights=weight)
            self.spread = np.broadcast_to(np.sqrt(variance.mean(axis=0)), SHAPE)

    def transformed(self, inputs: Array) -> Array:
        """ET (n, 252) -> what the autoencoder sees (n, 18, 14, 1)."""
        x = inputs.reshape(-1, *SHAPE)
        return np.sqrt(x) if self.plan.transform == "sqrt" else x

    def residual(self, inputs: Array) -> Array:
        """Input minus reconstruction (n, 18, 14, 1)."""
        x = self.transformed(inputs)
        return x - self.model.predict(x, batch_size=2048, verbose=0)

    def target(self, inputs: Array) -> Array:
        """Student's target (n,): 32 ln(mean |residual|^power), rounded to 1/256 and limited to 8 bits."""
        size = np.mean(np.abs(self.residual(inputs) / self.spread) ** self.plan.power, axis=(1, 2, 3))
        score = np.round(256 * TARGET_SCALE * np.log(np.maximum(size, 1e-6))) / 256
        return np.clip(score, 0.0, TARGET_MAX).astype(np.float32)


def outliers(rng: np.random.Generator, inputs: Array, target: Array, count: int) -> Array:
    """Made-up events (count, 252): zero bias with 1 to 4 patches of 3 x 3 regions from high-score events."""
    hot = inputs[np.argsort(target)[-len(target) // 20 :]].reshape(-1, 18, 14)
    events = inputs[rng.integers(0, len(inputs), count)].reshape(-1, 18, 14)
    for event in events:
        for _ in range(rng.integers(1, 5)):
            source = hot[rng.integers(len(hot))]
            a, b = np.unravel_index(int(source.argmax()), source.shape)
            rows = np.arange(a - 1, a + 2) % 18
            columns = np.clip(np.arange(b - 1, b + 2), 0, 13)
            shift = rng.integers(18)
            event[np.ix_((rows + shift) % 18, columns)] = source[np.ix_(rows, columns)]
    return events.reshape(-1, 252)


def turned(rng: np.random.Generator, inputs: Array, copies: int) -> Array:
    """The events (n, 252) and ``copies`` - 1 versions, turned in phi and half of them mirrored in eta."""
    grids = inputs.reshape(-1, 18, 14)
    versions = [grids]
    for _ in range(copies - 1):
        grid = np.roll(grids, rng.integers(1, 18), axis=1)
        versions.append(grid[:, :, ::-1] if rng.random() < 0.5 else grid)
    return np.concatenate(versions).reshape(-1, 252)


def train(spec: ModelSpec, data: TrainingData) -> Trained:
    """Teacher on zero bias, float student on its score, normalisation folded, then quantised."""
    plan = recipe(spec)
    guide = Teacher(plan, data.inputs, data.weight)
    rng = np.random.default_rng(spec.seed)
    made_up = outliers(rng, data.inputs, guide.target(data.inputs), round(plan.outliers * len(data.inputs)))
    inputs = turned(rng, np.concatenate([data.inputs, made_up]), plan.copies)
    target = guide.target(inputs)
    teacher_auc = mean_auc(guide.target, data)
    log.info("teacher: mean tuning AUC %.4f", teacher_auc)

    floating = trainable(spec)
    fit(floating, inputs, target, plan.student_epochs, plan.batch, plan.learning_rate)
    folded = fold(spec, floating)
    log.info("float student: mean tuning AUC %.4f", mean_auc(predictor(folded), data))
    quantised = build(spec)
    filters, *others = folded.get_weights()
    quantised.set_weights([two_bits(filters), *others])
    for name in ("conv", "ring"):
        quantised.get_layer(name).trainable = False  # the dense layers adapt to the rounded filters
    losses = fit(quantised, inputs, target, plan.quantised_epochs, plan.batch, plan.quantised_learning_rate)
    auc = mean_auc(predictor(quantised), data)
    log.info("quantised student: mean tuning AUC %.4f", auc)
    return Trained(quantised, folded, {"teacher_auc": teacher_auc, "tuning_auc": auc, "loss": losses})


def fit(
    model: keras.Model, inputs: Array, target: Array, epochs: int, batch: int, rate: float
) -> list[float]:
    """Least squares on the teacher's score."""
    steps = epochs * -(-len(inputs) // batch)
    model.compile(keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(rate, steps)), loss="mse")
    shaped = inputs.reshape(-1, *SHAPE)
    done = model.fit(shaped, target, epochs=epochs, batch_size=batch, verbose=0)
    return [float(v) for v in done.history["loss"]]


def predictor(model: keras.Model) -> Any:
    """Score function of regions (n, 252)."""
    return lambda inputs: model.predict(inputs.reshape(-1, *SHAPE), batch_size=2048, verbose=0).ravel()


def mean_auc(score: Any, data: TrainingData) -> float:
    """Mean AUC over the tuning split's signals."""
    zero_bias = score(data.tuning_inputs)
    values = []
    for inputs in data.tuning_signals.values():
        signal = score(inputs)
        truth = np.concatenate([np.zeros(len(zero_bias)), np.ones(len(signal))])
        weight = np.concatenate([data.tuning_weight, np.ones(len(signal))])
        values.append(roc_auc_score(truth, np.concatenate([zero_bias, signal]), sample_weight=weight))
    return float(np.mean(values))

"""AXOL1TL: a variational autoencoder's encoder on 57 Global Trigger integers; score sum mu^2."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import qkeras
from pydantic import BaseModel, ConfigDict, model_validator
from sklearn.metrics import roc_auc_score

from zerobias.contract import FixedType
from zerobias.nn import Maximum, SumOfSquares, VariationalAutoencoder, bits, effective_bits, relu
from zerobias.specs import validate
from zerobias.train import Trained, TrainingData
from zerobias.zoo import ModelSpec

log = logging.getLogger(__name__)


class Network(BaseModel):
    """Layer sizes and types, ``[network]`` of model.toml; ``weights``: of each dense layer, mu's last."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    hidden: tuple[int, ...]
    latent: int
    weights: tuple[str, ...]
    biases: str
    activations: str
    mu: str
    wrap: str

    @model_validator(mode="after")
    def _weights_for_each_layer(self) -> Network:
        if len(self.weights) != len(self.hidden) + 1:
            raise ValueError(f"weights: give {len(self.hidden) + 1} types, one a dense layer")
        return self


class Recipe(BaseModel):
    """Training recipe, ``[training]`` of model.toml.

    ``budget``: effective bit operations the quantised encoder may spend on its products.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    epochs: int
    quantised_epochs: int
    batch: int
    learning_rate: float
    quantised_learning_rate: float
    beta: tuple[float, ...]
    budget: float


def network(spec: ModelSpec) -> Network:
    return validate(spec.network, Network, f"model {spec.name}, [network]")


def recipe(spec: ModelSpec) -> Recipe:
    return validate(spec.training, Recipe, f"model {spec.name}, [training]")


def encoder(spec: ModelSpec, quantised: bool) -> keras.Model:
    """Network inputs (n, 57) -> last hidden layer, mu (n, latent)."""
    net = network(spec)
    features = sum(group.count * len(group.fields) for group in spec.contract.group)
    x = inputs = keras.Input((features,), name="scaled")

    def dense(size: int, name: str, weights: str) -> Any:
        if not quantised:
            return keras.layers.Dense(size, name=name)
        return qkeras.QDense(size, kernel_quantizer=bits(weights), bias_quantizer=bits(net.biases), name=name)

    for number, (size, weights) in enumerate(zip(net.hidden, net.weights[:-1], strict=True), start=1):
        x = dense(size, f"dense{number}", weights)(x)
        name = f"relu{number}"
        x = (
            qkeras.QActivation(relu(net.activations), name=name)
            if quantised
            else keras.layers.ReLU(name=name)
        )(x)
    mu = dense(net.latent, "mu", net.weights[-1])(x)
    if quantised:
        mu = qkeras.QActivation(bits(net.mu), name="mu_type")(mu)
    return keras.Model(inputs, [x, mu], name="encoder")


def build(spec: ModelSpec, quantised: bool = True) -> keras.Model:
    """Network inputs (n, 57) -> score (n, 1)."""
    trunk = encoder(spec, quantised)
    mu = trunk.outputs[1]
    if quantised:
        score = SumOfSquares(wrap=network(spec).wrap, name="score")(mu)
    else:
        score = keras.layers.Dot(axes=1, name="score")([mu, mu])
    return keras.Model(trunk.inputs, score, name=spec.name)


def cost(spec: ModelSpec) -> Callable[[keras.Model], Any]:
    """Effective bit operations of a quantised encoder's products, over the budget."""
    net = network(spec)
    names = [*(f"dense{number}" for number in range(1, len(net.hidden) + 1)), "mu"]
    widths = [spec.contract.network_type.width, *[FixedType.parse(net.activations).width] * len(net.hidden)]
    parts = list(zip(names, net.weights, widths, strict=True))

    def of(model: keras.Model) -> Any:
        found = [effective_bits(model.get_layer(name).kernel, kind, width) for name, kind, width in parts]
        return sum(found) / recipe(spec).budget

    return of


def decoder(spec: ModelSpec) -> keras.Model:
    """mu (n, latent) -> network inputs (n, 57); float, never in firmware."""
    net = network(spec)
    features = sum(group.count * len(group.fields) for group in spec.contract.group)
    z = inputs = keras.Input((net.latent,))
    for size in reversed(net.hidden):
        z = keras.layers.Dense(size, activation="relu")(z)
    return keras.Model(inputs, keras.layers.Dense(features)(z), name="decoder")


def train(spec: ModelSpec, data: TrainingData) -> Trained:
    """Scan beta with the float network, keep the best mean AUC on the tuning split, then quantise.

    The quantised network starts from the float one's weights and is trained on with its quantisers.
    """
    plan = recipe(spec)
    scan = []
    candidates = []
    for beta in plan.beta:
        keras.utils.set_random_seed(spec.seed)
        model = autoencoder(spec, quantised=False, beta=beta)
        fit(model, data, plan.epochs, plan.batch, plan.learning_rate)
        mu = model.encoder.predict(data.tuning_inputs, verbose=0)[1]
        auc = tuning_auc(score_model(spec, model, quantised=False), data)
        active = int((mu.var(axis=0) > 0.01).sum())
        scan.append({"beta": beta, "mean_auc": auc, "active_units": active})
        log.info("beta %g: mean tuning AUC %.4f, %d active latent units", beta, auc, active)
        candidates.append(model)
    best = int(np.argmax([row["mean_auc"] for row in scan]))
    keras.utils.set_random_seed(spec.seed)
    quantised = autoencoder(spec, quantised=True, beta=plan.beta[best])
    quantised((data.inputs[:1], data.inputs[:1]))
    quantised.encoder.set_weights(candidates[best].encoder.get_weights())
    quantised.decoder.set_weights(candidates[best].decoder.get_weights())
    quantised.log_variance.set_weights(candidates[best].log_variance.get_weights())
    losses = fit(quantised, data, plan.quantised_epochs, plan.batch, plan.quantised_learning_rate)
    final = score_model(spec, quantised, quantised=True)
    mu = quantised.encoder.predict(data.tuning_inputs, verbose=0)[1]
    history = {
        "scan": scan,
        "beta": plan.beta[best],
        "loss": losses,
        "tuning_auc": tuning_auc(final, data),
        "active_units": int((mu.var(axis=0) > 0.01).sum()),
    }
    return Trained(final, score_model(spec, candidates[best], quantised=False), history)


def autoencoder(spec: ModelSpec, *, quantised: bool, beta: float) -> VariationalAutoencoder:
    limit = {"budget": Maximum(1.0, slack=0.1, name="budget"), "cost": cost(spec)} if quantised else {}
    return VariationalAutoencoder(encoder(spec, quantised), decoder(spec), beta, spec.seed, **limit)


def score_model(spec: ModelSpec, model: VariationalAutoencoder, *, quantised: bool) -> keras.Model:
    """The score network with the encoder's weights."""
    result = build(spec, quantised)
    result.set_weights(model.encoder.get_weights())
    return result


def fit(
    model: VariationalAutoencoder, data: TrainingData, epochs: int, batch: int, learning_rate: float
) -> list[float]:
    """Train on zero bias with its weights; features of absent objects are masked."""
    present = (data.raw.reshape(len(data.raw), -1, 3) != 0).any(axis=2)
    mask = np.repeat(present, 3, axis=1).astype(np.float32)
    steps = epochs * -(-len(mask) // batch)
    schedule = keras.optimizers.schedules.CosineDecay(learning_rate, steps, alpha=0.02)
    model.compile(keras.optimizers.Adam(schedule), loss=lambda _, loss: loss)
    done = model.fit(
        (data.inputs, mask),
        np.zeros(len(mask), np.float32),
        sample_weight=data.weight,
        epochs=epochs,
        batch_size=batch,
        verbose=0,
    )
    return [float(v) for v in done.history["loss"]]


def tuning_auc(model: keras.Model, data: TrainingData) -> float:
    """Mean AUC over the tuning split's signals."""
    zero_bias = model.predict(data.tuning_inputs, verbose=0).ravel()
    values = []
    for inputs in data.tuning_signals.values():
        signal = model.predict(inputs, verbose=0).ravel()
        truth = np.concatenate([np.zeros(len(zero_bias)), np.ones(len(signal))])
        weight = np.concatenate([data.tuning_weight, np.ones(len(signal))])
        values.append(roc_auc_score(truth, np.concatenate([zero_bias, signal]), sample_weight=weight))
    return float(np.mean(values))

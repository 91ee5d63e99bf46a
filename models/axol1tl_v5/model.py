"""AXOL1TL v5: a self-supervised embedding z of 57 Global Trigger integers; score |AE(z) - z|^2."""

from __future__ import annotations

import logging
from typing import Any

import keras
import numpy as np
import qkeras
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator
from sklearn.metrics import roc_auc_score

from zerobias.contract import Contract
from zerobias.errors import DataError
from zerobias.nn import LimitedTerms, SelfSupervised, active_dimensions, bits, largest, relu
from zerobias.specs import validate
from zerobias.train import ObjectViews, Trained, TrainingData
from zerobias.zoo import ModelSpec, apply_weights, collect_weights

log = logging.getLogger(__name__)

EMBEDDING, AUTOENCODER = "embed", "ae"
FIRST_BIAS = 0.5
BATCH = 4096
Array = NDArray[Any]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Layers(_Table):
    """Dense layers one after the other; an empty bias type: no bias. ``terms``: most of an output."""

    sizes: tuple[int, ...]
    weights: str
    biases: tuple[str, ...]
    terms: tuple[int, ...]

    @model_validator(mode="after")
    def _one_of_each(self) -> Layers:
        if not len(self.sizes) == len(self.biases) == len(self.terms):
            raise ValueError(f"give {len(self.sizes)} biases and terms, one a layer")
        for number, (terms, biases) in enumerate(zip(self.terms, self.biases, strict=True), start=1):
            if terms - bool(biases) < 1:
                raise ValueError(f"terms of layer {number}: {terms}, its bias leaves no term for a weight")
        return self

    def rectified(self, number: int) -> bool:
        """Whether layer ``number`` is hidden and no bottleneck, the layer narrower than both beside it."""
        around = self.sizes[max(number - 1, 0) : number + 2]
        return number < len(self.sizes) - 1 and (number == 0 or min(around) < self.sizes[number])


class Network(_Table):
    """``[network]`` of model.toml; the narrowest hidden layer of the autoencoder has no rectifier."""

    embedding: Layers
    autoencoder: Layers
    activations: str
    difference: str
    distance: str
    score: str


class Views(_Table):
    """Settings of :class:`zerobias.train.ObjectViews`."""

    turns: int
    smear: float
    lose: float
    soft: float


class Loss(_Table):
    """Settings of :func:`zerobias.nn.vicreg`."""

    invariance: float
    variance: float
    decorrelation: float
    spread: float


class Recipe(_Table):
    """``[training]`` of model.toml.

    ``candidates``: random starts, of which the best is kept. An embedding with fewer active dimensions than
    ``minimum_dimensions`` is refused.
    """

    views: Views
    loss: Loss
    candidates: int = Field(ge=1)
    embedding_epochs: int
    autoencoder_epochs: int
    batch: int
    learning_rate: float
    minimum_dimensions: int


def network(spec: ModelSpec) -> Network:
    return validate(spec.network, Network, f"model {spec.name}, [network]")


def recipe(spec: ModelSpec) -> Recipe:
    return validate(spec.training, Recipe, f"model {spec.name}, [training]")


def dense(layers: Layers, number: int, name: str, quantised: bool, limited: bool) -> Any:
    """Layer ``number`` of ``layers``; biases start above 0: a unit that is 0 for all events never learns."""
    size, biases = layers.sizes[number], layers.biases[number]
    settings = {
        "use_bias": bool(biases),
        "bias_initializer": keras.initializers.Constant(FIRST_BIAS if layers.rectified(number) else 0.0),
        "name": f"{name}{number + 1}",
    }
    if not quantised:
        return keras.layers.Dense(size, **settings)
    kernel = LimitedTerms(layers.weights, layers.terms[number] - bool(biases)) if limited else None
    return qkeras.QDense(
        size,
        kernel_quantizer=kernel or bits(layers.weights),
        bias_quantizer=bits(biases) if biases else None,
        **settings,
    )


def chain(spec: ModelSpec, layers: Layers, name: str, x: Any, quantised: bool, limited: bool) -> Any:
    """Dense layers with rectifiers between them, none at the bottleneck."""
    kind = network(spec).activations
    for number in range(len(layers.sizes)):
        x = dense(layers, number, name, quantised, limited)(x)
        if layers.rectified(number):
            own = {"name": f"{name}{number + 1}_relu"}
            relu_layer = (
                qkeras.QActivation(relu(kind), **own)
                if quantised
                else keras.layers.ReLU(largest(kind), **own)
            )
            x = relu_layer(x)
    return x


def build(spec: ModelSpec, quantised: bool = True, limited: bool = False) -> keras.Model:
    """Network inputs (n, 57) -> score (n, 1).

    ``limited``: with the quantisers of the training, which limit the terms; the same values, once trained.
    """
    net = network(spec)
    features = sum(group.count * len(group.fields) for group in spec.contract.group)
    inputs = keras.Input((features,), name="scaled")
    z = chain(spec, net.embedding, EMBEDDING, inputs, quantised, limited)
    reconstructed = chain(spec, net.autoencoder, AUTOENCODER, z, quantised, limited)
    x = keras.layers.Subtract(name="subtract")([reconstructed, z])
    if quantised:
        x = qkeras.QActivation(bits(net.difference), name="difference")(x)
    x = keras.layers.Dot(axes=1, name="dot")([x, x])
    if quantised:
        x = qkeras.QActivation(bits(net.distance), name="distance")(x)
        x = qkeras.QActivation(relu(net.score), name="score")(x)
    return keras.Model(inputs, x, name=spec.name)


def train(spec: ModelSpec, data: TrainingData) -> Trained:
    """Float and quantised networks, each the best of the recipe's candidates by tuning AUC."""
    floating, float_history = best(spec, data, quantised=False)
    quantised, history = best(spec, data, quantised=True)
    return Trained(quantised, floating, {"float": float_history, "quantised": history})


def best(spec: ModelSpec, data: TrainingData, *, quantised: bool) -> tuple[keras.Model, list[dict[str, Any]]]:
    """The best of some random starts, and what happened in each; ``chosen`` is the best one's."""
    seeds = range(spec.seed, spec.seed + recipe(spec).candidates)
    found = [candidate(spec, data, seed, quantised=quantised) for seed in seeds]
    chosen = int(np.argmax([history["tuning_auc"] for _, history in found]))
    rows = [history | {"chosen": number == chosen} for number, (_, history) in enumerate(found)]
    return found[chosen][0], rows


def candidate(
    spec: ModelSpec, data: TrainingData, seed: int, *, quantised: bool
) -> tuple[keras.Model, dict[str, Any]]:
    """A network trained from ``seed``: the embedding first, then the autoencoder on the frozen embedding.

    Raises ``DataError`` for a collapsed embedding.
    """
    net, plan, kind = network(spec), recipe(spec), "quantised" if quantised else "float"
    keras.utils.set_random_seed(seed)
    whole = build(spec, quantised, limited=quantised)
    z = whole.get_layer(f"{EMBEDDING}{len(net.embedding.sizes)}").output
    encoder = keras.Model(whole.inputs, z)
    embedding_losses = fit_embedding(encoder, spec, data, seed, kind)
    known = encoder.predict(data.inputs, batch_size=BATCH, verbose=0)
    active = active_dimensions(known, data.weight, plan.loss.spread)
    if active < plan.minimum_dimensions:
        raise DataError(
            f"the {kind} embedding of {spec.name} has {active} active dimensions of {known.shape[1]}, fewer "
            f"than training.minimum_dimensions = {plan.minimum_dimensions}: it collapsed; raise "
            "training.loss.variance or training.loss.decorrelation"
        )
    last = whole.get_layer(f"{AUTOENCODER}{len(net.autoencoder.sizes)}").output
    losses = fit_autoencoder(keras.Model(z, last), spec, known, data, kind)
    removed = 0
    if quantised:
        values = collect_weights(whole)
        whole = build(spec)
        apply_weights(whole, values)
        removed = remove_idle_units(whole, spec, data.inputs)
    auc = tuning_auc(whole, data)
    log.info("%s, seed %d: %d active dimensions, mean tuning AUC %.4f", kind, seed, active, auc)
    history = {
        "seed": seed,
        "embedding_loss": embedding_losses,
        "active_dimensions": active,
        "autoencoder_loss": losses,
        "removed_units": removed,
        "tuning_auc": auc,
    }
    return whole, history


def remove_idle_units(model: keras.Model, spec: ModelSpec, inputs: Array) -> int:
    """Zero the weights of hidden units that are 0 for all ``inputs``, or that nothing reads; how many."""
    net = network(spec)
    idle = 0
    for layers, name in ((net.autoencoder, AUTOENCODER), (net.embedding, EMBEDDING)):
        for number in reversed(range(len(layers.sizes) - 1)):
            own, reader = (model.get_layer(f"{name}{n}") for n in (number + 1, number + 2))
            (read, *rest), (kernel, *bias) = reader.get_weights(), own.get_weights()
            gone = ~(read != 0).any(axis=1)
            if layers.rectified(number):
                values = keras.Model(model.inputs, model.get_layer(f"{name}{number + 1}_relu").output)
                gone |= (values.predict(inputs, batch_size=BATCH, verbose=0) == 0).all(axis=0)
            read[gone], kernel[:, gone] = 0, 0
            reader.set_weights([read, *rest])
            own.set_weights([kernel, *(np.where(gone, 0, values) for values in bias)])
            idle += int(gone.sum())
    return idle


def fit_embedding(
    encoder: keras.Model, spec: ModelSpec, data: TrainingData, seed: int, kind: str
) -> list[float]:
    """Train on two new views of each zero-bias event an epoch, in whole batches."""
    plan = recipe(spec)
    contract = Contract(spec.contract)
    views = ObjectViews(contract, **plan.views.model_dump())
    model = SelfSupervised(encoder, **plan.loss.model_dump())
    steps = len(data.raw) // plan.batch
    model.compile(optimiser(plan, plan.embedding_epochs * steps), jit_compile=False)
    losses = []
    for epoch in range(plan.embedding_epochs):
        data.progress(f"{kind} embedding, epochs", epoch, plan.embedding_epochs)
        rng = np.random.default_rng((seed, epoch))
        rows = rng.permutation(len(data.raw))[: steps * plan.batch]
        pair = [contract.scale(views(data.raw[rows], rng)) * contract.network_type.lsb for _ in range(2)]
        inputs = (*(view.astype(np.float32) for view in pair), data.weight[rows])
        done = model.fit(inputs, np.zeros(len(rows)), batch_size=plan.batch, shuffle=False, verbose=0)
        losses.append(float(done.history["loss"][0]))
    return losses


def fit_autoencoder(
    model: keras.Model, spec: ModelSpec, known: Array, data: TrainingData, kind: str
) -> list[float]:
    """Train on the frozen embedding ``known`` (n, 10) of zero bias, with its weights: mean squared error."""
    plan = recipe(spec)
    steps = plan.autoencoder_epochs * -(-len(known) // plan.batch)
    model.compile(optimiser(plan, steps), loss="mse", jit_compile=False)
    told = keras.callbacks.LambdaCallback(
        on_epoch_begin=lambda epoch, logs: data.progress(
            f"{kind} autoencoder, epochs", epoch, plan.autoencoder_epochs
        )
    )
    done = model.fit(
        known,
        known,
        sample_weight=data.weight,
        epochs=plan.autoencoder_epochs,
        batch_size=plan.batch,
        callbacks=[told],
        verbose=0,
    )
    return [float(v) for v in done.history["loss"]]


def optimiser(plan: Recipe, steps: int) -> keras.optimizers.Optimizer:
    return keras.optimizers.Adam(
        keras.optimizers.schedules.CosineDecay(plan.learning_rate, steps, alpha=0.02)
    )


def tuning_auc(model: keras.Model, data: TrainingData) -> float:
    """Mean AUC over the tuning split's signals."""

    def score(inputs: Array) -> Array:
        return np.asarray(model.predict(inputs, batch_size=BATCH, verbose=0)).ravel()

    zero_bias = score(data.tuning_inputs)
    values = []
    for inputs in data.tuning_signals.values():
        signal = score(inputs)
        truth = np.concatenate([np.zeros(len(zero_bias)), np.ones(len(signal))])
        weight = np.concatenate([data.tuning_weight, np.ones(len(signal))])
        values.append(roc_auc_score(truth, np.concatenate([zero_bias, signal]), sample_weight=weight))
    return float(np.mean(values))

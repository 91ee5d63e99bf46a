"""Run a model folder's own training recipe on the engine's data, with every seed set."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from zerobias.doctor import check_qkeras_owner
from zerobias.errors import DataError
from zerobias.events import EventSet
from zerobias.files import write_text
from zerobias.zoo import Model, collect_weights, digest, write_weights

if TYPE_CHECKING:
    import keras

__all__ = ["Trained", "TrainingData", "train", "training_data"]

_log = logging.getLogger(__name__)
_Array = NDArray[Any]


@dataclass(frozen=True)
class TrainingData:
    """What a recipe may see: zero bias of the train and tuning splits, tuning signals; never the test split.

    ``raw`` are hardware integers (events, features), ``inputs`` the network's float32 inputs of the
    same shape, ``weight`` (events,) averages to one.
    """

    raw: _Array
    inputs: _Array
    weight: _Array
    tuning_raw: _Array
    tuning_inputs: _Array
    tuning_weight: _Array
    tuning_signals: Mapping[str, _Array]


@dataclass(frozen=True)
class Trained:
    """Result of a recipe: the quantised network, its float partner and what happened on the way."""

    quantised: keras.Model
    floating: keras.Model
    history: Mapping[str, Any]


def training_data(model: Model, events: EventSet) -> TrainingData:
    """The events a recipe may see, behind the model's contract.

    Raises ``DataError`` when the train or tuning split holds no zero bias.
    """
    contract = model.contract
    name = contract.spec.collection
    if name not in events.collections:
        raise DataError(f"the events lack collection {name!r}, which model {model.name} reads")

    def raw_of(process: str, split: str) -> tuple[_Array, _Array]:
        part = events.of(process, split)
        if not len(part):
            raise DataError(f"the sample has no {process} events in its {split} split: simulate a larger one")
        return contract.flatten(part.collections[name]), part.weight / part.weight.mean()

    def inputs_of(raw: _Array) -> _Array:
        return (contract.scale(raw) * contract.network_type.lsb).astype(np.float32)

    raw, weight = raw_of("zero_bias", "train")
    tuning_raw, tuning_weight = raw_of("zero_bias", "tuning")
    return TrainingData(
        raw,
        inputs_of(raw),
        weight.astype(np.float32),
        tuning_raw,
        inputs_of(tuning_raw),
        tuning_weight.astype(np.float32),
        {signal: inputs_of(raw_of(signal, "tuning")[0]) for signal in events.signals},
    )


def train(model: Model, events: EventSet) -> Mapping[str, Any]:
    """Train ``model`` from its seed and write its working weights and history; returns the history.

    Two runs on one machine give the same weights digest.
    """
    check_qkeras_owner()
    import keras
    import tensorflow as tf

    tf.config.experimental.enable_op_determinism()
    keras.utils.set_random_seed(model.spec.seed)
    data = training_data(model, events)
    _log.info("training %s on %d zero-bias events", model.name, len(data.inputs))
    trained: Trained = model.train(data)
    quantised, floating = collect_weights(trained.quantised), collect_weights(trained.floating)
    history = {**trained.history, "seed": model.spec.seed, "digest": digest(quantised)}
    write_weights(model.weights_path("quantised"), quantised)
    write_weights(model.weights_path("float"), floating)
    text = json.dumps(history, indent=2, sort_keys=True) + "\n"
    write_text(model.folder / "weights" / "history.json", text)
    return history

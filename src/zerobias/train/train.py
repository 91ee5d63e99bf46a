"""Run a model folder's own training recipe on the engine's data, with every seed set."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from zerobias.doctor import check_qkeras_owner
from zerobias.errors import DataError
from zerobias.events import EventSet
from zerobias.files import write_text
from zerobias.shelves import build_root
from zerobias.trees import TreeEnsemble
from zerobias.zoo import Model, collect_weights, digest, write_weights

if TYPE_CHECKING:
    import keras

__all__ = ["Trained", "TrainingData", "reproducible", "train", "training_data"]

Progress = Callable[[str, int, int], None]

_log = logging.getLogger(__name__)
_Array = NDArray[Any]


@dataclass(frozen=True)
class TrainingData:
    """What a recipe may see: zero bias of the train and tuning splits, tuning signals; never the test split.

    ``raw`` are hardware integers (events, features), ``inputs`` the network's float32 inputs of the
    same shape, ``weight`` (events,) averages to one; ``events`` and ``tuning_events`` the zero bias itself.
    ``folder`` keeps the state of a training in progress; ``progress`` is to be called with (step, done,
    total).
    """

    events: EventSet
    tuning_events: EventSet
    folder: Path
    raw: _Array
    inputs: _Array
    weight: _Array
    tuning_raw: _Array
    tuning_inputs: _Array
    tuning_weight: _Array
    tuning_signals: Mapping[str, _Array]
    progress: Progress


@dataclass(frozen=True)
class Trained:
    """Result of a recipe: the quantised network, its float partner and what happened on the way.

    ``companions``: other networks by name, kept in ``weights/<name>.npz``; no part of the firmware.
    """

    quantised: keras.Model | TreeEnsemble
    floating: keras.Model | TreeEnsemble
    history: Mapping[str, Any]
    companions: Mapping[str, keras.Model | TreeEnsemble] = field(default_factory=dict)


def _silent(step: str, done: int, total: int) -> None:
    pass


def training_data(model: Model, events: EventSet, progress: Progress = _silent) -> TrainingData:
    """The events a recipe may see, behind the model's contract.

    Raises ``DataError`` when the train or tuning split holds no zero bias.
    """
    contract = model.contract
    name = contract.spec.collection
    if name not in events.collections:
        raise DataError(f"the events lack collection {name!r}, which model {model.name} reads")

    def part(process: str, split: str) -> EventSet:
        found = events.of(process, split)
        if not len(found):
            raise DataError(f"the sample has no {process} events in its {split} split: simulate a larger one")
        return found

    def raw_of(found: EventSet) -> _Array:
        return contract.flatten(found.collections[name])

    def inputs_of(raw: _Array) -> _Array:
        return (contract.scale(raw) * contract.network_type.lsb).astype(np.float32)

    seen, tuning = part("zero_bias", "train"), part("zero_bias", "tuning")
    raw, tuning_raw = raw_of(seen), raw_of(tuning)
    return TrainingData(
        seen,
        tuning,
        build_root() / "training" / model.name,
        raw,
        inputs_of(raw),
        (seen.weight / seen.weight.mean()).astype(np.float32),
        tuning_raw,
        inputs_of(tuning_raw),
        (tuning.weight / tuning.weight.mean()).astype(np.float32),
        {signal: inputs_of(raw_of(part(signal, "tuning"))) for signal in events.signals},
        progress,
    )


def reproducible(seed: int) -> None:
    """Set every seed, and make TensorFlow give the same bits twice on one machine."""
    check_qkeras_owner()
    import keras
    import tensorflow as tf

    tf.config.experimental.enable_op_determinism()
    # This pass of TensorFlow's graph optimiser orders nodes differently from run to run, and so sums.
    tf.config.optimizer.set_experimental_options({"dependency_optimization": False})
    keras.utils.set_random_seed(seed)


def train(model: Model, events: EventSet, progress: Progress = _silent) -> Mapping[str, Any]:
    """Train ``model`` from its seed and write its working weights and history; returns the history.

    ``progress`` is called with (step, done, total) by recipes that report it. Two runs on one machine give
    the same weights digest.
    """
    reproducible(model.spec.seed)
    data = training_data(model, events, progress)
    _log.info("training %s on %d zero-bias events", model.name, len(data.inputs))
    trained: Trained = model.train(data)
    quantised, floating = collect_weights(trained.quantised), collect_weights(trained.floating)
    history = {**trained.history, "seed": model.spec.seed, "digest": digest(quantised)}
    write_weights(model.weights_path("quantised"), quantised)
    write_weights(model.weights_path("float"), floating)
    for name, companion in trained.companions.items():
        write_weights(model.weights_path(name), collect_weights(companion))
    text = json.dumps(history, indent=2, sort_keys=True) + "\n"
    write_text(model.folder / "weights" / "history.json", text)
    return history

"""Isolation forest on the Global Trigger integers: how soon random cuts leave an event alone."""

from __future__ import annotations

import numpy as np
from pydantic import BaseModel, ConfigDict
from sklearn.ensemble import IsolationForest
from sklearn.metrics import roc_auc_score

from zerobias.contract import FixedType
from zerobias.specs import validate
from zerobias.train import Trained, TrainingData
from zerobias.trees import TreeEnsemble, from_isolation_forest
from zerobias.zoo import ModelSpec


class Network(BaseModel):
    """Type of the score and the fields that may be cut on, ``[network]`` of model.toml."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    score: str
    fields: tuple[str, ...]


class Recipe(BaseModel):
    """Trees of a forest, training events of a tree, forests to choose from: ``[training]`` of model.toml."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    trees: int
    sample: int
    forests: int


def network(spec: ModelSpec) -> Network:
    return validate(spec.network, Network, f"model {spec.name}, [network]")


def recipe(spec: ModelSpec) -> Recipe:
    return validate(spec.training, Recipe, f"model {spec.name}, [training]")


def names(spec: ModelSpec) -> list[str]:
    """Name of the field of each feature."""
    return [field.name for group in spec.contract.group for _ in range(group.count) for field in group.fields]


def build(spec: ModelSpec, quantised: bool = True) -> TreeEnsemble:
    """Network inputs (n, 57) -> score (n,)."""
    score = FixedType.parse(network(spec).score)
    return TreeEnsemble(spec.name, len(names(spec)), score if quantised else None)


def train(spec: ModelSpec, data: TrainingData) -> Trained:
    """Grow forests on zero bias, drawn with its weights, and keep the best mean AUC on the tuning split.

    Fields that are not cut on are held constant.
    """
    plan = recipe(spec)
    inputs = np.where(np.isin(names(spec), network(spec).fields), data.inputs, 0)
    grown = []
    for seed in range(spec.seed, spec.seed + plan.forests):
        forest = IsolationForest(
            n_estimators=plan.trees, max_samples=plan.sample, bootstrap=True, random_state=seed
        ).fit(inputs, sample_weight=data.weight)
        grown.append(from_isolation_forest(spec.name, forest))
    aucs = [tuning_auc(ensemble, data) for ensemble in grown]
    best = grown[int(np.argmax(aucs))]
    quantised = best.quantised(spec.contract.network_type, FixedType.parse(network(spec).score))
    history = {
        "forests": aucs,
        "tuning_auc": tuning_auc(quantised, data),
        "decisions": int((best.feature >= 0).sum()),
    }
    return Trained(quantised, best, history)


def tuning_auc(ensemble: TreeEnsemble, data: TrainingData) -> float:
    """Mean AUC over the tuning split's signals."""
    zero_bias = ensemble.predict(data.tuning_inputs)
    values = []
    for inputs in data.tuning_signals.values():
        signal = ensemble.predict(inputs)
        truth = np.concatenate([np.zeros(len(zero_bias)), np.ones(len(signal))])
        weight = np.concatenate([data.tuning_weight, np.ones(len(signal))])
        values.append(roc_auc_score(truth, np.concatenate([zero_bias, signal]), sample_weight=weight))
    return float(np.mean(values))

"""Boosted trees on the Global Trigger integers: all signals of the sample, mixed, against zero bias."""

from __future__ import annotations

import numpy as np
from pydantic import BaseModel, ConfigDict
from sklearn.ensemble import GradientBoostingClassifier

from zerobias.contract import FixedType
from zerobias.specs import validate
from zerobias.train import Trained, TrainingData
from zerobias.trees import TreeEnsemble, from_gradient_boosting
from zerobias.zoo import ModelSpec


class Network(BaseModel):
    """Type of the score, ``[network]`` of model.toml."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    score: str


class Recipe(BaseModel):
    """Gradient boosting, ``[training]`` of model.toml; ``subsample``: share of the events a tree sees."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    trees: int
    depth: int
    learning_rate: float
    subsample: float
    events_in_leaf: int


def network(spec: ModelSpec) -> Network:
    return validate(spec.network, Network, f"model {spec.name}, [network]")


def recipe(spec: ModelSpec) -> Recipe:
    return validate(spec.training, Recipe, f"model {spec.name}, [training]")


def build(spec: ModelSpec, quantised: bool = True) -> TreeEnsemble:
    """Network inputs (n, 57) -> score (n,)."""
    features = sum(group.count * len(group.fields) for group in spec.contract.group)
    return TreeEnsemble(spec.name, features, FixedType.parse(network(spec).score) if quantised else None)


def train(spec: ModelSpec, data: TrainingData) -> Trained:
    """Boost on zero bias with its weights and on the tuning split's signals, all processes alike; the sums of
    weights of zero bias and signals are equal."""
    plan = recipe(spec)
    signals = list(data.tuning_signals.values())
    inputs = np.concatenate([data.inputs, *signals])
    truth = np.arange(len(inputs)) >= len(data.inputs)
    share = len(data.inputs) / len(signals)
    weight = np.concatenate([data.weight, *(np.full(len(part), share / len(part)) for part in signals)])
    boosted = GradientBoostingClassifier(
        n_estimators=plan.trees,
        max_depth=plan.depth,
        learning_rate=plan.learning_rate,
        subsample=plan.subsample,
        min_samples_leaf=plan.events_in_leaf,
        random_state=spec.seed,
    ).fit(inputs, truth, sample_weight=weight)
    floating = from_gradient_boosting(spec.name, boosted)
    quantised = floating.quantised(spec.contract.network_type, FixedType.parse(network(spec).score))
    history = {
        "loss": [float(value) for value in boosted.train_score_],
        "decisions": int((floating.feature >= 0).sum()),
    }
    return Trained(quantised, floating, history)

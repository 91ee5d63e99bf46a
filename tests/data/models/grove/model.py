"""Test trees: grown on random integers."""

from __future__ import annotations

import numpy as np
from sklearn.ensemble import IsolationForest

from zerobias.contract import Contract, FixedType
from zerobias.train import Trained
from zerobias.trees import TreeEnsemble, from_isolation_forest


def build(spec, quantised=True):
    return TreeEnsemble(spec.name, 6, FixedType.parse(spec.network["score"]) if quantised else None)


def train(spec, data):
    contract = Contract(spec.contract)
    rng = np.random.default_rng(spec.seed)
    signs = np.where(contract.low < 0, rng.choice([1, -1], (400, 6)), 1)
    raw = np.clip(rng.geometric(0.08, (400, 6)) * signs, contract.low, contract.high)
    inputs = contract.scale(raw) * contract.network_type.lsb
    fitted = IsolationForest(n_estimators=9, max_samples=32, random_state=spec.seed).fit(inputs)
    floating = from_isolation_forest(spec.name, fitted)
    kind = FixedType.parse(spec.network["score"])
    return Trained(floating.quantised(contract.network_type, kind), floating, {})

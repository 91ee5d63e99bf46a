"""Packages of two versions of the tiny model: 1.2.3 gives the score, 1.2.4 the pair of mu and score."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from zerobias.contract import IntArray
from zerobias.emulator import Package, write_emulator
from zerobias.fixed import Graph, from_keras, shaped
from zerobias.verify import extreme_events
from zerobias.zoo import Model, collect_weights, find_model, write_weights


@dataclass(frozen=True)
class Subject:
    """A model version with all that a package is written from."""

    model: Model
    network: Any
    graph: Graph
    raw: IntArray
    score: IntArray

    def write(self, path: Path, **more: Any) -> Package:
        """The package in the folder ``path``."""
        return write_emulator(self.model, self.network, self.graph, self.raw, self.score, path, **more)


def subject(root: Path, change: Callable[[str], str]) -> Subject:
    """The tiny model with another model.toml in the models folder ``root``; some of its scores saturate."""
    shutil.copytree(Path(__file__).parents[1] / "data" / "models" / "tiny", root / "tiny")
    toml = root / "tiny" / "model.toml"
    toml.write_text(change(toml.read_text().replace("latent = 2", "latent = 8")))
    model = find_model("tiny", root)
    weights = collect_weights(model.module.train(model.spec, None).quantised)
    weights["mu/bias"] = np.resize(np.float32([40, -40]), len(weights["mu/bias"]))
    write_weights(model.weights_path("quantised"), weights)
    network = model.load()
    graph = from_keras(network, model.contract)
    raw = extreme_events(model.contract, corners=40, random=60)[-160:]
    return Subject(model, network, graph, raw, graph.evaluate(shaped(model.contract, graph, raw)))


def plain(text: str) -> str:
    """model.toml of version 1.2.3."""
    return text


def paired(text: str) -> str:
    """model.toml of version 1.2.4: other weights, mu beside the score."""
    table = '[emulator]\nname = "TinyModel"\nlatent = "mu"\nscore_type = "ap_ufixed<18,14>"\n\n[network]'
    return text.replace("1.2.3", "1.2.4").replace("seed = 5", "seed = 6").replace("[network]", table)


@pytest.fixture(scope="session")
def first(tmp_path_factory: pytest.TempPathFactory) -> Subject:
    """Version 1.2.3."""
    return subject(tmp_path_factory.mktemp("first"), plain)


@pytest.fixture(scope="session")
def second(tmp_path_factory: pytest.TempPathFactory) -> Subject:
    """Version 1.2.4."""
    return subject(tmp_path_factory.mktemp("second"), paired)


@pytest.fixture
def subject_of(tmp_path: Path) -> Callable[[Callable[[str], str]], Subject]:
    """Makes a subject of a changed model.toml."""
    return lambda change: subject(tmp_path / "models", change)

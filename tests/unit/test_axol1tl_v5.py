"""What AXOL1TL v5 promises beside the contract suite: published types, few terms, no collapsed embedding."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from zerobias.emulator import interface_of
from zerobias.errors import DataError, SpecError
from zerobias.events import default_sample, read
from zerobias.fixed import Cast, Dense, Dot, Graph, Subtract, from_keras
from zerobias.hls.estimate import signed_digits
from zerobias.train import TrainingData, training_data
from zerobias.zoo import Model, find_model


@pytest.fixture(scope="module")
def model() -> Model:
    return find_model("axol1tl_v5")


@pytest.fixture(scope="module")
def graph(model: Model) -> Graph:
    return from_keras(model.load(), model.contract)


def test_shape_and_types_are_the_published_ones(model: Model, graph: Graph) -> None:
    layers = [node.op for node in graph if isinstance(node.op, Dense)]
    assert [op.kernel.shape for op in layers] == [
        (57, 29),
        (29, 10),
        (10, 9),
        (9, 6),
        (6, 4),
        (4, 6),
        (6, 9),
        (9, 10),
    ]
    assert [str(op.kernel_type).replace("AP_", "") for op in layers[1:3]] == [
        "ap_fixed<4,1,RND_CONV,SAT>",
        "ap_fixed<5,2,RND_CONV,SAT>",
    ]
    assert str(model.contract.network_type) == "ap_fixed<14,6,AP_RND_CONV,AP_SAT>"
    casts = {node.name: str(node.op.kind) for node in graph if isinstance(node.op, Cast)}
    assert {casts[name] for name in casts if name.endswith("relu")} == {"ap_ufixed<10,6,AP_RND_CONV,AP_SAT>"}
    interface = interface_of(model, model.load(), graph)
    assert interface.result_type == "std::pair<ap_fixed<18,14,AP_RND_CONV,AP_SAT>,ap_ufixed<18,14>>"


def test_score_is_the_squared_distance_of_embedding_and_reconstruction(model: Model, graph: Graph) -> None:
    """From the traced embedding and reconstruction, in integers of the finest LSB; nothing wraps."""
    names = {type(node.op): node for node in graph if isinstance(node.op, Subtract | Dot)}
    reconstructed, embedding = names[Subtract].inputs
    assert (reconstructed, embedding) == ("ae6", "embed2")
    rng = np.random.default_rng(8)
    raw = rng.integers(model.contract.low, model.contract.high, (3000, 57), endpoint=True)
    values = graph.trace(model.contract.scale(raw))
    difference = values[reconstructed].real() - values[embedding].real()
    held = np.clip(np.round(4 * difference), -64, 63)  # ap_fixed<7,5>, rounded half to even
    expected = (held**2).sum(axis=1)  # in 1/16, the score's LSB
    assert values["score"].frac == 4
    np.testing.assert_array_equal(values["score"].value[:, 0], expected)
    assert expected.max() > 2**14, "the vectors must reach large scores"
    assert not any(row.overflows for row in graph.headroom(graph.intervals(*model.contract.box)))


def test_no_output_adds_more_terms_than_declared(model: Model, graph: Graph) -> None:
    network = model.spec.network
    declared = [*network["embedding"]["terms"], *network["autoencoder"]["terms"]]
    layers = [node.op for node in graph if isinstance(node.op, Dense)]
    found = [signed_digits(op.kernel).sum(axis=0) + (op.bias != 0) for op in layers]
    assert all(max(terms) <= most for terms, most in zip(found, declared, strict=True))


def test_history_says_how_many_dimensions_are_active(model: Model) -> None:
    history = json.loads((model.folder / "weights" / "history.json").read_text())
    for rows in (history["float"], history["quantised"]):
        chosen = [row for row in rows if row["chosen"]]
        assert [row["tuning_auc"] for row in chosen] == [max(row["tuning_auc"] for row in rows)]
        assert chosen[0]["active_dimensions"] > model.spec.network["autoencoder"]["sizes"][2]


def few(model: Model, **training: Any) -> tuple[Model, TrainingData]:
    """The model with another recipe of one short training, and 1024 events of its data."""
    short = {"candidates": 1, "embedding_epochs": 1, "autoencoder_epochs": 1}
    spec = model.spec.model_copy(update={"training": {**model.spec.training, **short, **training}})
    data = training_data(model, read(default_sample("objects")))
    part = slice(1024)
    taken = replace(data, raw=data.raw[part], inputs=data.inputs[part], weight=data.weight[part])
    return replace(model, spec=spec), taken


def test_collapsed_embedding_is_refused(model: Model) -> None:
    changed, data = few(model, minimum_dimensions=11)
    with pytest.raises(
        DataError, match=r"the float embedding of axol1tl_v5 has \d active dimensions of 10, fewer"
    ):
        changed.train(data)


@pytest.mark.parametrize(
    ("table", "key", "value", "message"),
    [
        ("network", "embedding", {"terms": [8]}, "embedding: give 2 biases and terms, one a layer"),
        ("network", "autoencoder", {"terms": [1] * 6}, "autoencoder: terms of layer 1: 1, its bias leaves"),
        ("training", "candidates", 0, "training.*candidates"),
        ("training", "epochs", 3, "training.*epochs"),
    ],
)
def test_wrong_tables_are_refused(model: Model, table: str, key: str, value: Any, message: str) -> None:
    tables = {**getattr(model.spec, table)}
    tables[key] = {**tables[key], **value} if isinstance(value, dict) else value
    spec = model.spec.model_copy(update={table: tables})
    with pytest.raises(SpecError, match=message):
        getattr(model.module, "network" if table == "network" else "recipe")(spec)

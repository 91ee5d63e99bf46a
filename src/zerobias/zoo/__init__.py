"""The model zoo: the models shelf as validated models; discovery is registration."""

from zerobias.zoo.backend import load_keras
from zerobias.zoo.links import LinkSpec, LinksSpec, PieceSpec, SlotsSpec
from zerobias.zoo.shelf import Model, find_model, model_names, released_versions, with_contract
from zerobias.zoo.spec import EmulatorSpec, HlsSettings, ModelSpec, RangeSpec, SearchSpec, TargetSpec
from zerobias.zoo.weights import (
    apply_weights,
    collect_weights,
    digest,
    quantised_values,
    read_weights,
    write_weights,
)

__all__ = [
    "EmulatorSpec",
    "HlsSettings",
    "LinkSpec",
    "LinksSpec",
    "Model",
    "ModelSpec",
    "PieceSpec",
    "RangeSpec",
    "SearchSpec",
    "SlotsSpec",
    "TargetSpec",
    "apply_weights",
    "collect_weights",
    "digest",
    "find_model",
    "load_keras",
    "model_names",
    "quantised_values",
    "read_weights",
    "released_versions",
    "with_contract",
    "write_weights",
]

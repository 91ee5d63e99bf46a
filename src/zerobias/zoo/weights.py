"""Weights as plain arrays: one .npz file, no pickle, keys ``<layer>/<array>``."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from zerobias.errors import DataError
from zerobias.files import BROKEN_ARCHIVE, replacing
from zerobias.trees import TreeEnsemble

if TYPE_CHECKING:
    import keras

__all__ = [
    "apply_weights",
    "collect_weights",
    "digest",
    "quantised_values",
    "read_weights",
    "write_weights",
]

Arrays = Mapping[str, NDArray[Any]]


def read_weights(path: Path) -> dict[str, NDArray[Any]]:
    """Arrays of an .npz file.

    Raises ``DataError`` when the file is missing, damaged, holds objects or values that are not finite.
    """
    if not path.is_file():
        raise DataError(
            f"no weights at {path}: train the model (`make train`) or use `zerobias import-weights`"
        )
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
            arrays = {key: archive[key] for key in archive.files}
    except BROKEN_ARCHIVE as error:
        raise DataError(f"weights {path} cannot be read ({error}): restore the file") from error
    for key, array in arrays.items():
        if array.dtype.kind not in "fiu" or not np.isfinite(array).all():
            raise DataError(f"weights {path}: array {key!r} is not numeric and finite; export it again")
    return arrays


def write_weights(path: Path, arrays: Arrays) -> None:
    """Write arrays to ``path``; the same arrays give the same bytes."""
    with replacing(path) as temporary, temporary.open("wb") as stream:
        np.savez_compressed(stream, allow_pickle=False, **{key: arrays[key] for key in sorted(arrays)})


def digest(arrays: Arrays) -> str:
    """SHA-256 of names, shapes, types and values."""
    state = hashlib.sha256()
    for key in sorted(arrays):
        array = np.ascontiguousarray(arrays[key])
        state.update(f"{key} {array.dtype.str} {array.shape}".encode() + array.tobytes())
    return state.hexdigest()


def collect_weights(model: keras.Model | TreeEnsemble) -> dict[str, NDArray[Any]]:
    """The values a quantised or float model computes with, keyed ``<layer>/<array>``.

    A quantised array is collected as its quantised values, so the file holds what the firmware holds.
    """
    if isinstance(model, TreeEnsemble):
        return model.arrays
    arrays = {}
    for layer in model.layers:
        for variable in layer.weights:
            arrays[f"{layer.name}/{variable.name}"] = quantised_values(layer, variable.name)
    return arrays


def quantised_values(layer: Any, array: str) -> NDArray[Any]:
    """A layer's array as its quantiser gives it, or as it is where it has none."""
    name = "depthwise" if array == "depthwise_kernel" else array
    quantiser = getattr(layer, f"{name}_quantizer_internal", None)
    value = getattr(layer, array)
    if quantiser is not None:
        # QKeras computes x + (q - x), which may miss q by a last bit; never when x is that value already.
        value = quantiser(quantiser(value))
    return np.asarray(value, dtype=np.float32)


def apply_weights(model: keras.Model | TreeEnsemble, arrays: Arrays) -> keras.Model | TreeEnsemble:
    """The model with these weights: a Keras model itself, changed; trees as a new ensemble.

    Raises ``DataError`` for a missing, superfluous or wrongly shaped array.
    """
    if isinstance(model, TreeEnsemble):
        return model.with_arrays(arrays)
    wanted = {f"{layer.name}/{v.name}": v for layer in model.layers for v in layer.weights}
    for title, keys in (
        ("lack", wanted.keys() - arrays.keys()),
        ("hold unknown", arrays.keys() - wanted.keys()),
    ):
        if keys:
            raise DataError(
                f"the weights {title} {', '.join(sorted(keys))}: the model has {', '.join(wanted)}"
            )
    for key, variable in wanted.items():
        if tuple(variable.shape) != arrays[key].shape:
            raise DataError(
                f"array {key} has shape {arrays[key].shape}, the model needs {tuple(variable.shape)}"
            )
        variable.assign(arrays[key])
    return model

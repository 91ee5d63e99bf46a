"""State of a training in progress: what a run needs to go on as if it had never stopped."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from zerobias.errors import DataError
from zerobias.zoo import read_weights, write_weights

if TYPE_CHECKING:
    import keras

__all__ = ["read_checkpoint", "write_checkpoint"]


def write_checkpoint(path: Path, model: keras.Model) -> None:
    """Write a compiled model's variables to an .npz file: weights, random states, multipliers and slacks of
    constraints, and its optimiser's state."""
    write_weights(path, {key: np.asarray(variable) for key, variable in _variables(model).items()})


def read_checkpoint(path: Path, model: keras.Model) -> None:
    """Set the variables of ``model``, built and compiled as the one written was.

    Raises ``DataError`` for a damaged file or one of another model or optimiser.
    """
    arrays, variables = read_weights(path), _variables(model)
    shapes = {key: array.shape for key, array in arrays.items()}
    if shapes != {key: tuple(variable.shape) for key, variable in variables.items()}:
        raise DataError(f"checkpoint {path} is of another model or optimiser: remove it and start again")
    for key, variable in variables.items():
        variable.assign(arrays[key])


def _variables(model: keras.Model) -> dict[str, Any]:
    """Variables by place: names differ between two instances of one model."""
    if not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)
    groups = {"model": model.variables, "optimizer": model.optimizer.variables}
    return {f"{g}/{i:04d}": v for g, several in groups.items() for i, v in enumerate(several)}

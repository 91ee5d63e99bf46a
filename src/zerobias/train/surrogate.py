"""Train a surrogate of the Earth Mover's Distance, resumable after every epoch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from zerobias.errors import DataError
from zerobias.train.resumable import fit_resumable
from zerobias.train.train import reproducible

if TYPE_CHECKING:
    from zerobias.emd import Pairs
    from zerobias.nn import EmdSurrogate

__all__ = ["SurrogateRecipe", "TrainedSurrogate", "train_surrogate"]


class SurrogateRecipe(BaseModel):
    """Sizes as :class:`zerobias.nn.EmdSurrogate` names them; Adam, its rate falling to 0 as a cosine."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    filters: int = Field(32, ge=1)
    kernel: int = Field(3, ge=1)
    convolutions: int = Field(2, ge=1)
    units: int = Field(64, ge=1)
    epochs: int = Field(16, ge=1)
    batch: int = Field(64, ge=2)
    learning_rate: float = Field(3e-3, gt=0)
    seed: int = 1


@dataclass(frozen=True)
class TrainedSurrogate:
    """The network, and its mean squared relative error in training, epoch by epoch."""

    surrogate: EmdSurrogate
    losses: tuple[float, ...]


def train_surrogate(
    pairs: Pairs,
    recipe: SurrogateRecipe,
    folder: Path,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> TrainedSurrogate:
    """Fit the relative error of the EMD on ``pairs``, whose images must differ.

    ``folder`` keeps the state after each epoch, so a stopped training goes on where it was and ends with
    the same weights as one that was not stopped. Another recipe or other pairs start anew. ``progress`` is
    called with (done, total) epochs.

    Raises ``DataError`` when there are fewer pairs than a batch or pairs of equal images, and for a damaged
    state.
    """
    import keras

    from zerobias.nn import EmdSurrogate

    if len(pairs) < recipe.batch:
        raise DataError(f"{len(pairs)} pairs do not fill a batch of {recipe.batch}: give more pairs")
    if not pairs.emd.all():
        raise DataError(
            f"pair {int(np.argmin(pairs.emd))} has EMD 0: "
            "a relative error needs images that differ; leave it out"
        )
    reproducible(recipe.seed)
    surrogate = EmdSurrogate(**recipe.model_dump(include={"filters", "kernel", "convolutions", "units"}))
    steps = len(pairs) // recipe.batch
    rate = keras.optimizers.schedules.CosineDecay(recipe.learning_rate, steps * recipe.epochs)
    surrogate.compile(keras.optimizers.Adam(rate), _relative_squared_error, jit_compile=False)
    first, second = pairs.first.astype(np.float32), pairs.second.astype(np.float32)
    target = pairs.emd.astype(np.float32)
    surrogate((first[:1], second[:1]))

    losses = fit_resumable(
        surrogate,
        [first, second],
        target,
        folder,
        epochs=recipe.epochs,
        batch=recipe.batch,
        seed=recipe.seed,
        plan=f"surrogate {recipe.learning_rate}",
        progress=progress,
    )
    return TrainedSurrogate(surrogate, tuple(losses))


def _relative_squared_error(true: Any, predicted: Any) -> Any:
    from keras import ops

    return ops.square(predicted / true - 1.0)

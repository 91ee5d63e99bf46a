"""A fit that goes on where it was stopped."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from zerobias.errors import DataError
from zerobias.files import write_text
from zerobias.train.checkpoint import read_checkpoint, write_checkpoint

if TYPE_CHECKING:
    import keras

__all__ = ["fit_resumable"]

_log = logging.getLogger(__name__)


def fit_resumable(
    model: keras.Model,
    inputs: Sequence[NDArray[Any]],
    targets: NDArray[Any],
    folder: Path,
    *,
    epochs: int,
    batch: int,
    seed: int,
    plan: str,
    progress: Callable[[int, int], None] | None = None,
) -> list[float]:
    """Fit a compiled model, in another order each epoch; gives the loss of each epoch.

    Incomplete batches are left out. ``folder`` keeps the state after each epoch, under a name made of the
    model's first weights and outputs, the data, the arguments and ``plan``, which says what else the result
    depends on, as the loss: a stopped fit goes on where it was and ends with the same weights as one that
    was not stopped, and another one starts anew. ``progress`` is called with (done, total) epochs.

    Raises ``DataError`` for a damaged state.
    """
    # Two architectures may start from the same weights.
    outputs = np.asarray(model(_taken(inputs, slice(batch)), training=False))
    key = _key(model, [*inputs, targets, outputs], f"{epochs} {batch} {seed} {plan}")
    checkpoint, record = folder / f"fit-{key}.npz", folder / f"fit-{key}.json"
    steps = len(targets) // batch
    losses: list[float] = []
    if checkpoint.is_file():
        read_checkpoint(checkpoint, model)
        losses = _recorded(record, int(model.optimizer.iterations) // steps)
        _log.info("%d of %d epochs are done already in %s", len(losses), epochs, folder)
    report = progress or (lambda done, total: None)
    report(len(losses), epochs)
    for epoch in range(len(losses), epochs):
        order = np.random.default_rng((seed, epoch)).permutation(len(targets))[: steps * batch]
        done = model.fit(_taken(inputs, order), targets[order], batch, verbose=0, shuffle=False)
        losses.append(float(done.history["loss"][0]))
        _log.info("epoch %d of %d: loss %.6g", epoch + 1, epochs, losses[-1])
        # The record first: a run killed in between leaves one epoch too many in it, which is cut off.
        write_text(record, json.dumps(losses) + "\n")
        write_checkpoint(checkpoint, model)
        report(len(losses), epochs)
    return losses


def _taken(inputs: Sequence[NDArray[Any]], rows: Any) -> Any:
    """Those rows, as Keras wants one input or several."""
    taken = [each[rows] for each in inputs]
    return taken if len(taken) > 1 else taken[0]


def _recorded(record: Path, epochs: int) -> list[float]:
    """The losses of the first ``epochs``; raises ``DataError`` when they are not there."""
    try:
        losses: list[float] = json.loads(record.read_text())[:epochs]
    except (OSError, ValueError, TypeError):
        losses = []
    if len(losses) < epochs:
        raise DataError(
            f"{record} lacks the losses of {epochs} epochs: remove {record.stem}.npz beside it to start again"
        )
    return losses


def _key(model: keras.Model, arrays: Sequence[NDArray[Any]], plan: str) -> str:
    state = hashlib.sha256(plan.encode())
    for array in (*arrays, *model.get_weights()):
        state.update(np.ascontiguousarray(array).tobytes())
    return state.hexdigest()[:16]

"""Losses of decoded wafer images.

Each takes images (true, decoded) of one of the layouts of :func:`trigger_cells` and gives one value an
image (n,), which Keras averages over the batch.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from keras import ops
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from zerobias.events.wafer import CELLS, remap

__all__ = ["squared_error", "telescope", "trigger_cells", "weighted_squared_error"]

_CELLS_IN = {
    shape: remap(np.arange(math.prod(shape)).reshape(shape)).astype(np.int32) for shape in [(8, 8), (4, 4, 3)]
}
"""Place in the flattened image of each trigger cell."""


def trigger_cells(images: Any) -> Any:
    """Charges (n, 48) of images (n, 8, 8, 1), (n, 8, 8), (n, 4, 4, 3) or (n, 48), differentiable.

    What an 8 x 8 image holds where there is no sensor is left out. Raises ``ValueError`` for another shape.
    """
    shape = tuple(images.shape[1:])
    if shape == (CELLS,):
        return images
    places = _CELLS_IN.get(shape[:2] if shape == (8, 8, 1) else shape)
    if places is None:
        raise ValueError(
            f"wafer images have shape {tuple(images.shape)}: "
            "use (n, 8, 8, 1), (n, 8, 8), (n, 4, 4, 3) or (n, 48)"
        )
    return ops.take(ops.reshape(images, (-1, math.prod(shape))), places, axis=1)


def squared_error(true: Any, decoded: Any) -> Any:
    """Mean over the trigger cells of (t - p)**2."""
    return ops.mean(ops.square(trigger_cells(true) - trigger_cells(decoded)), axis=-1)


def weighted_squared_error(true: Any, decoded: Any) -> Any:
    """Mean over the trigger cells of (t - p)**2 * max(t, p)."""
    return _weighted(trigger_cells(true), trigger_cells(decoded))


def telescope(true: Any, decoded: Any) -> Any:
    """Telescope loss: the weighted squared error at three scales, 4 L(48) + 2 L(36) + L(3).

    Of the 48 trigger cells, the sums of the 36 blocks of 2 x 2 cells, and the sums of the 3 sensors. Blocks
    overlap and cross the seams. A cell at an edge is in fewer of them; so that every cell counts alike, each
    block is weighted with a quarter of the sum, over its cells, of 1 / (blocks the cell is in).

    The loss of the HGCAL concentrator's encoder (C. Herwig). The table of weights of its public code has
    1/3 and 5/12 for the six blocks that hold an innermost cell, where this rule, which that code states too,
    gives 13/48 and 7/24.
    """
    t, p = trigger_cells(true), trigger_cells(decoded)
    blocks = _weighted(ops.matmul(t, _BLOCKS), ops.matmul(p, _BLOCKS), _BLOCK_WEIGHTS)
    sensors = _weighted(ops.matmul(t, _SENSORS), ops.matmul(p, _SENSORS))
    return 4.0 * _weighted(t, p) + 2.0 * blocks + sensors


def _weighted(true: Any, decoded: Any, weights: Any = 1.0) -> Any:
    return ops.mean(ops.square(true - decoded) * ops.maximum(true, decoded) * weights, axis=-1)


def _blocks() -> NDArray[np.float32]:
    """Which cells each of the 36 blocks sums: (48, 36) of 0 and 1."""
    sensors = np.arange(CELLS).reshape(3, 4, 4)
    blocks = []
    for sensor, following in zip(sensors, np.roll(sensors, -1, axis=0), strict=True):
        # The first row of a sensor faces the last column of the next one, upside down.
        seam = np.stack([sensor[0], following[::-1, 3]])
        blocks += [sliding_window_view(rows, (2, 2)).reshape(-1, 4) for rows in (sensor, seam)]
    matrix = np.zeros((CELLS, 36), np.float32)
    np.put_along_axis(matrix, np.concatenate(blocks).T, 1.0, axis=0)
    return matrix


_BLOCKS = _blocks()
_BLOCK_WEIGHTS = (_BLOCKS / _BLOCKS.sum(axis=1, keepdims=True)).sum(axis=0) / 4
_SENSORS = np.repeat(np.eye(3, dtype=np.float32), 16, axis=0)

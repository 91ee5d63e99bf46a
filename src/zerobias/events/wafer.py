"""Geometry of one hexagonal HGCAL wafer with 48 trigger cells, and its two image layouts.

Three spokes from the centre, at 90, 210 and 330 degrees, cut the hexagon into three rhombi (sensors) of
4 x 4 rhombic trigger cells, which tile it exactly. Cell 16 k + 3 - i + 4 j of sensor k lies i cells
along spoke k and j cells along spoke k - 1, so that cells 3, 19 and 35 meet in the centre.

The unit of length is the pitch, the side of a cell: the distance of neighbours in a sensor. Across a
seam between two sensors the nearest cells are sqrt(3) / 2 apart.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zerobias.errors import DataError

__all__ = [
    "CELLS",
    "DISTANCES",
    "MASK_8X8",
    "PITCH_CM",
    "POSITIONS",
    "WAFER_WIDTH_CM",
    "arrange_4x4x3",
    "arrange_8x8",
    "cell_of",
    "remap",
]

CELLS = 48
_SENSORS, _SIDE = 3, 4
WAFER_WIDTH_CM = 16.64
"""Distance of opposite sides of an 8-inch sensor, rounded to 0.1 mm."""
PITCH_CM = WAFER_WIDTH_CM / math.sqrt(3) / _SIDE
"""Side of a trigger cell; its area is ``PITCH_CM**2 * sqrt(3) / 2``, about 5 cm2."""
_HALF_SQRT3 = math.sqrt(3) / 2


def cell_of(x: float, y: float) -> int:
    """Trigger cell at (x, y), in pitches from the centre of the wafer; -1 outside of the wafer.

    Scalar code, so that the simulation can compile it.
    """
    # Coordinates along the spokes at 90, 210 and 330 degrees, up to a common constant.
    up = 2.0 / 3.0 * y
    left = -x / (2.0 * _HALF_SQRT3) - y / 3.0
    right = x / (2.0 * _HALF_SQRT3) - y / 3.0
    if left <= up and left < right:  # the spoke with the smallest coordinate is opposite the sensor
        sensor, along, across = 0, up - left, right - left
    elif right <= left and right < up:
        sensor, along, across = 1, left - right, up - right
    else:
        sensor, along, across = 2, right - up, left - up
    if along >= _SIDE or across >= _SIDE:
        return -1
    return 16 * sensor + 3 - int(along) + 4 * int(across)


def _positions() -> NDArray[np.float64]:
    angles = np.radians([90.0, 210.0, 330.0])
    spokes = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    positions = np.empty((CELLS, 2))
    for sensor in range(_SENSORS):
        for i in range(_SIDE):
            for j in range(_SIDE):
                index = 16 * sensor + 3 - i + 4 * j
                positions[index] = (i + 0.5) * spokes[sensor] + (j + 0.5) * spokes[sensor - 1]
    return positions


POSITIONS: NDArray[np.float64] = _positions()
"""Centres of the trigger cells (48, 2) in pitches."""
DISTANCES: NDArray[np.float64] = np.hypot(*(POSITIONS[:, None] - POSITIONS).transpose(2, 0, 1))
"""Distances of the centres of trigger cells (48, 48) in pitches: the cost of the Earth Mover's Distance."""

# Trigger cell at each place of the 8 x 8 image; the lower right quadrant has no sensor.
_SENSOR_IMAGE = np.arange(16).reshape(4, 4)
_ORDER_8X8 = np.zeros((8, 8), np.int64)
_ORDER_8X8[:4, 4:] = _SENSOR_IMAGE.T
_ORDER_8X8[:4, :4] = 16 + _SENSOR_IMAGE[::-1]
_ORDER_8X8[4:, :4] = 32 + _SENSOR_IMAGE.T[::-1, ::-1]
MASK_8X8: NDArray[np.bool_] = np.ones((8, 8), bool)
"""Places of the 8 x 8 image that hold a trigger cell: all but the lower right quadrant."""
MASK_8X8[4:, 4:] = False
_PLACES_8X8 = np.flatnonzero(MASK_8X8)[np.argsort(_ORDER_8X8[MASK_8X8])]
_ORDER_4X4X3 = np.arange(CELLS).reshape(3, 4, 4).transpose(1, 2, 0)


def arrange_8x8(values: NDArray[Any]) -> NDArray[Any]:
    """Trigger cells (..., 48) as an image (..., 8, 8); the lower right quadrant is 0.

    Neighbours in the image are neighbours on the wafer. Raises ``DataError`` for another shape.
    """
    return np.where(MASK_8X8, _cells(values)[..., _ORDER_8X8], 0).astype(values.dtype, copy=False)


def arrange_4x4x3(values: NDArray[Any]) -> NDArray[Any]:
    """Trigger cells (..., 48) as three 4 x 4 sensors, the sensor last: (..., 4, 4, 3).

    Raises ``DataError`` for another shape.
    """
    return _cells(values)[..., _ORDER_4X4X3]


def remap(image: NDArray[Any]) -> NDArray[Any]:
    """Trigger cells (..., 48) of an image of either layout: the inverse of both ``arrange`` functions.

    Raises ``DataError`` when the image is neither (..., 8, 8) nor (..., 4, 4, 3).
    """
    if image.shape[-2:] == (8, 8):
        return image.reshape(*image.shape[:-2], 64)[..., _PLACES_8X8]
    if image.shape[-3:] == (4, 4, 3):
        return np.moveaxis(image, -1, -3).reshape(*image.shape[:-3], CELLS)
    raise DataError(f"wafer image has shape {image.shape}: it must end in (8, 8) or (4, 4, 3)")


def _cells(values: NDArray[Any]) -> NDArray[Any]:
    if values.shape[-1:] != (CELLS,):
        raise DataError(f"wafer has shape {values.shape}: its last axis must hold {CELLS} trigger cells")
    return values


for _constant in (POSITIONS, DISTANCES, MASK_8X8):
    _constant.flags.writeable = False

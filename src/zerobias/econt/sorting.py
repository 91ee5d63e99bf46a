"""The sorting network of best choice: Batcher's odd-even merge sort of 48 values.

It decides which of equal charges are kept. (D. E. Knuth, The Art of Computer Programming 3, 5.2.2,
algorithm M.)
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from zerobias.events.wafer import CELLS

__all__ = ["descending"]

_Indices = NDArray[np.intp]


def _layers(size: int) -> list[tuple[_Indices, _Indices]]:
    """Pairs of lines each layer compares; the lines of a layer are all different."""
    found = []
    top = 1 << (size - 1).bit_length() - 1
    part = top
    while part:
        reach, odd, apart = top, 0, part
        while True:
            low = np.flatnonzero((np.arange(size - apart) & part) == odd)
            found.append((low, low + apart))
            if reach == part:
                break
            apart, reach, odd = reach - part, reach // 2, part
        part //= 2
    return found


_LAYERS = _layers(CELLS)


def descending(values: NDArray[np.int64]) -> _Indices:
    """Cells (events, 48) in the order the network puts ``values`` (events, 48), the largest first."""
    keys = values.copy()
    cells = np.broadcast_to(np.arange(CELLS), keys.shape).copy()
    for low, high in _LAYERS:
        swap = keys[:, low] < keys[:, high]
        for array in (keys, cells):
            first, second = array[:, low], array[:, high]
            array[:, low], array[:, high] = np.where(swap, second, first), np.where(swap, first, second)
    return cells

"""The formats by name, and the files each is read from: values of every clock at which an event may begin."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from zerobias.contract import IntArray
from zerobias.emulator.vectors.boards import BOARDS
from zerobias.emulator.vectors.layout import link_layout
from zerobias.emulator.vectors.plain import read_dat, read_memory
from zerobias.emulator.vectors.sides import Side
from zerobias.errors import DataError

__all__ = ["FORMATS", "Stream", "read_stream"]

FORMATS = ("dat", "readmemh", *BOARDS)
"""Names of the formats."""


@dataclass(frozen=True, eq=False)
class Stream:
    """``values`` (rows, values): what an event that begins in this row holds; ``known`` (rows,): whether all
    its words are valid. Events follow each other after ``frames`` rows."""

    values: IntArray
    known: NDArray[np.bool_]
    frames: int


def read_stream(path: Path, form: str, side: Side) -> Stream:
    """The values of ``side`` in the file ``path`` of the format ``form``.

    Raises ``DataError`` with the line that breaks the format, or when the file lacks a link or an event.
    """
    if form not in BOARDS:
        return Stream(*(read_dat if form == "dat" else read_memory)(path, side), frames=1)
    board = BOARDS[form]
    layout, frames = link_layout(side, board.word), board.read(path)
    missing = [channel for channel in layout.channels if channel not in frames.channels]
    if missing:
        raise DataError(
            f"{path} has no link {missing[0]}: the {side.title} lie on links "
            f"{', '.join(map(str, layout.channels))}, see [links] of model.toml"
        )
    if len(frames.bits) < layout.frames:
        raise DataError(
            f"{path} has {len(frames.bits)} rows, an event takes {layout.frames}: it is cut short"
        )
    columns = [frames.channels.index(channel) for channel in layout.channels]
    windows = sliding_window_view(frames.bits[:, columns], layout.frames, axis=0)
    words = np.moveaxis(windows, -1, 1).reshape(-1, len(columns), layout.word)
    valid = np.array([frames.valid[:, column] for column in columns]).all(axis=0)
    known = np.asarray(sliding_window_view(valid, layout.frames).all(axis=1))
    return Stream(layout.unpack(words), known, layout.frames)

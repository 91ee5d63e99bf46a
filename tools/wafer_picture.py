"""Draw a wafer's trigger cells and its two images as an SVG: ``python tools/wafer_picture.py PICTURE``."""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Polygon, Rectangle

from zerobias.econt import super_trigger_cells
from zerobias.events.wafer import CELLS, MASK_8X8, POSITIONS, arrange_4x4x3, arrange_8x8

__all__ = ["main"]

_COLOURS = ("#b9d4ee", "#f6d5a8", "#c3e2bd")
_EDGE, _GREY = "#555555", "#eeeeee"


def main(arguments: list[str]) -> int:
    """Write the picture."""
    (picture,) = arguments
    figure = Figure(figsize=(11, 4.2))
    left, middle, *right = figure.subplots(1, 5, width_ratios=[4.4, 3.6, 1.8, 1.8, 1.8])
    _wafer(left)
    left.set_title("wafer")
    _image(middle, arrange_8x8(np.arange(CELLS)), MASK_8X8)
    middle.set_title("8 x 8 x 1")
    for sensor, axes in enumerate(right):
        _image(axes, arrange_4x4x3(np.arange(CELLS))[..., sensor], np.ones((4, 4), bool))
        axes.set_title(f"4 x 4 x 3, channel {sensor}", fontsize=9)
    figure.subplots_adjust(left=0.01, right=0.99, bottom=0.02, top=0.9, wspace=0.08)
    with matplotlib.rc_context(
        {"svg.fonttype": "none", "svg.hashsalt": "wafer", "font.family": "sans-serif"}
    ):
        figure.savefig(Path(picture), format="svg", metadata={"Date": None})
    return 0


def _wafer(axes: Axes) -> None:
    """The rhombi with their numbers; thick lines around super trigger cells of 2 x 2."""
    group = super_trigger_cells(np.eye(CELLS, dtype=int) * 4, 3, located=False).charges > 0
    for cell, centre in enumerate(POSITIONS):
        corner = 16 * (cell // 16) + 3
        along, across = POSITIONS[corner - 1] - POSITIONS[corner], POSITIONS[corner + 4] - POSITIONS[corner]
        shape = np.array([along + across, along - across, -along - across, across - along]) / 2
        axes.add_patch(
            Polygon(centre + shape, facecolor=_COLOURS[cell // 16], edgecolor=_EDGE, linewidth=0.6)
        )
        if cell == np.flatnonzero(group[cell])[0]:
            middle = POSITIONS[group[cell]].mean(axis=0)
            axes.add_patch(
                Polygon(middle + 2 * shape, fill=False, edgecolor="black", linewidth=1.8, zorder=2)
            )
        axes.text(centre[0], centre[1], str(cell), ha="center", va="center", fontsize=8, zorder=3)
    axes.set(xlim=(-4.2, 4.2), ylim=(-4.2, 4.2), aspect="equal")
    axes.set_axis_off()


def _image(axes: Axes, cells: np.ndarray, real: np.ndarray) -> None:
    """An image with the number of the trigger cell at each place."""
    for (row, column), cell in np.ndenumerate(cells):
        colour = _COLOURS[cell // 16] if real[row, column] else _GREY
        axes.add_patch(Rectangle((column, row), 1, 1, facecolor=colour, edgecolor=_EDGE, linewidth=0.6))
        if real[row, column]:
            axes.text(column + 0.5, row + 0.5, str(cell), ha="center", va="center", fontsize=8)
    axes.set(xlim=(-0.05, cells.shape[1] + 0.05), ylim=(cells.shape[0] + 0.05, -0.05), aspect="equal")
    axes.set_axis_off()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

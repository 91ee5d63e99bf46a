"""Picture of a surrogate's calibration."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zerobias.emd.calibration import Calibration
from zerobias.figures import figure

__all__ = ["draw"]


def draw(
    found: Calibration, predicted: NDArray[Any], true: NDArray[np.float64], title: str, path: Path
) -> None:
    """Write a PNG picture: predicted against exact EMD, and mean and spread of the relative error."""
    with figure(path, title) as made:
        top, bottom = made.subplots(2, 1, sharex=True, height_ratios=[2, 1])
        limit = 1.05 * max(float(true.max()), float(predicted.max()))
        _, _, _, image = top.hist2d(
            true, predicted, bins=120, range=[[0, limit], [0, limit]], cmin=1, norm="log"
        )
        made.colorbar(image, ax=top, label="pairs")
        top.plot([0, limit], [0, limit], color="black", linewidth=1)
        top.set_ylabel("surrogate EMD (pitches)")
        low = np.array([row.low for row in found.rows])
        high = np.minimum([row.high for row in found.rows], limit)
        bottom.axhline(0, color="black", linewidth=1)
        bottom.errorbar(
            (low + high) / 2,
            [100 * row.mean for row in found.rows],
            [100 * row.spread for row in found.rows],
            (high - low) / 2,
            fmt="o",
            markersize=4,
        )
        bottom.set_xlim(0, limit)
        bottom.set_xlabel("exact EMD (pitches)")
        bottom.set_ylabel("(surrogate - exact)\n/ exact (%)", fontsize=12)

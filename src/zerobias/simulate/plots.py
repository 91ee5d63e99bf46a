"""Plots of a comparison of simulated zero bias with public figures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from zerobias.figures import figure
from zerobias.simulate.validate import Validation

__all__ = ["draw"]

_LABEL = "simulated zero bias (Pythia 8, parametrised Level-1), not CMS data"


def draw(found: Validation, folder: Path) -> list[Path]:
    """Write medians.png, rates.png and regions.png to ``folder`` and give their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, fill in (("medians", _medians), ("rates", _rates), ("regions", _regions)):
        path = folder / f"{name}.png"
        with figure(path, _LABEL) as made:
            fill(made, found)
        paths.append(path)
    return paths


def _medians(figure: Any, found: Validation) -> None:
    rows = [row for row in found.rows if row.unit == "GeV"]
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=[2, 1])
    place = np.arange(len(rows))
    top.errorbar(
        place,
        [row.value for row in rows],
        [0 if np.isnan(row.error) else row.error for row in rows],
        fmt="o",
        label="simulation",
    )
    top.plot(place, [row.anchor for row in rows], "_", markersize=16, color="black", label="2025 zero bias")
    top.set_ylabel("median pT (GeV)")
    top.set_yscale("log")
    top.legend()
    bottom.axhspan(0.8, 1.2, color="0.9")
    bottom.axhline(1, color="black", linewidth=1)
    bottom.plot(place, [row.ratio for row in rows], "o")
    bottom.set_ylim(0.5, 1.5)
    bottom.set_ylabel("ratio")
    bottom.set_xticks(place, [row.name for row in rows], rotation=60, fontsize=10, ha="right")
    bottom.minorticks_off()


def _rates(figure: Any, found: Validation) -> None:
    axes = figure.subplots()
    for index, curve in enumerate(found.curves):
        style = ("-", "--")[index // 6]  # the style has six colours
        (line,) = axes.plot(curve.threshold, curve.khz, style, drawstyle="steps-post", label=curve.name)
        low = np.maximum(curve.khz - curve.error, 1e-3)
        axes.fill_between(
            curve.threshold, low, curve.khz + curve.error, step="post", alpha=0.25, color=line.get_color()
        )
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_ylim(bottom=1.0)
    axes.set_xlabel("threshold (GeV)")
    axes.set_ylabel("rate (kHz)")
    axes.legend(fontsize=11)


def _regions(figure: Any, found: Validation) -> None:
    left, right = figure.subplots(1, 2)
    for axes, values, title in (
        (left, found.occupancy, "fraction above zero"),
        (right, found.mean_et, "mean ET (GeV)"),
    ):
        image = axes.imshow(values, origin="lower", aspect="auto")
        figure.colorbar(image, ax=axes, label=title)
        axes.set_xlabel("region ieta")
        axes.set_ylabel("region iphi")

"""Pictures of a menu: rates with their pure and shared parts, rates against nPU, gained signal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from zerobias.figures import figure
from zerobias.physics.menu_table import MenuTable
from zerobias.physics.rates import Rate

__all__ = ["draw_menu"]


def draw_menu(found: MenuTable, folder: Path) -> list[Path]:
    """Write rates.png, npu.png and gain-<seed>.png of each anomaly seed to ``folder``; their paths."""
    title = f"{found.menu}: {found.crossings_khz / 1e3:.1f} MHz of crossings, {found.sample} {found.split}"
    pictures = {"rates": _rates, "npu": _npu}
    paths = []
    for name, fill in pictures.items():
        paths.append(folder / f"{name}.png")
        with figure(paths[-1], title) as made:
            fill(made, found)
    for seed in dict.fromkeys(row.seed for row in found.gains):
        paths.append(folder / f"gain-{seed}.png")
        with figure(paths[-1], title) as made:
            _gain(made, found, seed)
    return paths


def _rates(figure: Any, found: MenuTable) -> None:
    axes = figure.subplots()
    place = np.arange(len(found.seeds))
    pure = np.array([row.pure.khz for row in found.seeds])
    rate = np.array([row.rate.khz for row in found.seeds])
    axes.bar(place, pure, 0.7, label="pure")
    axes.bar(place, rate - pure, 0.7, bottom=pure, label="shared with another seed", color="0.75")
    axes.errorbar(place, rate, _errors([row.rate for row in found.seeds]), fmt="none", color="black")
    goals = [row.goal_khz for row in found.seeds]
    axes.plot(place, goals, "_", markersize=24, color="tab:red", label="goal", linestyle="none")
    axes.set_ylim(0, 1.3 * max(row.rate.high for row in found.seeds))
    axes.set_ylabel("rate (kHz)")
    labels = [f"{row.name}\n≥ {row.threshold}" for row in found.seeds]
    axes.set_xticks(place, labels, rotation=45, fontsize=10, ha="right")
    axes.minorticks_off()
    axes.tick_params(length=0, axis="x")
    axes.tick_params(right=False)
    axes.legend(fontsize=11, title=f"all: {found.total.khz:.1f} kHz", title_fontsize=11)


def _npu(figure: Any, found: MenuTable) -> None:
    """One panel a seed, and one of all."""
    panels = {"all": [row.total for row in found.npu]}
    panels |= {seed.name: [row.seeds[seed.name] for row in found.npu] for seed in found.seeds}
    columns = min(len(panels), 4)
    grid = figure.subplots(-(-len(panels) // columns), columns, sharex=True, squeeze=False)
    left = [row.mean - row.low for row in found.npu]
    right = [row.high - row.mean for row in found.npu]
    for axes in grid.flat[len(panels) :]:
        axes.set_axis_off()
    for axes, (name, rates) in zip(grid.flat, panels.items(), strict=False):
        axes.errorbar(
            [row.mean for row in found.npu],
            [rate.khz for rate in rates],
            _errors(rates),
            [left, right],
            fmt="o",
            markersize=4,
        )
        axes.set_ylim(bottom=0)
        axes.set_title(name, fontsize=11, loc="left")
        axes.tick_params(labelsize=10, which="both", top=False, right=False)
    figure.supxlabel("pile-up interactions", fontsize=12)
    figure.supylabel("rate if all crossings had that pile-up (kHz)", fontsize=12)


def _gain(figure: Any, found: MenuTable, seed: str) -> None:
    """The conventional seeds' share of each signal, and the anomaly seed's own at each rate."""
    left, right = figure.subplots(1, 2, sharey=True)
    own = [row for row in found.gains if row.seed == seed]
    place = np.arange(len(found.efficiencies))
    base = [row.conventional for row in found.efficiencies]
    shares, errors = ([100 * getattr(value, which) for value in base] for which in ("value", "error"))
    left.barh(place, shares, xerr=errors, color="0.75")
    left.set_xlabel("conventional seeds (% of signal)")
    rates = sorted({row.khz for row in own})
    for index, khz in enumerate(rates):
        rows = [row for row in own if row.khz == khz]
        right.errorbar(
            [100 * row.gain.value for row in rows],
            place + 0.7 * ((index + 0.5) / len(rates) - 0.5),
            xerr=[100 * row.gain.error for row in rows],
            fmt="o",
            markersize=4,
            label=f"{khz:g} kHz",
        )
    right.set_xlabel(f"gained by {seed} (% of signal)")
    right.legend(fontsize=10, loc="lower right")
    left.set_yticks(place, [row.signal for row in found.efficiencies], fontsize=10)
    for axes in (left, right):
        axes.minorticks_off()
        axes.tick_params(right=False, top=False)


def _errors(rates: list[Rate]) -> list[list[float]]:
    """Lengths of the two error bars of each rate."""
    return [[max(r.khz - r.low, 0) for r in rates], [max(r.high - r.khz, 0) for r in rates]]

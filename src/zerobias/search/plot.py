"""Picture of a search: AUC against LUT and against ns, the front and the chosen point."""

from __future__ import annotations

from pathlib import Path

from zerobias.files import replacing
from zerobias.search.study import Figures, Pareto

__all__ = ["draw"]

_AXES = (
    ("lut", "LUT (estimate of the adder graph)"),
    ("ns", "ns (estimate, not cut into clocks)"),
)


def draw(found: Pareto, path: Path) -> None:
    """Write a PNG picture of ``found`` to ``path``."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 5), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(f"{found.model} {found.version}: {len(found.points)} trained networks, {found.sample}")
    everything = [point.figures for point in found.points]
    best = [point.figures for point in found.points if point.number in found.front]
    for axes, (quantity, label) in zip(figure.subplots(1, 2, sharey=True), _AXES, strict=True):

        def x(figures: list[Figures], quantity: str = quantity) -> list[float]:
            return [getattr(one, quantity) for one in figures]

        def y(figures: list[Figures]) -> list[float]:
            return [one.auc for one in figures]

        axes.scatter(x(everything), y(everything), color="0.7", label="trained")
        axes.scatter(x(best), y(best), color="tab:blue", label="no other is better in all three")
        axes.scatter(
            x([found.chosen]), y([found.chosen]), color="tab:red", marker="*", s=200, label="working model"
        )
        axes.set_xlabel(label)
    axes.legend(loc="lower right")
    figure.axes[0].set_ylabel("mean AUC, tuning split")
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=100)

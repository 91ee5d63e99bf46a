"""Figures in the experiments' style, written whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from zerobias.files import replacing

__all__ = ["figure"]


@contextmanager
def figure(path: Path, title: str) -> Iterator[Any]:
    """A matplotlib figure in the style of mplhep, written to the PNG file ``path`` when the block ends."""
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    style = import_module("mplhep").style.CMS
    kept = {key: value for key, value in style.items() if key in mpl.rcParams}
    with mpl.rc_context({**kept, "font.size": 13, "figure.figsize": (9.0, 6.0), "figure.autolayout": False}):
        made = Figure(layout="constrained")
        FigureCanvasAgg(made)
        made.suptitle(title, fontsize=11)
        yield made
        with replacing(path) as temporary:
            made.savefig(temporary, format="png", dpi=100)

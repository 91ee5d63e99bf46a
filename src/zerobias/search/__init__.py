"""Search: a model's declared space -> trained networks weighed by AUC, LUT and ns, and their Pareto front."""

from zerobias.search.plot import draw
from zerobias.search.space import at, checked, with_values
from zerobias.search.study import Figures, Pareto, Point, front, search

__all__ = ["Figures", "Pareto", "Point", "at", "checked", "draw", "front", "search", "with_values"]

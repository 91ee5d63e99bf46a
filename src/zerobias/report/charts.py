"""Geometry of the report's pictures, in SVG units; the page's template draws them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from zerobias.physics import ScoreCurves
from zerobias.report.model import HardwareRow
from zerobias.report.text import FEW

__all__ = ["Bar", "Line", "Plot", "Tick", "budget_bar", "roc_plot", "score_plot"]

_BAR_WIDTH = 200.0
_BAR_END = 1.25
"""Where a bar is cut, in ceilings."""
_LOWEST = 1e-4
"""Lower end of the axes of shares."""


@dataclass(frozen=True)
class Bar:
    """A value against its ceiling; ``band``: both ends of the error band; ``beyond``: cut at the end."""

    width: float
    length: float
    ceiling: float
    band: tuple[float, float] | None
    beyond: bool
    band_beyond: bool


def budget_bar(row: HardwareRow) -> Bar | None:
    """The bar of a row, None where there is no value or no ceiling."""
    if row.value is None or row.budget is None:
        return None
    unit, budget = _BAR_WIDTH / _BAR_END, row.budget

    def place(value: float) -> float:
        if budget == 0:
            return 0.0 if value == 0 else math.inf
        return unit * value / budget

    ends = None if row.band is None else tuple(place(factor * row.value) for factor in row.band)
    return Bar(
        width=_BAR_WIDTH,
        length=min(place(row.value), _BAR_WIDTH),
        ceiling=unit,
        band=None if ends is None else (min(ends[0], _BAR_WIDTH), min(ends[1], _BAR_WIDTH)),
        beyond=place(row.value) > _BAR_WIDTH,
        band_beyond=ends is not None and ends[1] > _BAR_WIDTH,
    )


@dataclass(frozen=True)
class Tick:
    """A mark of an axis."""

    at: float
    label: str


@dataclass(frozen=True)
class Line:
    """A curve; ``few``: its part with few background events; ``area``: closed down to the axis."""

    name: str
    path: str
    few: str = ""
    area: str = ""


@dataclass(frozen=True)
class Plot:
    """A frame with its ticks and curves; ``cuts`` are vertical lines with a label."""

    width: float
    height: float
    left: float
    top: float
    right: float
    bottom: float
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    lines: tuple[Line, ...]
    cuts: tuple[Tick, ...] = ()


@dataclass(frozen=True)
class _Frame:
    """Size of a plot, small ones with narrow margins; ``x`` and ``y`` map 0 to 1 onto the frame."""

    width: float
    height: float
    small: bool

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Left, top, right, bottom."""
        if self.small:
            return 28.0, 6.0, self.width - 6.0, self.height - 16.0
        return 52.0, 14.0, self.width - 12.0, self.height - 40.0

    def x(self, share: float) -> float:
        left, _, right, _ = self.box
        return left + (right - left) * share

    def y(self, share: float) -> float:
        _, top, _, bottom = self.box
        return bottom - (bottom - top) * min(max(share, 0.0), 1.0)

    def plot(
        self,
        x_ticks: Sequence[tuple[float, str]],
        y_ticks: Sequence[tuple[float, str]],
        lines: Sequence[Line],
        cuts: Sequence[tuple[float, str]] = (),
    ) -> Plot:
        return Plot(
            self.width,
            self.height,
            *self.box,
            tuple(Tick(self.x(at), label) for at, label in x_ticks),
            tuple(Tick(self.y(at), label) for at, label in y_ticks),
            tuple(lines),
            tuple(Tick(self.x(at), label) for at, label in cuts),
        )


def score_plot(
    curves: ScoreCurves, signals: Sequence[str], cuts: Sequence[float], *, small: bool = False
) -> Plot:
    """Distribution of the score for zero bias (first line, with its area) and ``signals``.

    ``cuts`` are background shares: a vertical line stands at the threshold of each that a point of the ROC
    curve reaches.
    """
    frame = _Frame(*((168.0, 104.0) if small else (520.0, 300.0)), small)
    edges = curves.histogram.edges
    first, last = _stretched(edges[0]), _stretched(edges[-1])

    def across(score: float) -> float:
        return (_stretched(score) - first) / (last - first)

    def steps(shares: Sequence[float], name: str) -> Line:
        places = [frame.x(across(edge)) for edge in edges]
        points = []
        for i, share in enumerate(shares):
            points += [(places[i], frame.y(_log(share))), (places[i + 1], frame.y(_log(share)))]
        closed = [(places[0], frame.y(0)), *points, (places[-1], frame.y(0))]
        return Line(name, _path(points), area=_path(closed) + "Z")

    lines = [steps(curves.histogram.background, "zero bias")]
    lines += [steps(curves.histogram.signals[name], name) for name in signals]
    ticks = [
        (across(score), _short(score)) for score in _round_scores(edges[0], edges[-1], 3 if small else 7)
    ]
    found = [(share, _threshold(curves, share)) for share in cuts]
    return frame.plot(
        ticks,
        _share_ticks(small),
        lines,
        [(across(at), f"{100 * share:g} %") for share, at in found if at is not None],
    )


def roc_plot(curves: ScoreCurves, signals: Sequence[str], *, small: bool = False) -> Plot:
    """Efficiency against the background share (logarithmic); the first line is that of chance."""
    frame = _Frame(*((168.0, 104.0) if small else (520.0, 300.0)), small)
    roc = curves.roc
    chance = [10 ** (-4 * i / 40) for i in range(40, -1, -1)]
    lines = [Line("chance", _path([(frame.x(_log(share)), frame.y(share)) for share in chance]))]
    for name in signals:
        points = [
            (frame.x(_log(share)), frame.y(efficiency), above < FEW)
            for share, efficiency, above in zip(
                roc.background, roc.signals[name], roc.background_above, strict=True
            )
            if share >= _LOWEST
        ]
        whole = [(x, y) for x, y, few in points if not few]
        rare = [(x, y) for x, y, few in points if few]
        lines.append(Line(name, _path(whole), few=_path(rare + whole[:1]) if rare else ""))
    efficiencies = [(0.0, "0"), (0.5, "0.5"), (1.0, "1")]
    if not small:
        efficiencies = [(step / 5, f"{step / 5:g}") for step in range(6)]
    return frame.plot(_share_ticks(small), efficiencies, lines)


def _threshold(curves: ScoreCurves, share: float) -> int | None:
    """The lowest threshold with at most that background share; None if all have more."""
    below = [
        threshold
        for threshold, found in zip(curves.roc.thresholds, curves.roc.background, strict=True)
        if found <= share * (1 + 1e-6)
    ]
    return min(below, default=None)


def _stretched(score: float) -> float:
    return math.copysign(math.log1p(abs(score)), score)


def _log(share: float) -> float:
    """Place on the axis of shares: 0 at the lowest, 1 at a share of 1."""
    return 0.0 if share <= _LOWEST else 1 - math.log(share) / math.log(_LOWEST)


def _share_ticks(small: bool) -> list[tuple[float, str]]:
    shares = (1.0, 1e-2, 1e-4) if small else (1.0, 1e-1, 1e-2, 1e-3, 1e-4)
    return [(_log(share), f"{share:.10g}" if share > 1e-4 else "0.0001") for share in shares]


def _round_scores(low: int, high: int, most: int) -> list[int]:
    """At most ``most`` (but always one) round scores in the range: decades, with 3 between if they fit."""

    def inside(digits: Sequence[int]) -> list[int]:
        sizes = [digit * 10**power for power in range(19) for digit in digits]
        return sorted(s for s in {0, *sizes, *(-size for size in sizes)} if low <= s <= high)

    found = [inside((1, 2, 5)), inside((1, 3)), inside((1,))]
    for scores in found:
        if 2 <= len(scores) <= most:
            return scores
    decades = found[-1] or [low]
    step = math.ceil(len(decades) / most)
    return decades[::-1][::step][::-1]


def _short(score: int) -> str:
    for size, letter in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if abs(score) >= size and score % size == 0:
            return f"{score // size}{letter}"
    return str(score)


def _path(points: Sequence[tuple[float, float]]) -> str:
    if not points:
        return ""

    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)

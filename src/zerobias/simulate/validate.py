"""Compare simulated zero bias with public figures of real zero bias (``triggers/anchors.toml``)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from zerobias.beam import Beam
from zerobias.errors import DataError
from zerobias.events import OBJECTS, EventSet
from zerobias.shelves import shelf
from zerobias.specs import load_toml

__all__ = [
    "Anchors",
    "RateCurve",
    "Row",
    "Validation",
    "load_anchors",
    "rate_curve",
    "validate",
    "weighted_median",
]

_LOWEST_KHZ = 1.0
_Floats = NDArray[np.float64]


class Anchors(BaseModel):
    """Public figures. Medians in GeV of the leading, second, ... present object of a kind."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tolerance: float = Field(gt=0)
    """Largest relative difference of a median."""
    met: tuple[float, ...]
    """MET."""
    egamma: tuple[float, ...]
    """Leading, second, ... e/gamma."""
    muon: tuple[float, ...]
    """Leading, second, ... muon."""
    jet: tuple[float, ...]
    """Leading, second, ... jet."""
    jet_rate_gev: float
    """Threshold of the single-jet rate in GeV."""
    jet_rate_khz: tuple[float, float]
    """Range of that rate in kHz."""
    bunches: int = Field(gt=0)
    """Colliding bunches behind the rate."""


@dataclass(frozen=True)
class Row:
    """One comparison; ``objects``: how many simulated ones are behind it; ``error`` of the value."""

    name: str
    unit: str
    value: float
    error: float
    anchor: float
    ratio: float
    objects: int
    ok: bool


@dataclass(frozen=True)
class RateCurve:
    """Rate of crossings at or above each threshold (GeV) in kHz, with errors from the weights."""

    name: str
    threshold: _Floats
    khz: _Floats
    error: _Floats


@dataclass(frozen=True)
class Validation:
    """Rows against anchors, mean region occupancy and ET per (iphi, ieta), rate curves down to 1 kHz."""

    rows: tuple[Row, ...]
    occupancy: _Floats
    mean_et: _Floats
    curves: tuple[RateCurve, ...]
    events: int

    @property
    def ok(self) -> bool:
        """Whether every row is."""
        return all(row.ok for row in self.rows)


def load_anchors(folder: Path | None = None) -> Anchors:
    """Anchors of the triggers shelf or of ``folder``."""
    return load_toml((folder or shelf("triggers")) / "anchors.toml", Anchors)


def validate(events: EventSet, anchors: Anchors) -> Validation:
    """Compare all zero-bias events of ``events``, every split with the same share.

    Raises ``DataError`` when objects or regions are missing, or there is no zero bias.
    """
    zero = events.of("zero_bias")
    missing = [name for name in ("objects", "regions") if name not in zero.collections]
    if missing or not len(zero):
        what = ", ".join(missing) or "zero bias"
        raise DataError(f"the sample has no {what}: validate one with objects, regions and zero bias")
    weight = zero.weight / zero.weight.sum()
    pt = zero.collections["objects"][:, :, 0]
    rows = []
    for kind, place in OBJECTS.items():
        expected: tuple[float, ...] = getattr(anchors, kind)
        for rank, (values, anchor) in enumerate(zip(pt[:, place].T, expected, strict=True), 1):
            name = kind if len(expected) == 1 else f"{kind} {rank}"
            rows.append(_median_row(name, values, weight, anchor, anchors.tolerance))
    leader = zero.collections.get("leader", np.arange(len(zero))).astype(np.int64)
    curves = tuple(
        rate_curve(name, values, weight, leader, anchors.bunches) for name, values in _leading(zero).items()
    )
    rows.append(_rate_row(pt[:, 9], weight, leader, anchors))
    regions = zero.collections["regions"]
    return Validation(
        tuple(rows),
        np.einsum("n,npe->pe", weight, regions > 0),
        np.einsum("n,npe->pe", weight, regions / 2),
        curves,
        len(zero),
    )


def weighted_median(values: NDArray[Any], weight: _Floats) -> float:
    """The smallest value with at least half of the weight at or below it; NaN of nothing."""
    if not len(values):
        return float("nan")
    order = np.argsort(values, kind="stable")
    total = np.cumsum(weight[order])
    return float(values[order][np.searchsorted(total, 0.5 * total[-1])])


def rate_curve(
    name: str, hardware: NDArray[Any], weight: _Floats, leader: NDArray[np.int64], bunches: int
) -> RateCurve:
    """Rate at or above every value of ``hardware`` (n,), pT in 0.5 GeV, down to 1 kHz.

    ``weight`` sums to one. The error is that of a sum of independent weights, sqrt(sum of squares), where
    crossings of one ``leader`` count as one weight: they are no independent events.
    """
    scale = Beam(bunches=bunches).crossings_khz
    top = int(hardware.max()) + 1
    total = np.bincount(hardware, weight, top)[::-1].cumsum()[::-1] * scale
    order = np.lexsort((-hardware, leader))
    own = np.cumsum(weight[order])
    starts = np.flatnonzero(np.diff(leader[order], prepend=-1))
    own -= np.repeat((own - weight[order])[starts], np.diff(starts, append=len(order)))
    added = own**2 - (own - weight[order]) ** 2  # to the square of the leader's weight, by each crossing
    square = np.bincount(hardware[order], added, top)[::-1].cumsum()[::-1] * scale**2
    kept = np.flatnonzero(total >= _LOWEST_KHZ)
    kept = kept[kept > 0]
    return RateCurve(name, kept / 2, total[kept], np.sqrt(square[kept]))


def _leading(zero: EventSet) -> dict[str, NDArray[Any]]:
    pt = zero.collections["objects"][:, :, 0].astype(np.int64)
    found = {
        "MET": pt[:, 0],
        "leading e/gamma": pt[:, 1],
        "leading muon": pt[:, 5],
        "leading jet": pt[:, 9],
        "fourth jet": pt[:, 12],
    }
    if "taus" in zero.collections:
        found["leading tau"] = zero.collections["taus"][:, 0, 0].astype(np.int64)
    if "ht" in zero.collections:
        found["HT"] = zero.collections["ht"].astype(np.int64)
    return found


def _median_row(name: str, values: NDArray[Any], weight: _Floats, anchor: float, tolerance: float) -> Row:
    present = values > 0
    own, share = values[present] / 2, weight[present]
    median = weighted_median(own, share)
    error = float("nan")
    if len(own):
        # Quantiles one standard deviation of the weighted fraction below and above one half.
        spread = 0.5 * np.sqrt(np.sum(share**2)) / share.sum()
        order = np.argsort(own, kind="stable")
        total = np.cumsum(share[order]) / share.sum()
        low, high = np.searchsorted(total, [0.5 - spread, min(0.5 + spread, total[-1])])
        error = float(own[order][min(high, len(own) - 1)] - own[order][low]) / 2
    ratio = median / anchor
    return Row(
        name,
        "GeV",
        median,
        error,
        anchor,
        ratio,
        int(present.sum()),
        bool(abs(ratio - 1) <= tolerance + 1e-9),
    )


def _rate_row(values: NDArray[Any], weight: _Floats, leader: NDArray[np.int64], anchors: Anchors) -> Row:
    """Single-jet rate; the anchor is the middle (geometric) of its range."""
    mask = values >= 2 * anchors.jet_rate_gev
    scale = Beam(bunches=anchors.bunches).crossings_khz
    _, member = np.unique(leader[mask], return_inverse=True)
    rate, error = scale * weight[mask].sum(), scale * np.linalg.norm(np.bincount(member, weight[mask]))
    low, high = anchors.jet_rate_khz
    middle = float(np.sqrt(low * high))
    name = f"jet > {anchors.jet_rate_gev:g} GeV"
    return Row(
        name,
        "kHz",
        float(rate),
        float(error),
        middle,
        float(rate) / middle,
        int(mask.sum()),
        bool(low <= rate <= high),
    )

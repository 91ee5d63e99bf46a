"""Compare simulated wafers with the shape of full simulation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from zerobias.errors import DataError
from zerobias.events import EventSet

__all__ = ["ShapeRow", "wafer_shape"]

_QUANTILES = ((0.1, 0.18), (0.5, 0.71), (0.99, 4.6))
_RMS = 0.24


@dataclass(frozen=True)
class ShapeRow:
    """One quantity of the shape, its value here and in full simulation."""

    quantity: str
    value: float
    target: float

    @property
    def ratio(self) -> float:
        """Value over target."""
        return self.value / self.target


def wafer_shape(events: EventSet) -> tuple[ShapeRow, ...]:
    """Shape of the zero-bias wafers of ``events``, all places together.

    Quantiles of the trigger cells' values over the mean of their wafer, and the rms of wafer sums, each
    over the mean sum at its place. Targets: CMS full simulation at 200 pile-up. Raises ``DataError``
    when there is no zero-bias wafer.
    """
    zero_bias = events.of("zero_bias")
    if len(zero_bias) == 0 or "wafer" not in zero_bias.collections:
        raise DataError("no zero-bias wafers to compare: simulate or read some with the collection 'wafer'")
    cells = zero_bias.collections["wafer"].astype(np.float64)
    sums = cells.sum(axis=1)
    relative = cells / cells.mean(axis=1, keepdims=True)
    _, place = np.unique(zero_bias.collections["wafer_place"], axis=0, return_inverse=True)
    mean = np.bincount(place, sums) / np.bincount(place)
    return (
        *(
            ShapeRow(f"p{100 * q:.0f} of cell / wafer mean", float(np.quantile(relative, q)), target)
            for q, target in _QUANTILES
        ),
        ShapeRow("rms of wafer sum / its mean", float((sums / mean[place]).std()), _RMS),
    )

"""What a trigger without a network would cut on."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["HT_ETA_MAX", "HT_PT_MIN", "baseline_scores"]

HT_PT_MIN = 60
"""Smallest jet hwPt that counts for HT: 30 GeV."""
HT_ETA_MAX = 55
"""Largest jet |hwEta| that counts for HT: |eta| = 2.4."""


def baseline_scores(collection: str, events: NDArray[np.integer]) -> dict[str, NDArray[np.int64]]:
    """Integer scores (events,) of the events of a collection, in units of 0.5 GeV or its square.

    ``objects`` (events, 19, 3): ``met``; ``ht`` (jets above 30 GeV within |eta| < 2.4);
    ``leading_jet``; ``sum_pt`` of all objects. ``regions`` (events, 18, 14): ``sum_et``; ``max_et``;
    ``sum_et2`` (as good as the mean of the squares). No scores for other collections.
    """
    maker = {"objects": _objects, "regions": _regions}.get(collection)
    return {} if maker is None else maker(events)


def _regions(regions: NDArray[np.integer]) -> dict[str, NDArray[np.int64]]:
    et = regions.reshape(len(regions), -1).astype(np.int64)
    return {"sum_et": et.sum(axis=1), "max_et": et.max(axis=1), "sum_et2": (et**2).sum(axis=1)}


def _objects(objects: NDArray[np.integer]) -> dict[str, NDArray[np.int64]]:
    pt = objects[:, :, 0].astype(np.int64)
    jets, eta = pt[:, 9:], objects[:, 9:, 1].astype(np.int64)
    counted = (jets >= HT_PT_MIN) & (np.abs(eta) <= HT_ETA_MAX)
    return {
        "met": pt[:, 0],
        "ht": np.where(counted, jets, 0).sum(axis=1),
        "leading_jet": jets[:, 0],
        "sum_pt": pt.sum(axis=1),
    }

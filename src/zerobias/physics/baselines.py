"""What a trigger without a network would cut on, from the Level-1 objects."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["HT_ETA_MAX", "HT_PT_MIN", "baseline_scores"]

HT_PT_MIN = 60
"""Smallest jet hwPt that counts for HT: 30 GeV."""
HT_ETA_MAX = 55
"""Largest jet |hwEta| that counts for HT: |eta| = 2.4."""


def baseline_scores(objects: NDArray[np.integer]) -> dict[str, NDArray[np.int64]]:
    """Integer scores (events,) in units of 0.5 GeV from objects (events, 19, 3).

    ``met``; ``ht`` (jets above 30 GeV within |eta| < 2.4); ``leading_jet``; ``sum_pt`` of all objects.
    """
    pt = objects[:, :, 0].astype(np.int64)
    jets, eta = pt[:, 9:], objects[:, 9:, 1].astype(np.int64)
    counted = (jets >= HT_PT_MIN) & (np.abs(eta) <= HT_ETA_MAX)
    return {
        "met": pt[:, 0],
        "ht": np.where(counted, jets, 0).sum(axis=1),
        "leading_jet": jets[:, 0],
        "sum_pt": pt.sum(axis=1),
    }

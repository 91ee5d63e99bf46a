"""Entropic optimal transport: the differentiable approximation to the EMD that a surrogate replaces."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from zerobias.emd.exact import unit_pairs
from zerobias.errors import SpecError
from zerobias.events.wafer import DISTANCES

__all__ = ["sinkhorn"]


def sinkhorn(
    first: NDArray[Any],
    second: NDArray[Any],
    *,
    regularisation: float = 0.5,
    tolerance: float = 1e-9,
    iterations: int = 10_000,
) -> NDArray[np.float64]:
    """Transport cost (n,) of the entropic plan of each pair of images (n, 48), in pitches.

    Sinkhorn's iterations (Cuturi, arXiv:1306.0895) for all pairs at once, until no cell of any plan misses
    its charge by more than ``tolerance``. ``regularisation`` in pitches. The plan is smeared, so its cost is
    biased: never below the exact EMD, and not zero for two equal images.

    Raises ``DataError`` as :func:`zerobias.emd.emd` does, ``SpecError`` for a regularisation under which the
    kernel exp(-distance / regularisation) is not a positive float and when ``iterations`` are too few.
    """
    a, b = unit_pairs(first, second)
    if not (regularisation > 0 and np.exp(-DISTANCES.max() / regularisation) > np.finfo(float).tiny):
        raise SpecError(
            f"regularisation is {regularisation} pitches: "
            "exp(-distance / regularisation) must be a positive float; use 0.01 or more"
        )
    kernel = np.exp(-DISTANCES / regularisation)
    right = np.ones_like(b)
    for _ in range(iterations):
        left = a / (right @ kernel)
        reached = left @ kernel
        if np.abs(right * reached - b).max(initial=0.0) <= tolerance:
            cost: NDArray[np.float64] = (left @ (kernel * DISTANCES) * right).sum(axis=1)
            return cost
        right = b / reached
    raise SpecError(
        f"{iterations} iterations do not reach the tolerance {tolerance}: "
        "allow more, or use a larger regularisation or tolerance"
    )

"""Events every implementation must agree on: extremes of the input box and random events in it."""

from __future__ import annotations

import numpy as np

from zerobias.contract import Contract, IntArray

__all__ = ["extreme_events"]


def extreme_events(
    contract: Contract, *, corners: int = 2000, random: int = 100_000, sizes: int = 0, seed: int = 0
) -> IntArray:
    """Raw events (events, features) at and inside the borders of the contract's box.

    All absent, all zero (where allowed), all minimum, all maximum; one feature at its minimum or
    maximum with the others absent, and with the others at the opposite end; every feature at the raw
    value that gives its largest or smallest network input (saturated); ``corners`` random corners of
    the box; ``random`` events uniform in the box; ``sizes`` events of every size, which uniform ones hardly
    are: a random share of the features is present, within a random power of two of absent.
    """
    rng = np.random.default_rng(seed)
    low, high = contract.low, contract.high
    absent = np.array([f.absent for f in contract.features], dtype=np.int64)
    count = len(absent)
    every = contract.every_value()
    scaled = contract.scale(every)
    columns = np.arange(count)
    saturated = [every[scaled.argmax(axis=0), columns], every[scaled.argmin(axis=0), columns]]
    blocks = [np.stack([absent, np.clip(0, low, high), low, high, *saturated])]
    for base, end in ((absent, high), (absent, low), (low, high), (high, low)):
        single = np.repeat(base[None, :], count, axis=0)
        single[columns, columns] = end
        blocks.append(single)
    blocks.append(np.where(rng.integers(0, 2, (corners, count)) == 1, high, low))
    blocks.append(rng.integers(low, high, (random, count), endpoint=True))
    places = int((high - low).max()).bit_length()
    reach = 1 << rng.integers(0, places, (sizes, 1), endpoint=True)
    values = np.clip(absent + rng.integers(-reach, reach, (sizes, count), endpoint=True), low, high)
    blocks.append(np.where(rng.random((sizes, count)) < rng.random((sizes, 1)), values, absent))
    return np.concatenate(blocks)

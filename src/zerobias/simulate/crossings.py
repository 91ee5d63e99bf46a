"""Bunch crossings from the pool: what is to be made, in chunks, and how one chunk is made.

:class:`OverlayChunk` is a small record that JSON can hold; ``Simulation.run`` turns one into
:class:`Crossings`, the same ones whatever process runs it and in whatever order.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zerobias.errors import SpecError
from zerobias.simulate.arrays import load
from zerobias.simulate.overlay import Crossings, count_muons, overlay
from zerobias.simulate.pool import chunk_seed
from zerobias.simulate.spec import Detector, ZeroBiasCard
from zerobias.simulate.strata import Strata
from zerobias.simulate.towers import Deposits

__all__ = [
    "SIGNAL_SHARES",
    "ZERO_BIAS_SHARES",
    "OverlayChunk",
    "Simulation",
    "cuts",
    "join",
    "plan_crossings",
]

_CROSSINGS_PER_CHUNK = 500
_TRIES, _TRIES_MAX = 20_000, 400_000
_ANY_MUONS = (0, 4)
ZERO_BIAS_SHARES = (0.5, 0.2, 0.3)
SIGNAL_SHARES = (0.0, 0.25, 0.75)


@dataclass(frozen=True)
class OverlayChunk:
    """Up to 500 crossings of one process and split.

    ``stratum``: hardest forced slice, -1 for none, None for crossings without a condition. ``muons``:
    lowest and highest number of muons. ``first_signal``: first event of the signal's pool, -1 for zero
    bias. ``weight`` of each crossing.
    """

    process: int
    split: int
    stratum: int | None
    muons: tuple[int, int]
    events: int
    weight: float
    first_signal: int
    seed: int


@dataclass(frozen=True)
class Simulation:
    """Deposits of all pool interactions (slice s is ``starts[s]:starts[s + 1]``) and of each signal."""

    detector: Detector
    strata: Strata
    deposits: Deposits
    starts: tuple[int, ...]
    signals: tuple[Deposits, ...]

    @classmethod
    def load(cls, path: Path) -> Simulation:
        """From a file of :func:`~zerobias.simulate.stages.make_deposits` and the deposits beside it."""
        plan = json.loads(path.read_text())

        def deposits(names: Sequence[str]) -> list[Deposits]:
            return [load(path.parent / name, Deposits) for name in names]

        slices = [deposits(names) for names in plan["slices"]]
        sizes = [sum(len(part) for part in group) for group in slices]
        return cls(
            Detector.model_validate(plan["detector"]),
            Strata(**plan["strata"]),
            join([part for group in slices for part in group]),
            tuple(int(s) for s in np.concatenate([[0], np.cumsum(sizes)])),
            tuple(join(deposits(names)) for names in plan["signals"]),
        )

    def run(self, chunk: OverlayChunk) -> Crossings:
        """The crossings of ``chunk``."""
        rng = np.random.default_rng(chunk.seed)
        chosen, counts, seeds = self._draw(rng, chunk)
        if chunk.first_signal < 0:
            return overlay(chosen, counts, self.deposits, None, self.deposits, self.detector, seeds)
        signal = np.arange(chunk.first_signal, chunk.first_signal + chunk.events)
        own = self.signals[chunk.process - 1]
        return overlay(chosen, counts, self.deposits, signal, own, self.detector, seeds)

    def muon_probabilities(self, split: int, trials: int, seed: int) -> NDArray[np.float64]:
        """Shares of the crossings without a forced slice that hold 0, 1, 2, 3 and more muons.

        Found by ``trials`` crossings, rounded up to a multiple of 20 000.
        """
        rng = np.random.default_rng(seed)
        found = np.zeros(5, np.int64)
        for _ in range(0, trials, _TRIES):
            chosen, counts = self.strata.draw(rng, -1, _TRIES, self._usable(split))
            seeds = rng.integers(2**32, size=_TRIES)
            muons = count_muons(chosen, counts, self.deposits, self.detector, seeds)
            found += np.bincount(muons, minlength=5)
        shares: NDArray[np.float64] = found / found.sum()
        return shares

    def _usable(self, split: int) -> list[NDArray[np.int64]]:
        """Pool events of each slice that belong to ``split``: splits share none."""
        usable = []
        for start, stop in pairwise(self.starts):
            low, high = cuts(stop - start, ZERO_BIAS_SHARES)[split]
            usable.append(np.arange(start + low, start + high))
        return usable

    def _draw(
        self, rng: np.random.Generator, chunk: OverlayChunk
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Interactions, how many each crossing holds, and seeds of crossings with the wanted muons."""
        usable = self._usable(chunk.split)
        interactions: list[NDArray[np.int64]] = []
        counts: list[NDArray[np.int64]] = []
        seeds: list[NDArray[np.int64]] = []
        missing, tried = chunk.events, 0
        while missing:
            tries = _TRIES if chunk.muons[0] else missing
            tried += tries
            chosen, size = self.strata.draw(rng, chunk.stratum, tries, usable)
            seed = rng.integers(2**32, size=tries)
            keep = np.arange(tries)
            low, high = chunk.muons
            if (low, high) != _ANY_MUONS:
                muons = count_muons(chosen, size, self.deposits, self.detector, seed)
                keep = np.flatnonzero((muons >= low) & (muons <= high))[:missing]
            kept = np.zeros(tries, bool)
            kept[keep] = True
            interactions.append(chosen[np.repeat(kept, size)])
            counts.append(size[keep])
            seeds.append(seed[keep])
            missing -= len(keep)
            if missing == chunk.events and tried >= _TRIES_MAX:
                raise SpecError(
                    f"none of {tried} crossings has {chunk.muons[0]} muons: set muon = [] in zero_bias.toml"
                )
        return np.concatenate(interactions), np.concatenate(counts), np.concatenate(seeds)


def plan_crossings(
    card: ZeroBiasCard, strata: Strata, muon_shares: Sequence[NDArray[np.float64]], signals: int, seed: int
) -> list[OverlayChunk]:
    """The chunks of a recipe: zero bias stratum by stratum, then the signals, each split by split.

    ``muon_shares``: for each split, :meth:`Simulation.muon_probabilities`.
    The weights of the zero-bias crossings of a split sum to one.
    """
    chunks: list[OverlayChunk] = []

    def add(
        process: int,
        split: int,
        stratum: int | None,
        muons: tuple[int, int],
        weight: float,
        start: int,
        stop: int,
    ) -> None:
        for first in range(start, stop, _CROSSINGS_PER_CHUNK):
            own = chunk_seed(seed, "overlay", process, split, stratum, muons, first)
            size = min(_CROSSINGS_PER_CHUNK, stop - first)
            signal = first if process else -1
            chunks.append(OverlayChunk(process, split, stratum, muons, size, weight, signal, own))

    for split, (share, found) in enumerate(zip(ZERO_BIAS_SHARES, muon_shares, strict=True)):
        # Classes of muon numbers, the shares with that many or more; one without any is left to that below.
        lows = [0, *(low for low in card.muon_classes if found[low:].any())]
        shares = [*(float(found[low:].sum()) for low in lows), 0.0]
        parts = [
            (-1, (low, high - 1), wanted, share - above)
            for low, high, wanted, share, above in zip(
                lows, [*lows[1:], 5], [card.natural, *card.muon], shares, shares[1:], strict=False
            )
        ]
        parts += [(i, _ANY_MUONS, s.forced, 1.0) for i, s in enumerate(card.slice) if s.forced]
        for stratum, muons, wanted, part in parts:
            # At least one: a split without a stratum would lack its probability.
            events = max(1, round(wanted * share))
            add(0, split, stratum, muons, strata.probability(stratum) * part / events, 0, events)
    for process in range(signals):
        for split, (start, stop) in enumerate(cuts(card.signal, SIGNAL_SHARES)):
            add(process + 1, split, None, _ANY_MUONS, 1.0, start, stop)
    return chunks


def cuts(count: int, shares: Sequence[float]) -> list[tuple[int, int]]:
    """(start, stop) of each split when ``count`` events are cut by ``shares``."""
    edges = [round(count * sum(shares[:i])) for i in range(len(shares) + 1)]
    return list(pairwise(edges))


def join(parts: Sequence[Deposits]) -> Deposits:
    """Deposits of several chunks in one, in order."""

    def joined(name: str) -> NDArray[Any]:
        arrays = [getattr(p, name) for p in parts]
        if not name.endswith("offset"):
            return np.concatenate(arrays)
        shifts = np.cumsum([0, *(a[-1] for a in arrays[:-1])])
        return np.concatenate([[0], *(a[1:] + s for a, s in zip(arrays, shifts, strict=True))])

    return Deposits(**{field.name: joined(field.name) for field in fields(Deposits)})

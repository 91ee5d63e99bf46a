"""Golden vectors: raw inputs and scores of the working model, compared bit for bit in CI."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from zerobias.contract import Contract, IntArray
from zerobias.errors import DataError
from zerobias.events import EventSet
from zerobias.verify.vectors import extreme_events
from zerobias.zoo import read_weights, write_weights

__all__ = ["Golden", "golden_inputs", "read_golden", "write_golden"]

_EVENTS = 2000
_RANDOM = 500


@dataclass(frozen=True)
class Golden:
    """Raw integers (events, features) and the score integers (events, *score_shape) they must give."""

    raw: IntArray
    score: IntArray


def golden_inputs(contract: Contract, events: EventSet) -> IntArray:
    """Events of the test split, every process in turn, then extremes of the contract's box."""
    test = events.of(split="test")
    pick = np.unique(np.linspace(0, len(test) - 1, min(_EVENTS, len(test))).astype(np.int64))
    raw = contract.flatten(test.collections[contract.spec.collection][pick])
    return np.concatenate([raw, extreme_events(contract, corners=100, random=_RANDOM)])


def read_golden(path: Path) -> Golden:
    """Golden vectors of the file ``path``.

    Raises ``DataError`` when it is missing or damaged.
    """
    if not path.is_file():
        raise DataError(f"no golden vectors at {path}: write them with `make golden`")
    arrays = read_weights(path)
    if arrays.keys() != {"raw", "score"} or len(arrays["raw"]) != len(arrays["score"]):
        raise DataError(f"{path} does not hold raw and score of equal length: write it with `make golden`")
    return Golden(arrays["raw"].astype(np.int64), arrays["score"].astype(np.int64))


def write_golden(path: Path, golden: Golden) -> str:
    """Write golden vectors and say in one sentence what changed."""
    change = "new file"
    if path.is_file():
        old = read_golden(path)
        if old.raw.shape != golden.raw.shape or (old.raw != golden.raw).any():
            change = f"inputs changed ({len(old.raw)} events before, {len(golden.raw)} now)"
        elif old.score.shape != golden.score.shape:
            change = f"scores of shape {golden.score.shape[1:]} in place of {old.score.shape[1:]}"
        else:
            distance = np.abs(old.score - golden.score)
            count = int(np.count_nonzero(distance))
            change = (
                f"{count} of {distance.size} scores changed, by up to {int(distance.max())} LSB"
                if count
                else "nothing changed"
            )
    narrow = abs(golden.raw).max(initial=0) < 2**15
    raw = golden.raw.astype(np.int16 if narrow else np.int32)
    write_weights(path, {"raw": raw, "score": golden.score.astype(np.int32)})
    return change

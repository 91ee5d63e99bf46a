"""Disagreements, by equality: the same inputs with another score, and other inputs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zerobias.contract import Contract, FixedType, IntArray
from zerobias.errors import DataError
from zerobias.monitor.document import Document

__all__ = [
    "FeatureRow",
    "FirstInput",
    "FirstScore",
    "InputCheck",
    "InputMismatch",
    "ScoreCheck",
    "ScoreMismatch",
]

FEW = 10
"""Fewest differing values from which a rule is read off, and fewest distinct ones."""

_Mask = NDArray[np.bool_]


class FirstScore(Document):
    """An event, counted from 0 in its file, and one of its score's values, as recorded (None: no number) and
    exact: integers where the recorded ones are."""

    file: str
    event: int
    value: int
    recorded: int | float | None
    exact: int | float


class ScoreMismatch(Document):
    """Of the events ``compared``, those whose recorded score is not the exact score of their inputs."""

    compared: int
    differing: int
    first: FirstScore | None


class FeatureRow(Document):
    """An input that differs in some ``events``; ``rule`` says how, where one rule gives all its values."""

    name: str
    events: int
    rule: str | None


class FirstInput(Document):
    """An event of both files, counted from 0, and the first input that differs."""

    file: str
    event: int
    other_file: str
    other_event: int
    feature: str
    here: int
    there: int


class InputMismatch(Document):
    """Crossings of two files whose inputs differ, from the most frequent feature down.

    ``other_score``: of them, those whose score, the recorded one if there is any, else the exact one of these
    inputs, is not the exact one of the other file's. ``recorded_fits``: which inputs give the recorded score,
    None without recorded scores.
    """

    matched_by: str
    compared: int
    only_here: int
    only_there: int
    differing: int
    other_score: int
    recorded_fits: dict[str, int] | None
    features: tuple[FeatureRow, ...]
    first: FirstInput | None


class ScoreCheck:
    """Recorded scores held against exact ones, chunk after chunk."""

    def __init__(self, score_type: FixedType) -> None:
        self._lsb = score_type.lsb
        self._compared = self._differing = 0
        self._first: FirstScore | None = None

    def equal(self, recorded: NDArray[Any], exact: IntArray) -> _Mask:
        """Which events (events, values) agree: integers count the score's LSB, floats are its value."""
        if recorded.shape != exact.shape:
            raise DataError(
                f"{recorded.shape[1]} recorded values an event, the model gives {exact.shape[1]}: give its "
                "scores"
            )
        found: _Mask = (recorded == self._unit(recorded, exact)).all(axis=1)
        return found

    def _unit(self, recorded: NDArray[Any], exact: IntArray) -> NDArray[Any]:
        return exact * self._lsb if recorded.dtype.kind == "f" else exact

    def add(self, file: str, start: int, recorded: NDArray[Any], exact: IntArray, among: _Mask) -> None:
        """Count events (events, values), the first of which is event ``start``, where ``among`` (events,)."""
        events = np.flatnonzero(~self.equal(recorded, exact) & among)
        self._compared += int(among.sum())
        self._differing += len(events)
        if len(events) and self._first is None:
            event = int(events[0])
            right = self._unit(recorded, exact)[event]
            value = int(np.flatnonzero(recorded[event] != right)[0])
            was = recorded[event, value].item()
            self._first = FirstScore(
                file=file,
                event=start + event,
                value=value,
                recorded=was if np.isfinite(was) else None,
                exact=right[value].item(),
            )

    def result(self) -> ScoreMismatch:
        """What was found."""
        return ScoreMismatch(compared=self._compared, differing=self._differing, first=self._first)


class InputCheck:
    """Inputs of two files held against each other, chunk after chunk."""

    def __init__(self, contract: Contract) -> None:
        self._contract = contract
        count = len(contract.features)
        self._events = np.zeros(count, np.int64)
        self._ruled = {rule: np.zeros(count, np.int64) for rule in _RULES}
        self._seen: list[set[int]] = [set() for _ in range(count)]
        self._compared = self._differing = self._other_score = 0
        self._first: FirstInput | None = None
        self._fits = {"these inputs": 0, "the other inputs": 0, "neither": 0}

    def add(
        self,
        place: tuple[str, IntArray, str, IntArray],
        here: IntArray,
        there: IntArray,
        other_score: _Mask,
        fits: tuple[_Mask, _Mask] | None,
    ) -> _Mask:
        """Count matched events; which of them differ.

        ``place``: file and number of the events (events,), here and there. ``here``, ``there``: hardware
        integers (events, features). ``other_score`` (events,); ``fits``: whether the recorded score is that
        of these and that of the other inputs.
        """
        wrong = here != there
        differ: _Mask = wrong.any(axis=1)
        self._compared += len(here)
        self._differing += int(differ.sum())
        self._other_score += int((differ & other_score).sum())
        self._events += wrong.sum(axis=0)
        for rule, apply in _RULES.items():
            self._ruled[rule] += (wrong & (there == apply(here))).sum(axis=0)
        for column in np.flatnonzero(wrong.any(axis=0)):
            if len(self._seen[column]) < FEW:
                self._seen[column].update(here[wrong[:, column], column].tolist())
        if fits is not None:
            these, those = (fit[differ] for fit in fits)
            for name, mask in zip(self._fits, (these, those & ~these, ~these & ~those), strict=True):
                self._fits[name] += int(mask.sum())
        if self._first is None and differ.any():
            event = int(np.flatnonzero(differ)[0])
            first = int(np.flatnonzero(wrong[event])[0])
            self._first = FirstInput(
                file=place[0],
                event=int(place[1][event]),
                other_file=place[2],
                other_event=int(place[3][event]),
                feature=self._contract.features[first].name,
                here=int(here[event, first]),
                there=int(there[event, first]),
            )
        return differ

    def result(self, matched_by: str, only_here: int, only_there: int, recorded: bool) -> InputMismatch:
        """What was found; ``only_here`` and ``only_there`` count events that have no match."""
        order = np.argsort(-self._events, kind="stable")
        return InputMismatch(
            matched_by=matched_by,
            compared=self._compared,
            only_here=only_here,
            only_there=only_there,
            differing=self._differing,
            other_score=self._other_score,
            recorded_fits=self._fits if recorded else None,
            features=tuple(self._row(int(column)) for column in order if self._events[column]),
            first=self._first,
        )

    def _row(self, column: int) -> FeatureRow:
        events = int(self._events[column])
        rules = [rule for rule in _RULES if self._ruled[rule][column] == events]
        telling = rules and len(self._seen[column]) >= FEW
        return FeatureRow(
            name=self._contract.features[column].name, events=events, rule=rules[0] if telling else None
        )


_RULES: dict[str, Callable[[IntArray], IntArray]] = {
    "the other file lost the lowest bit": lambda here: here & ~1,
    "this file lost the lowest bit": lambda here: here | 1,
    "the other file holds half": lambda here: here >> 1,
    "the other file holds twice": lambda here: here << 1,
}

"""Compare what a board captured with the reference's scores; the latency offset is found, not given."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from zerobias.contract import IntArray
from zerobias.emulator.vectors.formats import Stream, read_stream
from zerobias.emulator.vectors.sides import Side
from zerobias.errors import DataError, GateError

__all__ = ["Capture", "compare_capture"]


class Capture(BaseModel):
    """What a comparison found.

    ``offset``: rows of the file before the first event's score; ``runner_up``: events that agree at the best
    other offset. The first event that differs: its place in the reference, which of its values, and that
    value on both sides; ``captured`` None where the board marked it as not valid.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    offset: int
    rows_an_event: int
    events: int
    differing: int
    runner_up: int
    first_event: int | None = None
    first_value: int | None = None
    captured: int | None = None
    reference: int | None = None


def compare_capture(
    path: Path, form: str, side: Side, score: IntArray, *, offset: int | None = None
) -> Capture:
    """Hold the capture ``path`` in the format ``form`` against score integers (events,) or (events, values).

    Every event is compared, at the one offset at which most events agree, or at ``offset``. Raises
    ``DataError`` when the file breaks the format, is too short for all events, or several offsets agree
    equally well, ``GateError`` when at no offset more than half of the events agree.
    """
    wanted = score.reshape(len(score), len(side.fields))
    if not len(wanted):
        raise DataError("no event to compare: give at least one")
    stream = read_stream(path, form, side)
    rows = len(stream.values) - (len(wanted) - 1) * stream.frames
    if rows < 1:
        raise DataError(
            f"{path} holds {-(-len(stream.values) // stream.frames)} events, {len(wanted)} are to be "
            "compared: capture more, or compare fewer with --start and --count"
        )
    if offset is not None and not 0 <= offset < rows:
        raise DataError(
            f"{path}: offset {offset} leaves no {len(wanted)} events; the offsets are 0 to {rows - 1}"
        )
    agreeing = np.array([_equal(stream, wanted, shift).sum() for shift in range(rows)])
    best = int(agreeing.argmax()) if offset is None else offset
    others = np.delete(agreeing, best)
    if offset is None:
        _check(path, agreeing, stream, wanted)
    equal = _equal(stream, wanted, best)
    capture = Capture(
        offset=best,
        rows_an_event=stream.frames,
        events=len(wanted),
        differing=int((~equal).sum()),
        runner_up=int(others.max(initial=0)),
    )
    if equal.all():
        return capture
    event = int(np.flatnonzero(~equal)[0])
    row = best + event * stream.frames
    known = bool(stream.known[row])
    value = int(np.flatnonzero(stream.values[row] != wanted[event])[0]) if known else 0
    return capture.model_copy(
        update={
            "first_event": event,
            "first_value": value,
            "captured": int(stream.values[row, value]) if known else None,
            "reference": int(wanted[event, value]),
        }
    )


def _equal(stream: Stream, wanted: IntArray, shift: int) -> NDArray[np.bool_]:
    """Which events agree when the first begins in row ``shift``; of those that the file holds."""
    taken = slice(shift, shift + (len(wanted) - 1) * stream.frames + 1, stream.frames)
    values = stream.values[taken]
    equal: NDArray[np.bool_] = (values == wanted[: len(values)]).all(axis=1) & stream.known[taken]
    return equal


def _check(path: Path, agreeing: IntArray, stream: Stream, wanted: IntArray) -> None:
    """Raise unless one offset, and one only, explains the capture."""
    events, top = len(wanted), int(agreeing.max())
    best = np.flatnonzero(agreeing == top)
    if 2 * top <= events:
        for shift in range(len(agreeing), len(stream.values)):
            equal = _equal(stream, wanted, shift)
            if 2 * equal.sum() > events:
                raise DataError(
                    f"{path} ends before its last score: at offset {shift} it holds {len(equal)} events, "
                    f"{events} are to be compared: capture more, or compare fewer with --count"
                )
        raise GateError(
            f"{path}: no latency offset fits; at the best, {best[0]}, {top} of {events} events agree: "
            "check which events were played, the links, and that words are marked as valid"
        )
    if len(best) > 1:
        raise DataError(
            f"{path}: the latency offset is ambiguous, {top} of {events} events agree at offsets "
            f"{', '.join(map(str, best[:4]))}{', ...' if len(best) > 4 else ''}: "
            "compare more events that differ, or give --offset"
        )

"""One pass over new event files: drift against a reference, and disagreements of scores and inputs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from zerobias.beam import Beam
from zerobias.errors import DataError
from zerobias.events import SHAPES, chunks, file_digest
from zerobias.monitor.document import Document
from zerobias.monitor.drift import Change, Drift, Limits, Row, compare
from zerobias.monitor.mismatch import InputCheck, InputMismatch, ScoreCheck, ScoreMismatch
from zerobias.monitor.recorded import Recorded, Twin
from zerobias.monitor.reference import About, Part, Reference, parts
from zerobias.monitor.tally import Tally
from zerobias.score import Scorer

__all__ = ["FileRow", "Flag", "Monitoring", "monitor"]


class FileRow(Document):
    """An event file that was looked at; ``against``: the one its inputs were held against."""

    name: str
    sha256: str
    events: int
    layout: str
    against: str | None


class Flag(Document):
    """Something that is not as it was: its kind, the input, object or score, and the finding in one line."""

    kind: str
    where: str
    text: str


class Monitoring(Document):
    """What was found. ``drift`` and ``reference`` are None when only disagreements were asked for, ``scores``
    without recorded scores, ``inputs`` without other files."""

    model: str
    files: tuple[FileRow, ...]
    limits: Limits
    reference: About | None
    drift: Drift | None
    scores: ScoreMismatch | None
    inputs: InputMismatch | None
    flags: tuple[Flag, ...]


def monitor(
    label: str,
    scorer: Scorer,
    reference: Reference | None,
    files: Sequence[Path],
    *,
    recorded: str | None = None,
    against: Sequence[Path] = (),
    limits: Limits | None = None,
    told: Callable[[int, int], None] = lambda done, total: None,
) -> Monitoring:
    """Hold the events of ``files`` against a reference of the model ``label`` (None: no drift is looked for).

    ``recorded``: see :class:`Recorded`; ``against``: one file for each of ``files``, see :class:`Twin`.
    ``told`` is called with (done, total) events. Raises ``DataError`` for files that are damaged, do not fit
    each other or leave nothing to compare.
    """
    limits = limits or Limits()
    found = [chunks(path) for path in files]
    if against and len(against) != len(files):
        raise DataError(f"{len(against)} files stand against {len(files)}: give one for each event file")
    if reference is None and recorded is None and not against:
        raise DataError(
            "nothing to compare: look for drift, or give recorded scores or files to hold against"
        )
    tally = Tally(reference.variables) if reference is not None else None
    matched_by, only_here, only_there, done = "", 0, 0, 0
    total = sum(file.events for file in found)
    if not total:
        raise DataError(f"{files[0]} holds no events: give a file with events")
    with ExitStack() as stack:
        source = None
        if recorded is not None:
            source = stack.enter_context(closing(Recorded(recorded, files, [f.events for f in found])))
        checks = _Checks(scorer, source)
        for number, path in enumerate(files):
            twin = None
            if against:
                twin = stack.enter_context(closing(Twin(path, against[number], scorer.contract)))
                matched_by, only_there = twin.matched_by, only_there + twin.only_there
                only_here += int((twin.rows < 0).sum())
            for part in parts(path, scorer):
                if tally is not None:
                    part.count(tally)
                checks.add(path, number, part, twin)
                done += len(part.events)
                told(done, total)
    drift = None if reference is None or tally is None else compare(reference, tally, limits)
    scores = checks.scores.result() if recorded is not None else None
    inputs = None
    if against:
        inputs = checks.inputs.result(matched_by, only_here, only_there, recorded is not None)
    return Monitoring(
        model=label,
        files=tuple(
            FileRow(
                name=file.path.name,
                sha256=file_digest(file.path),
                events=file.events,
                layout=file.layout,
                against=against[number].name if against else None,
            )
            for number, file in enumerate(found)
        ),
        limits=limits,
        reference=None if reference is None else reference.about,
        drift=drift,
        scores=scores,
        inputs=inputs,
        flags=tuple(_flags(drift, scores, inputs)),
    )


@dataclass
class _Checks:
    """Disagreements, counted chunk after chunk; ``recorded``: where the recorded scores are, None without."""

    scorer: Scorer
    recorded: Recorded | None

    def __post_init__(self) -> None:
        self.scores = ScoreCheck(self.scorer.graph.output_type)
        self.inputs = InputCheck(self.scorer.contract)

    def add(self, path: Path, number: int, part: Part, twin: Twin | None) -> None:
        """Count a chunk of file ``number``: an event has other inputs, or the same with another score."""
        raw, exact, start = part.crossings.raw, part.crossings.score, part.start
        stop = start + len(raw)
        was = None if self.recorded is None else self.recorded.read(number, start, stop)
        same = np.ones(len(raw), bool)
        matched = np.zeros(len(raw), bool) if twin is None else twin.rows[start:stop] >= 0
        if twin is not None and matched.any():
            here = np.flatnonzero(matched)
            rows = twin.rows[start + here]
            there = twin.read(rows)
            kind = SHAPES[self.scorer.contract.spec.collection][1]
            other = self.scorer.score(there.astype(kind)).reshape(len(there), -1)
            fits, changed = None, (exact[here] != other).any(axis=1)
            if was is not None:
                fits = self.scores.equal(was[here], exact[here]), self.scores.equal(was[here], other)
                changed = ~fits[1]
            place = path.name, start + here, twin.there.name, rows
            same[here] = ~self.inputs.add(place, raw[here], there, changed, fits)
        if was is not None:
            self.scores.add(path.name, start, was, exact, same)


def _flags(drift: Drift | None, scores: ScoreMismatch | None, inputs: InputMismatch | None) -> Iterator[Flag]:
    if scores is not None and scores.first is not None:
        first = scores.first
        text = (
            f"{scores.differing} of {scores.compared} events; first event {first.event} of {first.file}: "
            f"{first.recorded} recorded, {first.exact} exact"
        )
        yield Flag(kind="same inputs, other score", where="score", text=text)
    if inputs is not None and inputs.first is not None:
        at = inputs.first
        often = ", ".join(
            f"{row.name} in {row.events}{f' ({row.rule})' if row.rule else ''}" for row in inputs.features[:4]
        )
        more = f" and {len(inputs.features) - 4} more" if len(inputs.features) > 4 else ""
        text = (
            f"{inputs.differing} of {inputs.compared} crossings, {inputs.other_score} with another score: "
            f"{often}{more}; first event {at.event} of {at.file}, {at.other_event} of {at.other_file}: "
            f"{at.feature} {at.here} and {at.there}"
        )
        yield Flag(kind="other inputs", where=inputs.features[0].name, text=text)
    if drift is None:
        return
    moved = drift.pileup == "differs"
    for row in drift.rows:
        change = row.at_pileup if moved else row.change
        if row.status == "drift" and change is not None:
            yield Flag(kind=row.kind, where=row.name, text=_said(row, change, moved))


def _said(row: Row, change: Change, moved: bool) -> str:
    """The change by which a row is flagged, in words."""
    if row.kind == "rate":
        khz = Beam().crossings_khz
        values = f"{khz * change.new:.3g} kHz, {khz * change.reference:.3g} kHz in the reference"
    else:
        values = f"{100 * change.new:.3g} %, {100 * change.reference:.3g} % in the reference"
    what = {"presence": "present", "lowest bit": "set"}.get(row.kind, change.what)
    at = ", at its pile-up" if moved else ""
    return f"{what}: {values}{at} (chance {change.probability:.1g})"

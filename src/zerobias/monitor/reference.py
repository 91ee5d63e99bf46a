"""What new data are held against: the shares of a sample of zero bias, as one file a release carries."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from zerobias.errors import DataError
from zerobias.events import SPLITS, EventSet, chunks, file_digest
from zerobias.files import BROKEN_ARCHIVE
from zerobias.monitor.document import Document
from zerobias.monitor.tally import Shares, Tally
from zerobias.monitor.variables import Crossings, Variable, plan
from zerobias.score import Scorer
from zerobias.zoo import Model

__all__ = ["REFERENCE", "About", "Part", "Reference", "make_reference", "parts"]

REFERENCE = "reference.npz"
"""Name of the file in a release."""
SPLIT = "test"
_EVENTS = 1 << 14
WAFERS = 16
"""Wafers that follow each other in a file may be of one crossing, so that many are taken together."""
_PLANNED = 30_000
"""Crossings, evenly chosen, that the bins are made for."""
_ARRAYS = ("share", "variance", "by_pileup", "variance_at_pileup", "effective")

Told = Callable[[int, int], None]


class About(Document):
    """Of which model, with SHA-256 of weights and contract, and of which sample a reference is.

    ``effective``: independent crossings of one weight that are worth as much as its ``events``.
    """

    model: str
    weights: str
    contract: str
    sample: str
    sample_sha256: str
    split: str
    events: int
    weight: float
    effective: float
    knows_pileup: bool
    weighted: bool


class _Header(Document):
    format: int
    about: About
    variables: tuple[Variable, ...]


@dataclass(frozen=True)
class Part:
    """Scored events of a file, the first of which is its event ``start``."""

    events: EventSet
    crossings: Crossings
    start: int

    @property
    def zero_bias(self) -> NDArray[np.intp]:
        """Places of the zero bias of the test split."""
        events = self.events
        return np.flatnonzero((events.process == 0) & (events.split == SPLITS.index(SPLIT)))

    def count(self, tally: Tally) -> None:
        """Add the zero bias to a tally."""
        chosen = self.zero_bias
        leader = self.events.collections.get("leader")
        if leader is None and "wafer" in self.events.collections:
            leader = np.arange(self.start, self.start + len(self.events)) // WAFERS
        tally.add(
            self.crossings.at(chosen),
            self.events.weight[chosen],
            None if leader is None else leader[chosen],
        )


def parts(path: Path, scorer: Scorer, size: int = _EVENTS) -> Iterator[Part]:
    """All events of a file, scored, ``size`` at a time.

    Raises ``DataError`` as :func:`zerobias.events.chunks` and for values outside the contract.
    """
    collection = scorer.contract.spec.collection
    wanted = [name for name in chunks(path).collections if name in (collection, "leader")]
    start = 0
    for events in chunks(path, size, wanted if collection in wanted else [collection]):
        try:
            raw = scorer.contract.flatten(events.collections[collection])
        except DataError as error:
            raise DataError(f"{path}: {error}{f', counted from {start}' if start else ''}") from None
        score = scorer.score(events.collections[collection]).reshape(len(raw), -1)
        yield Part(events, Crossings(scorer.contract, raw, score, events.npu), start)
        start += len(events)


@dataclass(frozen=True)
class Reference:
    """Shares of every variable, at the ``profile`` (intervals,) of nPU too; see :class:`Shares`."""

    about: About
    variables: tuple[Variable, ...]
    shares: tuple[Shares, ...]
    profile: NDArray[np.float64]

    def content(self) -> bytes:
        """The file: an .npz archive without pickle; the same reference gives the same bytes."""
        header = _Header(format=1, about=self.about, variables=self.variables)
        several = {name: [getattr(one, name) for one in self.shares] for name in _ARRAYS}
        arrays = {
            name: np.concatenate([np.atleast_1d(part) for part in found]) for name, found in several.items()
        }
        text = np.frombuffer(header.model_dump_json().encode(), np.uint8)
        stream = io.BytesIO()
        np.savez_compressed(stream, allow_pickle=False, header=text, profile=self.profile, **arrays)
        return stream.getvalue()

    @classmethod
    def read(cls, path: Path, model: Model) -> Reference:
        """The reference of ``model`` in a file.

        Raises ``DataError`` when it is missing, damaged, or of other weights or another contract.
        """
        try:
            with path.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
                header = _Header.model_validate_json(archive["header"].tobytes())
                profile = archive["profile"]
                arrays = {name: archive[name] for name in _ARRAYS}
            ends = np.cumsum([variable.sums.shape[1] for variable in header.variables])[:-1]
            columns = [np.split(arrays[name], ends) for name in _ARRAYS[:4]]
            rows = zip(*columns, arrays["effective"].tolist(), strict=True)
            shares = tuple(Shares(*row) for row in rows)
        except (*BROKEN_ARCHIVE, TypeError) as error:
            raise DataError(f"{path} is no reference of a release ({error}): restore it from git") from error
        for key, value in model.digests.items():
            if value != getattr(header.about, key):
                raise DataError(
                    f"{path} is of other {key} than those of {model.label}: restore both from git"
                )
        return cls(header.about, header.variables, shares, profile)


def make_reference(
    model: Model, scorer: Scorer, path: Path, told: Told = lambda done, total: None
) -> Reference:
    """The reference of ``model`` from the zero bias of the test split of an event file, read twice.

    ``told`` is called with (done, total) events. Raises ``DataError`` when there is none.
    """
    events = chunks(path).events
    step = max(1, -(-events // _PLANNED))
    kept: list[tuple[Crossings, NDArray[np.float64]]] = []
    for part in parts(path, scorer):
        chosen = part.zero_bias
        chosen = chosen[(chosen + part.start) % step == 0]
        kept.append((part.crossings.at(chosen), part.events.weight[chosen]))
        told(part.start + len(part.events), 2 * events)
    weight = np.concatenate([np.zeros(0), *(weight for _, weight in kept)])
    if not weight.any():
        raise DataError(f"{path} has no zero bias in its split {SPLIT!r}: give another sample")
    variables = plan(Crossings.joined([one for one, _ in kept]), weight, scorer.graph.output_type)
    tally = Tally(variables)
    for part in parts(path, scorer):
        part.count(tally)
        told(events + part.start + len(part.events), 2 * events)
    profile = tally.profile
    shares = tuple(tally.shares(number, profile) for number in range(len(variables)))
    about = About(
        model=f"{model.name}@{model.spec.version}",
        **model.digests,
        sample=path.name,
        sample_sha256=file_digest(path),
        split=SPLIT,
        events=tally.events,
        weight=tally.weight,
        effective=shares[-1].effective,
        knows_pileup=tally.seen_pileup,
        weighted=tally.weighted,
    )
    return Reference(about, variables, shares, profile)

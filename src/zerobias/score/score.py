"""Scores of whole event files: chunks planned, made anywhere, merged into one HDF5 file."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from zerobias.errors import DataError
from zerobias.events import chunks, file_digest, stamp
from zerobias.executor import Run, run_chunks
from zerobias.files import document_digest, replacing, write_text
from zerobias.score.chunks import DEVICE, model_key, score_chunk
from zerobias.score.scorer import Device
from zerobias.zoo import Model

__all__ = ["FORMAT", "Scored", "ScoredFile", "score_files"]

FORMAT = "zerobias-scores-1"
"""Attribute ``format`` of files of scores."""
_EVENTS = 1 << 16
_OWN = "zerobias HDF5"
_COLUMNS = {"score": "int64", "file": "uint16", "row": "uint64", "npu": "uint16"}
_OWN_COLUMNS = {"weight": "float64", "process": "uint8", "split": "uint8"}


@dataclass(frozen=True)
class ScoredFile:
    """An event file that was scored; ``layout`` is the reader's name of its layout."""

    name: str
    sha256: str
    events: int
    layout: str


@dataclass(frozen=True)
class Scored:
    """What a file of scores says of itself: its attributes.

    ``model`` is name@version, ``weights`` and ``contract`` are SHA-256, ``score_type`` is the fixed-point
    type whose LSB the scores count.
    """

    model: str
    weights: str
    contract: str
    score_type: str
    process_names: tuple[str, ...]
    files: tuple[ScoredFile, ...]


def score_files(
    model: Model,
    files: Sequence[Path],
    output: Path,
    *,
    folder: Path | None = None,
    device: Device = "auto",
    run: Run = run_chunks,
    progress: Callable[[int, int], None] | None = None,
) -> Scored:
    """Score every event of ``files``, of any layout the readers know, into the HDF5 file ``output``.

    One row an event, in order: ``score`` (the integer reference's, one value or several), ``file`` (index),
    ``row`` in that file, ``npu`` (0 where the file has none) and, where the files are zerobias', ``weight``,
    ``process`` and ``split``. The attributes are those of :class:`Scored`; the file's SHA-256 is written
    beside it.

    Finished chunks lie in ``folder``, which is kept; without one they lie in ``output``.chunks until the
    file is written. ``run``: where the chunks are made. ``device``: as :class:`Scorer`'s.

    Raises ``DataError`` when a file is given twice, is damaged, holds no events, lacks the model's
    collection or has values outside its contract, when files with and without weights are mixed, and when
    ``output`` is a folder or one of the files, and ``ToolError`` when there is no such device.
    """
    if output.is_dir():
        raise DataError(f"{output} is a folder: name the file of scores")
    places = [path.resolve() for path in files]
    if output.resolve() in places:
        raise DataError(f"{output} is one of the event files: give the scores a file of their own")
    found = [chunks(path, _EVENTS, [model.contract.spec.collection]) for path in files]
    twice = {path for path, place in zip(files, places, strict=True) if places.count(place) > 1}
    if twice:
        raise DataError(f"{min(twice)} is given twice: name each file once")
    if len({file.layout == _OWN for file in found}) > 1:
        own = next(file.path for file in found if file.layout == _OWN)
        foreign = next(file.path for file in found if file.layout != _OWN)
        raise DataError(f"{own} has weights and {foreign} has none: score them into two files")
    scored = [ScoredFile(f.path.name, file_digest(f.path), f.events, f.layout) for f in found]
    key = model_key(model)
    specs = [
        {
            "model": str(model.folder.resolve()),
            "key": key,
            "file": str(file.path.resolve()),
            "sha256": about.sha256,
            "start": start,
            "stop": min(start + _EVENTS, file.events),
        }
        for file, about in zip(found, scored, strict=True)
        for start in range(0, file.events, _EVENTS)
    ]
    place = folder or output.with_name(f"{output.name}.chunks")
    names = [f"scores-{document_digest(spec)[:12]}.npz" for spec in specs]
    write_text(place / DEVICE, device)
    paths = run(score_chunk, specs, place, names=names, progress=progress)
    result = _merge(model, tuple(scored), paths, output)
    stamp(output)
    if folder is None:
        for path in paths:
            path.unlink()
            path.with_name(f"{path.name}.json").unlink()
        (place / DEVICE).unlink(missing_ok=True)
        with suppress(OSError):  # holds files of another run
            place.rmdir()
    return result


def _merge(model: Model, files: tuple[ScoredFile, ...], paths: Sequence[Path], output: Path) -> Scored:
    """Write the chunks one after the other; memory does not grow with their number."""
    columns = _COLUMNS | (_OWN_COLUMNS if files[0].layout == _OWN else {})
    total = sum(file.events for file in files)
    names: list[str] = []
    done = 0
    # As event files: the oldest format keeps no times, so that the same scores are the same bytes.
    with (
        replacing(output) as temporary,
        _Failing(temporary, "w+") as raw,
        h5py.File(raw, "w", libver="earliest") as file,
    ):
        for part, index, row in _parts(files, paths):
            names += [name for name in part["process_names"].tolist() if name not in names]
            place = np.array([names.index(name) for name in part["process_names"].tolist()], np.uint8)
            part["process"] = place[part["process"]]
            part["file"] = np.full(len(part["score"]), index, np.uint16)
            part["row"] = np.arange(row, row + len(part["score"]), dtype=np.uint64)
            for name, kind in columns.items():
                if name not in file:
                    shape = part[name].shape[1:]  # () but for a score of several values
                    file.create_dataset(
                        name,
                        (total, *shape),
                        kind,
                        chunks=(min(total, 1 << 14), *shape),
                        compression="gzip",
                        shuffle=True,
                        track_times=False,
                    )
                file[name][done : done + len(part["score"])] = part[name]
            raw.check()
            done += len(part["score"])
            score_type = str(part["score_type"])
        result = Scored(
            model=f"{model.name}@{model.spec.version}",
            **model.digests,
            score_type=score_type,
            process_names=tuple(names),
            files=files,
        )
        file.attrs["format"] = FORMAT
        for name, value in asdict(result).items():
            file.attrs[name] = value if isinstance(value, str) else json.dumps(value)
    return result


class _Failing(io.FileIO):
    """A file that goes on after a failed write, on a full disk, until it is closed: then it says so.

    HDF5 can neither close nor forget a file it could not write, and ends with the process in a crash.
    """

    failure: OSError | None = None

    def write(self, data: Any) -> int:
        rest = memoryview(data)
        try:
            while self.failure is None and rest:
                rest = rest[super().write(rest) :]
        except OSError as error:
            self.failure = OSError(error.errno, error.strerror, self.name)
        return len(data)

    def truncate(self, size: int | None = None) -> int:
        return (size or 0) if self.failure else super().truncate(size)

    def check(self) -> None:
        """Raise what went wrong."""
        if self.failure is not None:
            raise self.failure

    def close(self) -> None:
        super().close()
        self.check()


def _parts(
    files: tuple[ScoredFile, ...], paths: Sequence[Path]
) -> Iterator[tuple[dict[str, NDArray[Any]], int, int]]:
    """Arrays of each chunk, the index of its file and the row of its first event there."""
    starts = [(index, row) for index, file in enumerate(files) for row in range(0, file.events, _EVENTS)]
    for path, (index, row) in zip(paths, starts, strict=True):
        with np.load(path, allow_pickle=False) as arrays:
            yield dict(arrays), index, row

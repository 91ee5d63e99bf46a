"""Write events and their scores as vectors, and read them back before they are given away."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from zerobias.contract import IntArray
from zerobias.emulator.vectors.boards import BOARDS
from zerobias.emulator.vectors.formats import read_stream
from zerobias.emulator.vectors.layout import Layout, bus_layout, link_layout
from zerobias.emulator.vectors.plain import write_dat, write_memory
from zerobias.emulator.vectors.sides import Side, input_side, output_side
from zerobias.emulator.vectors.text import Frames
from zerobias.errors import DataError, GateError, SpecError
from zerobias.fixed import Graph

if TYPE_CHECKING:
    from zerobias.zoo import Model

__all__ = ["write_vectors"]

_PLAIN = {
    "dat": (("tb_input_features.dat", "tb_output_predictions.dat"), write_dat),
    "readmemh": (("inputs.mem", "scores.mem"), write_memory),
}
_MANIFEST = "vectors.json"


def write_vectors(
    model: Model, graph: Graph, raw: IntArray, score: IntArray, form: str, folder: Path, first: int = 0
) -> dict[str, Any]:
    """Write hardware integers ``raw`` (events, features) and ``score`` integers in the format ``form``;
    ``first`` is the first event's number where they are from.

    The files replace the folder ``folder``, all or none of them; ``vectors.json`` there, also returned, says
    which events each holds and where every value lies. Raises ``DataError`` without events and for a folder
    that holds other files, ``SpecError`` for a wrong ``[links]``, ``GateError`` when a file does not read
    back as the values it was written from.
    """
    if not len(raw):
        raise DataError("no event to write: give at least one")
    if folder.exists() and not folder.is_dir():
        raise DataError(f"{folder} is no folder: name another one with --out")
    foreign = sorted({path.name for path in folder.glob("*")} - _written(folder))
    if foreign:
        raise DataError(
            f"{folder} would be replaced and holds {foreign[0]}, which is none of its vectors: move it, or "
            "name another folder with --out"
        )
    sides = input_side(model), output_side(model, graph)
    values = raw, score.reshape(len(raw), len(sides[1].fields))
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as scratch:
        fresh = Path(scratch) / "vectors"
        fresh.mkdir()
        layouts = [_layout(side, form) for side in sides]
        files: list[dict[str, Any]] = []
        for start, stop in _parts(len(raw), form, layouts):
            row: dict[str, Any] = {"first_event": first + start, "events": stop - start}
            for number, (side, layout) in enumerate(zip(sides, layouts, strict=True)):
                part = values[number][start:stop]
                name = _PLAIN[form][0][number] if form in _PLAIN else f"{side.title}_{len(files)}.txt"
                with (fresh / name).open("w", encoding="utf-8") as file:
                    file.writelines(_text(side, layout, part, form))
                _read_back(fresh / name, side, part, form)
                row[side.title] = name
            files.append(row)
        facts = {
            "model": f"{model.name}@{model.spec.version}",
            "format": form,
            "events": len(raw),
            "files": files,
            **{side.title: _places(side, layout) for side, layout in zip(sides, layouts, strict=True)},
        }
        (fresh / _MANIFEST).write_text(json.dumps(facts, indent=1) + "\n")
        if folder.exists():
            os.replace(folder, Path(scratch) / "former")
        os.replace(fresh, folder)
    return facts


def _written(folder: Path) -> set[str]:
    """Names of the files that the manifest in ``folder`` says were written there, and its own."""
    try:
        rows = json.loads((folder / _MANIFEST).read_text())["files"]
        return {_MANIFEST, *(row[title] for row in rows for title in ("inputs", "scores"))}
    except (OSError, ValueError, KeyError, TypeError):
        return set()


def _layout(side: Side, form: str) -> Layout | None:
    """None where values are written as numbers."""
    if form in BOARDS:
        return link_layout(side, BOARDS[form].word)
    return bus_layout(side) if form == "readmemh" else None


def _parts(events: int, form: str, layouts: list[Layout | None]) -> Iterator[tuple[int, int]]:
    """First event and end of each file."""
    size = events
    if form in BOARDS:
        took = [layout.frames for layout in layouts if layout is not None]
        frames = max(took)
        size = BOARDS[form].depth // frames
        if not size:
            raise SpecError(
                f"an event takes {frames} words a link, a {form} file {BOARDS[form].depth}: use more links"
            )
        if min(took) < frames:
            raise SpecError(
                f"an event takes {took[0]} words on a link of the inputs and {took[1]} on one of the scores, "
                "so they come at different rates: declare as many bits for both in [links] of model.toml"
            )
    for start in range(0, events, size):
        yield start, min(start + size, events)


def _text(side: Side, layout: Layout | None, values: IntArray, form: str) -> Iterator[str]:
    if layout is None or form not in BOARDS:
        return _PLAIN[form][1](side, values)
    board = BOARDS[form]
    words = layout.pack(values)
    bits = np.zeros((board.depth, *words.shape[1:]), dtype=np.uint8)
    bits[: len(words)] = words
    valid = np.zeros(bits.shape[:2], dtype=bool)
    valid[: len(words)] = True
    return board.write(side.title, Frames(layout.channels, bits, valid), layout.frames)


def _read_back(path: Path, side: Side, values: IntArray, form: str) -> None:
    stream = read_stream(path, form, side)
    found = stream.values[:: stream.frames][: len(values)]
    known = stream.known[:: stream.frames][: len(values)]
    if not known.all() or not np.array_equal(found, values):
        raise GateError(
            f"{path.name} does not read back as the {side.title} it was written from: a fault of {form}"
        )


def _places(side: Side, layout: Layout | None) -> dict[str, Any]:
    """Where every value lies, for people and programs: runs of [lowest bit, bits, link, bit of the link]."""
    values: list[dict[str, Any]] = [
        {"name": f.name, "bits": f.width, "signed": f.signed, "worth": f.worth} for f in side.fields
    ]
    if layout is None:
        return {"values": values}
    length = layout.frames * layout.word
    for value, bit, place in zip(
        layout.value.tolist(), layout.bit.tolist(), layout.place.tolist(), strict=True
    ):
        link, at = layout.channels[place // length], place % length
        runs = values[value].setdefault("runs", [])
        if runs and runs[-1][2] == link and runs[-1][3] + runs[-1][1] == at:
            runs[-1][1] += 1
        else:
            runs.append([bit, 1, link, at])
    return {
        "word": layout.word,
        "words_an_event": layout.frames,
        "links": list(layout.channels),
        "values": values,
    }

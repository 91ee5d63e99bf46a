"""``zerobias vectors`` and ``zerobias capture``: test vectors, and what boards and simulators gave."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from zerobias.cli.console import AsJson, ModelName, ModelsFolder, emit, guarded, load_keras
from zerobias.doctor import check_qkeras_owner
from zerobias.errors import DataError, GateError
from zerobias.events import read
from zerobias.shelves import build_root
from zerobias.zoo import Model, find_model

if TYPE_CHECKING:
    from zerobias.contract import IntArray
    from zerobias.fixed import Graph

__all__ = ["capture", "vectors"]

Form = Annotated[
    Literal["dat", "readmemh", "ctp7", "emp", "apx"],
    typer.Option("--format", help="hls4ml's .dat, Verilog's $readmemh, or a board's text."),
]
Events = Annotated[
    Path | None, typer.Option("--events", help="Event file of any known layout; default: the golden events.")
]
Start = Annotated[int, typer.Option("--start", min=0, help="First event.")]
Count = Annotated[int | None, typer.Option("--count", min=1, help="Number of events; default: all.")]


@guarded
def vectors(
    name: ModelName,
    form: Form,
    events: Events = None,
    start: Start = 0,
    count: Count = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder of the vectors; default: in the build.")
    ] = None,
    models: ModelsFolder = None,
    as_json: AsJson = False,
) -> None:
    """Write events and their exact scores as test vectors for a simulator or a board."""
    model, graph = _reference(name, models)
    from zerobias.emulator.vectors import write_vectors

    raw, score = _selected(model, graph, events, start, count)
    folder = out or build_root() / model.build_name / "vectors" / form
    facts = write_vectors(model, graph, raw, score, form, folder, start)
    emit(
        {"path": str(folder), **facts},
        as_json,
        f"{folder}: {facts['events']} events in {len(facts['files'])} file(s) each of inputs and scores",
    )


@guarded
def capture(
    name: ModelName,
    file: Annotated[Path, typer.Argument(help="What a board or a simulator captured of the scores.")],
    form: Form,
    events: Events = None,
    start: Start = 0,
    count: Count = None,
    offset: Annotated[
        int | None, typer.Option("--offset", min=0, help="Latency in rows; default: it is found.")
    ] = None,
    models: ModelsFolder = None,
    as_json: AsJson = False,
) -> None:
    """Compare a capture with the reference's scores; the latency offset is found."""
    model, graph = _reference(name, models)
    from zerobias.emulator.vectors import compare_capture, output_side

    _, score = _selected(model, graph, events, start, count)
    found = compare_capture(file, form, output_side(model, graph), score, offset=offset)
    said = (
        f"{file}: offset {found.offset} rows, {found.events} events compared, {found.differing} differ "
        f"({found.runner_up} agree at the next best offset)"
    )
    emit(found.model_dump(mode="json"), as_json, said)
    if found.first_event is not None:
        value = f", value {found.first_value}" if graph.score_shape else ""
        captured = "no valid word" if found.captured is None else found.captured
        raise GateError(
            f"the capture differs in {found.differing} of {found.events} events, first in event "
            f"{start + found.first_event}{value}: {captured} in the capture, {found.reference} in the "
            "reference"
        )


def _reference(name: str, models: Path | None) -> tuple[Model, Graph]:
    model = find_model(name, models)
    check_qkeras_owner()
    load_keras()
    from zerobias.cli.build import reference

    return model, reference(model)[1]


def _selected(
    model: Model, graph: Graph, events: Path | None, start: int, count: int | None
) -> tuple[IntArray, IntArray]:
    """Hardware integers and score integers of events ``start``, ... of the golden ones or of a file."""
    from zerobias.emulator import check_golden
    from zerobias.fixed import shaped
    from zerobias.verify import read_golden

    if events is None:
        golden = read_golden(model.folder / "golden" / "golden.npz")
        check_golden(model.name, model.contract, graph, golden.raw, golden.score)
        raw, score = golden.raw, golden.score
    else:
        collection = model.contract.spec.collection
        raw = model.contract.flatten(read(events, [collection]).collections[collection])
        score = graph.evaluate(shaped(model.contract, graph, raw))
    stop = len(raw) if count is None else start + count
    if not start < stop <= len(raw):
        raise DataError(
            f"events {start} to {stop - 1} are asked for, there are {len(raw)}: mend --start and --count"
        )
    return raw[start:stop], score[start:stop]

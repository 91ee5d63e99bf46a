"""``zerobias score``: the exact scores of event files."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import typer

from zerobias.cli.console import AsJson, ModelName, ModelsFolder, emit, guarded
from zerobias.cli.scale import Executor, Scheduler, Workers, bars
from zerobias.doctor import check_qkeras_owner
from zerobias.executor import runner
from zerobias.zoo import find_model

__all__ = ["score"]


@guarded
def score(
    name: ModelName,
    files: Annotated[list[Path], typer.Argument(help="Event files of any known layout.")],
    output: Annotated[Path, typer.Option("--output", help="The HDF5 file of scores.")],
    executor: Executor = "local",
    workers: Workers = 2,
    scheduler: Scheduler = None,
    folder: Annotated[
        Path | None,
        typer.Option(
            "--chunks", help="Keep finished chunks in this folder; default: until the end.", file_okay=False
        ),
    ] = None,
    device: Annotated[
        Literal["auto", "cpu", "gpu"],
        typer.Option("--device", help="Where to score; auto: on a GPU if JAX sees one. Scores are the same."),
    ] = "auto",
    models: ModelsFolder = None,
    as_json: AsJson = False,
) -> None:
    """Score event files with the integer reference, exactly."""
    model = find_model(name, models)
    check_qkeras_owner()
    from zerobias.score import score_files

    with bars("score") as progress, runner(executor, workers, scheduler) as run:
        step = partial(progress, "score")
        made = score_files(model, files, output, folder=folder, device=device, run=run, progress=step)
    events = sum(file.events for file in made.files)
    emit(
        {"path": str(output), "events": events, **asdict(made)},
        as_json,
        f"{output}: {events} scores of {made.model}, {made.score_type}",
    )

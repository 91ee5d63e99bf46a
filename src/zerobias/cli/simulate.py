"""``zerobias simulate``: make simulated events, and compare a sample with public figures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from zerobias.cli.console import AsJson, emit, err, guarded
from zerobias.shelves import shelf

__all__ = ["simulate"]

simulate = typer.Typer(help="Make simulated zero bias and signals (needs the extra `gen`).")


@simulate.callback(invoke_without_command=True)
@guarded
def make(
    context: typer.Context,
    output: Annotated[
        Path | None, typer.Option("--output", help="Event file; default: the shipped one.")
    ] = None,
    scale: Annotated[float, typer.Option(min=0.001, help="Multiplies the numbers of events.")] = 1.0,
    seed: Annotated[int | None, typer.Option(min=0, help="Default: the recipe's.")] = None,
    workers: Annotated[int, typer.Option(min=1)] = 2,
    pool: Annotated[
        Path | None, typer.Option("--pool", help="Keep the collisions in this folder.", file_okay=False)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make simulated zero bias and signals (needs the extra `gen`)."""
    if context.invoked_subcommand is not None:
        return
    from zerobias.simulate import simulate_to_file

    path = output or shelf("triggers") / "sample" / "l1_sample.h5"
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*columns, console=err) as bar:
        tasks = {name: bar.add_task(name, total=None) for name in ("generate", "overlay")}
        events = simulate_to_file(
            path,
            scale=scale,
            seed=seed,
            workers=workers,
            pool=pool,
            progress=lambda name, done, total: bar.update(tasks[name], completed=done, total=total),
        )
    counts = {name: len(events.of(name)) for name in events.process_names}
    emit({"path": str(path), "events": counts}, as_json, f"{path}: {len(events)} events {counts}")

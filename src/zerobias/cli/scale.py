"""Options of the commands that run in chunks: on this machine, with Dask, or on a batch system."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Literal

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from zerobias.cli.console import err

__all__ = ["Executor", "Scheduler", "Workers", "bars"]

Executor = Annotated[
    Literal["local", "dask"], typer.Option("--executor", help="Who runs the chunks (dask: extra `dask`).")
]
Workers = Annotated[
    int, typer.Option("--workers", min=1, help="Number of processes, or of jobs on a batch system.")
]
Scheduler = Annotated[
    str | None,
    typer.Option("--scheduler", help="Dask: address of a scheduler, or a TOML file of a batch job."),
]


@contextmanager
def bars(*names: str) -> Iterator[Callable[[str, int, int], None]]:
    """Progress bars of the named steps; yields what is called with (step, done, total)."""
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*columns, console=err) as bar:
        tasks = {name: bar.add_task(name, total=None) for name in names}
        yield lambda name, done, total: bar.update(tasks[name], completed=done, total=total)

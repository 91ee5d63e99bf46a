"""``zerobias simulate``: make simulated events, and compare a sample with public figures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from zerobias.cli.console import AsJson, emit, guarded, out
from zerobias.cli.scale import Executor, Scheduler, Workers, bars
from zerobias.errors import GateError, SpecError
from zerobias.events import default_sample, read
from zerobias.executor import runner
from zerobias.shelves import shelf

__all__ = ["simulate"]

Output = Annotated[Path | None, typer.Option("--output", help="Event file; default: the shipped one.")]
PoolFolder = Annotated[
    Path | None,
    typer.Option("--pool", help="Keep finished chunks in this folder.", file_okay=False),
]


def _check_shared(scheduler: str | None, pool: Path | None) -> None:
    if scheduler is not None and pool is None:
        raise SpecError(f"scheduler {scheduler} without --pool: name a folder that its workers share")


simulate = typer.Typer(help="Make simulated zero bias and signals (needs the extra `gen`).")


@simulate.callback(invoke_without_command=True)
@guarded
def make(
    context: typer.Context,
    output: Output = None,
    scale: Annotated[float, typer.Option(min=0.001, help="Multiplies the numbers of events.")] = 1.0,
    seed: Annotated[int | None, typer.Option(min=0, help="Default: the recipe's.")] = None,
    executor: Executor = "local",
    workers: Workers = 2,
    scheduler: Scheduler = None,
    pool: PoolFolder = None,
    as_json: AsJson = False,
) -> None:
    """Make simulated zero bias and signals (needs the extra `gen`)."""
    if context.invoked_subcommand is not None:
        return
    from zerobias.simulate import simulate_to_file

    _check_shared(scheduler, pool)
    path = output or shelf("triggers") / "sample" / "l1_sample.h5"
    steps = "generate", "deposits", "muons", "overlay"
    with bars(*steps) as progress, runner(executor, workers, scheduler) as run:
        events = simulate_to_file(path, scale=scale, seed=seed, run=run, pool=pool, progress=progress)
    counts = {name: len(events.of(name)) for name in events.process_names}
    emit({"path": str(path), "events": counts}, as_json, f"{path}: {len(events)} events {counts}")


@simulate.command()
@guarded
def wafers(
    output: Output = None,
    executor: Executor = "local",
    workers: Workers = 2,
    scheduler: Scheduler = None,
    pool: PoolFolder = None,
    as_json: AsJson = False,
) -> None:
    """Make simulated HGCAL wafers and compare their shape with full simulation."""
    from zerobias.simulate import wafers_to_file
    from zerobias.simulate.wafer_shape import wafer_shape

    _check_shared(scheduler, pool)
    path = output or shelf("triggers") / "sample" / "wafers.h5"
    with bars("generate", "wafers") as progress, runner(executor, workers, scheduler) as run:
        events = wafers_to_file(path, run=run, pool=pool, progress=progress)
    counts = {name: len(events.of(name)) for name in events.process_names}
    rows = wafer_shape(events)
    table = Table("", "value", "full simulation", "ratio", title=f"{path}: {counts}", box=None)
    for row in rows:
        table.add_row(row.quantity, f"{row.value:.3f}", f"{row.target:g}", f"{row.ratio:.2f}")
    emit({"path": str(path), "events": counts, "shape": [vars(row) for row in rows]}, as_json, table)


@simulate.command()
@guarded
def validate(
    sample: Annotated[
        Path | None, typer.Option("--sample", help="Event file; default: the shipped sample.")
    ] = None,
    plots: Annotated[
        Path | None, typer.Option("--plots", help="Write PNG pictures to this folder.", file_okay=False)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Compare a sample with public figures of real zero bias; exit code 3 when one is out of range."""
    from zerobias.simulate.plots import draw
    from zerobias.simulate.validate import load_anchors, validate

    path = sample or default_sample()
    anchors = load_anchors()
    found = validate(read(path), anchors)
    pictures = [] if plots is None else draw(found, plots)
    table = Table("", "value", "anchor", "ratio", "objects", "", title=str(path), box=None)
    for row in found.rows:
        value = f"{row.value:.4g} ± {row.error:.2g} {row.unit}"
        ok = "ok" if row.ok else "out of range"
        style = None if row.ok else "red"
        table.add_row(
            row.name, value, f"{row.anchor:.3g}", f"{row.ratio:.2f}", str(row.objects), ok, style=style
        )
    document = {
        "ok": found.ok,
        "events": found.events,
        "rows": [vars(row) for row in found.rows],
        "occupancy": found.occupancy.tolist(),
        "mean_et": found.mean_et.tolist(),
        "rates": [
            {
                "name": c.name,
                "threshold_gev": c.threshold.tolist(),
                "khz": c.khz.tolist(),
                "error": c.error.tolist(),
            }
            for c in found.curves
        ],
        "plots": [str(picture) for picture in pictures],
    }
    emit(document, as_json, table)
    if not as_json:
        out.print(f"regions above zero: {found.occupancy.mean():.2f}, mean {found.mean_et.mean():.2f} GeV")
        for picture in pictures:
            out.print(f"written: {picture}")
    if not found.ok:
        bad = ", ".join(row.name for row in found.rows if not row.ok)
        raise GateError(f"{path.name}: {bad} out of range: fit with tools/fit_detector.py and simulate again")

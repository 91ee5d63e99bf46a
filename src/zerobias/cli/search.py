"""``zerobias pareto`` and ``zerobias auc-loss``: how small a model may be, and what smallness costs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from zerobias.cli.console import (
    AsJson,
    ModelName,
    ModelsFolder,
    Sample,
    emit,
    err,
    guarded,
    load_keras,
    sample_of,
)
from zerobias.doctor import check_qkeras_owner
from zerobias.errors import DataError, GateError
from zerobias.events import EventSet, file_digest, read
from zerobias.files import write_text
from zerobias.shelves import build_root
from zerobias.zoo import Model, find_model

__all__ = ["auc_loss", "pareto"]


@guarded
def pareto(
    name: ModelName,
    trials: Annotated[
        int, typer.Option(min=1, help="Networks the study shall hold; those it has stay.")
    ] = 20,
    sample: Sample = None,
    models: ModelsFolder = None,
    build: Annotated[Path | None, typer.Option("--build", help="Folder for builds.")] = None,
    as_json: AsJson = False,
) -> None:
    """Train networks of a model's search space, plot AUC against LUT against ns (extra `search`)."""
    model = find_model(name, models)
    check_qkeras_owner()
    load_keras(threads=2)
    from zerobias.cli.stages import key_of, locked
    from zerobias.search import draw, search
    from zerobias.train import training_data

    path = sample_of(model, sample)
    events = read(path)
    folder = (build or build_root()) / name / "pareto"
    spec = model.spec.model_dump(mode="json", exclude={"version", "title"})
    key = key_of(spec, [file_digest(p) for p in sorted(model.folder.glob("*.py"))], file_digest(path))
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with (
        locked(folder, lambda: err.print(f"waiting for another search in {folder}")),
        Progress(*columns, console=err) as bars,
    ):
        task = bars.add_task("networks", total=trials)
        found = search(
            model,
            events,
            training_data(model, events),
            storage=folder / "study.log",
            study=key,
            trials=trials,
            sample=path.name,
            progress=lambda done, total: bars.update(task, completed=done, total=total),
        )
        write_text(folder / "pareto.json", found.model_dump_json(indent=2) + "\n")
        draw(found, folder / "pareto.png")
    table = Table("network", "AUC", "LUT", "ns", "values", box=None, title=str(folder / "pareto.png"))
    for point in sorted(found.points, key=lambda p: p.figures.lut):
        if point.number in found.front:
            values = ", ".join(f"{place} = {value}" for place, value in point.values.items())
            f = point.figures
            table.add_row(str(point.number), f"{f.auc:.4f}", f"{f.lut:.0f}", f"{f.ns:.1f}", values)
    f = found.chosen
    table.add_row(f"working {found.version}", f"{f.auc:.4f}", f"{f.lut:.0f}", f"{f.ns:.1f}", "", style="red")
    emit(found.model_dump(mode="json"), as_json, table)


@guarded
def auc_loss(
    name: ModelName,
    former: Annotated[
        Path, typer.Option("--former", help="Models folder that holds the former model.", file_okay=False)
    ],
    split: Annotated[str, typer.Option(help="Split of the sample: train, tuning or test.")] = "test",
    limit: Annotated[
        float | None, typer.Option(help="Largest upper limit of the mean loss; exit code 3 above it.")
    ] = None,
    sample: Sample = None,
    models: ModelsFolder = None,
    as_json: AsJson = False,
) -> None:
    """Loss of AUC of a model against a former one, with its upper 68 % limit by paired bootstrap."""
    new, old = find_model(name, models), find_model(name, former)
    load_keras()
    from zerobias.physics import auc_loss

    events = read(sample_of(new, sample))
    background = events.of("zero_bias", split)
    signals = {s: part for s in events.signals if len(part := events.of(s, split))}
    if not len(background) or not signals:
        raise DataError(f"the sample has no zero bias or no signal in its split {split!r}: give another")
    parts = {"": background, **signals}
    before, after = (_scores(model, parts) for model in (old, new))
    found = auc_loss(
        former_background=before.pop(""),
        new_background=after.pop(""),
        background_weight=background.weight,
        former_signals=before,
        new_signals=after,
        signal_weight={signal: part.weight for signal, part in signals.items()},
    )
    title = f"{name} {old.spec.version} -> {new.spec.version}, {found.background_events} zero bias"
    table = Table("signal", "events", "former AUC", "new AUC", "loss", "upper 68 %", box=None, title=title)
    for row in (*found.rows, found.mean):
        figures = [f"{value:.4f}" for value in (row.former, row.new, row.loss, row.upper)]
        table.add_row(row.signal, str(row.signal_events), *figures)
    emit(found.model_dump(mode="json"), as_json, table)
    if limit is not None and found.mean.upper > limit:
        raise GateError(
            f"mean AUC loss of {name}: {found.mean.loss:.4f}, at most {found.mean.upper:.4f} (68 %), "
            f"above the limit {limit:g}; train a larger network"
        )


def _scores(model: Model, parts: dict[str, EventSet]) -> dict[str, np.ndarray]:
    """Exact integer scores of each part."""
    from zerobias.cli.build import reference
    from zerobias.fixed import shaped

    _, graph = reference(model)
    contract = model.contract
    found = {}
    for key, part in parts.items():
        raw = contract.flatten(part.collections[contract.spec.collection])
        found[key] = graph.evaluate(shaped(contract, graph, raw))
    return found

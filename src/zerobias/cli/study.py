"""``zerobias study``: a study that a model folder defines, its rows into a file beside the model card."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from zerobias.cli.console import (
    AsJson,
    ModelName,
    ModelsFolder,
    Sample,
    emit,
    guarded,
    load_keras,
    progress,
    sample_of,
)
from zerobias.errors import SpecError
from zerobias.events import read
from zerobias.files import write_text
from zerobias.zoo import find_model

__all__ = ["study"]


@guarded
def study(
    name: ModelName,
    study: Annotated[str, typer.Argument(help="Name of a Python file of the model's folder, without .py.")],
    sample: Sample = None,
    models: ModelsFolder = None,
    as_json: AsJson = False,
) -> None:
    """Run a study of the model's folder and write its rows beside it; goes on where it was stopped."""
    model = find_model(name, models).working()
    if study not in model.studies:
        raise SpecError(
            f"model {name} has no study {study!r}: it has {', '.join(model.studies) or 'none'}; "
            f"a study is a file {model.folder / 'NAME.py'} that defines study(model, data, events)"
        )
    load_keras(threads=2)
    from zerobias.train import reproducible, training_data

    events = read(sample_of(model, sample))
    reproducible(model.spec.seed)
    with progress(f"{study} of {name}") as told:
        rows = model.study(study, training_data(model, events, told), events)
    path = model.folder / f"{study}.json"
    # A row a line; JSON knows no NaN.
    lines = [json.dumps({k: None if v != v else v for k, v in row.items()}) for row in rows]
    text = ",\n".join(lines)
    write_text(path, f'{{"version": "{model.spec.version}", "rows": [\n{text}\n]}}\n')
    emit({"path": str(path), "rows": len(rows)}, as_json, f"{path}: {len(rows)} rows")

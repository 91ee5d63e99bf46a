"""``zerobias study``: the comparison a model folder defines, into comparison.json beside its model card."""

from __future__ import annotations

import json

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
from zerobias.events import read
from zerobias.files import write_text
from zerobias.zoo import find_model

__all__ = ["study"]


@guarded
def study(
    name: ModelName, sample: Sample = None, models: ModelsFolder = None, as_json: AsJson = False
) -> None:
    """Train and compare what the model's study.py says; goes on where it was stopped."""
    model = find_model(name, models)
    load_keras(threads=2)
    from zerobias.train import reproducible, training_data

    events = read(sample_of(model, sample))
    reproducible(model.spec.seed)
    with progress(f"study of {name}") as told:
        rows = model.study(training_data(model, events, told), events)
    path = model.folder / "comparison.json"
    write_text(path, json.dumps({"version": model.spec.version, "rows": rows}, indent=1) + "\n")
    emit({"path": str(path), "rows": len(rows)}, as_json, f"{path}: {len(rows)} rows")

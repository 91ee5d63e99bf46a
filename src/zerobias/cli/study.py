"""``zerobias study``: the comparison a model folder defines, into comparison.json beside its model card."""

from __future__ import annotations

import json

from zerobias.cli.console import AsJson, ModelName, ModelsFolder, Sample, emit, err, guarded, load_keras
from zerobias.events import default_sample, read
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

    events = read(sample or default_sample(model.contract.spec.collection))
    with err.status(f"study of {name}") as status:
        reproducible(model.spec.seed)
        data = training_data(
            model, events, lambda step, done, total: status.update(f"{step}: {done} of {total}")
        )
        rows = model.study(data, events)
    path = model.folder / "comparison.json"
    write_text(path, json.dumps({"version": model.spec.version, "rows": rows}, indent=1) + "\n")
    emit({"path": str(path), "rows": len(rows)}, as_json, f"{path}: {len(rows)} rows")

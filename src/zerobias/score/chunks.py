"""The scores of one range of events of one file: what a worker makes."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

import zerobias
from zerobias.errors import DataError
from zerobias.events import file_digest, read
from zerobias.files import document_digest, tree_digest
from zerobias.fixed import graph_of
from zerobias.score.scorer import Device, Scorer
from zerobias.specs import load_toml
from zerobias.zoo import Model, ModelSpec, digest, load_keras, read_weights

__all__ = ["DEVICE", "model_key", "score_chunk"]

DEVICE = "device"
"""File in the folder of the chunks: where to score. It is no part of the specs: the scores are the same."""


def model_key(model: Model) -> str:
    """SHA-256 of all that the scores of a model depend on.

    Raises ``DataError`` when its weights are missing or damaged.
    """
    parts = [
        model.spec.model_dump(mode="json", include={"name", "version", "network", "contract"}),
        digest(read_weights(model.weights_path("quantised"))),
        [file_digest(path) for path in sorted(model.folder.glob("*.py"))],
        tree_digest(Path(zerobias.__file__).parent, "*.py"),
    ]
    return document_digest(parts)


def score_chunk(spec: dict[str, Any], path: Path) -> None:
    """Chunk function: scores of the events ``start`` to ``stop`` - 1 of ``file``, and what is known of them.

    Raises ``DataError`` when an event is damaged or outside the contract's ranges, and when the model is no
    longer the one that ``key`` names.
    """
    scorer = _scorer(spec["model"], spec["key"], (path.parents[1] / DEVICE).read_text(encoding="utf-8"))
    file, start = Path(spec["file"]), spec["start"]
    events = read(file, [scorer.contract.spec.collection], start=start, stop=spec["stop"])
    try:
        score = scorer.score(events.collections[scorer.contract.spec.collection])
    except DataError as error:
        raise DataError(f"{file}: {error}{f', counted from {start}' if start else ''}") from None
    with path.open("wb") as stream:
        np.savez(
            stream,
            allow_pickle=False,
            score=score,
            score_type=np.array(str(scorer.graph.output_type)),
            weight=events.weight,
            npu=events.npu,
            process=events.process,
            split=events.split,
            process_names=np.array(events.process_names),
        )


@lru_cache(maxsize=1)
def _scorer(folder: str, key: str, device: Device) -> Scorer:
    """Built once a process: loading the network takes longer than a chunk."""
    model = Model(Path(folder), load_toml(Path(folder) / "model.toml", ModelSpec))
    if model_key(model) != key:
        raise DataError(f"model {model.name} in {folder} is not the one the run started with: run again")
    load_keras()
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # other workers use the GPU too
    return Scorer(model.contract, graph_of(model.load(), model.contract), device)

"""``zerobias emulator``: a model as a library for CMSSW."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer

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
from zerobias.cli.stages import locked
from zerobias.doctor import check_qkeras_owner
from zerobias.events import EventSet, read
from zerobias.shelves import build_root
from zerobias.zoo import Model, find_model

if TYPE_CHECKING:
    from zerobias.emulator import Package, Threshold
    from zerobias.fixed import Graph

__all__ = ["emulator", "packaged"]


@guarded
def emulator(
    name: ModelName,
    sample: Sample = None,
    models: ModelsFolder = None,
    build: Annotated[Path | None, typer.Option("--build", help="Folder for builds.")] = None,
    write_only: Annotated[
        bool, typer.Option("--write-only", help="Write the package; its Makefile builds and checks it.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Write a model's emulator library for CMSSW, build it and check it against its golden scores.

    The sample gives the thresholds.
    """
    model = find_model(name, models)
    check_qkeras_owner()
    with err.status("start") as status:
        package, said = packaged(model, build or build_root(), status.update, sample, write_only=write_only)
    emit(
        {
            "path": str(package.path),
            "library": None if write_only else str(package.library),
            "sidecar": str(package.sidecar),
            "digest": package.digest,
            "check": said,
        },
        as_json,
        f"{package.path}: {package.library.name}\n{said}",
    )


def packaged(
    model: Model,
    root: Path,
    step: Callable[[str], None],
    sample: Path | None = None,
    *,
    write_only: bool = False,
) -> tuple[Package, str]:
    """The package in ``root``/<build name>/emulator, and what its checker said of the built library.

    ``step`` is told what is being done.
    """
    load_keras()
    from zerobias.cli.build import reference
    from zerobias.emulator import build_emulator, check_emulator, write_emulator
    from zerobias.verify import read_golden

    golden = read_golden(model.folder / "golden" / "golden.npz")
    folder = root / model.build_name
    with locked(folder, lambda: step("waiting for another build")):
        step("package")
        network, graph = reference(model)
        path = sample_of(model, sample)
        points = _thresholds(model, graph, read(path), path.name)
        package = write_emulator(
            model, network, graph, golden.raw, golden.score, folder / "emulator", thresholds=points
        )
        if write_only:
            return package, "not built: run `make check install` there"
        step("compiling")
        build_emulator(package)
        step("checking")
        return package, check_emulator(package)


def _thresholds(model: Model, graph: Graph, events: EventSet, sample: str) -> tuple[Threshold, ...]:
    """Working points on the test split's zero bias; none for a sample without the model's inputs, or for a
    score of several values."""
    from zerobias.emulator import Threshold
    from zerobias.fixed import shaped
    from zerobias.physics import Sample, figures
    from zerobias.physics.table import FALSE_POSITIVE_RATES

    collection = model.contract.spec.collection
    background = events.of("zero_bias", "test")
    if collection not in background.collections or not len(background):
        return ()
    raw = model.contract.flatten(background.collections[collection])
    scores = np.asarray(graph.evaluate(shaped(model.contract, graph, raw)))
    if scores.ndim != 1:
        return ()
    zero_bias = Sample(scores, background.weight)
    found = figures(zero_bias, zero_bias, FALSE_POSITIVE_RATES).threshold
    return tuple(
        Threshold(rate, int(score), f"{sample}, zero bias of the test split")
        for rate, score in zip(FALSE_POSITIVE_RATES, found, strict=True)
        if math.isfinite(score)
    )

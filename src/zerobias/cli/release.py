"""``zerobias release``: a version of a model as a folder that never changes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from zerobias.cli.console import AsJson, ModelName, ModelsFolder, Sample, emit, err, guarded
from zerobias.cli.emulator import packaged
from zerobias.cli.monitor import reference_bytes
from zerobias.doctor import check_qkeras_owner
from zerobias.errors import GateError, InputError
from zerobias.shelves import build_root
from zerobias.zoo import find_model

__all__ = ["release"]


@guarded
def release(
    name: ModelName,
    sample: Sample = None,
    models: ModelsFolder = None,
    build: Annotated[Path | None, typer.Option("--build", help="Folder for builds.")] = None,
    as_json: AsJson = False,
) -> None:
    """Release a working model, or build a release (name@X.Y.Z) again and check that nothing differs."""
    model = find_model(name, models)
    check_qkeras_owner()
    from zerobias.cli.build import build_firmware, tool_versions
    from zerobias.monitor import REFERENCE
    from zerobias.release import (
        check_files,
        check_release,
        claim_version,
        clean_commit,
        index_text,
        write_index,
        write_release,
    )

    commit = ""
    if model.released:
        check_files(model.folder)
    else:
        claim_version(model)
        commit = clean_commit(model.folder)
    shelf = model.folder.parents[2] if model.released else model.folder.parent
    index_text(shelf)  # refuses a damaged release before the minutes of a build
    root, made_with = build or build_root(), tool_versions()
    with err.status("start") as status:
        report = build_firmware(model, root, status.update, sample=sample).report
        if report.verdict == "fail":
            raise GateError(f"{model.label} {model.spec.version} is not fit for release: {report.causes[0]}")
        package, said = packaged(model, root, status.update, sample)
    if model.released:
        made = check_release(model.folder, report, package, made_with)
        folder, what = model.folder, "built again, nothing differs"
    else:
        if clean_commit(model.folder) != commit:
            raise InputError(
                "another commit was checked out while the release was built: run the command again"
            )
        made = write_release(
            model, report, package, commit, made_with, {REFERENCE: reference_bytes(model, sample)}
        )
        folder, what = model.releases / made.version, "released"
    index = write_index(shelf)
    emit(
        {"path": str(folder), "index": str(index), **made.model_dump(mode="json", exclude={"files"})},
        as_json,
        f"{folder}: {made.model} {made.version} {what}, digest {made.digest[:16]}\n{said}\n{index}: index",
    )

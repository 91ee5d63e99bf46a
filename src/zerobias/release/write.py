"""Write a release: a model folder with its report, its emulator's source and digests of it all."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from zerobias.emulator import Package
from zerobias.errors import DataError, GateError, InputError
from zerobias.events import file_digest
from zerobias.files import document_digest
from zerobias.release.repository import tracked_files
from zerobias.report import Report, write_report
from zerobias.zoo import Model

__all__ = [
    "RECORD",
    "Release",
    "claim_version",
    "digests_of",
    "file_digests",
    "read_release",
    "write_release",
]

RECORD = "release.json"
_ELSEWHERE = {"golden", "ap_types", "nnet_utils"}
"""Folders of a package: what is the release's golden/golden.npz, and the headers that hls4ml brings, in the
version that the record names."""

_NEEDED = ("model.toml", "model.py", "weights/quantised.npz", "golden/golden.npz")
"""What a release is built again from."""


class Release(BaseModel):
    """The record of a release."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str
    """The model."""
    version: str
    """The released version."""
    title: str
    """The model's title."""
    commit: str
    """Commit it was made from."""
    made_with: dict[str, str]
    """Tool -> version."""
    digest: str
    """SHA-256 over ``digests``; the same model built with the same tools gives it again."""
    digests: dict[str, str]
    """SHA-256 of weights, contract, golden events, the emulator's source and the firmware's."""
    files: dict[str, str]
    """File -> SHA-256."""

    @model_validator(mode="after")
    def _one_digest(self) -> Self:
        if self.digest != document_digest(self.digests):
            raise ValueError("digest is that of other digests")
        return self


def claim_version(model: Model) -> None:
    """Raise ``InputError`` when the working model's version is released already; what a killed run left of it
    is removed."""
    version = model.spec.version
    for left in model.releases.glob(f".{version}.*"):
        shutil.rmtree(left)
    if (model.releases / version).exists():
        raise InputError(
            f"{model.name} {version} is released already and never changes: raise version in "
            f"{model.folder / 'model.toml'}"
        )


def write_release(
    model: Model,
    report: Report,
    package: Package,
    commit: str,
    made_with: Mapping[str, str],
    more: Mapping[str, bytes] | None = None,
) -> Release:
    """Write ``releases/<version>`` of the working model: all that git knows of its folder, the ``report``,
    the source of the emulator's ``package``, ``more`` files by name and the record.

    The folder appears whole or not at all. Raises ``GateError`` for a red report and ``InputError`` for a
    version or a library that is released already, and for a folder of which git does not know enough.
    """
    if report.verdict == "fail":
        raise GateError(f"{model.name} {model.spec.version} is not released: {report.causes[0]}")
    claim_version(model)
    own = [path for path in tracked_files(model.folder) if path.parts[0] != model.releases.name]
    for name in _NEEDED:
        if Path(name) not in own:
            raise InputError(
                f"git does not know {model.folder / name}: a release holds it, so add and commit it"
            )
    sidecar = package.sidecar.name
    for other in sorted(model.folder.parent.glob(f"*/{model.releases.name}/*/emulator/{sidecar}")):
        raise InputError(
            f"{package.library.name} is the library of {other.parents[1]} already: give the model another "
            "name under [emulator] in model.toml"
        )
    final = model.releases / model.spec.version
    model.releases.mkdir(exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(dir=model.releases, prefix=f".{final.name}.") as scratch:
            fresh = Path(scratch) / "release"
            source = [path for path in map(Path, package.files) if not _ELSEWHERE.intersection(path.parts)]
            for here, paths, there in (
                (model.folder, own, fresh),
                (package.path, source, fresh / "emulator"),
            ):
                for path in paths:
                    (there / path).parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(here / path, there / path)
            write_report(report, fresh / "report.json")
            for extra, content in (more or {}).items():
                (fresh / extra).write_bytes(content)
            digests = digests_of(report, package)
            release = Release(
                model=model.name,
                version=model.spec.version,
                title=model.spec.title,
                commit=commit,
                made_with=dict(made_with),
                digest=document_digest(digests),
                digests=digests,
                files=file_digests(fresh),
            )
            (fresh / RECORD).write_text(release.model_dump_json(indent=1) + "\n")
            os.replace(fresh, final)
    finally:
        with suppress(OSError):  # it holds releases
            model.releases.rmdir()
    return release


def digests_of(report: Report, package: Package) -> dict[str, str]:
    """Digests of the parts of a release, of which the firmware's covers the project of either design."""
    own: dict[str, Any] = json.loads(package.sidecar.read_text())["digests"]
    return {
        "weights": own["weights"],
        "contract": own["contract"],
        "golden": own["golden"],
        "emulator": package.digest,
        "firmware": report.digest,
    }


def file_digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every file of a release but its record."""
    files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return {
        name: file_digest(folder / name) for name in files if name != RECORD and "__pycache__" not in name
    }


def read_release(folder: Path) -> Release:
    """The record in the release folder ``folder``; ``DataError`` when it is missing or damaged."""
    path = folder / RECORD
    try:
        return Release.model_validate_json(path.read_text())
    except (OSError, ValueError, ValidationError) as error:
        raise DataError(f"{path} is no record of a release: restore it from git") from error

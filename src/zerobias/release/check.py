"""Hold a release against its record: the files as they lie there, and a new build of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from zerobias.emulator import Package
from zerobias.errors import GateError
from zerobias.release.write import Release, digests_of, file_digests, read_release
from zerobias.report import Report

__all__ = ["check_files", "check_release"]


def check_files(folder: Path) -> Release:
    """The record of the release in ``folder``, whose files are those it was made of.

    Raises ``GateError`` naming the first file that is changed, missing or new.
    """
    release = read_release(folder)
    found = file_digests(folder)
    for name in sorted(found.keys() | release.files.keys()):
        if found.get(name) != release.files.get(name):
            what = (
                "is missing"
                if name not in found
                else "is new"
                if name not in release.files
                else "has changed"
            )
            raise GateError(f"{folder / name} {what}; a release never changes: restore the folder from git")
    return release


def check_release(folder: Path, report: Report, package: Package, made_with: Mapping[str, str]) -> Release:
    """The record of the release in ``folder``, which ``report`` and ``package``, built anew, agree with.

    Raises ``GateError`` naming the part that differs, and the versions that do.
    """
    release = check_files(folder)
    found = digests_of(report, package)
    parts = sorted(found.keys() | release.digests.keys())
    wrong = [part for part in parts if found.get(part) != release.digests.get(part)]
    if wrong:
        versions = [
            f"{name} {version} then, {made_with.get(name)} now"
            for name, version in release.made_with.items()
            if made_with.get(name) != version
        ]
        cause = f": {', '.join(versions)}" if versions else ""
        raise GateError(
            f"{release.model} {release.version} built anew differs from its release in "
            f"{', '.join(wrong)}{cause}; check out {release.commit[:12]} and its requirements.txt to build "
            "it as it was"
        )
    return release

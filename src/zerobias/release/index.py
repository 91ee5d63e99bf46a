"""``emulators.json``: what emulators a shelf has released, for software that has only this file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from zerobias.errors import DataError
from zerobias.files import write_text
from zerobias.release.write import Release, read_release
from zerobias.zoo import released_versions

__all__ = ["INDEX", "index_text", "write_index"]

INDEX = "emulators.json"
"""The shelf's index of released emulators, in its folder."""


def index_text(shelf: Path) -> str:
    """Text of the index of the models folder ``shelf``, from its releases alone.

    Models by name, versions from the lowest. Raises ``DataError`` for a damaged release.
    """
    rows = [
        _row(shelf, folder / "releases" / version)
        for folder in sorted(path.parent for path in shelf.glob("*/model.toml"))
        for version in released_versions(folder)
    ]
    return json.dumps({"emulators": rows}, indent=1) + "\n"


def write_index(shelf: Path) -> Path:
    """Write :func:`index_text` to ``shelf``/emulators.json where it differs; that path."""
    path, text = shelf / INDEX, index_text(shelf)
    if not path.is_file() or path.read_text() != text:
        write_text(path, text)
    return path


def _row(shelf: Path, folder: Path) -> dict[str, Any]:
    release = read_release(folder)
    try:
        (path,) = (folder / "emulator").glob("*.json")
        return _facts(release, json.loads(path.read_text()), (folder / "emulator").relative_to(shelf))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{folder / 'emulator'} holds no sidecar of a library: restore it from git"
        ) from error


def _facts(release: Release, sidecar: Mapping[str, Any], path: Path) -> dict[str, Any]:
    return {
        "model": release.model,
        "version": release.version,
        "library": sidecar["library"],
        "digest": release.digest,
        "digests": release.digests,
        "input": {
            "type": sidecar["input"]["type"],
            "features": [feature["name"] for feature in sidecar["input"]["features"]],
        },
        "result": sidecar["result"],
        "thresholds": sidecar["thresholds"],
        "ap_types": sidecar["ap_types"],
        "path": path.as_posix(),
    }

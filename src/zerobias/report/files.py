"""report.json: written whole or not at all, the same report gives the same bytes."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import ValidationError

from zerobias.errors import DataError
from zerobias.files import write_text
from zerobias.report.model import Report

__all__ = ["read_report", "write_report"]


def write_report(report: Report, path: Path) -> None:
    """Write ``report`` as JSON."""
    write_text(path, json.dumps(report.model_dump(mode="json"), indent=2, sort_keys=True) + "\n")


def read_report(path: Path) -> Report:
    """The report in ``path``.

    Raises ``DataError`` when it is missing or not a report.
    """
    try:
        return Report.model_validate_json(path.read_text())
    except (OSError, ValidationError, ValueError) as error:
        raise DataError(f"{path} is not a report: build it with `zerobias firmware`") from error

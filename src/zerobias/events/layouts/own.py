"""zerobias' own event file, as :mod:`zerobias.events.files` writes it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from zerobias.errors import DataError
from zerobias.events.eventset import SHAPES, EventSet
from zerobias.events.layouts.attributes import text_attributes
from zerobias.events.layouts.hardware import check_ranges
from zerobias.events.layouts.hdf5 import Column, Hdf5Columns, column_names
from zerobias.events.layouts.source import Source, guard

__all__ = ["COLUMNS", "FORMAT", "OwnSource"]

FORMAT = "zerobias-events-1"
"""Attribute ``format`` of zerobias' own event files."""
COLUMNS = ("weight", "npu", "process", "split")


class OwnSource(Hdf5Columns, Source):
    """Weights, processes and splits come from the file."""

    layout = "zerobias HDF5"

    @classmethod
    def recognises(cls, file: Any) -> bool:
        """An attribute ``format`` marks the file."""
        return "format" in file.attrs

    def __init__(self, path: Path, file: Any) -> None:
        super().__init__(path, file)
        with guard(path, "the list of datasets"):
            found = column_names(file)
        with guard(path, "an attribute"):
            attributes = text_attributes(path)
            written = attributes["format"]
            if written != FORMAT:
                raise DataError(f"{path}: format is {written!r}, this reader knows {FORMAT!r}")
            names, self._provenance = (json.loads(attributes[key]) for key in ("process_names", "provenance"))
        if not isinstance(names, list) or not isinstance(self._provenance, dict):
            raise DataError(
                f"{path}: process_names must be a JSON list and provenance an object: restore the file"
            )
        self._names = tuple(names)
        missing = [name for name in COLUMNS if name not in found]
        if missing:
            raise DataError(f"{path}: lacks {', '.join(missing)}; it holds {', '.join(found)}")
        self.offers = tuple(name for name in SHAPES if name in found)
        self._columns = {name: Column(path, file, name) for name in (*self.offers, *COLUMNS)}
        self.rows = self._columns["weight"].rows
        for name, column in self._columns.items():
            if column.rows != self.rows:
                raise DataError(
                    f"{path}: {name} has {column.rows} rows, weight {self.rows}: restore the file"
                )

    def chunk(self, start: int, stop: int) -> EventSet:
        columns = {name: self._columns[name].read(start, stop) for name in (*self.collections, *COLUMNS)}
        held = {name: columns[name] for name in self.collections}
        weight, npu, process, split = (columns[name] for name in COLUMNS)
        try:
            events = EventSet(held, weight, npu, process, split, self._names, self._provenance)
        except DataError as error:
            since = f", counted from {start}" if start else ""
            raise DataError(f"{self.path}: {error}{since}") from None
        check_ranges(self.path, start, held)
        return events

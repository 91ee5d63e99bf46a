"""CICADA's HDF5 files of calorimeter regions, in their three variants."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zerobias.errors import DataError
from zerobias.events.layouts.hardware import REGION_MAX, Field, region_bits
from zerobias.events.layouts.hdf5 import Column, Hdf5Columns, column_names
from zerobias.events.layouts.source import ForeignSource, guard

__all__ = ["CicadaSource"]

_GRID = (18, 14)
_TAU, _EGAMMA = ("taubit", "tauBits"), ("egbit", "egBits")
_PILEUP = ("nPV", "nPV2", "PV_npvs")


class CicadaSource(Hdf5Columns, ForeignSource):
    """Regions (and their bits) from ``CaloRegions``, plain or a structure, or from ``et`` and its companions.

    Region values may be stored as floats; they must be whole.
    """

    layout = "CICADA HDF5"

    @classmethod
    def recognises(cls, file: Any) -> bool:
        """A dataset ``CaloRegions`` or ``et``."""
        return not {"CaloRegions", "et"}.isdisjoint(column_names(file))

    def __init__(self, path: Path, file: Any) -> None:
        super().__init__(path, file)
        with guard(path, "the list of datasets"):
            found = column_names(file)
        main = "CaloRegions" if "CaloRegions" in found else "et"
        columns = {
            name: Column(path, file, name) for name in (main, *_TAU, *_EGAMMA, *_PILEUP) if name in found
        }
        self.rows = columns[main].rows
        for name, column in columns.items():
            if column.rows != self.rows:
                raise DataError(
                    f"{path}: {name} has {column.rows} rows, {main} {self.rows}: restore the file"
                )
        fields = columns[main].dtype.names or ()
        if fields and "et" not in fields:
            raise DataError(f"{path}: {main} has fields {', '.join(fields)}: it must have et")
        # Each part is a column and, in a structure, the name of a field.
        inside = {name: (columns[main], name) for name in fields}
        apart = {name: (column, None) for name, column in columns.items() if column.dtype.names is None}
        parts = {**apart, **inside}
        self._regions = parts["et"] if fields else parts[main]
        self._bits = [next((parts[n] for n in names if n in parts), None) for names in (_TAU, _EGAMMA)]
        self._pileup = next((columns[name] for name in _PILEUP if name in columns), None)
        self.offers = ("regions", "region_bits") if None not in self._bits else ("regions",)

    def columns(self, start: int, stop: int) -> dict[str, NDArray[Any]]:
        found = {}
        if "regions" in self.collections:
            found["regions"] = self._grid(self._regions, start, stop, REGION_MAX)
        if "region_bits" in self.collections:
            tau, egamma = (self._grid(part, start, stop, 1) for part in self._bits if part is not None)
            found["region_bits"] = region_bits(tau, egamma)
        return found

    def pileup(self, start: int, stop: int) -> NDArray[np.uint16]:
        if self._pileup is None:
            return np.zeros(stop - start, np.uint16)
        if math.prod(self._pileup.shape[1:]) != 1:
            raise DataError(
                f"{self.path}: {self._pileup.name} has shape {self._pileup.shape}: one number an event"
            )
        values = self._pileup.read(start, stop).reshape(-1)
        return Field(self.path, self._pileup.name, start).integers(values, 0, 65535).astype(np.uint16)

    def _grid(self, part: tuple[Column, str | None], start: int, stop: int, high: int) -> NDArray[np.int64]:
        column, inner = part
        values = column.read(start, stop)
        name = column.name
        if inner is not None:
            values, name = values[inner], f"{name}.{inner}"
        if math.prod(values.shape[1:]) != math.prod(_GRID):
            raise DataError(
                f"{self.path}: {name} has shape {values.shape[1:]} an event: 18 x 14 regions are needed"
            )
        grid = values.reshape(stop - start, *_GRID)
        return Field(self.path, name, start).integers(grid, 0, high)

"""Wafers of the HGCAL concentrator ECON-T: CSV, and the newer ROOT trees."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from zerobias.errors import DataError
from zerobias.events.layouts.hardware import Field, Ints
from zerobias.events.layouts.source import ForeignSource, TreeColumns, guard

if TYPE_CHECKING:
    from zerobias.events.layouts.root import RootFile

__all__ = ["CsvFile", "WaferCsvSource", "WaferRootSource"]

_CELLS = 48
_PLACE = ("layer", "waferu", "waferv", "wafertype", "eta")
_ENERGY = "simenergy"
_CHARGE_MAX = 2**32 - 1
_LINE_LIMIT = 1 << 16
_INDEX_STEP = 1024


class _WaferSource(ForeignSource):
    """Names of a file's columns -> wafers; layer, u, v, type and eta, and the energy, where present."""

    def __init__(self, path: Path, file: Any, cells: list[str], others: dict[str, str]) -> None:
        super().__init__(path, file)
        self._cells, self._others = cells, others
        offers = ["wafer"]
        offers += ["wafer_place"] if others.keys() >= set(_PLACE) else []
        offers += ["wafer_energy"] if _ENERGY in others else []
        self.offers = tuple(offers)

    def _values(self, names: list[str], start: int, stop: int) -> list[NDArray[Any]]:
        """The columns, (events,) each."""
        raise NotImplementedError

    def columns(self, start: int, stop: int) -> dict[str, NDArray[Any]]:
        found: dict[str, NDArray[Any]] = {}
        if "wafer" in self.collections:
            cells = zip(self._cells, self._values(self._cells, start, stop), strict=True)
            charges = [self._field(name, start).integers(part, 0, _CHARGE_MAX) for name, part in cells]
            found["wafer"] = np.stack(charges, axis=1)
        if "wafer_place" in self.collections:
            names = [self._others[name] for name in _PLACE]
            values = dict(zip(_PLACE, self._values(names, start, stop), strict=True))
            limits = {"layer": (0, 100), "waferu": (-50, 50), "waferv": (-50, 50), "wafertype": (0, 2)}
            place = [
                self._field(self._others[name], start).integers(values[name], *limit)
                for name, limit in limits.items()
            ]
            place.append(self._scaled("eta", values["eta"], start, -5, 5))
            found["wafer_place"] = np.stack(place, axis=1)
        if "wafer_energy" in self.collections:
            (energy,) = self._values([self._others[_ENERGY]], start, stop)
            found["wafer_energy"] = self._scaled(_ENERGY, energy, start, 0, _CHARGE_MAX / 1000)
        return found

    def _scaled(self, name: str, values: NDArray[Any], start: int, low: float, high: float) -> Ints:
        """1000 times the value, rounded: eta in thousandths, GeV to MeV."""
        self._field(self._others[name], start).check_finite(values, low=low, high=high)
        return np.rint(1000 * values.astype(np.float64)).astype(np.int64)

    def _field(self, name: str, start: int) -> Field:
        return Field(self.path, name, start)

    def pileup(self, start: int, stop: int) -> NDArray[np.uint16]:
        return np.zeros(stop - start, np.uint16)


class CsvFile:
    """A text file of comma-separated columns, with or without a line of names.

    The file is scanned once for the places of its lines; it is never held in memory.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with path.open("rb") as stream:
            first = stream.readline(_LINE_LIMIT)
        try:
            cells = [cell.strip().strip('"') for cell in first.decode("ascii").strip().split(",")]
        except UnicodeDecodeError:
            cells = []
        self.named = any(not _number(cell) for cell in cells)
        self.names = cells if self.named else [f"column {at}" for at in range(len(cells))]
        self.start = len(first) if self.named else 0

    def index(self) -> tuple[int, NDArray[np.int64]]:
        """Number of data lines, and the place of every ``_INDEX_STEP``-th of them."""
        count, places, place = 0, [], self.start
        with self.path.open("rb") as stream:
            stream.seek(place)
            while line := stream.readline(_LINE_LIMIT):
                if len(line) == _LINE_LIMIT:
                    raise DataError(
                        f"{self.path}: event {count} has a line of over {_LINE_LIMIT} bytes: restore the file"
                    )
                if count % _INDEX_STEP == 0:
                    places.append(place)
                place += len(line)
                count += 1
        return count, np.array(places, np.int64)

    def close(self) -> None:
        """Nothing stays open."""


class WaferCsvSource(_WaferSource):
    """``CALQ_0`` .. ``CALQ_47`` by name, else the first 48 columns."""

    layout = "ECON-T CSV"

    @classmethod
    def recognises(cls, file: CsvFile) -> bool:
        """A first line of at least 48 columns."""
        return len(file.names) >= _CELLS

    def __init__(self, path: Path, file: CsvFile) -> None:
        named = {f"CALQ_{at}": f"CALQ_{at}" for at in range(_CELLS)}
        cells = list(named) if set(named) <= set(file.names) else file.names[:_CELLS]
        lower = {name.lower(): name for name in file.names}
        super().__init__(path, file, cells, {n: lower[n] for n in (*_PLACE, _ENERGY) if n in lower})
        if len(set(file.names)) != len(file.names):
            twice = next(name for name in file.names if file.names.count(name) > 1)
            raise DataError(f"{path}: the column {twice} is there twice: give each column its own name")
        with guard(path, "the list of lines"):
            self.rows, self._places = file.index()
        self._range, self._lines = (0, 0), [""]

    def _values(self, names: list[str], start: int, stop: int) -> list[NDArray[Any]]:
        if start == stop:
            return [np.empty(0) for _ in names]
        if self._range != (start, stop):
            self._lines, self._range = self._read(start, stop), (start, stop)
        columns = [self._file.names.index(name) for name in names]
        try:
            found = np.loadtxt(self._lines, delimiter=",", usecols=columns, ndmin=2, comments=None)
        except ValueError:
            found = np.empty((0, len(names)))
        if len(found) != stop - start:
            raise self._broken(names, columns, start)
        return list(found.T)

    def _read(self, start: int, stop: int) -> list[str]:
        with guard(self.path, f"events {start} to {stop - 1}"), self.path.open("rb") as stream:
            stream.seek(int(self._places[start // _INDEX_STEP]))
            for _ in range(start % _INDEX_STEP):
                stream.readline(_LINE_LIMIT)
            lines = [stream.readline(_LINE_LIMIT) for _ in range(stop - start)]
            return [line.decode("latin-1").replace('"', "") for line in lines]

    def _broken(self, names: list[str], columns: list[int], start: int) -> DataError:
        """The error of the first line that does not hold numbers in these columns."""
        for row, line in enumerate(self._lines):
            cells = line.strip().split(",")
            for name, column in zip(names, columns, strict=True):
                if column >= len(cells):
                    return self._field(name, start).fault(
                        start + row, f"is missing; the line has {len(cells)} columns"
                    )
                if not _number(cells[column]):
                    return self._field(name, start).fault(
                        start + row, f"is {cells[column][:40]!r}; it must be a number"
                    )
        return DataError(f"{self.path}: events from {start} cannot be read: restore the file")


class WaferRootSource(TreeColumns, _WaferSource):
    """A tree with branches ``CALQ0`` .. ``CALQ47`` (or with the prefix ``wafer.``), one entry a wafer."""

    layout = "ECON-T ROOT"

    @classmethod
    def recognises(cls, file: RootFile) -> bool:
        """A tree that has the first charge."""
        return cls._tree_name(file) is not None

    @staticmethod
    def _tree_name(file: RootFile) -> str | None:
        for name in file.tree_names():
            if not {"CALQ0", "wafer.CALQ0"}.isdisjoint(file.tree(name).names):
                return name
        return None

    def __init__(self, path: Path, file: RootFile) -> None:
        self._tree = file.tree(self._tree_name(file) or "")
        prefix = "" if "CALQ0" in self._tree.names else "wafer."
        cells = [f"{prefix}CALQ{at}" for at in range(_CELLS)]
        missing = [name for name in cells if name not in self._tree.names]
        if missing:
            raise DataError(f"{path}: tree {self._tree.name} lacks {', '.join(missing)}: restore the file")
        both = {name: full for name in (*_PLACE, _ENERGY) for full in (name, prefix + name)}
        super().__init__(path, file, cells, {n: full for n, full in both.items() if full in self._tree.names})
        self.rows = self._tree.entries

    def _values(self, names: list[str], start: int, stop: int) -> list[NDArray[Any]]:
        found = [self._tree.branch(name).fixed(start, stop) for name in names]
        for name, part in zip(names, found, strict=True):
            if part.ndim != 1:
                raise DataError(f"{self.path}: {name} has {part.shape[1]} values an event: one is needed")
        return found


def _number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True

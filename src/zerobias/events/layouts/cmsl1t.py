"""Parquet files of the CMS Level-1 anomaly detection data set (columns of hardware integers)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from zerobias.errors import DataError
from zerobias.events.layouts.hardware import (
    EGAMMA,
    HT,
    JET,
    MET,
    MUON,
    TAU,
    Field,
    Ints,
    Jagged,
    Kind,
    pack,
    same_counts,
)
from zerobias.events.layouts.source import BYTES_LIMIT, ForeignSource, guard
from zerobias.events.layouts.thrift import footer, pages

__all__ = ["ParquetSource", "open_parquet"]

_OBJECTS = {
    "e/gamma": (EGAMMA, ("egammas_egIEt", "egammas_egIEta", "egammas_egIPhi")),
    "muon": (MUON, ("muons_muonIEt", "muons_muonIEtaAtVtx", "muons_muonIPhiAtVtx")),
    "jet": (JET, ("jets_jetIEt", "jets_jetIEta", "jets_jetIPhi")),
}
_TAUS = ("taus_tauIEt", "taus_tauIEta", "taus_tauIPhi")
_MET, _HT, _PILEUP = ("MET_Et", "MET_phi"), "HT_Et", "nPV_True"
_NEEDED = (*_MET, *(name for _, names in _OBJECTS.values() for name in names))
_VALUES_PER_EVENT = 64
"""Mean number of values an event a column may have; a crossing has at most 12 objects of a kind."""
_BATCH = 8192


def open_parquet(path: Path) -> pq.ParquetFile:
    """The open file; its pages are read as they are needed."""
    with guard(path, "the file"):
        return pq.ParquetFile(path, pre_buffer=False, buffer_size=1 << 20, memory_map=False)


class ParquetSource(ForeignSource):
    """Lists of objects an event; MET and HT are numbers or lists of one."""

    layout = "cmsl1t Parquet"

    @classmethod
    def recognises(cls, file: pq.ParquetFile) -> bool:
        """A column that only this data set has."""
        return not set(_NEEDED).isdisjoint(file.schema_arrow.names)

    def __init__(self, path: Path, file: pq.ParquetFile) -> None:
        super().__init__(path, file)
        with guard(path, "the list of columns"):
            found = set(file.schema_arrow.names)
            declared = footer(path)
            self.rows, self._groups = declared[3], declared[4]
            self._edges = np.cumsum([0, *(group[3] for group in self._groups)])
            if self.rows < 0 or (np.diff(self._edges) < 0).any() or self._edges[-1] != self.rows:
                raise DataError(f"{path}: row groups do not add up to {self.rows} rows: restore the file")
        missing = [name for name in _NEEDED if name not in found]
        if missing:
            raise DataError(
                f"{path}: lacks the columns {', '.join(missing)}: take the objects files of the data set"
            )
        offers = ["objects"]
        offers += ["taus"] if found.issuperset(_TAUS) else []
        offers += ["ht"] if _HT in found else []
        self.offers = tuple(offers)
        self._pileup = _PILEUP in found
        self._names = [name for name in (*_NEEDED, *_TAUS, _HT, _PILEUP) if name in found]
        self._batches: Iterator[Any] = iter(())
        self._ahead = pa.table({})
        self._range, self._table = (0, 0), pa.table({})

    def _check_sizes(self, number: int) -> None:
        """Refuse a row group in which a column declares more than its events can hold."""
        group = self._groups[number]
        most = _VALUES_PER_EVENT * group[3] + 1024
        for column in (chunk[3] for chunk in group[1]):
            name = column[3][0].decode()
            if name not in self._names:
                continue
            start = min(at for at in (column.get(11, 0), column[9]) if at > 0)
            sizes = pages(self.path, start, start + column[7])
            if max(column[5], sum(values for _, values in sizes)) > most:
                raise DataError(
                    f"{self.path}: {name} holds more than {most} values in row group {number} of "
                    f"{group[3]} events: restore the file"
                )
            if max((size for size, _ in sizes), default=0) > BYTES_LIMIT:
                raise DataError(
                    f"{self.path}: {name} has a page of over {BYTES_LIMIT} bytes in row group {number}: "
                    "write the file with smaller pages"
                )

    def _iterate(self, start: int) -> Iterator[Any]:
        """Record batches of the events from ``start``."""
        first = int(np.searchsorted(self._edges, start, side="right")) - 1
        skip = start - int(self._edges[first])
        for number in range(first, len(self._groups)):
            self._check_sizes(number)
            for batch in self._file.iter_batches(_BATCH, row_groups=[number], columns=self._names):
                if skip < batch.num_rows:
                    yield batch.slice(skip)
                skip = max(0, skip - batch.num_rows)

    def _load(self, start: int, stop: int) -> None:
        """Make ``self._table`` the events of the range; ranges in order are read once."""
        if self._range == (start, stop):
            return
        with guard(self.path, f"events {start} to {stop - 1}"):
            if self._range[1] != start or start == 0:
                self._batches, self._ahead = self._iterate(start), None
            parts = [] if self._ahead is None else [self._ahead]
            count = sum(len(part) for part in parts)
            while count < stop - start:
                batch = next(self._batches, None)
                if batch is None:
                    raise DataError(f"{self.path}: ends before event {stop}: restore the file")
                parts.append(pa.Table.from_batches([batch]))
                count += len(batch)
                if sum(part.nbytes for part in parts) > 4 * BYTES_LIMIT:
                    raise DataError(
                        f"{self.path}: events {start} to {stop - 1} take more than {4 * BYTES_LIMIT} bytes: "
                        "read fewer at a time"
                    )
            table = pa.concat_tables(parts) if parts else self._file.schema_arrow.empty_table()
            self._range, self._table, self._ahead = (
                (start, stop),
                table[: stop - start],
                table[stop - start :],
            )

    def _jagged(self, name: str, start: int) -> Jagged:
        """Numbers of a column of the loaded events, as one list an event."""
        with guard(self.path, name):
            column = self._table.column(name).combine_chunks()
            if column.null_count:
                row = int(np.argmax(column.is_null().to_numpy(zero_copy_only=False)))
                raise Field(self.path, name, start).fault(start + row, "is null; it must be a number")
            if pa.types.is_list(column.type) or pa.types.is_large_list(column.type):
                counts = pc.list_value_length(column).to_numpy(zero_copy_only=False).astype(np.int64)
                column = column.flatten()
            else:
                counts = np.ones(len(column), np.int64)
            if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
                raise DataError(f"{self.path}: {name} has type {column.type}: it must hold numbers")
            if column.null_count:
                at = int(np.argmax(column.is_null().to_numpy(zero_copy_only=False)))
                row = int(np.searchsorted(np.cumsum(counts), at, side="right"))
                raise Field(self.path, name, start).fault(start + row, "holds a null; it must hold numbers")
            return Jagged(counts, column.to_numpy(zero_copy_only=False))

    def further(self) -> list[str]:
        """See ``Source``."""
        return list(self._file.schema_arrow.names)

    def numbers(self, name: str, start: int, stop: int) -> NDArray[Any]:
        """See ``Source``; a source that is asked for columns reads one of them at a time."""
        if self._names != [name]:
            self._names, self._range = [name], (0, 0)
        self._load(start, stop)
        column = self._jagged(name, start)
        if (column.counts != 1).any():
            row = int(np.argmax(column.counts != 1))
            fault = Field(self.path, name, start).fault
            raise fault(start + row, f"has {column.counts[row]} values; an event has one")
        return column.values

    def columns(self, start: int, stop: int) -> dict[str, NDArray[Any]]:
        self._load(start, stop)
        found: dict[str, NDArray[Any]] = {}
        if "objects" in self.collections:
            groups = [self._objects(kind, names, start) for kind, names in _OBJECTS.values()]
            found["objects"] = np.concatenate([self._met(start), *groups], axis=1)
        if "taus" in self.collections:
            found["taus"] = self._objects(TAU, _TAUS, start)
        if "ht" in self.collections:
            found["ht"] = self._single(_HT, start, HT.pt_max)
        return found

    def _objects(self, kind: Kind, names: tuple[str, ...], start: int) -> Ints:
        limits = ((0, kind.pt_max), (kind.eta_min, kind.eta_max), (0, kind.phi_count - 1))
        columns = [self._jagged(name, start) for name in names]
        same_counts(self.path, start, names, columns)
        pt, eta, phi = (
            Field(self.path, name, start, start + column.events).integers(column.values, *limit)
            for name, column, limit in zip(names, columns, limits, strict=True)
        )
        return pack(kind, Jagged(columns[0].counts, pt), eta, phi)

    def _met(self, start: int) -> Ints:
        pt, phi = (
            self._single(name, start, high)
            for name, high in zip(_MET, (MET.pt_max, MET.phi_count - 1), strict=True)
        )
        return pack(MET, Jagged(np.ones(len(pt), np.int64), pt), np.zeros_like(pt), phi)

    def _single(self, name: str, start: int, high: int) -> Ints:
        """A column with at most one number an event; 0 where there is none."""
        column = self._jagged(name, start)
        field = Field(self.path, name, start, start + column.events)
        many = column.counts > 1
        if many.any():
            row = int(np.argmax(many))
            raise field.fault(start + row, f"has {column.counts[row]} values; an event has one")
        found = np.zeros(len(column.counts), np.int64)
        found[column.counts == 1] = field.integers(column.values, 0, high)
        return found

    def pileup(self, start: int, stop: int) -> NDArray[np.uint16]:
        """``nPV_True`` rounded: recorded data hold a mean over a luminosity section."""
        if not self._pileup:
            return np.zeros(stop - start, np.uint16)
        self._load(start, stop)
        column = self._jagged(_PILEUP, start)
        field = Field(self.path, _PILEUP, start)
        if (column.counts != 1).any():
            row = int(np.argmax(column.counts != 1))
            raise field.fault(start + row, f"has {column.counts[row]} values; an event has one")
        field.check_finite(column.values, low=0, high=65535)
        found: NDArray[np.uint16] = np.rint(column.values).astype(np.uint16)
        return found

"""The layouts of event files, chosen by what a file holds, never by its name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from zerobias.errors import DataError
from zerobias.events.layouts.adc2021 import AdcSource
from zerobias.events.layouts.cicada import CicadaSource
from zerobias.events.layouts.cmsl1t import ParquetSource, open_parquet
from zerobias.events.layouts.econt import CsvFile, WaferCsvSource, WaferRootSource
from zerobias.events.layouts.hdf5 import open_hdf5
from zerobias.events.layouts.l1nano import NanoSource
from zerobias.events.layouts.l1ntuple import NtupleSource
from zerobias.events.layouts.own import OwnSource
from zerobias.events.layouts.root import RootFile
from zerobias.events.layouts.source import ForeignSource, Source, guard

__all__ = ["CONTAINERS", "Source", "open_source"]

CONTAINERS: tuple[tuple[bytes, Callable[[Path], Any], tuple[Any, ...]], ...] = (
    (b"\x89HDF\r\n\x1a\n", open_hdf5, (OwnSource, CicadaSource, AdcSource)),
    (b"root", RootFile, (NanoSource, NtupleSource, WaferRootSource)),
    (b"PAR1", open_parquet, (ParquetSource,)),
    (b"", CsvFile, (WaferCsvSource,)),
)
"""First bytes of a file, what opens it, and its possible layouts: the first that recognises it is taken."""


def open_source(path: Path) -> Source:
    """The open file ``path``; close it after use.

    Raises ``DataError`` when it is missing, damaged or of no known layout.
    """
    if not path.is_file():
        raise DataError(f"no event file {path}: make one with `zerobias simulate` or mend the path")
    if path.stat().st_size == 0:
        raise DataError(f"{path} is empty: restore it")
    with path.open("rb") as stream:
        head = stream.read(8)
    opener, layouts = next(
        (opener, layouts) for magic, opener, layouts in CONTAINERS if head.startswith(magic)
    )
    file = opener(path)
    try:
        for layout in layouts:
            with guard(path, "its structure"):
                fits = layout.recognises(file)
            if fits:
                source: Source = layout(path, file)
                if source.rows == 0 and isinstance(source, ForeignSource):
                    raise DataError(f"{path}: holds no events: take a file with events")
                return source
        known = ", ".join(layout.layout for _, _, found in CONTAINERS for layout in found)
        raise DataError(
            f"{path} cannot be read as an event file, it has none of the known layouts ({known}): convert it"
        )
    except BaseException:
        file.close()
        raise

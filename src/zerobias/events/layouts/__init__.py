"""The layouts of event files, chosen by what a file holds, never by its name.

A new layout is one module with a subclass of ``Source``, and its place in a list below.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from zerobias.errors import DataError
from zerobias.events.layouts.source import ForeignSource, Source, guard

__all__ = ["CONTAINERS", "Source", "open_source"]

Container = tuple[Callable[[Path], Any], tuple[Any, ...]]


# Each container brings a large library, so its modules are imported when a file needs them.
def _hdf5() -> Container:
    from zerobias.events.layouts.adc2021 import AdcSource
    from zerobias.events.layouts.cicada import CicadaSource
    from zerobias.events.layouts.hdf5 import open_hdf5
    from zerobias.events.layouts.own import OwnSource

    return open_hdf5, (OwnSource, CicadaSource, AdcSource)


def _root() -> Container:
    from zerobias.events.layouts.econt import WaferRootSource
    from zerobias.events.layouts.l1nano import NanoSource
    from zerobias.events.layouts.l1ntuple import NtupleSource
    from zerobias.events.layouts.root import RootFile

    return RootFile, (NanoSource, NtupleSource, WaferRootSource)


def _parquet() -> Container:
    from zerobias.events.layouts.cmsl1t import ParquetSource, open_parquet

    return open_parquet, (ParquetSource,)


def _text() -> Container:
    from zerobias.events.layouts.econt import CsvFile, WaferCsvSource

    return CsvFile, (WaferCsvSource,)


CONTAINERS: tuple[tuple[bytes, Callable[[], Container]], ...] = (
    (b"\x89HDF\r\n\x1a\n", _hdf5),
    (b"root", _root),
    (b"PAR1", _parquet),
    (b"", _text),
)
"""First bytes of a file -> what opens it, and its possible layouts: the first that recognises it is taken."""


def open_source(path: Path) -> Source:
    """The open file ``path``; close it after use.

    Raises ``DataError`` when it is missing, damaged or of no known layout.
    """
    if not path.is_file():
        raise DataError(f"no event file {path}: make one with `zerobias simulate` or mend the path")
    with path.open("rb") as stream:
        head = stream.read(8)
    if not head:
        raise DataError(f"{path} is empty: restore it")
    opener, layouts = next(container() for magic, container in CONTAINERS if head.startswith(magic))
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
        known = ", ".join(layout.layout for _, container in CONTAINERS for layout in container()[1])
        raise DataError(
            f"{path} cannot be read as an event file, it has none of the known layouts ({known}): convert it"
        )
    except BaseException:
        file.close()
        raise

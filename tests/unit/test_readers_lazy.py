"""Chunks hold the same events as the whole file, and memory that does not grow with it."""

from __future__ import annotations

import runpy
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pytest

from zerobias.errors import DataError
from zerobias.events import EventSet, chunks, read

FILES = SimpleNamespace(**runpy.run_path(str(Path(__file__).parents[1] / "data" / "event_files.py")))
LAYOUTS: dict[str, Callable[[Path, int], Path]] = FILES.LAYOUTS

pytestmark = pytest.mark.filterwarnings("ignore:.*central NanoAOD:UserWarning")


def same(parts: list[EventSet], whole: EventSet) -> None:
    for name, array in whole.collections.items():
        np.testing.assert_array_equal(np.concatenate([part.collections[name] for part in parts]), array)
    for name in ("weight", "npu", "process", "split"):
        np.testing.assert_array_equal(np.concatenate([getattr(p, name) for p in parts]), getattr(whole, name))
    for part in parts:
        assert (part.process_names, part.provenance) == (whole.process_names, whole.provenance)
        assert list(part.collections) == list(whole.collections)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_chunks_of_any_size_are_the_file(tmp_path: Path, layout: str) -> None:
    path = LAYOUTS[layout](tmp_path / "file", 50)
    whole = read(path)
    assert len(whole) == 50
    assert all(array.any() for array in whole.collections.values())
    for size in (1, 7, 50, 1000):
        pieces = chunks(path, size)
        assert (pieces.events, len(pieces)) == (50, -(-50 // size))
        parts = list(pieces)
        assert {len(part) for part in parts[:-1]} <= {size}
        same(parts, whole)
        assert len(list(pieces)) == len(parts), "a second pass gives the same"
    same([read(path, start=31, stop=32)], whole.select(np.arange(31, 32)))
    same([read(path, start=40), read(path, start=50)], whole.select(np.arange(40, 50)))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_only_the_asked_collections(tmp_path: Path, layout: str) -> None:
    path = LAYOUTS[layout](tmp_path / "file", 3)
    whole = read(path)
    for name in whole.collections:
        alone = read(path, [name])
        assert list(alone.collections) == [name]
        np.testing.assert_array_equal(alone.collections[name], whole.collections[name])
        assert [list(part.collections) for part in chunks(path, 3, [name])] == [[name]]
    with pytest.raises(DataError, match="lacks clusters; it holds"):
        read(path, ["clusters"])


def test_wrong_ranges(tmp_path: Path) -> None:
    path = LAYOUTS["cicada-plain"](tmp_path / "file", 3)
    for start, stop in ((-1, 2), (2, 1), (0, 4)):
        with pytest.raises(DataError, match=f"has 3 events, not {start} to {stop}"):
            read(path, start=start, stop=stop)
    with pytest.raises(DataError, match="a chunk of 0 events: it has at least 1"):
        chunks(path, 0)


def test_a_file_that_changes_between_chunks(tmp_path: Path) -> None:
    path = LAYOUTS["cicada-plain"](tmp_path / "file", 3)
    pieces = chunks(path, 2)
    LAYOUTS["cicada-plain"](path, 5)
    with pytest.raises(DataError, match="has 5 events, 3 before"):
        list(pieces)


def ntuple_of_many_baskets(path: Path, events: int) -> Path:
    branch = {"modelInput": FILES.regions(events // 40).astype("f4")}
    return FILES.tree(path, branch, "l1CaloSummaryTree/L1CaloSummaryTree", times=40)


@pytest.mark.parametrize(
    ("write", "events", "decoded"),
    [
        (lambda path, n: FILES.hdf5(path, {"CaloRegions": FILES.regions(n)}), 8_000, 16_000_000),
        (
            lambda path, n: FILES.hdf5(
                path, {"et": FILES.regions(n)}, chunks=(100, 18, 14), compression="gzip"
            ),
            8_000,
            16_000_000,
        ),
        (ntuple_of_many_baskets, 16_000, 16_000_000),
        (lambda path, n: FILES.cmsl1t(path, n, row_group_size=5000), 40_000, 5_000_000),
        (FILES.econt_csv, 10_000, 4_000_000),
    ],
    ids=["contiguous", "chunked", "ROOT", "Parquet", "CSV"],
)
def test_memory_does_not_grow_with_the_file(
    tmp_path: Path, write: Callable[[Path, int], Path], events: int, decoded: int
) -> None:
    path = write(tmp_path / "file", events)
    list(chunks(LAYOUTS["cmsl1t"](tmp_path / "warm", 3)))  # libraries load parts on first use
    tracemalloc.start()
    try:
        pieces = chunks(path, 200)
        assert pieces.events == events
        assert tracemalloc.get_traced_memory()[1] < decoded / 8, "the number of events needs no reading"
        assert sum(map(len, pieces)) == events
        assert tracemalloc.get_traced_memory()[1] < decoded / 4
    finally:
        tracemalloc.stop()


def test_a_file_of_100_gb(tmp_path: Path) -> None:
    """Sparse on disk; libhdf5 and the file system hold it as if it were full."""
    path, rows = tmp_path / "file", 10**8
    settings = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    settings.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    settings.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    with h5py.File(path, "w") as file:
        space = h5py.h5s.create_simple((rows, 18, 14))
        made = h5py.h5d.create(file.id, b"CaloRegions", h5py.h5t.STD_I32LE, space, dcpl=settings)
        h5py.Dataset(made)[rows - 1, 17, 13] = 1023
    assert path.stat().st_size > 100e9
    pieces = chunks(path, 1000)
    assert (pieces.events, len(pieces)) == (rows, rows // 1000)
    assert not next(iter(pieces)).collections["regions"].any()
    assert read(path, start=rows - 2).collections["regions"].sum() == 1023
    with pytest.raises(
        DataError, match=r"100000000 events take 50400000000 bytes.*use zerobias.events.chunks"
    ):
        read(path)


def test_libraries_of_foreign_files_are_loaded_when_needed() -> None:
    code = "import sys, zerobias.events; print({'uproot', 'awkward', 'pyarrow'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"

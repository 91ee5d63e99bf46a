"""Hostile files: links, external data, bombs, declared sizes and damaged heaps; bounded memory and time."""

from __future__ import annotations

import runpy
import time
import tracemalloc
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import uproot

from zerobias.errors import DataError
from zerobias.events import chunks, read
from zerobias.events.layouts.root import RootFile

FILES = SimpleNamespace(**runpy.run_path(str(Path(__file__).parents[1] / "data" / "event_files.py")))
refused = FILES.refused


@contextmanager
def memory_below(bytes_: int) -> Iterator[None]:
    """Fail when Python's allocations inside reach ``bytes_``."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < bytes_
    finally:
        tracemalloc.stop()


# --- hostile HDF5 ------------------------------------------------------------------------------------------


def test_links_to_other_places_are_not_followed(tmp_path: Path) -> None:
    secret = FILES.hdf5(tmp_path / "secret", {"CaloRegions": np.zeros((2, 18, 14))})
    path = tmp_path / "a"
    with h5py.File(path, "w") as file:
        file["CaloRegions"] = h5py.ExternalLink(str(secret), "CaloRegions")
    refused(path, "has none of the known layouts")
    with h5py.File(path, "w") as file:
        file["CaloRegions"] = h5py.SoftLink("/loop")
        file["loop"] = h5py.SoftLink("/CaloRegions")
    refused(path, "has none of the known layouts")
    with h5py.File(path, "w") as file:
        file["group/inside"] = np.zeros((2, 18, 14))
        file["group/round"] = file["group"]
        file["CaloRegions"] = file["group"]
    refused(path, "has none of the known layouts")


def test_damaged_global_heap_ends(tmp_path: Path) -> None:
    """libhdf5 loops for ever on some of these; the attributes of our own files lie there."""
    path = FILES.own(tmp_path / "a", 3)
    data = path.read_bytes()
    heap = data.index(b"GCOL")
    size = int.from_bytes(data[heap + 8 : heap + 16], "little")
    for place in range(heap, heap + size, 8):
        for word in (bytes(8), b"\xff" * 8, b"\xf0" + b"\xff" * 7):
            path.write_bytes(data[:place] + word + data[place + 8 :])
            try:
                assert len(read(path)) == 3
            except DataError as error:
                assert str(path) in str(error)  # noqa: PT017


def test_data_outside_the_file_are_refused(tmp_path: Path) -> None:
    path, other = tmp_path / "a", tmp_path / "other"
    other.write_bytes(bytes(2 * 252 * 8))
    with h5py.File(path, "w") as file:
        file.create_dataset("CaloRegions", (2, 18, 14), "f8", external=[(str(other), 0, 2 * 252 * 8)])
    refused(path, "CaloRegions keeps its data in another file")
    FILES.hdf5(other, {"x": np.zeros((2, 18, 14))})
    layout = h5py.VirtualLayout((2, 18, 14), "f8")
    layout[:] = h5py.VirtualSource(str(other), "x", (2, 18, 14))
    with h5py.File(path, "w") as file:
        file.create_virtual_dataset("CaloRegions", layout)
    refused(path, "CaloRegions keeps its data in another file")


def test_objects_and_other_filters_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a"
    with h5py.File(path, "w") as file:
        file.create_dataset("CaloRegions", (2, 252), h5py.string_dtype())
    refused(path, "CaloRegions has type object")
    FILES.hdf5(path, {"CaloRegions": np.zeros((2, 18, 14))}, compression="lzf")
    refused(path, "CaloRegions is packed with the HDF5 filters [32000]: repack it with gzip")


def test_declared_rows_that_are_not_there(tmp_path: Path) -> None:
    path = tmp_path / "a"
    with h5py.File(path, "w") as file:
        file.create_dataset("CaloRegions", (10**9, 18, 14), "i4", chunks=(4, 18, 14), compression="gzip")
    refused(path, "CaloRegions declares 1000000000 rows of 1008 bytes")
    with h5py.File(path, "w") as file:
        file.create_dataset("CaloRegions", (20, 18, 14), "i4", chunks=(4, 18, 14))[:8] = 1
    refused(path, "CaloRegions has no data stored for event 8")
    with h5py.File(path, "w") as file:
        file.create_dataset("CaloRegions", (20, 18, 14), "i4")
    refused(path, "CaloRegions has no data stored")
    with h5py.File(path, "w") as file:
        file.create_dataset("CaloRegions", (20, 18, 14, 1000, 1000), "i4", chunks=(1, 18, 14, 10, 10))
    refused(path, "bytes a row")


def test_hdf5_chunk_that_inflates_beyond_its_size(tmp_path: Path) -> None:
    path, size = tmp_path / "a", 4 * 252 * 4
    with h5py.File(path, "w") as file:
        grid = file.create_dataset("CaloRegions", (4, 18, 14), "i4", chunks=(4, 18, 14), compression="gzip")
        packer = zlib.compressobj(9)
        bomb = packer.compress(bytes(200 << 20)) + packer.flush()
        grid.id.write_direct_chunk((0, 0, 0), bomb)
    with memory_below(1 << 20):
        refused(path, f"stores {len(bomb)} bytes at event 0 for {size}")
    with h5py.File(path, "r+") as file:  # small enough to pass for a chunk
        small = zlib.compress(bytes(3 << 20), 9)
        assert len(small) < size
        file["CaloRegions"].id.write_direct_chunk((0, 0, 0), small)
    with memory_below(1 << 20):
        assert len(read(path)) == 4
    with h5py.File(path, "w") as file:
        data = np.zeros((10, 18, 14), "i4")
        file.create_dataset(
            "CaloRegions", data=data, maxshape=(None, 18, 14), chunks=(1 << 20, 18, 14), compression="gzip"
        )
    refused(path, "CaloRegions has chunks of 1056964608 bytes: at most 268435456")


# --- hostile ROOT and Parquet ------------------------------------------------------------------------------


def test_root_basket_that_inflates_beyond_its_size(tmp_path: Path) -> None:
    """A block of 16 MiB of zeros behind a header with the true, small size: only that much is unpacked."""
    path = FILES.ntuple(tmp_path / "a", 4)
    with uproot.open(path) as file:
        branch = file["l1CaloSummaryEmuTree/L1CaloSummaryTree"]["modelInput"]
        seek, size = int(branch.member("fBasketSeek")[0]), int(branch.member("fBasketBytes")[0])
    data = bytearray(path.read_bytes())
    key = int.from_bytes(data[seek + 14 : seek + 16], "big")
    room = size - key - 9
    bomb = zlib.compress(bytes(16 << 20), 9)[:room].ljust(room, b"\0")
    data[seek + key : seek + key + 3] = b"ZL\x08"
    data[seek + key + 9 : seek + size] = bomb
    path.write_bytes(data)
    with memory_below(1 << 20):
        assert not read(path).collections["regions"].any()


def test_class_descriptions_of_a_root_file_are_not_used(tmp_path: Path) -> None:
    path = FILES.l1nano(tmp_path / "a", 3)
    with uproot.open(path) as file:
        assert file.file.streamers, "uproot reads them, and makes code of them"
    opened = RootFile(path)
    assert opened._file.file.streamers == {}
    opened.close()


def list_bomb(path: Path, many: int) -> Path:
    """One event with a list of so many zeros."""
    columns = dict.fromkeys(FILES.cmsl1t_columns(1), pa.array([[1]], pa.list_(pa.int16())))
    columns["jets_jetIEt"] = pa.ListArray.from_arrays([0, many], pa.array(np.zeros(many, "i2")))
    pq.write_table(pa.table(columns), path, compression="zstd")
    assert path.stat().st_size < 100_000
    return path


def test_parquet_list_of_very_many_values(tmp_path: Path) -> None:
    refused(
        list_bomb(tmp_path / "a", 20_000_000),
        "jets_jetIEt holds more than 1088 values in row group 0 of 1 events",
    )


def varint(value: int, length: int) -> bytes:
    """A zigzag integer of Thrift's compact protocol, stretched to ``length`` bytes."""
    bits = [2 * value >> 7 * at & 127 for at in range(length)]
    return bytes([bit | 128 for bit in bits[:-1]] + bits[-1:])


def test_parquet_pages_that_hold_more_than_the_footer_says(tmp_path: Path) -> None:
    path = list_bomb(tmp_path / "a", 20_000_000)
    data = path.read_bytes()
    footer = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    told, lie = varint(20_000_000, 4), varint(1, 4)
    assert told in data[footer:]
    path.write_bytes(data[:footer] + data[footer:].replace(told, lie))
    assert pq.ParquetFile(path).metadata.num_rows == 1
    refused(path, "jets_jetIEt holds more than 1088 values in row group 0")


def test_refusal_is_quick(tmp_path: Path) -> None:
    path = tmp_path / "a"
    with h5py.File(path, "w") as file:
        file.create_dataset("CaloRegions", (10**9, 18, 14), "i4", chunks=(1, 1, 1))
    start = time.perf_counter()
    refused(path)
    with pytest.raises(DataError, match="declares"):
        chunks(path)
    assert time.perf_counter() - start < 2

"""Damaged, hostile and out-of-range files of every layout: one DataError that names file, field and event."""

from __future__ import annotations

import runpy
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import uproot

from zerobias.errors import DataError
from zerobias.events import chunks, read

FILES = SimpleNamespace(**runpy.run_path(str(Path(__file__).parents[1] / "data" / "event_files.py")))
LAYOUTS: dict[str, Callable[[Path, int], Path]] = FILES.LAYOUTS


def refused(path: Path, *words: str) -> str:
    """The message of the ``DataError`` that reading gives; it names the file."""
    with pytest.raises(DataError) as caught:
        read(path)
    message = str(caught.value)
    assert str(path) in message
    for word in words:
        assert word in message
    return message


@contextmanager
def memory_below(bytes_: int) -> Iterator[None]:
    """Fail when Python's allocations inside reach ``bytes_``."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < bytes_
    finally:
        tracemalloc.stop()


@pytest.fixture(params=[name for name in LAYOUTS if name != "nano-central"])
def good(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return LAYOUTS[request.param](tmp_path / "file", 4)


def test_truncated_at_any_tenth(good: Path) -> None:
    data = good.read_bytes()
    for tenth in range(1, 10):
        good.write_bytes(data[: len(data) * tenth // 10])
        if b"," not in data[:10]:
            refused(good)
            continue
        try:  # a shorter text file is one of fewer events, until a line is not whole
            assert len(read(good)) < 4
        except DataError as error:
            assert any(text in str(error) for text in ("of event", "none of the known", "no events"))  # noqa: PT017


def test_empty_and_foreign_files(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    path.write_bytes(b"")
    refused(path, "is empty")
    path.write_bytes(b"\x80\x04\x95 a pickle")
    refused(path, "has none of the known layouts (zerobias HDF5, CICADA HDF5, ADC2021 HDF5, L1 NanoAOD")
    FILES.hdf5(path, {"something": np.arange(3)})
    refused(path, "has none of the known layouts")
    FILES.tree(path, {"x": np.arange(3)}, "Other")
    refused(path, "has none of the known layouts")
    pq.write_table(pa.table({"x": [1, 2]}), path)
    refused(path, "has none of the known layouts")


def test_files_without_events(tmp_path: Path) -> None:
    refused(FILES.hdf5(tmp_path / "a", {"CaloRegions": np.zeros((0, 18, 14))}), "holds no events")
    (tmp_path / "b").write_text(",".join(f"CALQ_{at}" for at in range(48)) + "\n")
    refused(tmp_path / "b", "holds no events")


# --- values out of range -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "kind", "text"),
    [
        (
            1024,
            "i4",
            "of event 2 is 1024; it must be a whole number from 0 to 1023: mend or drop that event",
        ),
        (-1, "i4", "CaloRegions of event 2 is -1; it must be a whole number from 0 to 1023"),
        (np.nan, "f8", "CaloRegions of event 2 is nan"),
        (np.inf, "f4", "CaloRegions of event 2 is inf"),
        (0.5, "f4", "CaloRegions of event 2 is 0.5"),
        (2**64 - 1, "u8", "CaloRegions of event 2 is 18446744073709551615"),
    ],
)
def test_regions_out_of_range(tmp_path: Path, value: float, kind: str, text: str) -> None:
    grid = np.zeros((4, 18, 14), kind)
    grid[2, 5, 6] = value
    refused(FILES.hdf5(tmp_path / "a", {"CaloRegions": grid}), text)


def test_fields_of_the_hdf5_layouts(tmp_path: Path) -> None:
    grid = np.zeros((3, 18, 14), "i4")
    bad_bit = grid.copy()
    bad_bit[1, 0, 0] = 2
    path = tmp_path / "a"
    refused(FILES.hdf5(path, {"et": grid, "taubit": grid, "egbit": bad_bit}), "egbit of event 1 is 2")
    refused(FILES.hdf5(path, {"CaloRegions": grid, "nPV": np.array([1, 2, -3])}), "nPV of event 2 is -3")
    refused(FILES.hdf5(path, {"CaloRegions": grid, "nPV": np.arange(2)}), "nPV has 2 rows, CaloRegions 3")
    refused(
        FILES.hdf5(path, {"CaloRegions": np.zeros((3, 18, 13))}), "CaloRegions has shape (18, 13) an event"
    )
    refused(
        FILES.hdf5(path, {"CaloRegions": np.array(3)}), "CaloRegions is not an array with one row an event"
    )
    refused(FILES.hdf5(path, {"CaloRegions": np.full((3, 252), b"x")}), "CaloRegions has type |S1")
    refused(FILES.hdf5(path, {"CaloRegions": grid + 0j}), "CaloRegions has type")
    structure = np.zeros(3, [("energy", "i4", (18, 14))])
    refused(FILES.hdf5(path, {"CaloRegions": structure}), "CaloRegions has fields energy: it must have et")

    def adc(row: int, slot: int, *values: float) -> Path:
        found = np.zeros((3, 19, 4))
        found[row, slot] = values
        return FILES.hdf5(path, {"Particles": found})

    refused(adc(1, 9, -5, 0, 0, 4), "Particles (jet pT) of event 1 is -5.0; it must not be below 0")
    refused(adc(2, 5, 5, np.nan, 0, 3), "Particles of event 2 is nan; it must be a finite number")
    refused(adc(0, 1, 5, 9, 0, 2), "Particles (e/gamma eta) of event 0 is 9.0; it must not be above 5.5245")
    refused(adc(0, 1, 5, 0, 7, 2), "Particles (e/gamma phi) of event 0 is 7.0")
    refused(adc(1, 6, 5, 0, 0, 4), "Particles (muon class) of event 1 is 4.0; it must be 3")
    refused(
        FILES.hdf5(path, {"Particles": np.zeros((3, 19, 3))}), "it must hold numbers of shape (events, 19, 4)"
    )


@pytest.mark.parametrize(
    ("what", "change", "text"),
    [
        ("L1EG", {"hwPt": [1, 512]}, "L1EG_hwPt of event 1 is 512; it must be a whole number from 0 to 511"),
        ("L1EG", {"hwPt": [-3, 1]}, "L1EG_hwPt of event 0 is -3"),
        ("L1EG", {"hwEta": [0, -129]}, "L1EG_hwEta of event 1 is -129"),
        (
            "L1EG",
            {"hwPhi": [144, 0]},
            "L1EG_hwPhi of event 0 is 144; it must be a whole number from 0 to 143",
        ),
        ("L1Mu", {"hwEta": [256, 0]}, "L1Mu_hwEta of event 0 is 256"),
        ("L1Jet", {"hwPt": [0, 2048]}, "L1Jet_hwPt of event 1 is 2048"),
        ("L1Tau", {"hwPt": [0, 512]}, "L1Tau_hwPt of event 1 is 512"),
        ("L1EtSum", {"hwPt": [4096, 1]}, "L1EtSum_hwPt of event 0 is 4096"),
    ],
)
def test_fields_of_l1_nanoaod(tmp_path: Path, what: str, change: dict[str, Any], text: str) -> None:
    branches = {}
    for name in ("L1EG", "L1Mu", "L1Jet", "L1Tau", "L1EtSum"):
        parts = {"hwPt": [1, 2], "hwEta": [0, 0], "hwPhi": [0, 0], "etSumType": [2, 2]}
        branches[name] = FILES.collection([1, 1], **(parts | change if name == what else parts))
    refused(FILES.tree(tmp_path / "a", branches), text)


def test_sums_and_regions_have_one_value(tmp_path: Path) -> None:
    one = {"hwPt": [1, 2], "hwEta": [0, 0], "hwPhi": [0, 0]}
    branches = {name: FILES.collection([2, 0], **one) for name in ("L1EG", "L1Mu", "L1Jet")}
    branches["L1EtSum"] = FILES.collection([0, 2], hwPt=[1, 2], hwPhi=[0, 0], etSumType=[2, 2])
    refused(FILES.tree(tmp_path / "a", branches), "L1EtSum_etSumType of event 1 is 2 more than once")
    cells = FILES.collection([1, 2], et=[5, 6, 7], ieta=[0, 3, 3], iphi=[0, 9, 9])
    refused(FILES.tree(tmp_path / "a", {"Regions": cells}), "Regions of event 1 has ieta 3, iphi 9 twice")
    cells = FILES.collection([1, 1], et=[5, 6], ieta=[0, 14], iphi=[0, 9])
    refused(FILES.tree(tmp_path / "a", {"Regions": cells}), "Regions_ieta of event 1 is 14")


def test_root_files_without_what_is_needed(tmp_path: Path) -> None:
    path = tmp_path / "a"
    branches = {"L1EG": FILES.collection([1], hwPt=[1], hwEta=[0], hwPhi=[0]), "run": np.ones(1, "u4")}
    text = refused(FILES.tree(path, branches), "tree Events has no Level-1 objects", "use L1 NanoAOD")
    assert "it lacks L1EG_pt, L1EG_eta, L1EG_phi, L1Mu_pt" in text
    assert "no regions, it lacks Regions_et, Regions_ieta, Regions_iphi" in text
    summary = "l1CaloSummaryTree/L1CaloSummaryTree"
    refused(FILES.tree(path, {"score": np.ones(1)}, summary), "lacks the branch modelInput")
    refused(FILES.tree(path, {"modelInput": np.ones((2, 18, 13), "f4")}, summary), "it must be [18][14]")
    refused(FILES.tree(path, {f"CALQ{at}": np.ones(2) for at in range(47)}, "wafer"), "lacks CALQ47")
    with uproot.recreate(path) as file:
        file["Events"] = np.histogram([1, 2])
    refused(path, "has none of the known layouts")
    lists = FILES.collection([2, 1], CALQ=[1, 2, 3])
    branches = {"x": lists} | {f"CALQ{at}": np.ones(2) for at in range(48)}
    del branches["CALQ7"]
    with uproot.recreate(path) as file:
        types = {name: value.type if name == "x" else value.dtype for name, value in branches.items()}
        file.mktree("wafer", types, counter_name=lambda n: "n", field_name=lambda o, i: "CALQ7").extend(
            branches
        )
    refused(path, "branch CALQ7 has a varying number of values an event")


@pytest.mark.parametrize(
    ("column", "values", "text"),
    [
        ("egammas_egIEt", pa.array([[1], [512]]), "egammas_egIEt of event 1 is 512"),
        ("jets_jetIEta", pa.array([[0], [-200]]), "jets_jetIEta of event 1 is -200"),
        ("jets_jetIEta", pa.array([[0], [1, 2]]), "jets_jetIEta of event 1 has 2 values; jets_jetIEt has 1"),
        ("jets_jetIPhi", pa.array([[0], None]), "jets_jetIPhi of event 1 is null"),
        ("muons_muonIEt", pa.array([[None], [1]]), "muons_muonIEt of event 0 holds a null"),
        ("muons_muonIEt", pa.array([["a"], ["b"]]), "muons_muonIEt has type string"),
        ("taus_tauIEt", pa.array([[-1], [1]]), "taus_tauIEt of event 0 is -1"),
        ("MET_Et", pa.array([[1], [4096]]), "MET_Et of event 1 is 4096"),
        ("MET_phi", pa.array([1.0, np.nan]), "MET_phi of event 1 is nan"),
        ("HT_Et", pa.array([[1, 2], [1]]), "HT_Et of event 0 has 2 values"),
        ("nPV_True", pa.array([1.0, np.nan]), "nPV_True of event 1 is nan"),
        ("nPV_True", pa.array([1.0, -1.0]), "nPV_True of event 1 is -1"),
    ],
)
def test_fields_of_cmsl1t(tmp_path: Path, column: str, values: pa.Array, text: str) -> None:
    columns = dict.fromkeys(FILES.cmsl1t_columns(1), pa.array([[1], [1]])) | {
        "nPV_True": pa.array([1.0, 2.0])
    }
    assert column in columns
    pq.write_table(pa.table(columns | {column: values}), tmp_path / "a")
    refused(tmp_path / "a", text)


def test_cmsl1t_without_a_column(tmp_path: Path) -> None:
    pq.write_table(pa.table({"egammas_egIEt": [[1]], "MET_Et": [1]}), tmp_path / "a")
    refused(tmp_path / "a", "lacks the columns MET_phi, egammas_egIEta, egammas_egIPhi, muons_muonIEt")


@pytest.mark.parametrize(
    ("cells", "text"),
    [
        ({3: "-1"}, "CALQ_3 of event 1 is -1.0; it must be a whole number from 0 to 4294967295"),
        ({3: "nan"}, "CALQ_3 of event 1 is nan"),
        ({3: "1.5"}, "CALQ_3 of event 1 is 1.5"),
        ({3: "five"}, "CALQ_3 of event 1 is 'five'; it must be a number"),
        ({3: ""}, "CALQ_3 of event 1 is ''; it must be a number"),
        ({3: "4294967296"}, "CALQ_3 of event 1 is 4294967296.0"),
    ],
)
def test_fields_of_econt_csv(tmp_path: Path, cells: dict[int, str], text: str) -> None:
    head = ",".join(f"CALQ_{at}" for at in range(48))
    rows = [",".join(cells.get(at, "7") if row == 1 else "7" for at in range(48)) for row in range(3)]
    (tmp_path / "a").write_text("\n".join([head, *rows]) + "\n")
    refused(tmp_path / "a", text)


def test_econt_csv_of_uneven_lines(tmp_path: Path) -> None:
    path, line = tmp_path / "a", ",".join(["7"] * 48)
    path.write_text(f"{line}\n{line[:-2]}\n{line}\n")
    refused(path, "column 47 of event 1 is missing; the line has 47 columns")
    path.write_text(f"{line}\n\n{line}\n")
    refused(path, "of event 1")
    path.write_text(f"{line}\n" + "7," * 40_000 + "\n")
    refused(path, "event 1 has a line of over 65536 bytes")
    path.write_text(",".join(["CALQ_0"] * 2 + [f"CALQ_{at}" for at in range(48)]) + "\n")
    refused(path, "the column CALQ_0 is there twice")


@pytest.mark.parametrize(
    ("name", "at", "value", "text"),
    [
        ("regions", (3, 0, 0), 1024, "regions of event 3 is 1024"),
        ("region_bits", (1, 0, 0), 4, "region_bits of event 1 is 4"),
        ("weight", (2,), np.nan, "weight of event 2 is nan"),
        ("process", (0,), 7, "process of event 0 is 7"),
    ],
)
def test_fields_of_own_files(tmp_path: Path, name: str, at: tuple[int, ...], value: float, text: str) -> None:
    path = FILES.own(tmp_path / "a", 4)
    with h5py.File(path, "r+") as file:
        file[name][at] = value
    refused(path, text)


def test_objects_of_own_files(tmp_path: Path) -> None:
    path = FILES.own(tmp_path / "a", 4)
    for slot, axis, value, text in (
        (0, 1, 1, "objects (MET eta) of event 2 is 1; it must be a whole number from 0 to 0"),
        (4, 0, 512, "objects (e/gamma pT) of event 2 is 512"),
        (8, 2, 576, "objects (muon phi) of event 2 is 576"),
        (18, 0, -1, "objects (jet pT) of event 2 is -1"),
    ):
        objects = np.zeros((4, 19, 3), "i2")
        objects[2, slot, axis] = value
        with h5py.File(path, "r+") as file:
            file.pop("objects", None)
            file["objects"] = objects
        refused(path, text)


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
    path = LAYOUTS["l1nano"](tmp_path / "a", 3)
    expected = read(path).collections["objects"]
    with uproot.open(path) as file:
        seek, size = file.file.fSeekInfo, file.file.fNbytesInfo
    data = bytearray(path.read_bytes())
    data[seek : seek + size] = b"\xff" * size
    path.write_bytes(data)
    np.testing.assert_array_equal(read(path).collections["objects"], expected)


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

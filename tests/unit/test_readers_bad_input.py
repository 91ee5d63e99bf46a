"""Damaged, hostile and out-of-range files of every layout: one DataError that names file, field and event."""

from __future__ import annotations

import runpy
from collections.abc import Callable
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
from zerobias.events import read

FILES = SimpleNamespace(**runpy.run_path(str(Path(__file__).parents[1] / "data" / "event_files.py")))
LAYOUTS: dict[str, Callable[[Path, int], Path]] = FILES.LAYOUTS
refused = FILES.refused


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
    assert "for the nearest of these it lacks L1Mu_hwPt, L1Mu_hwEta, L1Mu_hwPhi, L1Jet_hwPt" in text
    assert "no regions, it lacks Regions_et, Regions_ieta, Regions_iphi" in text
    text = refused(FILES.tree(path, {"run": np.ones(1, "u4")}), "tree Events has no Level-1 objects")
    assert "it lacks L1EG_pt, L1EG_eta, L1EG_phi, L1Mu_pt" in text
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

"""Every public layout gives the hardware integers worked out by hand."""

from __future__ import annotations

import logging
import runpy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from zerobias.events import EventSet, read

FILES = SimpleNamespace(**runpy.run_path(str(Path(__file__).parents[1] / "data" / "event_files.py")))
PI = np.pi


def plain(events: EventSet, count: int) -> None:
    """What every foreign file has in common."""
    assert len(events) == count
    assert events.weight.tolist() == [1.0] * count
    assert events.process_names == ("zero_bias",)
    assert len(events.of("zero_bias", "test")) == count
    assert events.signals == ()


def present(objects: np.ndarray) -> list[list[int]]:
    """The objects of one event up to the last that is there."""
    return objects[: np.flatnonzero(objects.any(axis=1)).max(initial=-1) + 1].tolist()


def grid(*cells: tuple[int, int, int]) -> np.ndarray:
    found = np.zeros((18, 14), int)
    for iphi, ieta, value in cells:
        found[iphi, ieta] = value
    return found


GRIDS = np.stack([grid((0, 0, 1), (17, 13, 1023)), grid((5, 2, 7))])
TAU_BITS, EGAMMA_BITS = (
    np.stack([grid((0, 0, 1)), grid()]),
    np.stack([grid((0, 0, 1), (17, 13, 1)), grid((1, 1, 1))]),
)
BITS = np.stack([grid((0, 0, 3), (17, 13, 2)), grid((1, 1, 2))])


@pytest.mark.parametrize(
    "datasets",
    [
        {"CaloRegions": GRIDS.astype("i4")},
        {"CaloRegions": GRIDS.astype(">u2")},
        {"CaloRegions": GRIDS.astype("f8")},  # as NumPy's zeros() leaves it
        {"CaloRegions": GRIDS.reshape(2, 252)},
        {"CaloRegions": GRIDS.reshape(2, 18, 14, 1)},
        {"CaloRegions": FILES.structured(GRIDS, TAU_BITS, EGAMMA_BITS)},
        {"et": GRIDS, "taubit": TAU_BITS.astype(bool), "egbit": EGAMMA_BITS.astype(bool)},
        {"et": GRIDS.astype("f8"), "tauBits": TAU_BITS.astype("f8"), "egBits": EGAMMA_BITS.astype("f8")},
    ],
)
@pytest.mark.parametrize("settings", [{}, {"chunks": (1, 5, 4), "compression": "gzip", "shuffle": True}])
def test_cicada(tmp_path: Path, datasets: dict[str, Any], settings: dict[str, Any]) -> None:
    if settings and next(iter(datasets.values())).ndim != 3:
        settings = {"chunks": True, "compression": "gzip"}
    path = FILES.hdf5(tmp_path / "anything", datasets, **settings)
    events = read(path)
    plain(events, 2)
    np.testing.assert_array_equal(events.collections["regions"], GRIDS)
    if len(datasets) == 3 or datasets.get("CaloRegions", GRIDS).dtype.names:
        np.testing.assert_array_equal(events.collections["region_bits"], BITS)
    else:
        assert list(events.collections) == ["regions"]
    assert events.npu.tolist() == [0, 0]


@pytest.mark.parametrize("name", ["nPV", "nPV2", "PV_npvs"])
def test_cicada_pileup(tmp_path: Path, name: str) -> None:
    extra = {"AcceptanceFlag": np.array([True, False]), name: np.array([[51], [60]])}
    assert read(FILES.hdf5(tmp_path / "a", {"CaloRegions": GRIDS, **extra})).npu.tolist() == [51, 60]


def nano(prefix: str = "L1", **more: Any) -> dict[str, Any]:
    """Two events; the second has nothing but MET of another crossing."""
    collection = FILES.collection
    return {
        prefix + "EG": collection(
            [6, 0],
            hwPt=[4, 9, 3, 511, 5, 9],
            hwEta=[-69, 1, 2, 3, 4, 5],
            hwPhi=[0, 143, 2, 3, 4, 5],
            bx=[0, 0, 0, 0, 1, 0],
        ),
        prefix + "Mu": collection(
            [2, 0],
            hwPt=[7, 11],
            hwEta=[99, 99],
            hwPhi=[99, 99],
            hwEtaAtVtx=[-225, 200],
            hwPhiAtVtx=[575, 0],
            bx=[0, 0],
        ),
        prefix + "Jet": collection([1, 0], hwPt=[2047], hwEta=[-115], hwPhi=[72], bx=[0]),
        prefix + "Tau": collection([2, 0], hwPt=[0, 30], hwEta=[1, -9], hwPhi=[5, 6], bx=[0, 0]),
        prefix + "EtSum": collection(
            [4, 1],
            hwPt=[50, 77, 99, 400, 88],
            hwPhi=[10, 20, 30, 0, 40],
            etSumType=[8, 2, 2, 1, 2],
            bx=[0, 0, 1, 0, -1],
        ),
        **more,
    }


@pytest.mark.parametrize("prefix", ["L1", "L1Emul"])
def test_l1_nanoaod(tmp_path: Path, prefix: str) -> None:
    events = read(FILES.tree(tmp_path / "a", nano(prefix, PV_npvs=np.array([50, 61], "i4"))))
    plain(events, 2)
    objects = events.collections["objects"]
    assert objects[0, 0].tolist() == [77, 0, 20]
    # Ordered by pT, equal ones as they came; the fifth and the other crossing's are dropped.
    assert objects[0, 1:5].tolist() == [[511, 3, 3], [9, 1, 143], [9, 5, 5], [4, -69, 0]]
    assert objects[0, 5:9].tolist() == [[11, 200, 0], [7, -225, 575], [0, 0, 0], [0, 0, 0]]
    assert present(objects[0, 9:]) == [[2047, -115, 72]]
    assert not objects[1].any()
    assert events.collections["taus"][:, :2].tolist() == [[[30, -9, 6], [0, 0, 0]], [[0, 0, 0], [0, 0, 0]]]
    assert events.collections["ht"].tolist() == [400, 0]
    assert events.npu.tolist() == [50, 61]
    assert sorted(events.collections) == ["ht", "objects", "taus"]


def test_l1_nanoaod_prefers_unpacked_objects_and_simulated_pileup(tmp_path: Path) -> None:
    emulated = nano("L1Emul")
    emulated["L1EmulJet"] = FILES.collection([1, 0], hwPt=[1], hwEta=[1], hwPhi=[1], bx=[0])
    pileup = {"PV_npvs": np.array([1, 2], "i4"), "Pileup_nPU": np.array([55, 44], "i4")}
    events = read(FILES.tree(tmp_path / "a", nano() | emulated | pileup))
    assert events.collections["objects"][0, 9].tolist() == [2047, -115, 72]
    assert events.npu.tolist() == [55, 44]


def test_l1_nanoaod_regions(tmp_path: Path) -> None:
    parts = {
        "et": [1, 1023, 7, 0],
        "ieta": [0, 13, 2, 1],
        "iphi": [0, 17, 5, 1],
        "taubit": [1, 0, 0, 0],
        "egbit": [1, 1, 0, 1],
    }
    events = read(FILES.tree(tmp_path / "a", {"Regions": FILES.collection([2, 2], **parts)}))
    plain(events, 2)
    np.testing.assert_array_equal(events.collections["regions"], GRIDS)
    np.testing.assert_array_equal(events.collections["region_bits"], BITS)


def test_central_nanoaod_is_converted_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    collection = FILES.collection
    branches = {
        # 0.0435 and 2 pi / 144 a count; a phi below zero is a turn less.
        "L1EG": collection([1], pt=[12.5], eta=[-0.435], phi=[-2 * PI / 144], bx=[0]),
        "L1Mu": collection(
            [1],
            pt=[3.0],
            eta=[9.0],
            phi=[9.0],
            etaAtVtx=[0.010875 * 7],
            phiAtVtx=[2 * PI / 576 * 575],
            bx=[0],
        ),
        "L1Jet": collection([2], pt=[30.0, 5000.0], eta=[0.0, 4.35], phi=[0.01, PI], bx=[0, 0]),
        "L1EtSum": collection([1], pt=[20.5], phi=[PI / 2], etSumType=[2], bx=[0]),
    }
    path = FILES.tree(tmp_path / "a", branches)
    with (
        caplog.at_level(logging.INFO),
        pytest.warns(UserWarning, match="keeps only e/gamma >= 10 GeV, jets >= 30 GeV and muons >= 3 GeV"),
    ):
        events = read(path)
    assert "biased" in caplog.text
    objects = events.collections["objects"][0]
    assert objects[0].tolist() == [41, 0, 36]
    assert objects[1].tolist() == [25, -10, 143]
    assert objects[5].tolist() == [7, 7, 575]  # 2 x 3 + 1
    assert present(objects[9:]) == [[2047, 100, 72], [60, 0, 0]]  # saturated
    assert events.provenance["layout"] == "central NanoAOD"


def test_l1_ntuple(tmp_path: Path) -> None:
    path = FILES.tree(
        tmp_path / "a", {"modelInput": GRIDS.astype("f4")}, "l1CaloSummaryEmuTree/L1CaloSummaryTree"
    )
    events = read(path)
    plain(events, 2)
    np.testing.assert_array_equal(events.collections["regions"], GRIDS)


@pytest.mark.parametrize("lists", [True, False])
def test_cmsl1t(tmp_path: Path, lists: bool) -> None:
    def single(values: list[int]) -> pa.Array:
        return pa.array([[v] for v in values] if lists else values)

    columns = {
        "egammas_egIEt": [[4, 9, 3, 511, 9], []],
        "egammas_egIEta": [[-69, 1, 2, 3, 5], []],
        "egammas_egIPhi": [[0, 143, 2, 3, 5], []],
        "muons_muonIEt": [[7, 11], []],
        "muons_muonIEta": [[99, 99], []],
        "muons_muonIEtaAtVtx": [[-225, 200], []],
        "muons_muonIPhiAtVtx": [[575, 0], []],
        "jets_jetIEt": [[2047], [10]],
        "jets_jetIEta": [[-115], [1]],
        "jets_jetIPhi": [[72], [2]],
        "taus_tauIEt": [[30], []],
        "taus_tauIEta": [[-9], []],
        "taus_tauIPhi": [[6], []],
        "MET_Et": single([77, 0]),
        "MET_phi": single([20, 99]),
        "HT_Et": single([400, 4095]),
        "nPV_True": pa.array([51.6, 60.4], pa.float32()),
        "split": ["train", "train"],
    }
    pq.write_table(pa.table(columns), tmp_path / "a")
    events = read(tmp_path / "a")
    plain(events, 2)
    objects = events.collections["objects"]
    assert objects[:, 0].tolist() == [[77, 0, 20], [0, 0, 0]]
    assert objects[0, 1:5].tolist() == [[511, 3, 3], [9, 1, 143], [9, 5, 5], [4, -69, 0]]
    assert present(objects[0, 5:9]) == [[11, 200, 0], [7, -225, 575]]
    assert [present(event[9:]) for event in objects] == [[[2047, -115, 72]], [[10, 1, 2]]]
    assert events.collections["taus"][0].tolist() == [[30, -9, 6]] + [[0, 0, 0]] * 3
    assert events.collections["ht"].tolist() == [400, 4095]
    assert events.npu.tolist() == [52, 60]


def test_adc2021(tmp_path: Path) -> None:
    particles = np.zeros((2, 19, 4))
    particles[0, 0] = 25.25, 0, -PI / 2, 1  # 50.5 counts round to the even 50
    particles[0, 1] = 11, 0.435, 2 * PI / 144 * 3.4, 2
    particles[0, 5] = 4, -1.0875, -2 * PI / 576, 3
    particles[0, 6] = 300, 2.1, 0, 3  # beyond the field's 9 bits
    particles[0, 9] = 33, -4, PI, 4
    particles[0, 10] = 50, 1, 0, 4
    events = read(FILES.hdf5(tmp_path / "a", {"Particles": particles, "Particles_Names": np.array([b"Pt"])}))
    plain(events, 2)
    objects = events.collections["objects"]
    assert objects[0, 0].tolist() == [50, 0, 108]
    assert present(objects[0, 1:5]) == [[22, 10, 3]]
    assert present(objects[0, 5:9]) == [[511, 193, 0], [9, -100, 575]]
    assert present(objects[0, 9:]) == [[100, 23, 0], [66, -92, 72]]
    assert not objects[1].any()


CHARGES = np.arange(2 * 48).reshape(2, 48) * 10


@pytest.mark.parametrize("head", ["names", "shuffled", "other names", "none"])
def test_econt_csv(tmp_path: Path, head: str) -> None:
    names = [f"CALQ_{at}" for at in range(48)] if head != "other names" else [f"TC{at}" for at in range(48)]
    table, order = CHARGES, np.arange(48)
    if head == "shuffled":
        order = order[::-1]
    rows = [[str(v) for v in row[order]] + ["9", "-3", "4", "2", "1.875", "12.5"] for row in table]
    titles = [names[at] for at in order] + ["layer", "waferu", "waferv", "wafertype", "eta", "simenergy"]
    lines = [",".join(row) for row in rows]
    if head != "none":
        lines.insert(0, ",".join(titles))
    path = tmp_path / "a"
    path.write_text("\n".join(lines) + "\n")
    events = read(path)
    plain(events, 2)
    np.testing.assert_array_equal(events.collections["wafer"], CHARGES)
    if head == "none":
        assert list(events.collections) == ["wafer"]
    else:
        assert events.collections["wafer_place"].tolist() == [[9, -3, 4, 2, 1875]] * 2
        assert events.collections["wafer_energy"].tolist() == [12500] * 2


@pytest.mark.parametrize("prefix", ["", "wafer."])
def test_econt_root(tmp_path: Path, prefix: str) -> None:
    branches = {f"{prefix}CALQ{at}": CHARGES[:, at].astype("f4") for at in range(48)}
    more = {
        "layer": [1, 47],
        "waferu": [-3, 3],
        "waferv": [0, 1],
        "wafertype": [0, 2],
        "eta": [-1.5, 3.0],
        "simenergy": [0, 0.25],
    }
    branches |= {prefix + name: np.array(values, "f4") for name, values in more.items()}
    events = read(FILES.tree(tmp_path / "a", branches, "tree/wafer"))
    plain(events, 2)
    np.testing.assert_array_equal(events.collections["wafer"], CHARGES)
    assert events.collections["wafer_place"].tolist() == [[1, -3, 0, 0, -1500], [47, 3, 1, 2, 3000]]
    assert events.collections["wafer_energy"].tolist() == [0, 250]


def test_own_keeps_weights_processes_and_splits(tmp_path: Path) -> None:
    path = FILES.own(tmp_path / "a", 5)
    events = read(path)
    assert (events.process_names, events.provenance) == (("zero_bias", "ttbar"), {"seed": 1})
    with h5py.File(path) as file:
        for name in ("weight", "npu", "process", "split"):
            np.testing.assert_array_equal(getattr(events, name), file[name])

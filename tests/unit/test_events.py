"""EventSet and its files: what they hold, and every way they can be wrong."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from zerobias.errors import DataError
from zerobias.events import SPLITS, EventSet, checked_sample, default_sample, file_digest, read, write


def toy(**changes: Any) -> EventSet:
    rng = np.random.default_rng(0)
    objects = rng.integers(0, 100, (6, 19, 3)).astype("int16")
    objects[:, 0, 1] = 0
    parts: dict[str, Any] = {
        "collections": {
            "objects": objects,
            "regions": rng.integers(0, 1024, (6, 18, 14)).astype("uint16"),
        },
        "weight": np.array([0.5, 0.5, 1, 1, 1, 1.0]),
        "npu": np.arange(6, dtype="uint16"),
        "process": np.array([0, 0, 0, 1, 1, 0], dtype="uint8"),
        "split": np.array([0, 1, 2, 1, 2, 2], dtype="uint8"),
        "process_names": ("zero_bias", "ttbar"),
        "provenance": {"seed": 1},
    }
    return EventSet(**(parts | changes))


def test_file_comes_back_and_is_deterministic(tmp_path: Path) -> None:
    write(tmp_path / "a.h5", toy())
    time.sleep(1.1)  # HDF5 time stamps count seconds
    write(tmp_path / "b" / "a.h5", toy())
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b" / "a.h5").read_bytes()
    back = read(tmp_path / "a.h5")
    for name, array in toy().collections.items():
        np.testing.assert_array_equal(back.collections[name], array)
        assert back.collections[name].dtype == array.dtype
    for name in ("weight", "npu", "process", "split"):
        np.testing.assert_array_equal(getattr(back, name), getattr(toy(), name))
    assert (back.process_names, back.provenance) == (toy().process_names, toy().provenance)


def test_no_event_is_a_file_as_well(tmp_path: Path) -> None:
    none = toy().select(np.zeros(6, dtype=bool))
    write(tmp_path / "a.h5", none)
    back = read(tmp_path / "a.h5")
    assert len(back) == 0
    assert back.collections["objects"].shape == (0, 19, 3)
    assert (back.process_names, back.provenance) == (none.process_names, none.provenance)


def test_only_the_asked_collections_are_read(tmp_path: Path) -> None:
    write(tmp_path / "a.h5", toy())
    assert list(read(tmp_path / "a.h5", ["objects"]).collections) == ["objects"]


def test_selection_by_name() -> None:
    events = toy()
    assert events.of("zero_bias", "test").npu.tolist() == [2, 5]
    assert events.of("ttbar").npu.tolist() == [3, 4]
    assert events.signals == ("ttbar",)
    with pytest.raises(DataError, match="no events named 'qcd': there are zero_bias, ttbar"):
        events.of("qcd")
    with pytest.raises(DataError, match="there are train, tuning, test"):
        events.of(split="validation")
    with pytest.raises(DataError, match="the events have no wafer: they hold objects, regions"):
        events.collections["wafer"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"weight": np.ones(5)},
            r"collection 'objects' is int16 \(6, 19, 3\): it must be int16 \(5, 19, 3\)",
        ),
        ({"collections": {"objects": np.zeros((6, 19, 2), "int16")}}, "it must be int16"),
        ({"collections": {"objects": np.zeros((6, 19, 3))}}, "it must be int16"),
        ({"collections": {"jets": np.zeros((6, 3))}}, "collection 'jets' is unknown"),
        ({"npu": np.arange(6)}, "npu is int64"),
        ({"weight": np.array([1, 1, np.nan, 1, 1, 1])}, "weight of event 2 is nan"),
        ({"weight": np.array([1, -1.0, 1, 1, 1, 1])}, "weight of event 1 is -1"),
        ({"process": np.full(6, 2, "uint8")}, "process of event 0 is 2: it must be below 2"),
        ({"split": np.full(6, 3, "uint8")}, "split of event 0 is 3"),
        ({"process_names": ("zero_bias", "a", "a")}, "repeat"),
        ({"process_names": ("ttbar", "zero_bias")}, "the first 'zero_bias'"),
        ({"process_names": ("zero_bias", 2)}, "they are strings"),
    ],
)
def test_wrong_contents_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        toy(**changes)


def damaged(path: Path, how: str) -> None:
    if how == "missing":
        path.unlink()
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "truncated":
        path.write_bytes(path.read_bytes()[:-3000])
    else:
        with h5py.File(path, "r+") as file:
            if how == "format":
                file.attrs["format"] = "other"
            elif how == "lacks":
                del file["npu"]
            elif how == "names":
                file.attrs["process_names"] = "not JSON"
            elif how == "number":
                file.attrs["process_names"] = "3"
            elif how == "nan":
                file["weight"][2] = np.nan
            elif how == "group":
                del file["npu"]
                file.create_group("npu")
            elif how == "scalar":
                del file["weight"]
                file["weight"] = 1.0
            elif how == "vast":
                del file["weight"]
                file.create_dataset("weight", shape=(10**14,), dtype="f8", chunks=(4096,))


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("missing", "no event file"),
        ("empty", "is empty: restore it"),
        ("truncated", "the file cannot be read"),
        ("format", "format is 'other'"),
        ("lacks", "lacks npu; it holds"),
        ("names", "an attribute cannot be read"),
        ("number", "process_names must be a JSON list"),
        ("nan", "weight of event 2 is nan"),
        ("group", "lacks npu; it holds"),
        ("scalar", "weight is not an array"),
        ("vast", "weight declares 100000000000000 rows of 8 bytes"),
    ],
)
def test_damaged_files(tmp_path: Path, how: str, message: str) -> None:
    path = tmp_path / "a.h5"
    write(path, toy())
    damaged(path, how)
    with pytest.raises(DataError, match=message) as caught:
        read(path)
    assert str(path) in str(caught.value)


def test_failed_write_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    write(path, toy())
    before = path.read_bytes()
    with pytest.raises(TypeError):
        write(path, toy(provenance={"seed": object()}))
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["a.h5"]


def test_hash_is_checked(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    write(path, toy())
    with pytest.raises(DataError, match="is missing"):
        checked_sample(path)
    stamp = tmp_path / "a.h5.sha256"
    stamp.write_text(f"{file_digest(path)}  a.h5\n")
    assert checked_sample(path) == path
    stamp.write_text("")
    with pytest.raises(DataError, match="expected none"):
        checked_sample(path)
    stamp.write_text(f"{file_digest(path)}  a.h5\n")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(DataError, match="is damaged"):
        checked_sample(path)


def test_shipped_sample_is_what_the_data_card_says() -> None:
    path = default_sample()
    assert path.stat().st_size <= 9_500_000
    events = read(path)
    assert set(events.signals) >= {"ttbar", "vbf_h_bb", "h_aa_4b", "a_4l", "suep"}
    assert len(events.of("zero_bias")) >= 30_000
    for split in SPLITS:
        assert events.of("zero_bias", split).weight.sum() == pytest.approx(1.0, abs=1e-12)
    leaders = [set(events.of("zero_bias", split).collections["leader"].tolist()) for split in SPLITS]
    assert not leaders[0] & leaders[1]
    assert not leaders[0] & leaders[2]
    assert not leaders[1] & leaders[2]
    for signal in events.signals:
        assert len(events.of(signal, "train")) == 0
        assert (events.of(signal).weight == 1).all()
    assert "simulated" in events.provenance["description"]
    objects = events.collections["objects"]
    pt = objects[:, :, 0]
    for start, stop in ((1, 5), (5, 9), (9, 19)):
        assert (np.diff(pt[:, start:stop].astype(int), axis=1) <= 0).all(), "pT ordered"
    assert (objects[pt == 0] == 0).all(), "absent objects are 0, 0, 0"
    assert (objects[:, 0, 1] == 0).all(), "MET has no eta"
    assert events.collections["regions"].max() <= 1023

"""Small valid event files of every layout, written with the libraries that write the real ones."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import awkward as ak
import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import uproot

from zerobias.errors import DataError
from zerobias.events import read


def hdf5(path: Path, datasets: dict[str, Any], libver: str = "earliest", **settings: Any) -> Path:
    """An HDF5 file of these arrays; ``libver`` "latest" gives the newer file format."""
    with h5py.File(path, "w", libver=libver) as file:
        for name, array in datasets.items():
            file.create_dataset(name, data=array, **settings)
    return path


def refused(path: Path, *words: str) -> str:
    """The message of the ``DataError`` that reading gives; it names the file."""
    with pytest.raises(DataError) as caught:
        read(path)
    message = str(caught.value)
    assert str(path) in message
    for word in words:
        assert word in message
    return message


def regions(events: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 1024, (events, 18, 14))


def structured(grid: np.ndarray, tau: np.ndarray, egamma: np.ndarray) -> np.ndarray:
    """The structure of CICADA's newer CaloRegions."""
    kind = np.dtype([("et", "<i2", (18, 14)), ("taubit", "?", (18, 14)), ("egbit", "?", (18, 14))])
    found = np.zeros(len(grid), kind)
    found["et"], found["taubit"], found["egbit"] = grid, tau, egamma
    return found


def tree(
    path: Path, branches: dict[str, Any], name: str = "Events", times: int = 1, packed: bool = True
) -> Path:
    """A ROOT file with one tree; records of lists become NanoAOD collections with their counter."""
    with uproot.recreate(path, compression=uproot.ZLIB(1) if packed else None) as file:
        types = {
            key: value.type if isinstance(value, ak.Array) else value.dtype for key, value in branches.items()
        }
        types = {
            key: np.dtype((value.dtype, value.shape[1:]))
            if isinstance(value, np.ndarray) and value.ndim > 1
            else types[key]
            for key, value in branches.items()
        }
        made = file.mktree(
            name,
            types,
            counter_name=lambda counted: "n" + counted,
            field_name=lambda outer, inner: inner if outer == "" else f"{outer}_{inner}",
        )
        for _ in range(times):
            made.extend(branches)
    return path


def collection(counts: Any, **parts: Any) -> ak.Array:
    """Objects of a NanoAOD collection: ``counts`` an event, flat ``parts``."""
    return ak.unflatten(ak.zip({name: np.asarray(part) for name, part in parts.items()}), np.asarray(counts))


def random_objects(
    rng: np.random.Generator, events: int, most: int, pt: int, eta: int, phi: int
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    counts = rng.integers(0, most + 1, events)
    total = int(counts.sum())
    return counts, {
        "Pt": rng.integers(0, pt, total).astype("i2"),
        "Eta": rng.integers(-eta, eta, total).astype("i2"),
        "Phi": rng.integers(0, phi, total).astype("i2"),
    }


_SPANS = {
    "EG": (12, 512, 69, 144),
    "Mu": (8, 512, 225, 576),
    "Jet": (12, 2048, 115, 144),
    "Tau": (12, 512, 69, 144),
}


def l1nano(path: Path, events: int, prefix: str = "L1", hardware: bool = True) -> Path:
    """L1 NanoAOD with objects of several crossings, sums and regions."""
    rng = np.random.default_rng(1)
    branches: dict[str, Any] = {"run": np.ones(events, "u4")}
    for what, span in _SPANS.items():
        counts, parts = random_objects(rng, events, *span)
        crossing = rng.integers(-1, 2, int(counts.sum())).astype("i2")
        if hardware:
            values = {"hw" + name: part for name, part in parts.items()}
        else:
            lsb = 0.010875 if what == "Mu" else 0.0435
            values = {
                "pt": (parts["Pt"] / 2).astype("f4"),
                "eta": (parts["Eta"] * lsb).astype("f4"),
                "phi": ((parts["Phi"] / span[3] * 2 * np.pi + np.pi) % (2 * np.pi) - np.pi).astype("f4"),
            }
        if what == "Mu":
            names = ("hwEta", "hwPhi") if hardware else ("eta", "phi")
            values |= {name + "AtVtx": values[name][::-1].copy() for name in names}
        branches[prefix + what] = collection(counts, **values, bx=crossing)
    sums = {"etSumType": np.tile([2, 1, 8], events).astype("i4"), "bx": np.zeros(3 * events, "i2")}
    pt, phi = rng.integers(0, 4096, 3 * events), rng.integers(0, 144, 3 * events)
    names = ("hwPt", "hwPhi") if hardware else ("pt", "phi")
    scale = (1, 1) if hardware else (0.5, 2 * np.pi / 144)
    for name, part, step in zip(names, (pt, phi), scale, strict=True):
        sums[name] = (part * step).astype("i4" if hardware else "f4")
    branches[prefix + "EtSum"] = collection(np.full(events, 3), **sums)
    phis, etas = np.divmod(np.arange(252), 14)
    branches["Regions"] = collection(
        np.full(events, 252),
        et=rng.integers(0, 1024, 252 * events).astype("i2"),
        ieta=np.tile(etas, events).astype("i2"),
        iphi=np.tile(phis, events).astype("i2"),
        taubit=rng.integers(0, 2, 252 * events).astype("i2"),
        egbit=rng.integers(0, 2, 252 * events).astype("i2"),
    )
    branches["PV_npvs"] = rng.integers(0, 80, events).astype("i4")
    return tree(path, branches)


def ntuple(path: Path, events: int) -> Path:
    return tree(path, {"modelInput": regions(events).astype("f4")}, "l1CaloSummaryEmuTree/L1CaloSummaryTree")


def adc2021(path: Path, events: int) -> Path:
    rng = np.random.default_rng(2)
    found = np.zeros((events, 19, 4))
    found[:, :, 0] = rng.exponential(20, (events, 19)) * (rng.random((events, 19)) > 0.3)
    found[:, :, 1] = rng.uniform(-2, 2, (events, 19))
    found[:, :, 2] = rng.uniform(-np.pi, np.pi, (events, 19))
    found[:, :, 3] = np.repeat([1, 2, 3, 4], [1, 4, 4, 10])
    found[found[:, :, 0] == 0] = 0
    return hdf5(path, {"Particles": found}, compression="gzip", shuffle=True)


def cmsl1t_columns(events: int) -> dict[str, Any]:
    rng = np.random.default_rng(3)
    found: dict[str, Any] = {}
    names = {
        "egammas_eg": _SPANS["EG"],
        "jets_jet": _SPANS["Jet"],
        "taus_tau": _SPANS["Tau"],
        "muons_muon": _SPANS["Mu"],
    }
    for stem, span in names.items():
        counts, parts = random_objects(rng, events, *span)
        offsets = pa.array(np.concatenate([[0], np.cumsum(counts)]).astype("i4"))
        at = "AtVtx" if stem == "muons_muon" else ""
        for name, part in zip(("IEt", f"IEta{at}", f"IPhi{at}"), parts.values(), strict=True):
            found[stem + name] = pa.ListArray.from_arrays(offsets, pa.array(part))
    for name, high in (("MET_Et", 4096), ("MET_phi", 144), ("HT_Et", 4096)):
        values = pa.array(rng.integers(0, high, events).astype("i2"))
        found[name] = pa.ListArray.from_arrays(pa.array(np.arange(events + 1, dtype="i4")), values)
    found["nPV_True"] = pa.array(rng.uniform(0, 70, events).astype("f4"))
    found["run"] = pa.array(np.full(events, 396102, "u4"))
    return found


def cmsl1t(path: Path, events: int, **settings: Any) -> Path:
    pq.write_table(pa.table(cmsl1t_columns(events)), path, **settings)
    return path


def econt_csv(path: Path, events: int) -> Path:
    rng = np.random.default_rng(4)
    charges = rng.integers(0, 2000, (events, 48))
    eta, energy = rng.uniform(1.5, 3, events), rng.uniform(0, 9, events)
    place = [f"9,{at % 11 - 5},{at % 7 - 3},{at % 3},{eta[at]:.4f},{energy[at]:.4f}" for at in range(events)]
    head = ",".join([f"CALQ_{i}" for i in range(48)]) + ",layer,waferu,waferv,wafertype,eta,simenergy\n"
    rows = [",".join(map(str, row)) + "," + extra for row, extra in zip(charges.tolist(), place, strict=True)]
    path.write_text(head + "\n".join(rows) + "\n")
    return path


def econt_root(path: Path, events: int) -> Path:
    rng = np.random.default_rng(5)
    branches = {f"CALQ{i}": rng.integers(0, 2000, events).astype("i4") for i in range(48)}
    branches |= {
        name: rng.integers(0, 3, events).astype("i4") for name in ("layer", "waferu", "waferv", "wafertype")
    }
    branches |= {
        "eta": rng.uniform(1.5, 3, events).astype("f4"),
        "simenergy": rng.uniform(0, 9, events).astype("f4"),
    }
    return tree(path, branches, "tree/wafer", packed=False)


def own(path: Path, events: int) -> Path:
    """zerobias' own layout, written without its writer."""
    rng = np.random.default_rng(6)
    parts = {
        "regions": regions(events).astype("u2"),
        "region_bits": rng.integers(0, 4, (events, 18, 14)).astype("u1"),
        "weight": rng.random(events),
        "npu": rng.integers(0, 80, events).astype("u2"),
        "process": rng.integers(0, 2, events).astype("u1"),
        "split": rng.integers(0, 3, events).astype("u1"),
    }
    hdf5(path, parts, compression="gzip", shuffle=True)
    with h5py.File(path, "r+") as file:
        file.attrs["format"] = "zerobias-events-1"
        file.attrs["process_names"] = json.dumps(["zero_bias", "ttbar"])
        file.attrs["provenance"] = json.dumps({"seed": 1})
    return path


def _cicada_plain(path: Path, events: int) -> Path:
    more = {"nPV": np.arange(events) % 80, "AcceptanceFlag": np.ones(events, bool)}
    return hdf5(path, {"CaloRegions": regions(events).astype("u2"), **more}, compression="gzip", shuffle=True)


def _cicada_structured(path: Path, events: int) -> Path:
    grid = regions(events)
    return hdf5(path, {"CaloRegions": structured(grid, grid > 500, grid % 2)}, compression="gzip")


def _cicada_latest(path: Path, events: int) -> Path:
    settings = {"maxshape": (None, 18, 14), "chunks": (2, 9, 14), "compression": "gzip"}
    return hdf5(path, {"CaloRegions": regions(events).astype("i4")}, "latest", **settings)


def _cicada_apart(path: Path, events: int) -> Path:
    grid = regions(events).astype("f8")
    return hdf5(path, {"et": grid, "tauBits": grid % 2, "egBits": grid % 2 == 0})


LAYOUTS: dict[str, Callable[[Path, int], Path]] = {
    "own": own,
    "cicada-plain": _cicada_plain,
    "cicada-structured": _cicada_structured,
    "cicada-apart": _cicada_apart,
    "cicada-latest": _cicada_latest,
    "adc2021": adc2021,
    "l1nano": l1nano,
    "l1nano-emulated": lambda path, events: l1nano(path, events, prefix="L1Emul"),
    "nano-central": lambda path, events: l1nano(path, events, hardware=False),
    "l1ntuple": ntuple,
    "cmsl1t": cmsl1t,
    "econt-csv": econt_csv,
    "econt-root": econt_root,
}
"""Name -> writer of a file of so many events."""

"""At least 100 000 mutated event files, and genuine files of the experiment: `make test-long`."""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
from pathlib import Path

import awkward as ak
import numpy as np
import pytest
import uproot

from zerobias.errors import DataError
from zerobias.events import chunks, read
from zerobias.events.layouts.root import RootFile

pytestmark = pytest.mark.long

FUZZ = Path(__file__).parents[1] / "data" / "fuzz.py"
PLAN = {
    "own": 18_000,
    "cicada-plain": 18_000,
    "cicada-structured": 18_000,
    "cicada-apart": 16_000,
    "cicada-latest": 8_000,
    "adc2021": 12_000,
    "econt-csv": 8_000,
    "cmsl1t": 8_000,
    "l1ntuple": 2_000,
    "econt-root": 800,
    "l1nano": 600,
    "l1nano-emulated": 300,
    "nano-central": 600,
}
MEMORY_MIB, SECONDS = 1000, 10


def test_the_plan_has_100_000_inputs() -> None:
    assert sum(PLAN.values()) >= 100_000


@pytest.mark.parametrize("layout", PLAN)
def test_mutated_files(tmp_path: Path, layout: str) -> None:
    """Events or a ``DataError``; a crash or hang in a library ends the process and fails the test."""
    done = subprocess.run(
        [sys.executable, str(FUZZ), str(tmp_path), "2026", f"{layout}:{PLAN[layout]}"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, f"{(tmp_path / 'now').read_text()}: {done.returncode} {done.stderr[-2000:]}"
    found = json.loads(done.stdout)
    assert found[layout]["inputs"] == PLAN[layout]
    assert found[layout]["refused"] > 0
    assert found["peak MiB"] < MEMORY_MIB
    assert found["longest s"] < SECONDS


@pytest.fixture(scope="module")
def genuine(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """CMS NanoAOD of the coffea source distribution, written by ROOT: data, and simulated top pairs."""
    folder = tmp_path_factory.mktemp("coffea")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:"]
    subprocess.run([*command, "--dest", str(folder), "coffea"], check=True)
    (archive,) = folder.glob("coffea-*.tar.gz")
    names = ("nano_dimuon.root", "nano_tt_v15.root")
    with tarfile.open(archive) as source:
        for member in source.getmembers():
            if Path(member.name).name in names:
                (folder / Path(member.name).name).write_bytes(source.extractfile(member).read())
    return [folder / name for name in names]


def test_genuine_nanoaod_has_no_level_1_objects(genuine: list[Path]) -> None:
    for path in genuine:
        for reader in (read, chunks):
            with pytest.raises(DataError, match="no Level-1 objects") as caught:
                reader(path)
            assert "it lacks L1EG_pt, L1EG_eta, L1EG_phi, L1Mu_pt, L1Mu_eta, L1Mu_phi" in str(caught.value)
            assert "no regions, it lacks Regions_et, Regions_ieta, Regions_iphi: use L1 NanoAOD" in str(
                caught.value
            )


def test_every_branch_of_genuine_files_is_what_uproot_reads(genuine: list[Path]) -> None:
    for path in genuine:
        tree = RootFile(path).tree("Events")
        assert len(tree.names) > 1000
        with uproot.open(path) as file:
            for name in sorted(tree.names):
                expected = file["Events"][name].array()
                found = tree.branch(name).jagged(0, tree.entries)
                flat = (
                    ak.to_numpy(ak.flatten(expected, axis=None))
                    if expected.ndim > 1
                    else ak.to_numpy(expected)
                )
                np.testing.assert_array_equal(found.values, flat, err_msg=name)
                counts = ak.num(expected).to_list() if expected.ndim > 1 else [1] * len(expected)
                assert found.counts.tolist() == counts, name

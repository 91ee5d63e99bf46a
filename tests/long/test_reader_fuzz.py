"""At least 100 000 mutated event files, and genuine files of the experiment: `make test-long`."""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from zerobias.errors import DataError
from zerobias.events import chunks, read

pytestmark = pytest.mark.long

FUZZ = Path(__file__).parents[1] / "data" / "fuzz.py"
PLAN = {
    "own": 18_000,
    "cicada-plain": 18_000,
    "cicada-structured": 18_000,
    "cicada-apart": 18_000,
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


def test_genuine_nanoaod_without_level_1_objects(tmp_path: Path) -> None:
    """CMS NanoAOD of the coffea source distribution: real files of ROOT, but no Level-1 objects."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    subprocess.run([*command, "--no-binary", ":all:", "--dest", str(tmp_path), "coffea"], check=True)
    (archive,) = tmp_path.glob("coffea-*.tar.gz")
    with tarfile.open(archive) as source:
        for member in source.getmembers():
            if Path(member.name).name in ("nano_dimuon.root", "nano_tt_v15.root"):
                (tmp_path / Path(member.name).name).write_bytes(source.extractfile(member).read())
    for name in ("nano_dimuon.root", "nano_tt_v15.root"):
        for reader in (read, chunks):
            with pytest.raises(DataError, match="no Level-1 objects") as caught:
                reader(tmp_path / name)
            assert "it lacks L1EG_pt, L1EG_eta, L1EG_phi, L1Mu_pt, L1Mu_eta, L1Mu_phi" in str(caught.value)
            assert "no regions, it lacks Regions_et, Regions_ieta, Regions_iphi: use L1 NanoAOD" in str(
                caught.value
            )

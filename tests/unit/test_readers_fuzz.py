"""A short, seeded run of mutated files of every layout; the long one is tests/long/test_reader_fuzz.py."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

FUZZ = Path(__file__).parents[1] / "data" / "fuzz.py"
SLOW = ("l1nano", "l1nano-emulated", "nano-central", "econt-root")
SEED = 2  # its cmsl1t input 195 ended the process in pyarrow 26 when asked for column metadata
HDF5 = ("own", "cicada-plain", "cicada-structured", "cicada-apart", "cicada-latest", "adc2021")
OTHER = ("econt-csv", "cmsl1t", "l1ntuple")


@pytest.mark.parametrize(("layouts", "count"), [((*HDF5, *OTHER), 250), (SLOW, 25)], ids=["fast", "slow"])
def test_mutated_files_give_events_or_a_data_error(
    tmp_path: Path, layouts: tuple[str, ...], count: int
) -> None:
    plan = [f"{name}:{count}" for name in layouts]
    done = subprocess.run(
        [sys.executable, str(FUZZ), str(tmp_path), str(SEED), *plan],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, f"{(tmp_path / 'now').read_text()}: {done.returncode} {done.stderr[-2000:]}"
    found = json.loads(done.stdout)
    for name in layouts:
        assert found[name]["events"] > 0, "some mutations do no harm"
        assert found[name]["refused"] > 0, "some do"
    assert found["peak MiB"] < 1000

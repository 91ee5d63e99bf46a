"""A foreign event file as the sample of a command."""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from types import SimpleNamespace

from typer.testing import CliRunner

from zerobias.cli.app import app

FILES = SimpleNamespace(**runpy.run_path(str(Path(__file__).parents[1] / "data" / "event_files.py")))


def firmware(models: Path, tmp_path: Path, sample: Path) -> tuple[int, str, str]:
    words = [
        "firmware",
        "tiny",
        "--models",
        models,
        "--build",
        tmp_path / "build",
        "--sample",
        sample,
        "--json",
    ]
    result = CliRunner().invoke(app, [str(word) for word in words])
    return result.exit_code, result.stdout, result.stderr


def test_firmware_is_verified_on_a_foreign_file_without_physics(
    shelf_with_tiny: Path, tmp_path: Path
) -> None:
    code, out, err = firmware(shelf_with_tiny, tmp_path, FILES.cmsl1t(tmp_path / "zero_bias", 60))
    assert code == 0, err
    report = json.loads(out)
    assert report["agreement"]["events"] == 60
    assert set(report["agreement"]["mismatches"].values()) == {0}
    assert report["physics"] is None


def test_a_file_without_the_models_collection_is_one_sentence(shelf_with_tiny: Path, tmp_path: Path) -> None:
    sample = FILES.hdf5(tmp_path / "regions", {"CaloRegions": FILES.regions(3)})
    code, out, err = firmware(shelf_with_tiny, tmp_path, sample)
    assert (code, out) == (2, "")
    assert "error: the events have no objects: they hold regions; take a file that has objects" in err

"""`zerobias study`, and the default sample of a model."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from zerobias.cli.app import app
from zerobias.events import default_sample

STUDY = """
def study(model, data, events):
    data.progress("counting", 1, 1)
    return [{"method": "count", "metric": "events", "value": len(data.events), "error": 0.0,
             "test": len(events.of("zero_bias", "test"))},
            {"method": "none", "metric": "events", "value": float("nan"), "error": 1.0}]
"""


@pytest.fixture
def folder(shelf_with_tiny: Path, tmp_path: Path) -> Path:
    shutil.copytree(shelf_with_tiny, tmp_path / "models")
    return tmp_path / "models"


def run(folder: Path, sample: Path, study: str = "count") -> tuple[int, str, str]:
    result = CliRunner().invoke(
        app, ["study", "tiny", study, "--models", str(folder), "--sample", str(sample), "--json"]
    )
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.stdout, result.stderr


def test_rows_lie_beside_the_model_card(folder: Path, small_sample: Path) -> None:
    (folder / "tiny" / "count.py").write_text(STUDY)
    code, out, err = run(folder, small_sample)
    assert code == 0, err
    written = folder / "tiny" / "count.json"
    assert json.loads(out) == {"path": str(written), "rows": 2}
    row, undefined = json.loads(written.read_text())["rows"]
    assert (row["method"], row["error"]) == ("count", 0.0)
    assert row["value"] > 0
    assert row["test"] > 0
    assert undefined["value"] is None


def test_a_folder_without_a_study_is_one_sentence(folder: Path, small_sample: Path) -> None:
    code, out, err = run(folder, small_sample)
    assert (code, out) == (2, "")
    assert "model tiny has no study 'count': it has none; a study is a file" in " ".join(err.split())
    (folder / "tiny" / "count.py").write_text("def study(model, data, events):\n    return 1 / 0\n")
    code, out, err = run(folder, small_sample)
    assert code == 2
    assert "count.py, line 2: ZeroDivisionError: division by zero; mend count.py" in " ".join(err.split())
    assert not (folder / "tiny" / "count.json").exists()
    code, _, err = run(folder, small_sample, "model")
    assert code == 2
    assert "has no study 'model': it has count;" in " ".join(err.split())


def test_each_collection_has_its_shipped_sample() -> None:
    assert default_sample("wafer").name == "wafers.h5"
    assert default_sample("regions") == default_sample() != default_sample("wafer")

"""``zerobias emulator`` as a user meets it, without compiling."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from zerobias.cli.app import app
from zerobias.files import tree_digest


@pytest.fixture(scope="module")
def folder(shelf_with_tiny: Path, small_sample: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A models folder with the tiny model and its golden scores."""
    root = tmp_path_factory.mktemp("cli") / "models"
    shutil.copytree(shelf_with_tiny, root)
    assert run("golden", "tiny", "--models", root, "--sample", small_sample)[0] == 0
    return root


def run(*words: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture
def words(folder: Path, small_sample: Path, tmp_path: Path) -> tuple[object, ...]:
    where = "--models", folder, "--build", tmp_path, "--sample", small_sample
    return "emulator", "tiny", *where, "--write-only"


def test_write_only(words: tuple[object, ...], tmp_path: Path) -> None:
    code, out, _ = run(*words, "--json")
    assert code == 0
    document = json.loads(out)
    package = tmp_path / "tiny" / "emulator"
    assert document["path"] == str(package)
    assert document["library"] is None
    sidecar = json.loads(Path(document["sidecar"]).read_text())
    assert sidecar["digest"] == document["digest"]
    points = sidecar["thresholds"]["points"]
    assert [point["false_positive_rate"] for point in points] == [0.01, 0.001]
    assert points[0]["score"] < points[1]["score"]
    assert points[0]["sample"] == "small.h5, zero bias of the test split"
    before = tree_digest(package)
    code, out, _ = run(*words)
    assert code == 0
    assert "not built: run `make check install` there" in out
    assert tree_digest(package) == before


def test_folder_of_something_else_is_kept(words: tuple[object, ...], tmp_path: Path) -> None:
    """A repository called like the model, in the folder that is named for builds."""
    own = tmp_path / "tiny"
    for name in (".git/HEAD", "emulator/thesis.tex"):
        (own / name).parent.mkdir(parents=True)
        (own / name).write_text("all of it")
    before = tree_digest(own)
    code, out, err = run(*words)
    assert (code, out) == (2, "")
    assert f"{own} holds .git and is no build folder: name another one with --build" in " ".join(err.split())
    assert tree_digest(own) == before


def test_only_temporary_files_are_cleared_away(words: tuple[object, ...], tmp_path: Path) -> None:
    own = tmp_path / "tiny"
    for name in ("stages", "vectors"):  # as in a copy without hidden files
        (own / name).mkdir(parents=True)
    assert run(*words)[0] == 0
    for name in (".emulator.a1b2c3d4", ".report.json.4711.tmp", ".gitignore"):
        (own / name).write_text("")
    assert run(*words)[0] == 0
    assert sorted(path.name for path in own.iterdir()) == [
        ".gitignore",
        ".lock",
        "emulator",
        "stages",
        "vectors",
    ]


def test_missing_compiler(
    folder: Path, small_sample: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    code, out, err = run(
        "emulator", "tiny", "--models", folder, "--build", tmp_path, "--sample", small_sample
    )
    assert (code, out) == (2, "")
    assert err.startswith("error: g++ was not found: the emulator library needs a C++17 compiler, install")
    assert (tmp_path / "tiny" / "emulator" / "Makefile").is_file()


def test_missing_golden_scores(shelf_with_tiny: Path, tmp_path: Path) -> None:
    code, _, err = run("emulator", "tiny", "--models", shelf_with_tiny, "--build", tmp_path)
    assert code == 2
    assert "no golden vectors at" in err


def test_stale_golden_scores(folder: Path, small_sample: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "models")
    path = tmp_path / "models" / "tiny" / "golden" / "golden.npz"
    arrays = dict(np.load(path))
    arrays["score"][3] += 1
    np.savez(path, **arrays)
    words = "emulator", "tiny", "--models", tmp_path / "models", "--sample", small_sample
    code, _, err = run(*words, "--build", tmp_path / "build")
    assert code == 3
    assert "the reference differs from 1 of" in err
    assert "golden scores, first in event 3" in err

"""A release and its rebuilding with every step: C simulation, gate, physics, library and checker."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

import zerobias.release.repository as repository
from zerobias.cli.app import app
from zerobias.zoo import find_model, read_weights, write_weights


def run(*words: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.stdout, result.stderr


def commit(root: Path) -> None:
    for words in (
        ("add", "-A"),
        ("-c", "user.name=T", "-c", "user.email=t@example.org", "commit", "-qm", "x"),
    ):
        subprocess.run(["git", "-C", str(root), *words], check=True)


@pytest.mark.long
def test_old_release_built_again_has_the_same_digest(
    shelf_with_tiny: Path, small_sample: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repository, "_engine", lambda: tmp_path)
    root = tmp_path / "models"
    shutil.copytree(shelf_with_tiny, root)
    sample = "--models", root, "--sample", small_sample
    assert run("golden", "tiny", *sample)[0] == 0
    (root / ".gitignore").write_text("__pycache__/\n")
    subprocess.run(["git", "init", "-q", str(root)], check=True)
    commit(root)
    code, out, _ = run("release", "tiny", *sample, "--build", tmp_path / "first", "--json")
    assert code == 0
    made = json.loads(out)

    # Another version is worked on and released, in another build folder.
    model = find_model("tiny", root)
    toml = model.folder / "model.toml"
    toml.write_text(toml.read_text().replace('version = "1.2.3"', 'version = "1.3.0"'))
    weights = read_weights(model.weights_path("quantised"))
    weights["mu/bias"] = weights["mu/bias"] + 0.125
    write_weights(model.weights_path("quantised"), weights)
    commit(root)
    code, _, err = run("release", "tiny", *sample, "--build", tmp_path / "second")
    assert code == 3
    assert "golden scores" in " ".join(err.split())
    assert run("golden", "tiny", *sample)[0] == 0
    commit(root)
    code, out, _ = run("release", "tiny", *sample, "--build", tmp_path / "second", "--json")
    assert code == 0
    new = json.loads(out)
    assert {part for part, digest in new["digests"].items() if digest == made["digests"][part]} == {
        "contract"
    }

    code, out, _ = run("release", "tiny@1.2.3", *sample, "--build", tmp_path / "third", "--json")
    assert (code, json.loads(out)) == (0, made)
    rows = json.loads((root / "emulators.json").read_text())["emulators"]
    assert [(row["version"], row["digest"]) for row in rows] == [
        ("1.2.3", made["digest"]),
        ("1.3.0", new["digest"]),
    ]
    code, out, _ = run("emulator", "tiny@1.2.3", *sample, "--build", tmp_path / "fourth", "--json")
    assert (code, json.loads(out)["digest"]) == (0, made["digests"]["emulator"])

"""`zerobias pareto` and `zerobias auc-loss` as a user meets them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from zerobias.cli.app import app


@pytest.fixture
def folder(shelf_with_tiny: Path, tmp_path: Path) -> Path:
    shutil.copytree(shelf_with_tiny, tmp_path / "models")
    return tmp_path / "models"


def run(*words: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, [str(w) for w in words])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.stdout, result.stderr


def test_pareto_writes_figures_and_picture_and_trains_nothing_twice(
    folder: Path, small_sample: Path, tmp_path: Path
) -> None:
    command = ("pareto", "tiny", "--models", folder, "--sample", small_sample, "--build", tmp_path, "--json")
    code, out, err = run(*command, "--trials", 2)
    assert (code, err.count("Traceback")) == (0, 0), err
    document = json.loads(out)
    written = tmp_path / "tiny" / "pareto"
    assert json.loads((written / "pareto.json").read_text()) == document
    assert (written / "pareto.png").read_bytes().startswith(b"\x89PNG")
    assert [point["number"] for point in document["points"]] == [0, 1]
    assert document["chosen"]["lut"] > 0
    assert json.loads(run(*command, "--trials", 1)[1]) == document

    # Another recipe is another study: the points of this one do not count for it.
    toml = folder / "tiny" / "model.toml"
    toml.write_text(toml.read_text().replace("seed = 5", "seed = 6"))
    other = json.loads(run(*command, "--trials", 1)[1])
    assert [point["seed"] for point in other["points"]] == [6]


def test_space_with_an_unknown_place_is_one_sentence(folder: Path, small_sample: Path) -> None:
    toml = folder / "tiny" / "model.toml"
    toml.write_text(toml.read_text().replace('"network.hidden"', '"network.hiddn"'))
    code, out, err = run("pareto", "tiny", "--models", folder, "--sample", small_sample)
    assert (code, out) == (2, "")
    assert "there is no 'network.hiddn'; did you mean 'network.hidden'?" in err


def test_auc_loss_of_a_model_against_itself_is_zero_and_of_a_worse_one_is_refused(
    folder: Path, small_sample: Path, tmp_path: Path
) -> None:
    own = ("auc-loss", "tiny", "--models", folder, "--sample", small_sample)
    code, out, _ = run(*own, "--former", folder, "--limit", 0.0, "--json")
    assert code == 0
    found = json.loads(out)
    assert (found["mean"]["loss"], found["mean"]["upper"]) == (0.0, 0.0)
    assert found["mean"]["former"] > 0.5

    # The former model's weights, changed in sign: a worse or better score, but another.
    former = tmp_path / "former"
    shutil.copytree(folder, former)
    from zerobias.zoo import find_model, read_weights, write_weights

    path = find_model("tiny", former).weights_path("quantised")
    write_weights(path, {key: -array for key, array in read_weights(path).items()})
    loss = json.loads(run(*own, "--former", former, "--json")[1])["mean"]["loss"]
    assert loss != 0.0
    worse, better = (former, folder) if loss < 0 else (folder, former)
    code, _, err = run(
        "auc-loss", "tiny", "--models", worse, "--former", better, "--sample", small_sample, "--limit", 0.0
    )
    assert code == 3
    assert "mean AUC loss of tiny" in err

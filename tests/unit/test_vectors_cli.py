"""``zerobias vectors`` and ``zerobias capture`` as a user meets them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from zerobias.cli.app import app
from zerobias.fixed import from_keras, shaped
from zerobias.verify import Golden, extreme_events, write_golden
from zerobias.zoo import find_model


@pytest.fixture(scope="module")
def folder(shelf_with_tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A models folder with the tiny model and golden scores that differ from event to event."""
    root = tmp_path_factory.mktemp("cli") / "models"
    shutil.copytree(shelf_with_tiny, root)
    model = find_model("tiny", root)
    graph = from_keras(model.load(), model.contract)
    raw = extreme_events(model.contract, corners=50, random=300)[-340:]
    score = graph.evaluate(shaped(model.contract, graph, raw))
    assert len(np.unique(score)) > 100
    write_golden(root / "tiny" / "golden" / "golden.npz", Golden(raw, score))
    return root


def run(*words: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.stdout, " ".join(result.stderr.split())


def test_vectors_and_their_capture(folder: Path, tmp_path: Path) -> None:
    words = "--models", folder, "--format", "apx", "--start", 10, "--count", 320
    code, out, _ = run("vectors", "tiny", *words, "--out", tmp_path / "out", "--json")
    assert code == 0
    document = json.loads(out)
    assert [(row["first_event"], row["events"]) for row in document["files"]] == [(10, 170), (180, 150)]
    # The board answers 13 rows later.
    file = tmp_path / "capture.txt"
    text = (tmp_path / "out" / "scores_0.txt").read_text().splitlines()
    cells = ["0x00 0x0000000000000000"] * 13 + [line.partition(" ")[2].strip() for line in text[3:]]
    file.write_text("\n".join([*text[:3], *(f"0x{row:04x} {cell}" for row, cell in enumerate(cells))]))
    words = "capture", "tiny", file, "--models", folder, "--format", "apx", "--start", 10, "--count", 170
    code, out, _ = run(*words, "--json")
    assert code == 0
    found = json.loads(out)
    assert (found["offset"], found["rows_an_event"], found["events"], found["differing"]) == (13, 6, 170, 0)
    # One bit of the score of event 10 + 20.
    row = 3 + 13 + 6 * 20
    lines = file.read_text().splitlines()
    lines[row] = lines[row][:-1] + f"{int(lines[row][-1], 16) ^ 1:x}"
    file.write_text("\n".join(lines))
    code, out, err = run(*words)
    assert code == 3
    assert "offset 13 rows, 170 events compared, 1 differ" in " ".join(out.split())
    value = int(lines[row].split()[2], 16)
    assert err.endswith(
        "the capture differs in 1 of 170 events, first in event 30: "
        f"{value} in the capture, {value ^ 1} in the reference"
    )


def test_events_of_a_file(folder: Path, small_sample: Path, tmp_path: Path) -> None:
    words = "tiny", "--models", folder, "--format", "dat", "--events", small_sample, "--count", 40
    assert run("vectors", *words, "--out", tmp_path / "out")[0] == 0
    predictions = tmp_path / "out" / "tb_output_predictions.dat"
    assert len(predictions.read_text().splitlines()) == 40
    assert run("capture", "tiny", predictions, *words[1:])[0] == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--start", 340), "events 340 to 339 are asked for, there are 340: mend --start and --count"),
        (("--count", 341), "events 0 to 340 are asked for, there are 340: mend --start and --count"),
        (("--events", "no.h5"), "no.h5"),
    ],
)
def test_events_that_do_not_exist(
    folder: Path, words: tuple[object, ...], message: str, tmp_path: Path
) -> None:
    code, out, err = run(
        "vectors", "tiny", "--models", folder, "--format", "emp", "--out", tmp_path / "out", *words
    )
    assert (code, out) == (2, "")
    assert message in err
    assert not (tmp_path / "out").exists()

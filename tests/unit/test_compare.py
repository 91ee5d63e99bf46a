"""`zerobias compare`: two files of scores or vectors, in every form experts have them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from zerobias.cli.app import app
from zerobias.errors import DataError
from zerobias.verify import compare_files, read_arrays


def run(*words: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["compare", *(str(w) for w in words)])
    return result.exit_code, result.stdout, result.stderr


def write(path: Path, **arrays: np.ndarray) -> Path:
    np.savez(path, **arrays)
    return path


def test_equal_files_in_different_forms(tmp_path: Path) -> None:
    ours = write(tmp_path / "ours.npz", score=np.array([3, 1, 4], dtype=np.int32))
    (tmp_path / "board.txt").write_text("3\n1\n\n4\n")
    (tmp_path / "emulator.csv").write_text("score\n3\n1\n4\n")
    for other in ("board.txt", "emulator.csv"):
        code, out, _ = run(ours, tmp_path / other, "--json")
        assert code == 0
        assert json.loads(out)["arrays"][0]["differing"] == 0


def test_first_event_and_distance(tmp_path: Path) -> None:
    left = write(tmp_path / "a.npz", score=np.array([3, 1, 4, 9]))
    right = write(tmp_path / "b.npz", score=np.array([3, 2, 4, 2]))
    (row,) = compare_files(left, right).arrays
    assert (row.differing, row.first_event, row.left, row.right, row.distance) == (2, 1, 1, 2, 7)
    code, _, err = run(left, right)
    assert code == 3
    assert err.strip().endswith("error: score differs in 2 of 4 events, first in event 1")


def test_feature_is_named(tmp_path: Path) -> None:
    raw = np.zeros((3, 57), dtype=np.int16)
    left = write(tmp_path / "a.npz", raw=raw)
    raw[2, 27] = 5
    right = write(tmp_path / "b.npz", raw=raw)
    code, out, _ = run(left, right, "--model", "axol1tl")
    assert code == 3
    assert "jet1.pt" in out


def test_first_differing_layer_comes_first(tmp_path: Path) -> None:
    layers = {"dense1": np.ones((2, 3)), "dense2": np.ones((2, 2)), "score": np.array([1, 2])}
    left = write(tmp_path / "a.npz", **layers)
    right = write(tmp_path / "b.npz", **(layers | {"dense2": np.zeros((2, 2)), "score": np.array([1, 3])}))
    assert next(a.name for a in compare_files(left, right).arrays if a.differing) == "dense2"


def test_array_of_one_file_only_is_no_agreement(tmp_path: Path) -> None:
    left = write(tmp_path / "a.npz", score=np.array([1]), mu=np.array([1]))
    right = write(tmp_path / "b.npz", score=np.array([1]))
    code, _, err = run(left, right)
    assert code == 3
    assert "different arrays: mu" in err


def test_exact_integers_are_not_compared_as_floats(tmp_path: Path) -> None:
    left = write(tmp_path / "a.npz", score=np.array([2**60]))
    right = write(tmp_path / "b.npz", score=np.array([2**60 + 1]))
    assert compare_files(left, right).arrays[0].distance == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [("", "no rows"), ("1\n2 3\n", "different length"), ("one\n", "cannot be read as numbers")],
)
def test_bad_text(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "bad.txt").write_text(text)
    with pytest.raises(DataError, match=message):
        read_arrays(tmp_path / "bad.txt")


def test_nothing_in_common_and_other_shapes(tmp_path: Path) -> None:
    left = write(tmp_path / "a.npz", score=np.array([1]))
    with pytest.raises(DataError, match="nothing to compare"):
        compare_files(left, write(tmp_path / "b.npz", mu=np.array([1])))
    with pytest.raises(DataError, match="take the same events"):
        compare_files(left, write(tmp_path / "c.npz", score=np.array([1, 2])))
    code, _, err = run(left, tmp_path / "none.npz")
    assert code == 2
    assert "no file" in err

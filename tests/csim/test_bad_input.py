"""What a user can get wrong or break: one clear sentence, exit code 2, no traceback, nothing lost."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from zerobias.cli.stages import tree_digest
from zerobias.errors import DataError
from zerobias.zoo import find_model, model_names, read_weights

PROGRAM = [sys.executable, "-c", "from zerobias.cli import main; main()"]


@pytest.fixture
def words(shelf_with_tiny: Path, tmp_path: Path, small_sample: Path) -> list[str]:
    """The command that builds a copy of the tiny model in ``tmp_path``/build."""
    shutil.copytree(shelf_with_tiny, tmp_path / "models")
    shutil.copy(small_sample, tmp_path / "sample.h5")
    options = {"--models": "models", "--build": "build", "--sample": "sample.h5"}
    return ["firmware", "tiny", *(str(w) for name, file in options.items() for w in (name, tmp_path / file))]


def prepared(statement: str) -> list[str]:
    """The program, in a process that runs ``statement`` first."""
    code = f"import os, resource, signal, sys; {statement}; os.execv(sys.argv[1], sys.argv[1:])"
    return [sys.executable, "-c", code, *PROGRAM]


def run(words: list[str], program: list[str] = PROGRAM, **settings: object) -> tuple[int, str]:
    """Exit code and standard error."""
    done = subprocess.run([*program, *words], capture_output=True, text=True, check=False, **settings)  # type: ignore[call-overload]
    assert "Traceback" not in done.stderr + done.stdout
    return done.returncode, done.stderr


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def overwrite(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)


DAMAGE: dict[str, tuple[str, Callable[[Path], None], str]] = {
    "weights cut": ("models/tiny/weights/quantised.npz", truncate, "weights {path} cannot be read"),
    "weights empty": ("models/tiny/weights/quantised.npz", lambda p: p.write_bytes(b""), "cannot be read"),
    "weights gone": ("models/tiny/weights/quantised.npz", Path.unlink, "has no weights at {path}: run"),
    "toml broken": ("models/tiny/model.toml", truncate, "model.toml"),
    "toml not text": ("models/tiny/model.toml", lambda p: p.write_bytes(b"\xff\xfe"), "is not valid TOML"),
    "model.py gone": ("models/tiny/model.py", Path.unlink, "model.py is missing; it defines build"),
    "model.py faulty": (
        "models/tiny/model.py",
        lambda p: p.write_text(p.read_text().replace('network["hidden"]', 'network["hiden"]')),
        "model.py, line 17: KeyError: 'hiden'; mend model.py",
    ),
    "model.py broken": ("models/tiny/model.py", lambda p: p.write_text("def build(:\n"), "model.py, line 1"),
    "sample cut": ("sample.h5", truncate, "{path}: the file cannot be read"),
    "sample gone": ("sample.h5", Path.unlink, "no event file {path}"),
}


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.long if name.endswith("gone") else ()) for name in DAMAGE],
)
def test_damaged_files(name: str, words: list[str], tmp_path: Path) -> None:
    file, change, message = DAMAGE[name]
    change(tmp_path / file)
    code, err = run(words)
    assert code == 2, err
    assert message.format(path=tmp_path / file) in err
    assert len([line for line in err.splitlines() if line.startswith("error: ")]) == 1


def test_every_flipped_byte_of_the_weights_is_seen_or_harmless(words: list[str], tmp_path: Path) -> None:
    path = tmp_path / "models" / "tiny" / "weights" / "quantised.npz"
    whole, arrays = path.read_bytes(), read_weights(path)
    seen = 0
    for position in range(0, len(whole), 7):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 0x10]) + whole[position + 1 :])
        try:
            found = read_weights(path)
        except DataError:
            seen += 1
            continue
        for key in arrays.keys() & found.keys():
            np.testing.assert_array_equal(found[key], arrays[key])
    assert seen > 50


@pytest.mark.parametrize("name", ["nothing", "../tiny", "/etc/passwd", "", "models/tiny", "tiny/..", "Tiny"])
def test_model_that_is_none(name: str, words: list[str]) -> None:
    code, err = run(["firmware", "--", name])
    assert code == 2
    known = ", ".join(model_names())
    assert f"no model named {name!r}: known are {known}" in err.replace("\n", " ")


def test_no_compiler(words: list[str], tmp_path: Path) -> None:
    code, err = run(words, env={**os.environ, "PATH": str(tmp_path)})
    assert code == 2
    assert "g++ was not found: C simulation needs a C++17 compiler, install the package g++" in err


@pytest.mark.long
def test_full_disk_loses_nothing(words: list[str], tmp_path: Path) -> None:
    """No file may grow beyond a limit: what a full disk does to a program, at several places."""
    assert run(words)[0] == 0
    right = tree_digest(tmp_path / "build")
    model = find_model("tiny", tmp_path / "models")
    weights, text = model.weights_path("quantised").read_bytes(), (model.folder / "model.toml").read_text()
    (model.folder / "model.toml").write_text(text.replace("shift = [3]", "shift = [2]", 1))
    for limit in (0, 100, 3_000, 30_000):
        limited = prepared(f"resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))")
        code, err = run(words, limited)
        assert code == 2, (limit, err)
        assert "error: " in err
    (model.folder / "model.toml").write_text(text)
    assert model.weights_path("quantised").read_bytes() == weights
    assert run(words)[0] == 0
    assert tree_digest(tmp_path / "build") == right
    assert [p for p in (tmp_path / "build" / "tiny").glob(".*") if p.name != ".lock"] == []


def test_unwritable_build_folder(words: list[str], tmp_path: Path) -> None:
    (tmp_path / "build").write_text("a file where a folder should be")
    code, err = run(words)
    assert code == 2
    assert str(tmp_path / "build") in err


def interrupted(words: list[str], after: float) -> tuple[int, str]:
    """Exit code and standard error of a run that gets Ctrl-C after some seconds."""
    # A background job inherits the signal ignored; the default is what a terminal gives.
    process = subprocess.Popen(
        [*prepared("signal.signal(signal.SIGINT, signal.SIG_DFL)"), *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    time.sleep(after)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate()
    return process.returncode, err


@pytest.mark.long
def test_interrupt(words: list[str], tmp_path: Path) -> None:
    timed = [*words[:-3], str(tmp_path / "timed"), *words[-2:]]
    start = time.monotonic()
    assert run(timed)[0] == 0
    whole = time.monotonic() - start
    for share in (0.1, 0.4, 0.7, 0.9):
        code = 0
        while code in (0, -signal.SIGINT):  # over before the signal came, or Python was ending: try earlier
            shutil.rmtree(tmp_path / "build", ignore_errors=True)
            code, err = interrupted(words, share * whole)
            share *= 0.8
        assert "Traceback" not in err
        assert code == 2, err
        assert err.strip().splitlines()[-1].startswith("error: interrupted")
    assert run(words)[0] == 0
    assert tree_digest(tmp_path / "build") == tree_digest(tmp_path / "timed")

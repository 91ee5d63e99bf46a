"""A second build does exactly what depends on what changed; other processes and kills do no harm."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import zerobias.cli.build as build
from zerobias import shelves
from zerobias.cli.build import build_firmware
from zerobias.cli.stages import tree_digest
from zerobias.events import read, write
from zerobias.report import page, read_report
from zerobias.zoo import find_model, read_weights, write_weights

STAGES = {
    "HLS project": "project",
    "C simulation: compiling": "agreement",
    "physics": "physics",
}


@pytest.fixture(scope="module")
def finished(shelf_with_tiny: Path, small_sample: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the tiny model in models/ and its build in build/."""
    root = tmp_path_factory.mktemp("finished")
    shutil.copytree(shelf_with_tiny, root / "models")
    assert done(root / "models", root / "build", small_sample) == ALL
    return root


@pytest.fixture
def folder(finished: Path, tmp_path: Path) -> Path:
    """The models folder of a copy of ``finished`` in ``tmp_path``."""
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    return tmp_path / "models"


def done(folder: Path, root: Path, sample: Path) -> list[str]:
    """Stages that a build of the tiny model runs."""
    steps: list[str] = []
    build_firmware(find_model("tiny", folder), root, steps.append, sample=sample)
    return [STAGES[step] for step in steps if step in STAGES]


def flip_weight(folder: Path) -> None:
    path = find_model("tiny", folder).weights_path("quantised")
    arrays = read_weights(path)
    arrays["mu/bias"][0] += 0.125
    write_weights(path, arrays)


def edit(file: str, old: str, new: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / "tiny" / file
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    return change


ALL = ["project", "agreement", "physics"]
CHANGES: dict[str, tuple[Callable[[Path], None], list[str]]] = {
    "weight": (flip_weight, ALL),
    "offset": (edit("model.toml", "offset = [18], shift = [3]", "offset = [17], shift = [3]"), ALL),
    "architecture": (edit("model.py", '"""Tiny network', '"""Tiny  network'), ALL),
    "reuse": (edit("model.toml", "reuse_factor = 1", "reuse_factor = 2"), ["project", "agreement"]),
    "title": (edit("model.toml", 'title = "Tiny anomaly', 'title = "Small anomaly'), []),
    "ceiling": (edit("model.toml", "latency_ns = 40.0", "latency_ns = 39.0"), []),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_redoes_what_depends_on_it(
    name: str, folder: Path, tmp_path: Path, small_sample: Path
) -> None:
    change, expected = CHANGES[name]
    assert done(folder, tmp_path / "build", small_sample) == []
    change(folder)
    assert done(folder, tmp_path / "build", small_sample) == expected
    made = tmp_path / "build" / "tiny"
    assert (made / "report.html").read_text() == page(read_report(made / "report.json"))
    if name == "title":
        assert "Small anomaly" in (made / "report.html").read_text()
    if name == "ceiling":
        report = json.loads((tmp_path / "build" / "tiny" / "report.json").read_text())
        assert next(row for row in report["hardware"] if row["metric"] == "latency")["budget"] == 39.0


@pytest.mark.long
def test_template_tool_compiler_sample_and_damage(
    folder: Path, tmp_path: Path, small_sample: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "build"
    own = tmp_path / "shelf"
    shutil.copytree(shelves.shelf("firmware"), own, ignore=shutil.ignore_patterns("build"))
    template = own / "templates" / "csim.cpp.in"
    template.write_text(template.read_text() + "// another line\n")

    def shelf(name: str) -> Path:
        return own if name == "firmware" else shelves.shelf(name)

    for module in ("zerobias.cli.build", "zerobias.hls.templates"):
        monkeypatch.setattr(f"{module}.shelf", shelf)
    assert done(folder, root, small_sample) == ["project", "agreement"]

    monkeypatch.setattr(build, "compiler_version", lambda: "g++ 99")
    assert done(folder, root, small_sample) == ["agreement"]

    other = tmp_path / "other.h5"
    events = read(small_sample)
    write(other, events.select(np.arange(len(events)) % 2 == 0))
    assert done(folder, root, other) == ["agreement", "physics"]

    weights = next((root / "tiny" / "hls").rglob("w*.h"))
    weights.write_text(weights.read_text().replace("0", "1", 1))
    assert done(folder, root, other) == ["project"]
    (root / "tiny" / "stages" / "physics.json").write_text("{")
    assert done(folder, root, other) == ["physics"]
    (root / "tiny" / "csim").unlink()
    monkeypatch.setattr(build, "version", lambda name: "0.0.1" if name == "hls4ml" else "2")
    assert done(folder, root, other) == ALL


def command(folder: Path, root: Path, sample: Path) -> list[str]:
    program = "from zerobias.cli import main; main()"
    words = ["firmware", "tiny", "--models", folder, "--build", root, "--sample", sample, "--json"]
    return [sys.executable, "-c", program, *map(str, words)]


@pytest.mark.long
def test_two_at_once_build_once(folder: Path, tmp_path: Path, small_sample: Path) -> None:
    words = command(folder, tmp_path / "twice", small_sample)
    two = [subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(2)]
    results = [process.communicate() for process in two]
    assert [process.returncode for process in two] == [0, 0], results
    assert results[0][0] == results[1][0]
    assert tree_digest(tmp_path / "twice") == tree_digest(tmp_path / "build"), "builds in two folders"


@pytest.mark.long
@pytest.mark.parametrize("kills", [2, 24])
def test_killed_builds_are_made_right_by_the_next(
    kills: int, folder: Path, tmp_path: Path, small_sample: Path
) -> None:
    """Weights alternate, so each killed run is on its way from one right build to another."""
    before = read_weights(find_model("tiny", folder).weights_path("quantised"))
    flip_weight(folder)
    start = time.monotonic()
    subprocess.run(command(folder, tmp_path / "second", small_sample), check=True, capture_output=True)
    whole = time.monotonic() - start
    after = read_weights(find_model("tiny", folder).weights_path("quantised"))
    right = [tree_digest(tmp_path / name / "tiny") for name in ("build", "second")]
    assert right[0] != right[1]

    dice = random.Random(kills)
    root = tmp_path / "killed"
    turn = killed = 0
    while killed < kills:
        turn += 1
        write_weights(find_model("tiny", folder).weights_path("quantised"), (before, after)[turn % 2])
        process = subprocess.Popen(
            command(folder, root, small_sample),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        time.sleep(dice.uniform(0.2, 0.9) * whole)
        if process.poll() is not None:
            whole *= 0.9  # faster than the one that was timed: nothing was killed
        elif killed % 2:
            process.kill()  # its compilers live on as orphans
            killed += 1
        else:
            os.killpg(process.pid, signal.SIGKILL)
            killed += 1
        process.wait()
        subprocess.run(command(folder, root, small_sample), check=True, capture_output=True)
        assert tree_digest(root / "tiny") == right[turn % 2], f"after kill {killed}"

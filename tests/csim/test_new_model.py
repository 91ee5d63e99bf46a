"""docs/how-to/new-model.md, done as written, in an environment that holds the wheel and no checkout."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "how-to" / "new-model.md").read_text()


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """bin/ of a new environment: our wheel, with the dependencies of this one (paths in a .pth file are not
    searched for further .pth files, so the checkout's own install stays out)."""
    root = tmp_path_factory.mktemp("wheel")
    wheel = next(WheelBuilder(str(ROOT)).build(directory=str(root), versions=["standard"]))
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(root / "env")], check=True)
    site = next((root / "env" / "lib").glob("python3*/site-packages"))
    (site / "dependencies.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    python = str(root / "env" / "bin" / "python")
    install = ["-m", "pip", "--python", python, "install", "--quiet", "--no-deps", "--no-index", wheel]
    subprocess.run([sys.executable, *install], check=True)
    return root / "env" / "bin"


def zerobias(programs: Path, folder: Path, *words: str) -> str:
    """Standard output of a command run in ``folder`` with another home."""
    environment = {"PATH": f"{programs}:{os.environ['PATH']}", "HOME": str(folder)}
    done = subprocess.run(
        ["zerobias", *words], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_wheel_is_what_runs(programs: Path, tmp_path: Path) -> None:
    code = "import zerobias, zerobias.shelves; print(zerobias.__file__, zerobias.shelves.shelf('models'))"
    done = subprocess.run(
        [programs / "python", "-c", code], cwd=tmp_path, env={}, capture_output=True, text=True, check=True
    )
    assert str(ROOT) not in done.stdout


@pytest.mark.long
def test_how_to_as_written(programs: Path, tmp_path: Path) -> None:
    files = re.findall(r"```\w+ file=(\S+)\n(.*?)```", PAGE, re.DOTALL)
    assert [name for name, _ in files] == ["my/heavy/model.toml", "my/heavy/model.py"]
    for name, text in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    (commands,) = re.findall(r"```sh run\n(.*?)```", PAGE, re.DOTALL)
    for line in commands.splitlines():
        zerobias(programs, tmp_path, *line.split()[1:])
    report = json.loads((tmp_path / "firmware" / "build" / "heavy" / "report.json").read_text())
    assert report["verdict"] == "pass-on-estimates"
    assert report["agreement"]["mismatches"] == {"reference": 0, "keras": 0, "csim": 0}
    aucs = {(row["signal"], row["score"]): row["auc"]["value"] for row in report["physics"]["rows"]}
    assert aucs["ttbar", "model"] > aucs["ttbar", "sum_et"]


@pytest.mark.long
def test_shipped_model_from_the_wheel(programs: Path, tmp_path: Path) -> None:
    report = json.loads(zerobias(programs, tmp_path, "firmware", "axol1tl", "--json"))
    assert report["agreement"]["mismatches"] == {"reference": 0, "keras": 0, "csim": 0}
    assert (tmp_path / "firmware" / "build" / "axol1tl" / "hls" / "build_hls.tcl").is_file()

"""Libraries under sanitizers, without their defences, and of the shipped models: minutes of compiling."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from zerobias.emulator import Package, build_emulator, check_emulator, checker_source, write_emulator
from zerobias.fixed import graph_of
from zerobias.verify import read_golden
from zerobias.zoo import find_model, model_names

pytestmark = pytest.mark.long

MEMORY = "-O1 -g -fsanitize=address,undefined -fno-sanitize=shift-base -fno-sanitize-recover=all"
"""ap_types shifts negative values to the left, which g++ and C++20 define."""
THREADS = "-O1 -g -fsanitize=thread"


def run(*words: object, cwd: Path, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """The finished command, with its output."""
    texts = [str(word) for word in words]
    setting = None if env is None else {**os.environ, **env}
    return subprocess.run(texts, cwd=cwd, env=setting, capture_output=True, text=True, check=False)


def edit(path: Path, right: str, wrong: str) -> None:
    """Replace ``right``, which must be there."""
    text = path.read_text()
    assert right in text
    path.write_text(text.replace(right, wrong))


def side_by_side(packages: list[Package], folder: Path, *options: str) -> Callable[..., Any]:
    """Runs a checker of all packages; options of g++."""
    folder.mkdir()
    (folder / "check.cpp").write_text(checker_source([package.interface for package in packages]))
    first = packages[0].path
    includes = [f"-I{first / name}" for name in ("include", "ap_types")]
    includes += [f"-I{package.path}" for package in packages]
    done = run(
        "g++",
        "-std=c++17",
        "-w",
        *includes,
        *options,
        "check.cpp",
        "-o",
        "checker",
        "-pthread",
        "-ldl",
        cwd=folder,
    )
    assert done.returncode == 0, done.stderr

    def check(*words: str, **env: str) -> subprocess.CompletedProcess[str]:
        files = [path for p in packages for path in (p.library, p.sidecar, p.path / "golden")]
        return run(folder / "checker", *words, *files, cwd=folder, env=env)

    return check


def read_one_too_many(source: Path) -> None:
    edit(source, "std::copy(x, x + 57, x_)", "std::copy(x, x + 58, x_)")


def shared_memory(source: Path) -> None:
    edit(
        source,
        "    network::contract::scaled_t scaled[57];",
        "    static network::contract::scaled_t scaled[57];",
    )


@pytest.mark.parametrize(
    ("flags", "mutate", "said"),
    [(MEMORY, read_one_too_many, "AddressSanitizer"), (THREADS, shared_memory, "ThreadSanitizer: data race")],
)
def test_sanitizers_find_nothing(
    flags: str, mutate: Callable[[Path], None], said: str, first: Any, tmp_path: Path
) -> None:
    package = first.write(tmp_path / "package")
    done = run("make", f"CXXFLAGS={flags}", "check", cwd=package.path)
    assert done.returncode == 0, done.stderr
    assert "1440 of 1440 results equal" in done.stdout
    mutate(package.library.with_suffix(".cpp"))
    done = run("make", f"CXXFLAGS={flags}", "check", cwd=package.path)
    assert done.returncode != 0
    assert said in done.stderr


def test_without_its_defences_one_library_spoils_the_other(first: Any, second: Any, tmp_path: Path) -> None:
    """The first one's symbols are seen by all, as those of a library that another one is linked with."""
    packages = [first.write(tmp_path / "one"), second.write(tmp_path / "other")]
    for package in packages:
        assert run("make", "CXXFLAGS=-O0", "all", cwd=package.path).returncode == 0
    check = side_by_side(packages, tmp_path / "program")
    done = check(LD_PRELOAD=str(packages[0].library))
    assert done.returncode == 0, done.stdout
    for package in packages:
        space = package.interface.namespace
        source = package.library.with_suffix(".cpp")
        text = re.sub(rf"\b{space}\b", "model", source.read_text())
        source.write_text(text.replace(f'"{package.library.stem}.h"', '"renamed.h"'))
        header = package.path / f"{package.library.stem}.h"
        (package.path / "renamed.h").write_text(re.sub(rf"\b{space}\b", "model", header.read_text()))
        for weights in (package.path / "firmware" / "weights").glob("*.h"):
            edit(weights, "static const ", "")
        for flag in (" -fvisibility=hidden -fvisibility-inlines-hidden", " -Wl,--version-script=exports.map"):
            edit(package.path / "Makefile", flag, "")
        assert run("make", "CXXFLAGS=-O0", "all", cwd=package.path).returncode == 0
    assert check().returncode == 0  # each alone is what it was
    done = check(LD_PRELOAD=str(packages[0].library))
    assert done.returncode == 1
    assert re.search(r"\d+ of 1440 results differ", done.stdout)


@pytest.mark.parametrize("strategy", ["resource", "distributed_arithmetic"])
def test_other_strategies_and_a_latent_layer_of_one_value(
    strategy: str, subject_of: Any, tmp_path: Path
) -> None:
    table = f'[emulator]\nlatent = "mu"\n\n[hls]\nstrategy = "{strategy}"'
    subject = subject_of(
        lambda text: text.replace('[hls]\nstrategy = "latency"', table).replace("latent = 8", "latent = 1")
    )
    package = subject.write(tmp_path / "package")
    assert package.interface.result_type.startswith("std::pair<ap_fixed<10,7,AP_RND_CONV,AP_SAT>,ap_ufixed<")
    build_emulator(package, ["CXXFLAGS=-O0"])
    assert "1440 of 1440 results equal" in check_emulator(package)


def test_all_models_in_one_process(first: Any, second: Any, tmp_path: Path) -> None:
    """Every model of the shelf and two versions of another one, loaded in both orders."""
    packages = [first.write(tmp_path / "one"), second.write(tmp_path / "other")]
    for name in model_names():
        model = find_model(name)
        network = model.load()
        golden = read_golden(model.folder / "golden" / "golden.npz")
        graph = graph_of(network, model.contract)
        packages.append(write_emulator(model, network, graph, golden.raw, golden.score, tmp_path / name))
    for package in packages:
        build_emulator(package)
    check = side_by_side(packages, tmp_path / "program", "-O1")
    for order in ((), ("--backwards",)):
        done = check(*order)
        assert done.returncode == 0, done.stdout
        assert len(done.stdout.splitlines()) == len(packages) >= 4


def test_command_builds_and_checks(tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from zerobias.cli.app import app

    words = ["emulator", "axol1tl", "--build", str(tmp_path)]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.stderr
    assert re.search(r"GTADModel_v\w+: (\d+) of \1 results equal", result.stdout)
    library = next((tmp_path / "axol1tl" / "emulator").glob("*.so"))
    built = library.stat().st_mtime_ns
    assert CliRunner().invoke(app, words).exit_code == 0
    assert library.stat().st_mtime_ns == built
    shutil.rmtree(tmp_path / "axol1tl")

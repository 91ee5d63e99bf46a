"""Built libraries: exact, apart from each other, and each incident's defence seen when it is taken away.

The incidents are those of docs/explanation/emulators.md. A control changes one thing in a copy of a package,
builds it and finds that the check of the intact one fails.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from zerobias.emulator import Package, build_emulator, check_emulator, checker_source
from zerobias.errors import GateError, ToolError

FAST = ("CXXFLAGS=-O0",)
LOADER = Path(__file__).parents[1] / "data" / "emulator" / "loader.cpp"


def run(*words: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    """The finished command, with its output."""
    texts = [str(word) for word in words]
    return subprocess.run(texts, cwd=cwd, capture_output=True, text=True, check=False)


@dataclass(frozen=True)
class Built:
    """Both packages, built, a program that checks them side by side, a user of the published interface."""

    one: Package
    other: Package
    checker: Path
    loader: Path

    def check(self, one: Path, other: Path, *options: str) -> subprocess.CompletedProcess[str]:
        """The checker's verdict on both packages in these folders."""
        words: list[object] = [self.checker, *options]
        for folder, package in ((one, self.one), (other, self.other)):
            words += [folder / package.library.name, folder / package.sidecar.name, folder / "golden"]
        return run(*words, cwd=one)


@pytest.fixture(scope="module")
def built(first: Any, second: Any, tmp_path_factory: pytest.TempPathFactory) -> Built:
    root = tmp_path_factory.mktemp("built")
    one, other = first.write(root / "one"), second.write(root / "other")
    for package in (one, other):
        done = run("make", *FAST, "all", cwd=package.path)
        assert done.returncode == 0, done.stderr
    (root / "check.cpp").write_text(checker_source([one.interface, other.interface]))
    includes = [f"-I{one.path / name}" for name in ("", "include", "ap_types")] + [f"-I{other.path}"]
    flags = ["-std=c++17", "-w", *includes]
    for source, program, more in (
        ("check.cpp", "checker", ["-pthread"]),
        (LOADER, "loader", ["-DSCORE_T=ap_ufixed<18,14,AP_TRN,AP_SAT>"]),
    ):
        done = run("g++", *flags, *more, source, "-o", program, "-ldl", cwd=root)
        assert done.returncode == 0, done.stderr
    return Built(one, other, root / "checker", root / "loader")


@pytest.fixture
def copy(built: Built, tmp_path: Path) -> Callable[[Package], Path]:
    """Copies a package with all that is built in it."""

    def made(package: Package) -> Path:
        shutil.copytree(package.path, tmp_path / package.path.name)
        return tmp_path / package.path.name

    return made


def edit(path: Path, right: str, wrong: str) -> None:
    """Replace ``right``, which must be there."""
    text = path.read_text()
    assert right in text
    path.write_text(text.replace(right, wrong))


def relinked(folder: Path, flag: str) -> None:
    """Link the library again, without ``flag``."""
    edit(folder / "Makefile", f" {flag}", "")
    library = next(folder.glob("*.so"))
    library.unlink()
    # The object is what it was: only the link changes.
    done = run("make", *FAST, "-o", library.with_suffix(".o").name, "all", cwd=folder)
    assert done.returncode == 0, done.stderr


# --- every version, side by side ---------------------------------------------------------------------------


@pytest.mark.parametrize("order", [(), ("--backwards",)])
def test_versions_in_one_process_are_exact(order: tuple[str, ...], built: Built) -> None:
    done = built.check(built.one.path, built.other.path, *order)
    assert (done.returncode, done.stdout) == (
        0,
        "tiny_v1p2p3: 1440 of 1440 results equal, 160 events on 8 threads and in a batch\n"
        "TinyModel_v1p2p4: 1440 of 1440 results equal, 160 events on 8 threads and in a batch\n",
    )


@pytest.mark.parametrize(("file", "said"), [("score", "9 of 1440"), ("latent", "8 of 1440")])
def test_one_wrong_golden_value_is_found(file: str, said: str, built: Built, copy: Any) -> None:
    folder = copy(built.other)
    golden = bytearray((folder / "golden" / file).read_bytes())
    golden[-8] ^= 1  # the last event's last value, one LSB
    (folder / "golden" / file).write_bytes(golden)
    done = built.check(built.one.path, folder)
    assert done.returncode == 1
    assert f"TinyModel_v1p2p4: {said} results differ, first in event 159" in done.stdout
    assert "tiny_v1p2p3: 1440 of 1440 results equal" in done.stdout


def test_check_of_a_package(built: Built, copy: Any) -> None:
    folder = copy(built.one)
    package = replace(built.one, path=folder)
    with pytest.raises(ToolError, match=r"does not run .* build it with make"):
        check_emulator(package)
    build_emulator(package, [*FAST, "--assume-old", f"{package.library.stem}.o"])
    assert check_emulator(package).startswith("tiny_v1p2p3: 1440 of 1440 results equal")
    (folder / "golden" / "raw").write_bytes(b"")
    with pytest.raises(ToolError, match=r"status 2 \(tiny_v1p2p3: the golden files do not fit each other\)"):
        check_emulator(package)


def test_golden_mismatch_is_a_red_gate(built: Built, copy: Any) -> None:
    folder = copy(built.one)
    shutil.copy(built.checker, folder / "checker")
    (folder / "checker").write_text("#!/bin/sh\necho 'x: 1 of 9 results differ'\nexit 1\n")
    with pytest.raises(GateError, match="the emulator library is not the model: x: 1 of 9 results differ"):
        check_emulator(replace(built.one, path=folder))


def test_install_and_clean(built: Built, copy: Any, tmp_path: Path) -> None:
    folder, place = copy(built.one), tmp_path / "root" / "cms sw"
    words = "-o", "tiny_v1p2p3.o", f"DESTDIR={tmp_path / 'root'}", "PREFIX=/cms sw", "install"
    done = run("make", *FAST, *words, cwd=folder)
    assert done.returncode == 0, done.stderr
    installed = {str(path.relative_to(place)) for path in place.rglob("*.*")}
    assert installed == {"lib64/tiny_v1p2p3.so", "lib64/tiny_v1p2p3.json", "include/tiny_v1p2p3.h"}
    library = place / "lib64" / "tiny_v1p2p3.so"
    with library.open("rb") as loaded:  # by a program that runs while it is installed again
        with (folder / library.name).open("ab") as source:
            source.write(b"another")
        assert run("make", *FAST, *words, cwd=folder).returncode == 0
        assert loaded.read() == built.one.library.read_bytes()
    assert library.read_bytes() == built.one.library.read_bytes() + b"another"
    assert run("make", "clean", cwd=folder).returncode == 0
    assert not [
        path.name for path in folder.iterdir() if path.suffix in {".so", ".o"} or path.name == "checker"
    ]


def test_other_types_are_built_in(built: Built, copy: Any) -> None:
    """Not left out because the library is there already; nothing is built again for the same."""
    folder = copy(built.one)
    assert "g++" not in run("make", *FAST, "all", cwd=folder).stdout
    done = run("make", *FAST, "AP_TYPES=none", "all", cwd=folder)
    assert done.returncode != 0
    assert "ap_fixed.h: No such file" in done.stderr


def test_result_before_the_first_event_is_zero(built: Built) -> None:
    done = run("env", "MALLOC_PERTURB_=165", built.loader, "early", built.one.library, cwd=built.one.path)
    assert (done.returncode, done.stdout) == (0, "0\n")


# --- 1: libraries that overwrite each other's weights ------------------------------------------------------


def exports(library: Path) -> list[str]:
    """Names a library shows to others."""
    done = run("nm", "-D", "--defined-only", library, cwd=library.parent)
    return [line.split()[-1] for line in done.stdout.splitlines()]


def test_library_shows_four_functions(built: Built) -> None:
    for package in (built.one, built.other):
        space = package.interface.namespace
        assert sorted(exports(package.library)) == [
            "create_model",
            "destroy_model",
            f"{space}_about",
            f"{space}_scores",
        ]


@pytest.mark.parametrize("flag", ["-Wl,--version-script=exports.map"])
def test_without_the_list_it_shows_more(flag: str, built: Built, copy: Any) -> None:
    folder = copy(built.one)
    relinked(folder, flag)
    shown = exports(folder / built.one.library.name)
    assert len(shown) > 4
    # What is the model's own is hidden without it, too.
    space = built.one.interface.namespace
    assert sorted(name for name in shown if space in name) == [f"{space}_about", f"{space}_scores"]


def strays(library: Path, space: str) -> list[str]:
    """Names of hls4ml's and the model's that are not in the model's namespace."""
    done = run("nm", "-C", "--defined-only", library, cwd=library.parent)
    return re.findall(rf"(?<!{space}::)\b(?:nnet|network)::\w+", done.stdout)


def writable(library: Path, space: str) -> set[str]:
    """Names in the model's namespace of data that a program could write to, without what runs before main."""
    done = run("nm", "-C", "--defined-only", library, cwd=library.parent)
    names = re.findall(r" [bBdDuvV] (.*)", done.stdout)
    return {name.removeprefix(f"{space}::") for name in names if name.startswith(f"{space}::")}


def test_everything_is_in_the_models_namespace(built: Built) -> None:
    for package in (built.one, built.other):
        space = package.interface.namespace
        assert strays(package.library, space) == []
        assert strays(package.library, "another")  # names are there to be found
        weights = {name.removeprefix("network::") for name in writable(package.library, space)}
        # Constants that g++ fills when the library is loaded, and nothing that events could change.
        assert all(
            re.fullmatch(r"[wb]\d+(_values)?|contract::scale_input\(.*\)::offset", name) for name in weights
        )


# --- 2, 3, 4: truncated inputs, a scale table in another unit, a score that wraps --------------------------


def doubled(line: str) -> str:
    """The table of offsets with every pT's, the first of three, doubled."""
    start, end = line.index("{") + 1, line.index("}")
    values = [float(value) * (2 if i % 3 == 0 else 1) for i, value in enumerate(line[start:end].split(","))]
    return f"{line[:start]}{', '.join(map(str, values))}{line[end:]}"


def truncated_inputs(folder: Path) -> None:
    edit(
        next(folder.rglob("*_scaling.h")),
        "raw_t difference = x[i] - offset[i];",
        "raw_t difference = ap_int<13>(x[i]) - offset[i];",
    )


def doubled_offsets(folder: Path) -> None:
    header = next(folder.rglob("*_scaling.h"))
    line = next(line for line in header.read_text().splitlines() if "offset_t offset[" in line)
    edit(header, line, doubled(line))


def wrapping_score(folder: Path) -> None:
    edit(folder / "firmware" / "defines.h", "<18,14,AP_TRN,AP_SAT,0> score_sum_t", "<18,14> score_sum_t")


@pytest.mark.parametrize("mutate", [truncated_inputs, doubled_offsets, wrapping_score])
def test_changed_arithmetic_is_found(mutate: Callable[[Path], None], built: Built, copy: Any) -> None:
    folder = copy(built.other)
    mutate(folder)
    assert run("make", *FAST, "all", cwd=folder).returncode == 0
    done = built.check(built.one.path, folder)
    assert done.returncode == 1
    assert re.search(r"TinyModel_v1p2p4: \d+ of 1440 results differ", done.stdout)
    assert "tiny_v1p2p3: 1440 of 1440 results equal" in done.stdout


def test_other_types_are_refused_in_words(built: Built) -> None:
    done = run(built.loader, "types", built.one.library, cwd=built.one.path)
    said = "tiny_v1p2p3: prepare_input takes a ap_fixed<18,13> * to 57 values\n"
    score = "tiny_v1p2p3: read_result takes a ap_ufixed<18,14,AP_TRN,AP_SAT> * to 1 value\n"
    assert (done.returncode, done.stdout) == (0, said * 3 + score)


# --- 5: loaded and thrown away for each event --------------------------------------------------------------


def test_library_stays_loaded(built: Built) -> None:
    done = run(built.loader, "reload", built.one.library, cwd=built.one.path)
    assert (done.returncode, done.stdout) == (0, "kept\n")


def test_model_outlives_its_loader(built: Built) -> None:
    done = run(built.loader, "outlive", built.one.library, cwd=built.one.path)
    assert done.returncode == 0
    assert float(done.stdout) > 0


def test_without_nodelete_both_are_lost(built: Built, copy: Any) -> None:
    folder = copy(built.one)
    relinked(folder, "-Wl,-z,nodelete")
    library = folder / built.one.library.name
    assert run(built.loader, "reload", library, cwd=folder).stdout == "unloaded\n"
    assert run(built.loader, "outlive", library, cwd=folder).returncode < 0  # a signal


# --- 6: thresholds of another version ----------------------------------------------------------------------


def test_thresholds_of_another_library_are_found(built: Built, copy: Any) -> None:
    folder = copy(built.other)
    shutil.copy(built.one.sidecar, folder / built.other.sidecar.name)
    done = built.check(built.one.path, folder)
    assert done.returncode == 1
    assert "TinyModel_v1p2p4.json with its thresholds belongs to another library" in done.stdout


# --- 7: the wrong version is built -------------------------------------------------------------------------


def test_copied_makefile_is_refused(built: Built, copy: Any) -> None:
    folder = copy(built.one)
    shutil.copy(built.other.path / "Makefile", folder)
    assert "No rule to make target 'TinyModel_v1p2p4.cpp'" in run("make", "all", cwd=folder).stderr
    for suffix in (".cpp", ".h"):  # and the old sources under the new name
        shutil.copy(folder / f"tiny_v1p2p3{suffix}", folder / f"TinyModel_v1p2p4{suffix}")
    done = run("make", "all", cwd=folder)
    assert done.returncode != 0
    assert "this Makefile builds another library or version" in done.stderr


def test_library_without_its_name_is_built_as_another(built: Built, tmp_path: Path) -> None:
    source = (built.one.path / "tiny_v1p2p3.cpp").read_text()
    (tmp_path / "kept.cpp").write_text(source[: source.index("// What lies outside")])
    shutil.copy(tmp_path / "kept.cpp", tmp_path / "gone.cpp")
    edit(tmp_path / "gone.cpp", 'same(ZEROBIAS_LIBRARY, "tiny_v1p2p3")', "true")
    command = "g++", "-std=c++17", "-fsyntax-only", '-DZEROBIAS_LIBRARY="other_v1p2p3"'
    assert run(*command, "kept.cpp", cwd=tmp_path).returncode == 1
    assert run(*command, "gone.cpp", cwd=tmp_path).returncode == 0


def test_library_under_another_name_is_found(built: Built, copy: Any) -> None:
    folder = copy(built.other)
    shutil.copy(built.one.library, folder / built.other.library.name)
    done = built.check(built.one.path, folder)
    assert done.returncode == 2
    assert "TinyModel_v1p2p4.so has no tiny_v1_2_4_scores" in done.stdout


def test_build_without_a_compiler_says_what_to_install(
    built: Built, copy: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    package = replace(built.one, path=copy(built.one))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(
        ToolError, match=r"g\+\+ was not found: .* C\+\+17 compiler, install the package g\+\+"
    ):
        build_emulator(package)


def test_compiler_error_is_one_sentence(built: Built, copy: Any) -> None:
    folder = copy(built.one)
    with (folder / "tiny_v1p2p3.cpp").open("a") as source:
        source.write("#error broken\n")
    edit(folder / "tiny_v1p2p3.cpp", '#include "firmware/', "#error gone\n//")
    package = replace(built.one, path=folder)
    with pytest.raises(
        ToolError, match=r"make of the emulator library failed: .*error: #error gone.*; see .*\.log"
    ):
        build_emulator(package)

"""The engine's shape, the Makefile and the doctor."""

from __future__ import annotations

import importlib
import importlib.util
import os
import pkgutil
import re
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from types import ModuleType

import pytest

import zerobias
from zerobias import doctor
from zerobias.errors import InputError, ToolError

ROOT = Path(__file__).resolve().parents[2]


def _load_tool(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


check_imports = _load_tool("check_imports")


def _engine(folder: Path, files: dict[str, str]) -> Path:
    engine = folder / "zerobias"
    for name, text in files.items():
        path = engine / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return engine


def _faults(folder: Path, files: dict[str, str]) -> list[str]:
    engine = _engine(folder, files)
    return [fault.removeprefix(f"{engine}/") for fault in check_imports.check(engine)]


# --- the direction of imports -------------------------------------------------------------------


def test_engine_keeps_its_shape() -> None:
    assert check_imports.check(ROOT / "src" / "zerobias") == []


def test_earlier_stages_leaves_and_itself_may_be_imported(tmp_path: Path) -> None:
    files = {
        "train/__init__.py": "from zerobias.train.loop import run\n__all__ = ['run']\n",
        "train/loop.py": (
            "import numpy\nfrom zerobias import contract, errors\nfrom . import other\n"
            "from ..zoo import spec\nimport zerobias.doctor\n__all__ = ['run']\n"
        ),
    }
    assert _faults(tmp_path, files) == []


@pytest.mark.parametrize(
    "statement",
    [
        "from zerobias.train import fit",
        "from zerobias.train.loop import run",
        "from zerobias import train",
        "import zerobias.train.loop as loop",
        "from ..train import fit",
        "from .. import train",
        "def late():\n    from zerobias.train import fit",
        "if TYPE_CHECKING:\n    from zerobias.train import fit",
    ],
)
def test_every_way_to_import_a_later_stage_is_seen(tmp_path: Path, statement: str) -> None:
    files = {"zoo/spec.py": f"__all__ = []\n{statement}\n"}
    line = 3 if "\n" in statement else 2
    assert _faults(tmp_path, files) == [f"zoo/spec.py:{line}: stage zoo imports later stage train"]


def test_leaf_importing_a_stage_is_a_fault(tmp_path: Path) -> None:
    files = {"targets.py": "__all__ = []\nfrom zerobias.zoo import find\n"}
    assert _faults(tmp_path, files) == ["targets.py:2: leaf targets imports stage zoo"]


def test_undeclared_stage_is_a_fault(tmp_path: Path) -> None:
    files = {"magic.py": "__all__ = []\n", "zoo/a.py": "__all__ = []\nfrom zerobias import magic\n"}
    assert _faults(tmp_path, files) == [
        "magic.py:1: stage magic is missing from the declared order (STAGES in tools/check_imports.py)",
        "zoo/a.py:2: stage zoo imports magic, which is missing from the declared order",
    ]


def test_all_print_and_length_are_checked(tmp_path: Path) -> None:
    files = {
        "zoo/a.py": "print('x')\n",
        "zoo/b.py": "__all__ = []\n" + "\n" * (check_imports.LINE_LIMIT - 1),
        "zoo/c.py": "__all__ = []\n" + "\n" * (check_imports.LINE_LIMIT - 2),
    }
    assert _faults(tmp_path, files) == [
        "zoo/a.py:1: module has no __all__",
        "zoo/a.py:1: print() in the engine; use logging",
        "zoo/b.py:400: module has 400 lines; split it below 400",
    ]


def test_check_imports_exit_status(tmp_path: Path) -> None:
    bad = _engine(tmp_path, {"zoo.py": "from zerobias.cli import main\n__all__ = []\n"})
    script = [sys.executable, str(ROOT / "tools" / "check_imports.py")]
    red = subprocess.run([*script, str(bad)], capture_output=True, text=True, check=False)
    assert red.returncode == 1
    assert red.stdout == (
        f"{bad}/zoo.py:1: stage zoo imports later stage cli\n1 faults in the shape of the engine\n"
    )
    assert subprocess.run([*script, str(ROOT / "src" / "zerobias")], check=False).returncode == 0
    assert subprocess.run([*script, "no-such-folder"], capture_output=True, check=False).returncode == 2


MODULES = sorted(module.name for module in pkgutil.walk_packages(zerobias.__path__, "zerobias."))


@pytest.mark.parametrize("name", MODULES)
def test_every_name_in_all_exists_once(name: str) -> None:
    module = importlib.import_module(name)
    assert len(set(module.__all__)) == len(module.__all__)
    assert [public for public in module.__all__ if not hasattr(module, public)] == []


# --- the Makefile -------------------------------------------------------------------------------


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with our Makefile and a finished set-up whose `zerobias` prints its arguments."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    program = tmp_path / ".venv" / "bin" / "zerobias"
    program.parent.mkdir(parents=True)
    program.write_text('#!/bin/sh\nprintf "<%s>" "$@"\n', encoding="utf-8")
    program.chmod(0o755)
    for name in ("requirements.txt", "pyproject.toml", ".venv/.stamp"):
        (tmp_path / name).touch()
    return tmp_path


def _make(folder: Path, *arguments: str, **extra: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME"}}
    return subprocess.run(
        ["make", *arguments],
        cwd=folder,
        env={**inherited, **extra},
        capture_output=True,
        text=True,
        check=False,
    )


HOSTILE = [
    "axol1tl",
    "two words",
    "'; touch pwned; '",
    '"; touch pwned; "',
    "$(shell touch pwned)",
    "$$(touch pwned)",
    "`touch pwned`",
    "--help",
]


@pytest.mark.parametrize("value", HOSTILE)
@pytest.mark.parametrize("verb", ["firmware", "train", "golden"])
def test_model_reaches_the_command_as_it_was_given(checkout: Path, verb: str, value: str) -> None:
    for result in (_make(checkout, verb, f"MODEL={value}"), _make(checkout, verb, MODEL=value)):
        assert (result.returncode, result.stdout) == (0, f"<{verb}><--><{value}>")
    assert not (checkout / "pwned").exists()


@pytest.mark.parametrize("value", HOSTILE)
def test_target_reaches_the_command_as_it_was_given(checkout: Path, value: str) -> None:
    for result in (
        _make(checkout, "firmware", "MODEL=tiny", f"TARGET={value}"),
        _make(checkout, "firmware", MODEL="tiny", TARGET=value),
    ):
        assert (result.returncode, result.stdout) == (0, f"<firmware><--target={value}><--><tiny>")
    assert not (checkout / "pwned").exists()


@pytest.mark.parametrize("verb", ["firmware", "train", "golden"])
def test_verb_without_model_says_so(checkout: Path, verb: str) -> None:
    result = _make(checkout, verb)
    assert result.returncode == 2
    assert result.stdout == ""
    first, last = result.stderr.splitlines()
    assert first == "This verb needs a model: give its name, for example MODEL=axol1tl."
    assert last.startswith("make: ***")


def test_make_alone_lists_every_verb(checkout: Path) -> None:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    phony = re.search(r"^\.PHONY: (.*)$", text, re.MULTILINE)
    assert phony is not None
    listed = [line.split()[1] for line in _make(checkout).stdout.splitlines()]
    assert sorted(listed) == sorted(set(phony.group(1).split()) - {"help", "need-model"})


# --- the doctor ---------------------------------------------------------------------------------


def _owned_by(monkeypatch: pytest.MonkeyPatch, *owners: str) -> None:
    table = {"qkeras": list(owners)} if owners else {}
    monkeypatch.setattr(metadata, "packages_distributions", lambda: table)


def test_this_environment_is_healthy() -> None:
    diagnosis = doctor.diagnose()
    assert diagnosis.ok
    found = {finding.name: finding.found for finding in diagnosis.findings if finding.kind != "owner"}
    assert found["tensorflow"] == metadata.version("tensorflow")
    assert found["Python"] == ".".join(str(part) for part in sys.version_info[:3])
    doctor.check_qkeras_owner()


@pytest.mark.parametrize("spelling", ["qkeras-v3", "qkeras_v3", "QKeras.V3"])
def test_owner_is_recognised_in_every_spelling(monkeypatch: pytest.MonkeyPatch, spelling: str) -> None:
    _owned_by(monkeypatch, spelling, spelling)
    doctor.check_qkeras_owner()


@pytest.mark.parametrize(
    ("owners", "message"),
    [
        ((), "nothing provides the import name qkeras; qkeras-v3 must: run make setup"),
        (
            ("qkeras",),
            "the import name qkeras belongs to qkeras, but only qkeras-v3 may provide it; "
            "use a fresh environment: delete .venv and run make setup",
        ),
        (
            ("qkeras-v3", "hgq2"),
            "the import name qkeras belongs to hgq2 and qkeras-v3, but only qkeras-v3 may provide it; "
            "use a fresh environment: delete .venv and run make setup",
        ),
    ],
)
def test_wrong_owner_of_qkeras_is_red(
    monkeypatch: pytest.MonkeyPatch, owners: tuple[str, ...], message: str
) -> None:
    _owned_by(monkeypatch, *owners)
    with pytest.raises(ToolError, match=f"^{re.escape(message)}$") as caught:
        doctor.check_qkeras_owner()
    assert isinstance(caught.value, InputError)
    diagnosis = doctor.diagnose()
    assert not diagnosis.ok
    owner = next(finding for finding in diagnosis.findings if finding.kind == "owner")
    assert (owner.found, owner.remedy) == (None, message)


def test_missing_compiler_is_red_and_missing_vendor_tool_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    which = shutil.which
    monkeypatch.setattr(shutil, "which", lambda name: None if name in {"vivado", "yosys"} else which(name))
    assert doctor.diagnose().ok
    monkeypatch.setattr(shutil, "which", lambda name: None if name == "g++" else which(name))
    diagnosis = doctor.diagnose()
    assert not diagnosis.ok
    missing = [finding.name for finding in diagnosis.findings if finding.required and finding.found is None]
    assert missing == ["g++"]


def test_missing_package_is_red(monkeypatch: pytest.MonkeyPatch) -> None:
    version = metadata.version

    def without_hls4ml(name: str) -> str:
        if name == "hls4ml":
            raise metadata.PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(metadata, "version", without_hls4ml)
    diagnosis = doctor.diagnose()
    assert not diagnosis.ok
    assert [f.name for f in diagnosis.findings if f.required and f.found is None] == ["hls4ml"]


def test_broken_compiler_counts_as_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    broken = tmp_path / "g++"
    broken.write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert not doctor.diagnose().ok

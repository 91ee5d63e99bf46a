"""The seam for tools: what is missing, fails, is killed, or takes too much is one sentence with the log."""

from __future__ import annotations

import re
import sys
import time
from pathlib import Path

import pytest

from zerobias.errors import ToolError
from zerobias.rtl import run_tool


def python(folder: Path, code: str, **settings: object) -> Path:
    """Run Python code as a tool; the log."""
    log = folder / "tool.log"
    options = {"timeout_s": 30.0} | settings
    run_tool([sys.executable, "-c", code], cwd=folder, log=log, **options)  # type: ignore[arg-type]
    return log


def test_output_goes_to_the_log(tmp_path: Path) -> None:
    log = python(tmp_path, "import os, sys; print(os.getcwd()); sys.stderr.write('done')")
    assert log.read_text() == f"{tmp_path}\ndone"
    assert python(tmp_path, "print(1)").read_text() == "1\n", "a new run starts a new log"


def test_environment_is_the_given_one(tmp_path: Path) -> None:
    assert python(tmp_path, "import os; print(os.environ['X'])", env={"X": "5"}).read_text() == "5\n"


def test_missing(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match=r"^nonesuch was not found: install it from the moon$"):
        run_tool(
            ["nonesuch"], cwd=tmp_path, log=tmp_path / "log", timeout_s=1, remedy="install it from the moon"
        )


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("import sys; print('Error: no such cell'); sys.exit(3)", "failed: Error: no such cell; see "),
        ("import sys; sys.exit(3)", "failed with exit status 3; see "),
        ("import os; os.kill(os.getpid(), 9)", "was killed, as the system does when memory runs out; see "),
        ("import os; os.kill(os.getpid(), 11)", "was ended by SIGSEGV; see "),
        ("raise MemoryError", "ran out of memory; see "),
    ],
)
def test_failures(code: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ToolError, match=re.escape(message) + re.escape(str(tmp_path / "tool.log"))):
        python(tmp_path, code)


def test_memory_limit(tmp_path: Path) -> None:
    assert python(tmp_path, "x = bytearray(10**6)", memory_gb=1.0).read_text() == ""
    with pytest.raises(ToolError, match=r"ran out of memory \(limit 1 GB\); see "):
        python(tmp_path, "x = bytearray(2 * 10**9)", memory_gb=1.0)


def test_time_limit_ends_the_tool_and_what_it_started(tmp_path: Path) -> None:
    code = (
        "import subprocess, sys, time; child = [sys.executable, '-c', 'import time; time.sleep(2); "
        'open("late", "w")\']; subprocess.Popen(child); time.sleep(60)'
    )
    with pytest.raises(ToolError, match=r"was stopped after its limit of 0\.5 s; see .*tool\.log,"):
        python(tmp_path, code, timeout_s=0.5)
    time.sleep(2.5)
    assert not (tmp_path / "late").exists()

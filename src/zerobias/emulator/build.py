"""Build a written package with its Makefile and hold the library against its golden scores."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

from zerobias.emulator.package import Package
from zerobias.errors import GateError, ToolError
from zerobias.rtl.process import run_tool

__all__ = ["build_emulator", "check_emulator"]

_MINUTES = 30
_SECONDS = 600


def build_emulator(package: Package, settings: Sequence[str] = ()) -> None:
    """Compile library and checker with make, in the package's folder; nothing when they are up to date.

    ``settings``: variables of the Makefile, such as ``CXXFLAGS=-O1``. What the compiler says is in
    ``<folder>.log``. Raises ``ToolError`` when make or g++ is missing or refuses the sources.
    """
    log = package.path.with_name(f"{package.path.name}.log")
    for tool, purpose in (("g++", "a C++17 compiler"), ("make", "make")):
        run_tool(
            [tool, "--version"],
            cwd=package.path,
            log=log,
            timeout_s=60,
            remedy=f"the emulator library needs {purpose}, install the package {tool}; "
            f"the sources are written to {package.path}",
        )
    run_tool(
        ["make", "--silent", "CXX=g++", *settings, "all", "checker"],
        cwd=package.path,
        log=log,
        timeout_s=60 * _MINUTES,
        name="make of the emulator library",
    )


def check_emulator(package: Package) -> str:
    """Sentence of the package's checker: every golden score on 8 threads and in a batch.

    Raises ``GateError`` with its sentence when one differs, ``ToolError`` when the checker does not run.
    """
    words = ["./checker", f"./{package.library.name}", package.sidecar.name, "golden"]
    try:
        done = subprocess.run(
            words, cwd=package.path, capture_output=True, text=True, check=False, timeout=_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ToolError(
            f"the checker in {package.path} does not run ({error}): build it with make"
        ) from error
    said = done.stdout.strip()
    if done.returncode == 1:
        raise GateError(f"the emulator library is not the model: {said}")
    if done.returncode != 0:
        raise ToolError(
            f"the checker in {package.path} ended with status {done.returncode} ({said or 'silently'}): "
            "run `make clean all check` there"
        )
    return said

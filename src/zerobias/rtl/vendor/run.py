"""Run a vendor's tool on a written project; what it leaves is kept only when it ended well."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Literal

from zerobias.errors import DataError, InputError
from zerobias.files import tree_digest, write_text
from zerobias.rtl.process import run_tool

__all__ = ["PROJECTS", "TOOLS", "is_current", "results", "run_vendor"]

Design = Literal["hls4ml", "rtl"]
Tool = Literal["vitis_hls", "vivado"]

TOOLS: tuple[Tool, ...] = ("vitis_hls", "vivado")
"""The tools that can be run."""
PROJECTS: dict[Design, str] = {"hls4ml": "hls", "rtl": "rtl"}
"""Folder of each design's project in a build folder."""

_REMEDY = (
    "install AMD {product} and put it on PATH with `source <where it is installed>/settings64.sh`; "
    "a build needs no vendor tool"
)


def results(folder: Path, design: Design, tool: Tool) -> Path:
    """Where in the build ``folder`` the results of a tool lie."""
    return folder / "vendor" / design / tool


def is_current(folder: Path, design: Design, tool: Tool) -> bool:
    """Whether there are results, and they are of the project that lies in the build ``folder`` now."""
    try:
        record = json.loads((results(folder, design, tool) / "record.json").read_text())
        return bool(record["project"] == tree_digest(folder / PROJECTS[design]))
    except (OSError, ValueError, KeyError, TypeError):
        return False


def run_vendor(folder: Path, design: Design, tool: Tool, *, timeout_s: float) -> Path:
    """Run ``tool`` on the project of ``design`` in the build ``folder``; the folder with its results.

    Former results are replaced when the tool ends well. Raises ``InputError`` for ``vitis_hls`` on the rtl
    design, ``DataError`` when something it needs was not made yet, ``ToolError`` when it is missing, fails,
    is killed or takes longer than ``timeout_s``.
    """
    if (design, tool) == ("rtl", "vitis_hls"):
        raise InputError("vitis_hls has nothing to do for the rtl design: use vivado, or the hls4ml design")
    project, target = folder / PROJECTS[design], results(folder, design, tool)
    script = project / {"vitis_hls": "build_hls.tcl", "vivado": "build_vivado.tcl"}[tool]
    if not script.is_file():
        raise DataError(
            f"no {script}: {tool} needs a build of the {design} design, run `zerobias firmware` first"
        )
    log = folder / "vendor" / f"{design}-{tool}.log"
    with tempfile.TemporaryDirectory(dir=folder, prefix=".vendor.") as scratch:
        fresh = Path(scratch) / tool
        fresh.mkdir()
        command = _vitis(script, fresh) if tool == "vitis_hls" else _vivado(script, folder, design)
        product = "Vitis" if tool == "vitis_hls" else "Vivado"
        run_tool(command, cwd=fresh, log=log, timeout_s=timeout_s, remedy=_REMEDY.format(product=product))
        write_text(fresh / "record.json", json.dumps({"project": tree_digest(project)}) + "\n")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(target, ignore_errors=True)
        os.replace(fresh, target)
    return target


def _vitis(script: Path, cwd: Path) -> list[str]:
    """Command of Vitis HLS: ``vitis-run`` since 2024.2, ``vitis_hls`` before."""
    shutil.copy(script.with_name("project.tcl"), cwd)
    if shutil.which("vitis-run") is not None:
        return ["vitis-run", "--mode", "hls", "--tcl", str(script)]
    return ["vitis_hls", "-f", str(script)]


def _vivado(script: Path, folder: Path, design: Design) -> list[str]:
    words = ["vivado", "-mode", "batch", "-nojournal", "-nolog", "-source", str(script)]
    if design == "rtl":
        return words
    if not is_current(folder, design, "vitis_hls"):
        raise DataError(
            f"{folder} has no Verilog of the hls4ml design as it is now: run "
            "`zerobias vendor MODEL --tool vitis_hls` first"
        )
    return [*words, "-tclargs", str(results(folder, design, "vitis_hls"))]

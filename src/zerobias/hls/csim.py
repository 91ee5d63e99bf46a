"""C simulation: compile a written HLS project with g++ and run it on raw hardware integers."""

from __future__ import annotations

import hashlib
import math
import os
import re
import shutil
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from zerobias.contract import IntArray
from zerobias.errors import ToolError
from zerobias.files import write_text
from zerobias.hls.project import HlsProject

__all__ = ["ap_types", "compile_csim", "compiler_version", "run_csim", "trace_csim"]

_FLAGS = ("-std=c++17", "-O2", "-w")
_WORKERS = 2
_LAYER_CALL = re.compile(r"^(?P<indent>\s*)\w+::\w+<.*>\((?P<args>[^;]*)\);\s*// (?P<name>\w+)\s*$")


def compile_csim(project: HlsProject, *, traced: bool = False) -> Path:
    """Executable of the project's C simulation; compiled anew only when a source changed.

    ``traced`` builds an instrumented copy that also writes every layer's output. Raises ``ToolError``
    when g++ is missing or refuses the sources.
    """
    suffix = "_traced" if traced else ""
    program = project.path.parent / f"csim{suffix}"
    stamp = program.with_name(program.name + ".sha256")
    compiler, digest = _compiler(), _digest(project.path, traced)
    if program.is_file() and stamp.is_file() and stamp.read_text() == digest:
        return program
    with tempfile.TemporaryDirectory(dir=program.parent, prefix=".csim.") as scratch:
        sources = [str(project.path / "csim.cpp")]
        flags = [*_FLAGS, f"-I{project.path / 'firmware'}", f"-isystem{ap_types()}"]
        if traced:
            copy = Path(scratch) / f"{project.name}_traced.cpp"
            copy.write_text(_instrument((project.path / "firmware" / f"{project.name}.cpp").read_text()))
            flags += ["-DZEROBIAS_TRACE", f"-I{scratch}"]
        else:
            for part in (project.name, f"{project.name}_top"):
                sources.append(str(project.path / "firmware" / f"{part}.cpp"))
        objects = [str(Path(scratch) / f"{index}.o") for index in range(len(sources))]
        with ThreadPoolExecutor(_WORKERS) as pool:
            commands = [
                [compiler, *flags, "-c", source, "-o", target]
                for source, target in zip(sources, objects, strict=True)
            ]
            list(pool.map(_run, commands))
        linked = str(Path(scratch) / "linked")
        _run([compiler, *objects, "-o", linked])
        os.replace(linked, program)
    write_text(stamp, digest)
    return program


def compiler_version() -> str:
    """First line of ``g++ --version``.

    Raises ``ToolError`` when g++ is missing or broken.
    """
    compiler = _compiler()
    done = subprocess.run([compiler, "--version"], capture_output=True, text=True, check=False)
    if done.returncode != 0 or not done.stdout:
        raise ToolError(f"{compiler} does not run (exit status {done.returncode}): install the package g++")
    return done.stdout.splitlines()[0]


def _compiler() -> str:
    found = shutil.which("g++")
    if found is None:
        raise ToolError("g++ was not found: C simulation needs a C++17 compiler, install the package g++")
    return found


def run_csim(program: Path, raw: IntArray, score_shape: tuple[int, ...] = ()) -> IntArray:
    """Score integers (events, *score_shape) of raw hardware integers (events, features).

    Raises ``ToolError`` when the program fails.
    """
    parts = [part for part in np.array_split(raw, _WORKERS) if len(part)]
    with tempfile.TemporaryDirectory(prefix="zerobias-") as scratch:

        def one(index: int) -> IntArray:
            source, target = Path(scratch) / f"{index}.in", Path(scratch) / f"{index}.out"
            parts[index].astype("<i4").tofile(source)
            _run([str(program), str(source), str(target)])
            return np.fromfile(target, dtype="<i8").astype(np.int64)

        with ThreadPoolExecutor(_WORKERS) as pool:
            results = list(pool.map(one, range(len(parts))))
    scores = np.concatenate(results) if results else np.zeros(0, dtype=np.int64)
    if len(scores) != len(raw) * math.prod(score_shape):
        raise ToolError(f"{program.name} gave {len(scores)} scores for {len(raw)} events; run `make clean`")
    return scores.reshape(len(raw), *score_shape)


def trace_csim(project: HlsProject, raw: IntArray) -> dict[str, NDArray[np.float64]]:
    """Every layer's output values, in order, keyed by layer: (events, size) for raw (events, features)."""
    program = compile_csim(project, traced=True)
    layers: dict[str, list[NDArray[np.float64]]] = {}
    with tempfile.TemporaryDirectory(prefix="zerobias-") as scratch:
        source, target = Path(scratch) / "events.in", Path(scratch) / "events.out"
        raw.astype("<i4").tofile(source)
        _run([str(program), str(source), str(target)])
        data = target.with_name("events.out.trace").read_bytes()
    position = 0
    while position < len(data):
        length = int.from_bytes(data[position : position + 4], "little")
        name = data[position + 4 : position + 4 + length].decode()
        position += 4 + length
        size = int.from_bytes(data[position : position + 4], "little")
        layers.setdefault(name, []).append(np.frombuffer(data, "<f8", size, position + 4))
        position += 4 + 8 * size
    return {name: np.stack(values) for name, values in layers.items()}


def _instrument(source: str) -> str:
    """Copy of hls4ml's top source that hands every intermediate layer to the trace."""
    lines = []
    for line in source.splitlines():
        lines.append(line)
        match = _LAYER_CALL.match(line)
        if match is None:
            continue
        outputs = re.findall(r"\blayer\d+_out\b", match["args"])
        declared = outputs and re.search(rf"_t {outputs[-1]}\[[\d*]+\];", source)
        if declared:
            lines.append(f'{match["indent"]}ZEROBIAS_TRACE_LAYER("{match["name"]}", {outputs[-1]});')
    return "\n".join(lines) + "\n"


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if "error" in line] or done.stderr.splitlines()
        reason = lines[0] if lines else f"exit status {done.returncode}"
        raise ToolError(f"{Path(command[0]).name} failed: {reason}")


@cache
def ap_types() -> Path:
    """hls4ml's own copy of AMD's ap_types headers."""
    found = find_spec("hls4ml")
    if found is None or found.origin is None:
        raise ToolError("hls4ml is not installed: run `make setup`")
    return Path(found.origin).parent / "templates" / "vivado" / "ap_types"


def _digest(folder: Path, traced: bool) -> str:
    state = hashlib.sha256(repr((_FLAGS, traced, compiler_version())).encode())
    for path in sorted(folder.rglob("*")):
        if path.suffix in (".h", ".cpp"):
            state.update(str(path.relative_to(folder)).encode() + path.read_bytes())
    return state.hexdigest()

"""Synthesis with Yosys: Verilog -> netlist of the part's cells, kept with the digest of its inputs.

Yosys runs in a process of its own, so that it can be stopped and its time and memory limited. DSP and block
RAM are not used: the circuits here are adders of constants, and trigger budgets ask for 0 of both. Shift
registers stay flip-flops: a LUT used as one answers 1.5 ns after the clock, too late for these clocks.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from zerobias.errors import SpecError, ToolError
from zerobias.files import write_text
from zerobias.rtl.process import run_tool

__all__ = ["GENERIC", "Synthesis", "family_of", "synthesise", "yosys_version"]

GENERIC = "gates"
"""Family of the generic gates that an ASIC is counted in."""
_GATES = "AND,NAND,OR,NOR,XOR,XNOR,MUX,AOI3,OAI3"
# Without the equivalence sweeps of Yosys' own script, which do not end in minutes on sums of this size.
_ABC = "+strash;balance;rewrite;balance;map"
_OPTIONS = "-flatten -noiopad -nodsp -nobram -nosrl"
_FAMILIES = {
    "xc7": "xc7",
    "xcku": "xcu",
    "xcvu": "xcu",
}
_ULTRASCALE_PLUS = re.compile(r"xc[kv]u\d+p|xcz")
_PASS = re.compile(r"^[\d.]+ Executing (.+?)(?: pass)?(?: \(.*)?\.?$")
_POLL_S = 0.5

_CHILD = """
import json, re, resource, sys, time
from pathlib import Path
from pyosys import libyosys
start = time.monotonic()
libyosys.run_pass("script " + sys.argv[1])
# The usage of a process starts at its parent's, which may be large; this mark is of its own.
own = int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])
peak = own + resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
with open(sys.argv[2], "w") as stream:
    json.dump({"seconds": time.monotonic() - start, "peak_gb": peak / 2**20}, stream)
"""


@dataclass(frozen=True)
class Synthesis:
    """A netlist (file of ``write_json``) and its log; what making it took; ``digest`` of its inputs."""

    netlist: Path
    log: Path
    family: str
    seconds: float
    peak_gb: float
    digest: str


def family_of(part: str) -> str:
    """Yosys' name of a part's family.

    Raises ``SpecError`` for a part Yosys cannot map to.
    """
    name = part.lower()
    if _ULTRASCALE_PLUS.match(name):
        return "xcup"
    for prefix, family in _FAMILIES.items():
        if name.startswith(prefix):
            return family
    raise SpecError(
        f"part {part!r} belongs to no family Yosys maps to here; use one that starts with "
        f"{', '.join(_FAMILIES)} or an UltraScale+ part such as xcvu9p"
    )


def yosys_version() -> str:
    """Version of the installed pyosys; raises ``ToolError`` when it is not installed."""
    if find_spec("pyosys") is None:
        raise ToolError("Yosys was not found: the package pyosys is not installed, run `make setup`")
    return version("pyosys")


def synthesise(
    sources: Sequence[Path],
    top: str,
    part: str | None,
    folder: Path,
    *,
    progress: Callable[[str], None] | None = None,
    timeout_s: float = 600,
    memory_gb: float = 8,
) -> Synthesis:
    """Map the Verilog ``sources`` with top module ``top`` to the cells of ``part``, or to generic gates where
    it is None; results go to ``folder``.

    A netlist made before from the same sources, version and script is taken as it is. ``progress`` is
    called with the name of each Yosys pass. Raises ``ToolError`` (missing, failed, killed, out of memory or
    of time) and ``SpecError`` (unknown family); the folder then holds the log and no netlist.
    """
    family = GENERIC if part is None else family_of(part)
    netlist, record, log = folder / "netlist.json", folder / "synthesis.json", folder / "yosys.log"
    digest = _digest(sources, top, family)
    kept = _kept(record, netlist)
    if kept is not None and kept["digest"] == digest:
        return Synthesis(netlist, log, family, kept["seconds"], kept["peak_gb"], digest)
    folder.mkdir(parents=True, exist_ok=True)
    for old in (record, netlist):
        old.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".yosys.") as scratch:
        written, usage, script = (Path(scratch) / name for name in ("netlist.json", "usage.json", "run.ys"))
        files = " ".join(f'"{path.resolve()}"' for path in sources)
        script.write_text(
            "".join(
                f"{line}\n"
                for line in (
                    f"read_verilog {files}",
                    *_script(family, top),
                    f'write_json "{written}"',
                )
            )
        )
        command = [sys.executable, "-c", _CHILD, str(script), str(usage)]
        with _passes(log, progress):
            run_tool(
                command, cwd=Path(scratch), log=log, timeout_s=timeout_s, memory_gb=memory_gb, name="Yosys"
            )
        spent = json.loads(usage.read_text())
        os.replace(written, netlist)
    result = Synthesis(netlist, log, family, spent["seconds"], spent["peak_gb"], digest)
    write_text(record, json.dumps({key: value for key, value in asdict(result).items() if key not in _PATHS}))
    return result


_PATHS = ("netlist", "log")


def _script(family: str, top: str) -> tuple[str, ...]:
    """Yosys' commands between reading and writing."""
    if family == GENERIC:
        return (
            f"hierarchy -top {top}",
            "proc -norom",  # a table is gates too
            "setattr -mod -set keep_hierarchy 1 *_multiplier",  # thousands alike: each kind is mapped once
            "flatten",
            "opt_expr",
            "opt_clean",
            "alumacc",
            "techmap",
            "opt_expr",
            "opt_clean",
            "dfflegalize -cell $_DFF_P_ 01",
            f"abc -g {_GATES} -script {_ABC}",
            "setattr -mod -unset keep_hierarchy *_multiplier",
            "flatten",
            "opt_clean",
        )
    synth = f"synth_xilinx -family {family} {_OPTIONS} -top {top}"
    return (
        f"{synth} -run begin:map_ffs",
        # Resets and enables Yosys made out of logic become logic again: their pins are slow to set up.
        "dfflegalize -cell $_DFF_P_ 01",
        "dfflegalize -cell $_SDFFE_PP0P_ 01 -cell $_SDFFE_PP1P_ 01",
        "techmap -map +/xilinx/ff_map.v",
        f"{synth} -run map_luts:edif",
    )


def _digest(sources: Sequence[Path], top: str, family: str) -> str:
    state = hashlib.sha256(repr((yosys_version(), _script(family, top), len(sources))).encode())
    for path in sorted(sources, key=lambda p: p.name):
        content = path.read_bytes()
        state.update(f"{path.name} {len(content)}\n".encode() + content)
    return state.hexdigest()


def _kept(record: Path, netlist: Path) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = json.loads(record.read_text())
    except (OSError, ValueError):
        return None
    return found if netlist.is_file() and {"digest", "seconds", "peak_gb"} <= found.keys() else None


@contextmanager
def _passes(log: Path, progress: Callable[[str], None] | None) -> Iterator[None]:
    """Follow the log that Yosys writes, and call ``progress`` with each pass it begins."""
    if progress is None:
        yield
        return
    done = threading.Event()
    log.unlink(missing_ok=True)

    def follow() -> None:
        position, last = 0, ""
        while True:
            ended = done.wait(_POLL_S)
            if log.is_file():
                with log.open("rb") as stream:
                    stream.seek(position)
                    text = stream.read()
                whole = text[: text.rfind(b"\n") + 1]
                position += len(whole)
                for line in whole.decode(errors="replace").splitlines():
                    found = _PASS.match(line)
                    if found and found[1] != last:
                        last = found[1]
                        progress(last)
            if ended:
                return

    follower = threading.Thread(target=follow, daemon=True)
    follower.start()
    try:
        yield
    finally:
        done.set()
        follower.join()

"""The one seam through which the tools of this stage run: Verilator, its make and g++, Yosys, the vendor's.

A tool that is missing, is killed, runs out of memory or past its time becomes a ``ToolError`` of one
sentence that names the log. Tools run in their own process group, which is ended as a whole. What a tool
leaves behind when it fails is the caller's: run it in a scratch folder and move the result when it is done.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from zerobias.errors import ToolError

__all__ = ["run_tool"]

_OUT_OF_MEMORY = re.compile(
    r"bad_alloc|out of memory|MemoryError|[Cc]annot allocate memory|memory exhausted|Killed signal"
)
_FAULT = re.compile(r"error|fatal", re.IGNORECASE)
_TAIL = 2**16


def run_tool(
    command: Sequence[str],
    *,
    cwd: Path,
    log: Path,
    timeout_s: float,
    memory_gb: float | None = None,
    env: Mapping[str, str] | None = None,
    remedy: str = "install it or mend PATH",
) -> None:
    """Run ``command`` in ``cwd``; its output goes to ``log``, which is written anew.

    ``memory_gb`` limits the address space of each process. ``env`` is the whole environment (default: this
    process's). ``remedy`` says how to get a missing program. Raises ``ToolError`` unless it ends with 0.
    """
    name = Path(command[0]).name
    settings = dict(os.environ if env is None else env)
    program = shutil.which(command[0], path=settings.get("PATH"))
    if program is None:
        raise ToolError(f"{name} was not found: {remedy}")
    words = [program, *command[1:]]
    if memory_gb is not None:
        words = ["/bin/sh", "-c", 'ulimit -v "$0" && exec "$@"', str(round(memory_gb * 2**20)), *words]
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        process = subprocess.Popen(
            words,
            cwd=cwd,
            env=settings,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            code = process.wait(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            raise ToolError(
                f"{name} was stopped after its limit of {timeout_s:g} s; see {log}, allow more time or "
                "make the design smaller"
            ) from None
        finally:
            with suppress(ProcessLookupError):  # also what the tool started and left running
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    if code != 0:
        raise ToolError(f"{name} {_reason(code, log, memory_gb)}; see {log}")


def _reason(code: int, log: Path, memory_gb: float | None) -> str:
    """Why a tool ended with ``code``, from its log."""
    with log.open("rb") as stream:
        stream.seek(max(log.stat().st_size - _TAIL, 0))
        lines = stream.read().decode(errors="replace").splitlines()
    limit = "" if memory_gb is None else f" (limit {memory_gb:g} GB)"
    if any(_OUT_OF_MEMORY.search(line) for line in lines):
        return f"ran out of memory{limit}"
    if code == -signal.SIGKILL or code == 128 + signal.SIGKILL:
        return f"was killed, as the system does when memory runs out{limit}"
    if code < 0:
        return f"was ended by {signal.Signals(-code).name}"
    fault = next((line.strip() for line in lines if _FAULT.search(line)), "")
    return f"failed: {fault[:200]}" if fault else f"failed with exit status {code}"

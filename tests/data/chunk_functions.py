"""Chunk functions of test_executor.py, in a module that worker processes can import."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path
from typing import Any

from zerobias.errors import DataError


def draw(spec: dict[str, Any], path: Path) -> None:
    """Numbers that follow from the seed; each call leaves a file in ``calls``, if that is given."""
    if "calls" in spec:
        with (Path(spec["calls"]) / str(spec["seed"])).open("a") as calls:
            calls.write("called\n")
    path.write_bytes(random.Random(spec["seed"]).randbytes(spec["size"]))


def killed_once(spec: dict[str, Any], path: Path) -> None:
    """As ``draw``, but the first worker that gets the seed ``victim`` is killed halfway through the file."""
    marker = Path(spec["marker"])
    if spec["seed"] == spec["victim"] and not marker.exists():
        path.write_bytes(b"half a file")
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    draw(spec, path)


def killed_always(spec: dict[str, Any], path: Path) -> None:
    """As ``draw``, but the seed ``victim`` kills every worker."""
    draw(spec, path)
    if spec["seed"] == spec["victim"]:
        os.kill(os.getpid(), signal.SIGKILL)


def refuse(spec: dict[str, Any], path: Path) -> None:
    """An error of the package."""
    raise DataError(f"seed {spec['seed']} is not allowed: take another")


def nothing(spec: dict[str, Any], path: Path) -> None:
    """Forgets to write its file."""


def slow(spec: dict[str, Any], path: Path) -> None:
    """As ``draw``, but all seeds except 0 stop halfway for ten minutes."""
    if spec["seed"]:
        path.write_bytes(b"half a file")
        time.sleep(600)
    draw(spec, path)

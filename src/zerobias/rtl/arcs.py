"""Delays of the cells of a part family, read from the cell library that Yosys ships.

``cells_sim.v`` holds, in ``specify`` blocks, the propagation delays and set-up times of 7-series cells in ps:
measured SDF values of Artix-7, speed grade -1, collected by Project X-Ray. Yosys 0.70 has no others. A target
says how the delays of its part's logic cells compare (``Target.cell_delay``); registers keep their times.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from zerobias.errors import ToolError
from zerobias.rtl.netlist import Pin

__all__ = ["CellArcs", "cell_library", "read_arcs"]

_MODULE = re.compile(r"^module\s+(\w+)\s*\((.*?)^endmodule", re.S | re.M)
_SPECIFY = re.compile(r"^\s*specify\b(.*?)^\s*endspecify\b", re.S | re.M)
_COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.S)
_PATH = re.compile(
    r"\(\s*(?P<edge>posedge|negedge)?\s*(?P<source>\w+)(?:\s*\[\s*(?P<source_bit>\d+)\s*\])?\s*[*=]>\s*"
    r"\(?\s*(?P<target>\w+)(?:\s*\[\s*(?P<target_bit>\d+)\s*\])?[^;]*?\)\s*=\s*(?P<delay>\d+)\s*;"
)
_SETUP = re.compile(
    r"\$setup\(\s*(?P<port>\w+)(?:\s*\[\s*(?P<bit>\d+)\s*\])?\s*,[^;]*?,\s*(?P<time>\d+)\s*\)\s*;"
)


@dataclass(frozen=True)
class CellArcs:
    """Delays of one type of cell in ps; a port without an index stands for bit 0.

    ``paths``: (input pin, output pin) -> delay. ``launch``: output pin -> delay from the clock edge.
    ``setup``: input pin -> time it must be stable before the clock edge.
    """

    paths: Mapping[tuple[Pin, Pin], int]
    launch: Mapping[Pin, int]
    setup: Mapping[Pin, int]


def cell_library() -> Path:
    """Yosys' own library of Xilinx cells, in the installed pyosys package.

    Raises ``ToolError`` when pyosys is not installed.
    """
    found = find_spec("pyosys")
    if found is None or found.origin is None:
        raise ToolError("pyosys is not installed: run `make setup`")
    return Path(found.origin).parent / "share" / "xilinx" / "cells_sim.v"


@cache
def read_arcs(library: Path, cell_delay: float = 1.0) -> Mapping[str, CellArcs]:
    """Arcs by type of cell, with delays through cells times ``cell_delay`` (rounded up).

    Where a path has several conditions, its largest delay counts.
    """
    found = {}
    for module in _MODULE.finditer(_COMMENT.sub("", library.read_text())):
        paths: dict[tuple[Pin, Pin], int] = {}
        launch: dict[Pin, int] = {}
        setup: dict[Pin, int] = {}
        for block in _SPECIFY.findall(module[2]):
            for path in _PATH.finditer(block):
                target = path["target"], int(path["target_bit"] or 0)
                delay = int(path["delay"])
                if path["edge"]:
                    launch[target] = max(launch.get(target, 0), delay)
                else:
                    pins = (path["source"], int(path["source_bit"] or 0)), target
                    paths[pins] = max(paths.get(pins, 0), math.ceil(delay * cell_delay))
            for check in _SETUP.finditer(block):
                pin = check["port"], int(check["bit"] or 0)
                setup[pin] = max(setup.get(pin, 0), int(check["time"]))
        if paths or launch or setup:
            found[module[1]] = CellArcs(paths, launch, setup)
    return found

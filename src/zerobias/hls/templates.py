"""What is rendered from the firmware templates; Vivado's script and constraints for either design."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from zerobias.shelves import shelf

if TYPE_CHECKING:
    from zerobias.targets import Target

__all__ = ["fill_template", "vivado_files"]


def vivado_files(target: Target, *, top: str, clock: str, sources: str) -> dict[str, str]:
    """Text of ``build_vivado.tcl`` and ``clock.xdc``, by file name.

    ``top`` is the Verilog module, ``clock`` its clock port and ``sources`` a Tcl expression for its Verilog
    files, in which ``$folder`` is where the script lies. The script synthesises, places and routes, and
    leaves ``utilization.rpt`` and ``timing.rpt`` in the current folder.
    """
    values = {
        "TOP": top,
        "CLOCK": clock,
        "SOURCES": sources,
        "PART": target.part,
        "CLOCK_NS": f"{target.clock_ns:.4f}",
    }
    return {name: fill_template(f"{name}.in", values) for name in ("build_vivado.tcl", "clock.xdc")}


def fill_template(name: str, values: Mapping[str, str]) -> str:
    """The template ``name`` of the firmware shelf with each ``@KEY@`` replaced by its value."""
    text = (shelf("firmware") / "templates" / name).read_text()
    for key, value in values.items():
        text = text.replace(f"@{key}@", value)
    return text

"""Text of a design's sources: the pipeline as alkaid writes it, and the top level around it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Literal

from alkaid.codegen.rtl.verilog import fsm as verilog
from alkaid.codegen.rtl.vhdl import fsm as vhdl
from alkaid.stateful import FSM

from zerobias.shelves import shelf

__all__ = ["Language", "core_source", "top_source"]

Language = Literal["verilog", "vhdl"]
_SUFFIX: dict[Language, str] = {"verilog": "v", "vhdl": "vhd"}

_IF_WEIGHTS = "@W "
"""Begins a line of the template that only a design with a port ``weights`` has."""


def core_source(fsm: FSM, name: str, language: Language) -> str:
    """Module ``<name>_core`` and all it consists of, in one file.

    Every module's name starts with ``name``, so that several designs fit in one project.
    """
    generate = {"verilog": verilog.fsm_logic_gen, "vhdl": vhdl.fsm_logic_gen}[language]
    texts: dict[str, str] = generate(fsm, f"{name}_core", timescale=None)
    suffix = _SUFFIX[language]
    folder = files("alkaid.codegen.rtl") / language / "source"
    parts = {path.name: path.read_text() for path in folder.iterdir() if path.name.endswith(f".{suffix}")}
    cells = [part.removesuffix(f".{suffix}") for part in sorted(parts)]
    core, tables = texts.pop(f"{name}_core"), texts.pop(f"{name}_core_tables", "")
    whole = [*(parts[key] for key in sorted(parts)), tables, *(texts[key] for key in texts), core]
    # alkaid's own modules have general names such as mux.
    own = re.compile(rf"\b({'|'.join(cells)}|logic\d+|table_[0-9a-f_]{{36}})\b")
    text = own.sub(rf"{name}_\1", "\n".join(part.strip() + "\n" for part in whole if part))
    return re.sub(r"^`timescale.*\n+", "", text, flags=re.MULTILINE)


def top_source(
    language: Language, values: Mapping[str, str], taken: Sequence[str], held: Sequence[str]
) -> str:
    """The top level: the template with ``@KEY@`` replaced.

    ``taken`` and ``held`` are the bit slices of ``in_data`` and of ``weights`` that the core reads, from the
    lowest upwards, as ``high:low``. Without ``held`` there is no port ``weights``.
    """
    text = (shelf("firmware") / "templates" / f"rtl_top.{_SUFFIX[language]}.in").read_text()
    lines = text.splitlines(keepends=True)
    text = "".join(
        line.removeprefix(_IF_WEIGHTS) for line in lines if held or not line.startswith(_IF_WEIGHTS)
    )
    for key, value in values.items():
        text = text.replace(f"@{key}@", value)
    for key, port, slices in (("RAW", "in_data", taken), ("HELD", "weights", held)):
        text = text.replace(f"@{key}@", _concatenation(language, port, slices))
    return text


def _concatenation(language: Language, port: str, slices: Sequence[str]) -> str:
    if language == "verilog":
        return f"{{{', '.join(f'{port}[{part}]' for part in reversed(slices))}}}"
    return " & ".join(f"{port}({part.replace(':', ' downto ')})" for part in reversed(slices))

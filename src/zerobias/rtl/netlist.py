"""A mapped netlist: the cells Yosys wrote, by type, with the net of each pin in arrays."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from zerobias.contract import IntArray
from zerobias.errors import DataError

__all__ = ["CONSTANT_NETS", "Cells", "Netlist", "Pin", "Port", "netlist_of", "read_netlist"]

CONSTANT_NETS = 2
"""Nets 0 and 1 are the constants; Yosys numbers its own nets from 2."""

Pin = tuple[str, int]
"""Port of a cell and bit of the port."""

_IGNORED = ("$scopeinfo",)


@dataclass(frozen=True)
class Port:
    """Port of the whole design; ``nets`` lists its bits, the least significant first."""

    direction: str
    nets: IntArray


@dataclass(frozen=True)
class Cells:
    """All cells of one type, in the file's order.

    ``inputs`` and ``outputs``: pin -> net of that pin in every cell, shape (cells,). An input that is
    not connected reads 0; an output that is not connected has net -1.
    """

    type: str
    names: tuple[str, ...]
    parameters: tuple[Mapping[str, str], ...]
    inputs: Mapping[Pin, IntArray]
    outputs: Mapping[Pin, IntArray]

    def __len__(self) -> int:
        return len(self.names)

    def parameter(self, name: str, default: int = 0) -> IntArray:
        """Value of a binary parameter in every cell, as unsigned 64-bit numbers in an array (cells,)."""
        values = [int(p[name].replace("x", "0"), 2) if name in p else default for p in self.parameters]
        return np.array(values, dtype=np.uint64).astype(np.int64, casting="unsafe")


@dataclass(frozen=True)
class Netlist:
    """Ports and cells of a flat design; ``nets`` is one more than the largest net."""

    top: str
    ports: Mapping[str, Port]
    cells: Mapping[str, Cells]
    nets: int

    def __iter__(self) -> Iterator[Cells]:
        return iter(self.cells.values())

    def of(self, *prefixes: str) -> Iterator[Cells]:
        """Cells whose type starts with one of ``prefixes``."""
        return (cells for cells in self if cells.type.startswith(prefixes))

    def count(self, *prefixes: str) -> int:
        """Number of cells whose type starts with one of ``prefixes``."""
        return sum(len(cells) for cells in self.of(*prefixes))

    @cached_property
    def types(self) -> tuple[str, ...]:
        """Types of cells, sorted; ``driver`` and :meth:`readers` point into it."""
        return tuple(sorted(self.cells))

    @cached_property
    def driver(self) -> IntArray:
        """Index into ``types`` of the cell that drives each net, -1 for ports and constants, (nets,)."""
        found = np.full(self.nets, -1, dtype=np.int64)
        for index, kind in enumerate(self.types):
            for nets in self.cells[kind].outputs.values():
                found[nets[nets >= 0]] = index
        return found

    def readers(self, prefix: str, *ports: str) -> IntArray:
        """How many pins of ``ports`` of cells whose type starts with ``prefix`` read each net, (nets,)."""
        found = np.zeros(self.nets, dtype=np.int64)
        for cells in self.of(prefix):
            for (port, _), nets in cells.inputs.items():
                if port in ports:
                    np.add.at(found, nets, 1)
        return found


def read_netlist(path: Path) -> Netlist:
    """The flat design in a file of Yosys' ``write_json``.

    Raises ``DataError`` when the file is missing, damaged or not flat.
    """
    try:
        document = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise DataError(f"netlist {path} cannot be read ({error}): synthesise again") from error
    return netlist_of(document, str(path))


def netlist_of(document: Mapping[str, Any], where: str = "netlist") -> Netlist:
    """The flat design in a document of Yosys' ``write_json``; ``where`` names it in a ``DataError``."""
    modules = document.get("modules", {})
    tops = [name for name, module in modules.items() if int(module.get("attributes", {}).get("top", "0"), 2)]
    if len(tops) != 1:
        raise DataError(f"{where} has {len(tops)} top modules: a synthesised design has one")
    module = modules[tops[0]]
    grouped: dict[str, list[tuple[str, Mapping[str, Any]]]] = {}
    for name, cell in module["cells"].items():
        if cell["type"] not in _IGNORED:
            grouped.setdefault(cell["type"], []).append((name, cell))
    ports = {
        name: Port(port["direction"], np.array([_net(bit) for bit in port["bits"]], dtype=np.int64))
        for name, port in module["ports"].items()
    }
    cells = {kind: _cells(kind, members) for kind, members in sorted(grouped.items())}
    largest = CONSTANT_NETS - 1
    for arrays in [*(c.inputs for c in cells.values()), *(c.outputs for c in cells.values())]:
        largest = max([largest, *(int(nets.max()) for nets in arrays.values())])
    largest = max([largest, *(int(port.nets.max()) for port in ports.values() if len(port.nets))])
    return Netlist(tops[0], ports, cells, largest + 1)


def _cells(kind: str, members: list[tuple[str, Mapping[str, Any]]]) -> Cells:
    inputs: dict[Pin, IntArray] = {}
    outputs: dict[Pin, IntArray] = {}
    for index, (_, cell) in enumerate(members):
        directions = cell["port_directions"]
        for port, bits in cell["connections"].items():
            output = directions[port] == "output"
            arrays, absent = (outputs, -1) if output else (inputs, 0)
            for position, bit in enumerate(bits):
                pin = (port, position)
                if pin not in arrays:
                    arrays[pin] = np.full(len(members), absent, dtype=np.int64)
                arrays[pin][index] = _net(bit)
    return Cells(
        kind,
        tuple(name for name, _ in members),
        tuple(cell.get("parameters", {}) for _, cell in members),
        inputs,
        outputs,
    )


def _net(bit: int | str) -> int:
    """Yosys writes a net as a number and a constant as "0", "1", "x" or "z"; undefined ones read as 0."""
    return bit if isinstance(bit, int) else int(bit == "1")

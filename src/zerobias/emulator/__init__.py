"""Packaging: a model version as a library for CMSSW, in sources that need nothing but g++ and make."""

from zerobias.emulator.build import build_emulator, check_emulator
from zerobias.emulator.interface import Interface, interface_of
from zerobias.emulator.package import Package, check_golden, checker_source, write_emulator
from zerobias.emulator.sidecar import Threshold

__all__ = [
    "Interface",
    "Package",
    "Threshold",
    "build_emulator",
    "check_emulator",
    "check_golden",
    "checker_source",
    "interface_of",
    "write_emulator",
]

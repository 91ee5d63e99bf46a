"""Hardware: fixed-point graph -> Verilog and VHDL, cycle-accurate simulation, synthesis."""

from zerobias.rtl.process import run_tool

__all__ = ["run_tool"]

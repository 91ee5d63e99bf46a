"""Hardware: fixed-point graph -> Verilog and VHDL, cycle-accurate simulation, synthesis."""

from zerobias.rtl.design import PortField, RtlDesign, RtlEstimate, read_design, write_design
from zerobias.rtl.process import run_tool
from zerobias.rtl.trace import Circuit, trace, traces

__all__ = [
    "Circuit",
    "PortField",
    "RtlDesign",
    "RtlEstimate",
    "read_design",
    "run_tool",
    "trace",
    "traces",
    "write_design",
]

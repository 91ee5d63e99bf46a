"""Hardware: fixed-point graph -> Verilog and VHDL, cycle-accurate simulation, synthesis."""

from zerobias.rtl.design import PortField, RtlDesign, RtlEstimate, read_design, write_design
from zerobias.rtl.limits import check_size
from zerobias.rtl.process import run_tool
from zerobias.rtl.simulation import Simulation, compile_simulation, pack_events, simulate
from zerobias.rtl.trace import Circuit, trace, traces

__all__ = [
    "Circuit",
    "PortField",
    "RtlDesign",
    "RtlEstimate",
    "Simulation",
    "check_size",
    "compile_simulation",
    "pack_events",
    "read_design",
    "run_tool",
    "simulate",
    "trace",
    "traces",
    "write_design",
]

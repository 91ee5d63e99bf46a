"""Hardware: fixed-point graph -> Verilog and VHDL, cycle-accurate simulation, synthesis."""

from zerobias.rtl.arcs import CellArcs, cell_library
from zerobias.rtl.area import GateCount, count_gates
from zerobias.rtl.closure import Attempt, close_timing
from zerobias.rtl.design import PortField, RtlDesign, RtlEstimate, read_design, write_design
from zerobias.rtl.gates import check_gates, gate_scores
from zerobias.rtl.limits import check_size
from zerobias.rtl.netlist import Cells, Netlist, Port, read_netlist
from zerobias.rtl.packing import Resources, pack
from zerobias.rtl.process import run_tool
from zerobias.rtl.schedule import planned_cut, schedule
from zerobias.rtl.simulation import Simulation, compile_simulation, pack_events, simulate
from zerobias.rtl.timing import Fmax, Step, Timing, fmax
from zerobias.rtl.trace import Circuit, trace, traces
from zerobias.rtl.weights import WeightField, pack_weights, weight_values
from zerobias.rtl.yosys import Synthesis, synthesise

__all__ = [
    "Attempt",
    "CellArcs",
    "Cells",
    "Circuit",
    "Fmax",
    "GateCount",
    "Netlist",
    "Port",
    "PortField",
    "Resources",
    "RtlDesign",
    "RtlEstimate",
    "Simulation",
    "Step",
    "Synthesis",
    "Timing",
    "WeightField",
    "cell_library",
    "check_gates",
    "check_size",
    "close_timing",
    "compile_simulation",
    "count_gates",
    "fmax",
    "gate_scores",
    "pack",
    "pack_events",
    "pack_weights",
    "planned_cut",
    "read_design",
    "read_netlist",
    "run_tool",
    "schedule",
    "simulate",
    "synthesise",
    "trace",
    "traces",
    "weight_values",
    "write_design",
]

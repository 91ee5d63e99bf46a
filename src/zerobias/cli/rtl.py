"""The RTL design of a build and the rows of the report.

Every build writes it. Where the model deploys it, it is synthesised, timed and simulated too, which takes
minutes; elsewhere its figures are estimates.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from zerobias.cli.asic import GATE_EVENTS, gate_synthesis, gate_vectors
from zerobias.errors import GateError, UnsupportedError
from zerobias.fixed import Graph, Trees, shaped
from zerobias.hls import vivado_files
from zerobias.report import Design, HardwareRow, Metric, budgeted, clocks_text
from zerobias.rtl import (
    Attempt,
    Circuit,
    Simulation,
    check_gates,
    close_timing,
    read_netlist,
    trace,
    write_design,
)
from zerobias.rtl.timing import CLOCK_UNCERTAINTY_PS, NET_RANGE_PS
from zerobias.targets import Target
from zerobias.verify import extreme_events
from zerobias.zoo import Model

__all__ = ["BANDS", "EVENTS_OF_EVERY_SIZE", "implement", "measured", "rtl_rows"]

BANDS: dict[Metric, tuple[float, float]] = {"lut": (0.7, 1.4), "ff": (0.7, 1.4)}
"""Declared error bands of what is counted before synthesis: alkaid's LUT, the registers as written.

None for trees: alkaid counts their comparisons and multiplexers at a fraction of what the netlist has.
"""

EVENTS_OF_EVERY_SIZE = 5000
"""Events of every size among the extremes of a build."""
_log = logging.getLogger(__name__)


def implement(model: Model, graph: Graph, folder: Path, step: Callable[[str], None]) -> dict[str, Any]:
    """Write the RTL design to ``folder``/rtl and give what is known of it, or why there is none.

    Raises ``UnsupportedError`` for a graph without RTL, but only where the model deploys it, and
    ``GateError`` when the circuit or its netlist differs from the integer reference.
    """
    target, place = model.target, folder / "rtl"
    step("RTL: tracing")
    try:
        circuit = trace(model.contract, graph, target)
    except UnsupportedError as error:
        if model.spec.design == "rtl":
            raise
        _log.warning("no RTL design: %s", error)
        shutil.rmtree(place, ignore_errors=True)
        return {"refused": str(error)}
    _check_circuit(model, graph, circuit)
    synthesis = None
    if model.spec.design == "rtl" and target.capacity is not None:
        last = close_timing(
            circuit,
            target,
            folder / "synthesis",
            name=model.name,
            progress=lambda name: step(f"Yosys: {name}"),
        )[-1]
        step("simulation of the gates")
        raw = gate_vectors(model)
        expected = graph.evaluate(shaped(model.contract, graph, raw))
        check_gates(read_netlist(last.synthesis.netlist), last.design, raw, expected)
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(last.design.folder, place)
        design, synthesis = last.design, _synthesis(last)
    else:
        step("RTL design")
        design = write_design(circuit, target, place, name=model.name)
        if model.spec.design == "rtl":
            synthesis = gate_synthesis(model, [graph], design, folder, step)
    sources = " ".join(f"$folder/{name}" for name in design.verilog)
    for name, text in vivado_files(target, top=design.name, clock="clk", sources=f"[list {sources}]").items():
        (place / name).write_text(text)
    return {
        "estimate": design.estimate.model_dump(),
        "latency": design.latency,
        "synthesis": synthesis,
        "trees": any(isinstance(node.op, Trees) for node in graph),
    }


def _check_circuit(model: Model, graph: Graph, circuit: Circuit) -> None:
    """Raise ``GateError`` unless the traced circuit equals the reference on all extremes."""
    raw = extreme_events(model.contract, sizes=EVENTS_OF_EVERY_SIZE)
    differs = circuit.predict(raw) != graph.evaluate(shaped(model.contract, graph, raw))
    wrong = np.flatnonzero(differs.reshape(len(raw), -1).any(axis=1))
    if len(wrong):
        raise GateError(
            f"the traced circuit differs from the integer reference on {len(wrong)} of {len(raw)} extremes, "
            f"first on number {wrong[0]}; report this, and deploy the hls4ml design"
        )


def _synthesis(last: Attempt) -> dict[str, Any]:
    return {
        "period_ns": (last.fmax.timing.worst_ps + CLOCK_UNCERTAINTY_PS) / 1e3,
        "fmax_mhz": [last.fmax.low_mhz, last.fmax.mhz, last.fmax.high_mhz],
        "closed": last.closed,
        "resources": vars(last.resources),
    }


def measured(run: Simulation) -> dict[str, int | None]:
    """Latency and II in clocks, and the number of events."""
    return {"latency": run.latency, "ii": run.ii, "events": len(run.scores)}


def rtl_rows(
    target: Target, found: dict[str, Any], run: dict[str, Any] | None, design: Design = "rtl"
) -> tuple[HardwareRow, ...]:
    """Rows of an RTL design: measurements, and the estimates beside them with their error.

    ``found`` is of :func:`implement`, ``run`` of :func:`measured` or None. A latency in ns is valid only if
    the estimated fmax reaches the target's clock.
    """
    synthesis, estimate = found["synthesis"], found["estimate"]
    rows: list[HardwareRow] = []
    if synthesis is not None and run is not None:
        rows += _run_rows(target, design, synthesis["closed"], run)
        rows += (_gate_rows if "gates" in synthesis else _netlist_rows)(target, design, synthesis)
    else:
        clocks = f"{clocks_text(found['latency'])} as written, registers included; its clock is not timed"
        rows.append(
            budgeted(target, design, "latency", found["latency"] * target.clock_ns, "estimate", clocks)
        )
        ii = target.clock_ns / target.bx_ns
        rows.append(budgeted(target, design, "ii", ii, "estimate", "a pipeline takes an event every clock"))
    trees = found.get("trees", False)
    counted = "alkaid's comparisons and multiplexers" if trees else "alkaid's adder graphs"
    for metric, declared in BANDS.items():
        band = None if trees else declared
        how = counted if metric == "lut" else "registers as written"
        if synthesis is not None and "resources" in synthesis:
            found_sites = synthesis["resources"]["lut_high" if metric == "lut" else metric]
            how += f"; the netlist has {found_sites / estimate[metric] - 1:+.0%}"
        rows.append(budgeted(target, design, metric, estimate[metric], "estimate", how, band))
    return tuple(rows)


def _run_rows(target: Target, design: Design, closed: bool, run: dict[str, Any]) -> list[HardwareRow]:
    clocks = f"{clocks_text(run['latency'])} in simulation, registers included, {run['events']:,} events"
    latency = run["latency"] * target.clock_ns
    if not closed:
        latency, clocks = None, f"{clocks}; not valid: its clock is too slow"
    ii = run["ii"] * target.clock_ns / target.bx_ns
    return [
        budgeted(target, design, "latency", latency, "rtl-sim", clocks),
        budgeted(target, design, "ii", ii, "rtl-sim", f"{clocks_text(run['ii'])}, events back to back"),
    ]


def _gate_rows(target: Target, design: Design, synthesis: dict[str, Any]) -> list[HardwareRow]:
    """Rows of a netlist of generic gates."""
    found = synthesis["gates"]
    yosys = f"Yosys' netlist, equal to the reference on {GATE_EVENTS} events"
    size = f"generic cell library, no area: {found['gates']:,} gates and {found['ff']:,} FF, transistors / 4"
    planned = f"planned delay of the longest stage, in cells of a stand-in, {target.part}"
    return [
        budgeted(target, design, "clock", synthesis["period_ns"], "estimate", planned),
        budgeted(target, design, "gates", found["nand2"], "yosys", f"{size}; {yosys}"),
        budgeted(target, design, "ff", found["ff"], "yosys", yosys),
    ]


def _netlist_rows(target: Target, design: Design, synthesis: dict[str, Any]) -> list[HardwareRow]:
    """Rows of a netlist of an FPGA's cells."""
    low, middle, high = (round(mhz) for mhz in synthesis["fmax_mhz"])
    resources = synthesis["resources"]
    fast, slow = NET_RANGE_PS
    cells = f"delays of cells {target.cell_delay:g} of Artix-7 -1's"
    timing = f"static timing of the netlist: {middle} MHz; {low}-{high} for nets of {slow}-{fast} ps; {cells}"
    yosys = f"Yosys' netlist, equal to the reference on {GATE_EVENTS} events"
    sites = f"{yosys}; packed into {resources['lut_low']:,} to {resources['lut_high']:,} sites"
    return [
        budgeted(target, design, "clock", synthesis["period_ns"], "estimate", timing),
        budgeted(target, design, "lut", resources["lut_high"], "yosys", sites),
        budgeted(target, design, "ff", resources["ff"], "yosys", yosys),
        budgeted(target, design, "dsp", resources["dsp"], "yosys", yosys),
        budgeted(target, design, "bram", resources["bram36"], "yosys", yosys),
    ]

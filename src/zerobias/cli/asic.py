"""What a chip adds to a build: its gates instead of LUTs, and the design with its weights as ports."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from zerobias.contract import IntArray
from zerobias.errors import GateError, UnsupportedError
from zerobias.files import write_text
from zerobias.fixed import Graph, random_weights, shaped, with_weights
from zerobias.rtl import (
    RtlDesign,
    check_gates,
    count_gates,
    pack_weights,
    read_netlist,
    simulate,
    synthesise,
    trace,
    weight_values,
    write_design,
)
from zerobias.rtl.schedule import PLANNED_SHARE
from zerobias.rtl.timing import CLOCK_UNCERTAINTY_PS
from zerobias.verify import extreme_events, read_golden
from zerobias.zoo import Model

__all__ = ["GATE_EVENTS", "gate_synthesis", "gate_vectors", "implement_ports"]

GATE_EVENTS = 512
_PORT_EVENTS = 2000
_SEED = 1
_TIMEOUT_S = 3600.0
_log = logging.getLogger(__name__)


def implement_ports(model: Model, graph: Graph, folder: Path, step: Callable[[str], None]) -> dict[str, Any]:
    """Write the design with every weight as a port to ``folder``/rtl_ports, and give what is known of it.

    It is compared with the reference for the model's own weights and for random ones of the declared types:
    the circuit always, and where the model deploys its RTL the simulation and the netlist of gates too.
    Raises ``GateError`` when one differs, and ``UnsupportedError`` as :func:`zerobias.cli.rtl.implement`.
    """
    step("RTL with weights as ports")
    place = folder / "rtl_ports"
    try:
        circuit = trace(model.contract, graph, model.target, ports=True)
    except UnsupportedError as error:
        if model.spec.design == "rtl":
            raise
        _log.warning("no RTL design with weights as ports: %s", error)
        shutil.rmtree(place, ignore_errors=True)
        return {"refused": str(error)}
    graphs = {"its own weights": graph, "random weights": with_weights(graph, random_weights(graph, _SEED))}
    raw = _events(model)
    expected = {which: _scores(model, other, raw) for which, other in graphs.items()}
    held = {which: weight_values(other, circuit.weights) for which, other in graphs.items()}
    for which in graphs:
        _compare("traced circuit", which, circuit.predict(raw, held[which]), expected[which])
    design = write_design(circuit, model.target, place, name=f"{model.name}_ports")
    words = pack_weights(design.weights, held["its own weights"])
    write_text(place / "weights.mem", "".join(f"{word:08x}\n" for word in words))
    found: dict[str, Any] = {"estimate": design.estimate.model_dump(), "latency": design.latency}
    if model.spec.design != "rtl":
        return {**found, "synthesis": None, "run": None}
    for which in graphs:
        step(f"simulation of the RTL with {which} on its port")
        run = simulate(design, raw, weights=held[which])
        _compare("simulation", which, run.scores, expected[which])
    found["run"] = {"latency": run.latency, "ii": run.ii, "events": len(raw)}
    return {**found, "synthesis": gate_synthesis(model, list(graphs.values()), design, folder, step)}


def gate_synthesis(
    model: Model, graphs: list[Graph], design: RtlDesign, folder: Path, step: Callable[[str], None]
) -> dict[str, Any]:
    """The netlist of a design in generic gates: its size, after its scores were compared with the reference.

    ``graphs`` are compared one after the other, with their weights on the port of a design that has one.
    """
    made = synthesise(
        design.files("verilog"),
        design.name,
        None,
        folder / "synthesis" / design.name,
        progress=lambda name: step(f"Yosys, {design.name}: {name}"),
        timeout_s=_TIMEOUT_S,
    )
    netlist = read_netlist(made.netlist)
    step(f"simulation of the gates of {design.name}")
    raw = gate_vectors(model)
    for graph in graphs:
        weights = weight_values(graph, design.weights) if design.weights else None
        check_gates(netlist, design, raw, _scores(model, graph, raw), weights)
    period = design.stage_ns / PLANNED_SHARE + CLOCK_UNCERTAINTY_PS / 1e3
    return {
        "period_ns": period,
        "closed": period <= design.clock_ns,
        "gates": vars(count_gates(netlist)),
    }


def gate_vectors(model: Model) -> IntArray:
    """Raw events for the simulation of a netlist."""
    raw = extreme_events(model.contract, random=GATE_EVENTS, sizes=GATE_EVENTS)
    return np.random.default_rng(0).permutation(raw)[:GATE_EVENTS]


def _events(model: Model) -> IntArray:
    """Golden events, extremes and random ones of every size."""
    golden = model.folder / "golden" / "golden.npz"
    extremes = extreme_events(model.contract, random=_PORT_EVENTS, sizes=_PORT_EVENTS)
    return np.concatenate([read_golden(golden).raw, extremes]) if golden.is_file() else extremes


def _scores(model: Model, graph: Graph, raw: IntArray) -> IntArray:
    return graph.evaluate(shaped(model.contract, graph, raw))


def _compare(what: str, which: str, found: IntArray, expected: IntArray) -> None:
    wrong = np.flatnonzero((found != expected).reshape(len(found), -1).any(axis=1))
    if len(wrong):
        raise GateError(
            f"the {what} with {which} on the port differs from the integer reference on {len(wrong)} of "
            f"{len(found)} events, first on number {wrong[0]}; report this"
        )

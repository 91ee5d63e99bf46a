"""The firmware pipeline: the stages in order, for one model."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from zerobias.cli.console import load_keras
from zerobias.contract import Contract, IntArray
from zerobias.errors import DataError
from zerobias.events import EventSet, default_sample, file_digest, read
from zerobias.fixed import Graph, Headroom, from_keras
from zerobias.hls import HlsProject, estimate, write_project
from zerobias.physics import PhysicsTable, baseline_scores, physics_table
from zerobias.report import (
    Agreement,
    HardwareRow,
    HeadroomRow,
    Report,
    assemble,
    budgeted,
    read_report,
    write_report,
)
from zerobias.verify import compare, csim_implementation, extreme_events, keras_implementation
from zerobias.zoo import Model, digest, read_weights

__all__ = ["Build", "build_firmware", "reference", "shaped"]

Step = Callable[[str], None]
_TOOLS = ("tensorflow", "keras", "qkeras-v3", "hls4ml", "numpy")


@dataclass(frozen=True)
class Build:
    """Where a build lies and what it found; ``fresh`` is False when nothing had changed."""

    folder: Path
    report: Report
    fresh: bool


def reference(model: Model) -> tuple[Any, Graph]:
    """The quantised Keras network of the working model and its fixed-point graph."""
    network = model.load()
    return network, from_keras(network, model.contract)


def build_firmware(model: Model, root: Path, step: Step, *, sample: Path | None = None) -> Build:
    """Write, compile, verify and report the firmware of ``model`` in ``root``/<name>.

    ``step`` is told what is being done. ``sample`` is an event file (default: the shipped sample).
    A build whose inputs did not change is read back.
    """
    folder = root / model.name
    sample = sample or default_sample()
    key = _key(model, sample)
    stamp = folder / "inputs.sha256"
    if stamp.is_file() and stamp.read_text() == key and (folder / "report.json").is_file():
        return Build(folder, read_report(folder / "report.json"), fresh=False)
    folder.mkdir(parents=True, exist_ok=True)
    stamp.unlink(missing_ok=True)
    load_keras()

    contract, target = model.contract, model.target
    step("integer reference and interval analysis")
    network, graph = reference(model)
    intervals = graph.intervals(*contract.box)
    step("HLS project")
    project = write_project(model.spec, network, graph, contract, target, folder / "hls")
    headroom = (*graph.headroom(intervals), *project.accumulator_headroom(graph, *contract.box))
    step("C simulation: compiling")
    csim = csim_implementation(project, contract, graph)
    step("agreement on all test events and extremes")
    events = read(sample)
    raw = contract.flatten(events.of(split="test").collections[contract.spec.collection])
    verdict = compare(
        contract, graph, [keras_implementation(network, contract, graph), csim], raw, extreme_events(contract)
    )
    step("physics")
    physics = _physics(model, graph, events, sample.name)
    report = assemble(
        model=model.name,
        version=model.spec.version,
        target=target.name,
        digest=_digest(model, project),
        settings={
            **model.spec.hls.model_dump(),
            "part": target.part,
            "clock_mhz": target.clock_mhz,
            "tools": {name: version(name) for name in _TOOLS},
        },
        agreement=Agreement(
            events=verdict.events,
            extremes=verdict.extremes,
            implementations=verdict.implementations,
            mismatches=verdict.mismatches,
        ),
        disagreements=tuple(str(d) for d in verdict.disagreements),
        hardware=_hardware(model, graph),
        headroom=tuple(_headroom_row(row) for row in headroom),
        physics=physics,
    )
    write_report(report, folder / "report.json")
    stamp.write_text(key)
    return Build(folder, report, fresh=True)


def _hardware(model: Model, graph: Graph) -> tuple[HardwareRow, ...]:
    target, settings = model.target, model.spec.hls
    found = estimate(model.contract, graph, target)
    reuse = settings.reuse_factor
    cycles = found.cycles + reuse - 1
    rows: list[tuple[Any, float, str]] = [
        (
            "latency",
            cycles * target.clock_ns,
            f"{found.levels} adder and cast levels in {cycles} clocks of {target.clock_ns:.3f} ns, "
            f"{settings.strategy} strategy, reuse factor {reuse}",
        ),
        ("ii", reuse * target.clock_ns / target.bx_ns, f"reuse factor {reuse} = clocks between events"),
        (
            "lut",
            found.ebops / reuse,
            f"EBOPs / reuse factor; {found.multipliers} products, {found.adders} adders",
        ),
        ("ff", found.ff, "output bits of each layer for each of its clocks"),
        ("dsp", found.dsp, "products of two variables with more than 10 bits"),
        ("bram", 0, "weights are constants in logic"),
    ]
    return tuple(
        budgeted(target, "hls4ml", metric, value, "estimate", method) for metric, value, method in rows
    )


def _headroom_row(row: Headroom) -> HeadroomRow:
    lsb = 2.0**-row.frac
    return HeadroomRow(
        node=row.node,
        type=row.kind,
        minimum=row.low * lsb,
        maximum=row.high * lsb,
        bits_used=row.bits_used,
        bits_available=row.bits_available,
        overflows=row.overflows,
    )


def _physics(model: Model, graph: Graph, events: EventSet, sample: str) -> PhysicsTable | None:
    """The physics table on the test split; None when the sample holds no signal."""
    contract = model.contract
    floating = model.load(quantised=False) if model.weights_path("float").is_file() else None

    def scores(part: EventSet) -> dict[str, Any]:
        raw = contract.flatten(part.collections[contract.spec.collection])
        found: dict[str, Any] = {"model": graph.evaluate(shaped(contract, graph, raw))}
        if floating is not None:
            inputs = (shaped(contract, graph, raw) * contract.network_type.lsb).astype(np.float32)
            found["model_float"] = floating.predict(inputs, verbose=0).reshape(-1)
        return found | baseline_scores(contract.spec.collection, part.collections[contract.spec.collection])

    background = events.of("zero_bias", "test")
    signals = {name: events.of(name, "test") for name in events.signals}
    signals = {name: part for name, part in signals.items() if len(part)}
    if not signals or not len(background):
        return None
    return physics_table(
        background=scores(background),
        background_weight=background.weight,
        background_npu=background.npu,
        signals={name: scores(part) for name, part in signals.items()},
        signal_weight={name: part.weight for name, part in signals.items()},
        signal_npu={name: part.npu for name, part in signals.items()},
        sample=sample,
        split="test",
    )


def shaped(contract: Contract, graph: Graph, raw: IntArray) -> IntArray:
    """Network input integers in the shape the graph takes."""
    return contract.scale(raw).reshape(len(raw), *graph.input.shape)


def _digest(model: Model, project: HlsProject) -> str:
    """SHA-256 of weights and written sources: two builds of the same model share it."""
    state = hashlib.sha256(digest(read_weights(model.weights_path("quantised"))).encode())
    for path in sorted(p for p in project.path.rglob("*") if p.is_file()):
        state.update(str(path.relative_to(project.path)).encode() + path.read_bytes())
    return state.hexdigest()


def _key(model: Model, sample: Path) -> str:
    """SHA-256 of everything a build depends on."""
    engine = Path(__file__).resolve().parents[1]
    files = sorted(engine.rglob("*.py"))
    files += sorted(
        p for p in model.folder.rglob("*") if p.is_file() and p.suffix in (".py", ".toml", ".npz")
    )
    if not model.weights_path("quantised").is_file():
        raise DataError(
            f"model {model.name} has no weights at {model.weights_path('quantised')}: "
            f"run `make train MODEL={model.name}` or `zerobias import-weights`"
        )
    parts = [path.name + hashlib.sha256(path.read_bytes()).hexdigest() for path in files]
    parts += [file_digest(sample), model.target.model_dump_json()]
    parts += [f"{name} {version(name)}" for name in _TOOLS]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

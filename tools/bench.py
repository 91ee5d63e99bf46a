"""Speed of the project against its references, in one run: ``make bench``.

Writes ``firmware/build/bench.json``, rows of name, value, unit, reference, reference_value, ratio, and the
table of docs/benchmarks.md, ``bench.md``.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zerobias.cli.build import build_firmware, reference
from zerobias.cli.console import load_keras
from zerobias.events import default_sample, read, write
from zerobias.files import write_text
from zerobias.fixed import Graph, shaped
from zerobias.hls import run_csim
from zerobias.hls.project import hls4ml_model
from zerobias.rtl import Circuit, close_timing, compile_simulation, simulate, trace, write_design
from zerobias.score import CompiledGraph
from zerobias.shelves import build_root
from zerobias.verify import extreme_events
from zerobias.zoo import Model, find_model, model_names

__all__ = ["main"]

_FIRMWARE_LIMIT_S, _FIRMWARE_LIMITS_S = 60.0, {"econ": 90.0}
_EVENTS, _HLS4ML_EVENTS = 200_000, 20_000
_SYNTHESIS_LIMIT_S, _SYNTHESIS_LIMIT_GB = 600.0, 8.0
_PAIRS, _WAFERS, _EPOCH_LIMIT_S = 20_000, 50_000, 60.0
_SCORED, _SCORING_GOALS = 1_000_000, {"axol1tl": 20e6, "cicada": 5e6}
_FEW_EVENTS, _MANY_EVENTS = 200_000, 2_000_000
_PEAK = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""
_SCORED_ON_GPU, _GPU_GOALS = 20_000_000, {"axol1tl": 400e6, "cicada": 90e6}
_CROSSINGS, _SIMULATION_GOAL = 2000, 5000.0


def row(name: str, value: float, unit: str, against: str, reference_value: float) -> dict[str, Any]:
    """One line of the table; ``ratio`` is value / reference_value."""
    return {
        "name": name,
        "value": value,
        "unit": unit,
        "reference": against,
        "reference_value": reference_value,
        "ratio": value / reference_value,
    }


def table(rows: list[dict[str, Any]]) -> str:
    """The rows in Markdown."""
    lines = ["| row | value | unit | against | its value | ratio |", "|---|---:|---|---|---:|---:|"]
    for line in rows:
        value, other = (
            f"{line[key]:.4g}" if line[key] < 1000 else f"{line[key]:,.0f}"
            for key in ("value", "reference_value")
        )
        cells = [line["name"], value, line["unit"], line["reference"], other, f"{line['ratio']:.3g}"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def best_rate(work: Callable[[], Any], events: int, clock: Callable[[], float] = time.perf_counter) -> float:
    """Events a second, best of three; with ``time.process_time``, of one core."""
    times = []
    for _ in range(3):
        start = clock()
        work()
        times.append(clock() - start)
    return events / min(times)


def measure(model: Model) -> list[dict[str, Any]]:
    """The rows of one model."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        build_firmware(model, Path(folder), lambda step: None)
        seconds = time.perf_counter() - start
        network, graph = reference(model)
        raw = extreme_events(model.contract, random=_EVENTS)
        inputs = shaped(model.contract, graph, raw)
        ours = best_rate(lambda: graph.evaluate(inputs), len(inputs))
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            theirs_model = hls4ml_model(
                model.spec, network, graph, model.contract, model.target, "bench", Path(folder) / "hls4ml"
            )
            theirs_model.compile()
            some = np.ascontiguousarray(inputs[:_HLS4ML_EVENTS] * model.contract.network_type.lsb, np.float32)
            theirs = best_rate(lambda: theirs_model.predict(some), len(some))
        program = Path(folder) / model.name / "csim"
        csim = best_rate(lambda: run_csim(program, raw, graph.score_shape), len(raw))
        circuit = trace(model.contract, graph, model.target)
        scoring = measure_scoring(model, graph, circuit, Path(folder), csim)
        synthesis = []
        if model.target.capacity is None:  # a chip: no FPGA to synthesise for
            design = write_design(circuit, model.target, Path(folder) / "rtl", name=model.name)
        else:
            attempt = close_timing(circuit, model.target, Path(folder), name=model.name, tries=1)[0]
            design, made = attempt.design, attempt.synthesis
            synthesis = [
                row(f"{model.name}: synthesis", made.seconds, "s", "limit", _SYNTHESIS_LIMIT_S),
                row(f"{model.name}: synthesis", made.peak_gb, "GB", "limit", _SYNTHESIS_LIMIT_GB),
            ]
        compile_simulation(design)
        verilated = best_rate(lambda: simulate(design, raw), len(raw))
    limit = _FIRMWARE_LIMITS_S.get(model.name, _FIRMWARE_LIMIT_S)
    return [
        row(f"{model.name}: firmware from released weights", seconds, "s", "limit", limit),
        row(f"{model.name}: integer reference", ours, "events/s", "hls4ml predict", theirs),
        *scoring,
        row(f"{model.name}: simulation of the RTL", verilated, "events/s", "C simulation", csim),
        *synthesis,
    ]


def measure_scoring(
    model: Model, graph: Graph, circuit: Circuit, folder: Path, csim: float
) -> list[dict[str, Any]]:
    """Compiled scoring, from raw integers as they are stored, against ``csim`` and what else scores."""
    name = model.contract.spec.collection
    stored = read(default_sample(name)).collections[name].dtype
    raw = extreme_events(model.contract, random=_EVENTS)
    some = raw[-_EVENTS // 4 :]
    real, threads = some.astype(np.float64), os.cpu_count() or 1
    made = CompiledGraph(model.contract, graph, folder)
    events = np.resize(raw.astype(stored), (_SCORED, raw.shape[1]))
    made.evaluate(events[:1])  # compiles
    compiled = best_rate(lambda: made.evaluate(events), len(events))
    slower = {
        "C simulation": csim,
        "alkaid's interpreter": best_rate(lambda: circuit.logic.predict(real, n_threads=threads), len(real)),
        "NumPy reference": best_rate(lambda: graph.evaluate(shaped(model.contract, graph, some)), len(some)),
    }
    rows = [row(f"{model.name}: scoring", compiled, "events/s", *each) for each in slower.items()]
    goal = _SCORING_GOALS.get(model.name)
    rows += [row(f"{model.name}: scoring", compiled, "events/s", "goal", goal)] if goal else []
    return rows + measure_xla(model, graph, events, compiled)


def measure_xla(model: Model, graph: Graph, events: NDArray[Any], compiled: float) -> list[dict[str, Any]]:
    """Scoring through XLA on JAX's first device, against compiled scoring; on a GPU, the goals of one."""
    import jax

    from zerobias.score.device import XlaGraph

    device = jax.devices()[0]
    on_gpu = device.platform == "gpu"
    events = np.resize(events, (_SCORED_ON_GPU if on_gpu else _EVENTS, events.shape[1]))
    made = XlaGraph(model.contract, graph, device)
    made.evaluate(events)  # compiles
    speed = best_rate(lambda: made.evaluate(events), len(events))
    name = f"{model.name}: scoring through XLA, {device.device_kind}"
    goal = _GPU_GOALS.get(model.name) if on_gpu else None
    rows = [row(name, speed, "events/s", "machine code", compiled)]
    return rows + ([row(name, speed, "events/s", "goal", goal)] if goal else [])


def measure_memory(model: Model) -> dict[str, Any]:
    """Memory of the largest process of ``zerobias score``, over a long file and over a short one."""
    name = model.contract.spec.collection
    sample = read(default_sample(name), [name])
    largest = []
    for count in (_MANY_EVENTS, _FEW_EVENTS):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "events.h5"
            write(path, sample.select(np.zeros(count, dtype=int)))
            program = Path(sys.executable).with_name("zerobias")
            words = [program, "score", model.name, path, "--output", path.with_name("scores.h5")]
            # A child's peak starts at its parent's, which is large here: a small one stands between.
            wrapped = [sys.executable, "-c", _PEAK, *map(str, words)]
            done = subprocess.run(wrapped, stdout=subprocess.PIPE, check=True)
            largest.append(int(done.stdout) / 1e6)
    title = f"{model.name}: scoring a file of {_MANY_EVENTS:,} events"
    return row(title, largest[0], "GB", f"of {_FEW_EVENTS:,} events", largest[1])


def measure_simulation() -> list[dict[str, Any]]:
    """Zero-bias crossings a second on one core, from a small pool made here."""
    from zerobias.simulate import load_cards, make_pool
    from zerobias.simulate.crossings import OverlayChunk, Simulation
    from zerobias.simulate.stages import make_deposits

    detector, card, _ = load_cards()
    with tempfile.TemporaryDirectory() as folder:
        pool = make_pool(Path(folder), card.scaled(0.02))
        simulation = Simulation.load(make_deposits(pool, pool.strata(card), detector))
    chunk = OverlayChunk(0, 0, None, (0, 4), _CROSSINGS, 1.0, -1, 1)
    simulation.run(chunk)  # compiles
    speed = best_rate(lambda: simulation.run(chunk), _CROSSINGS, time.process_time)
    return [row("simulation: zero bias from a pool, one core", speed, "events/s", "goal", _SIMULATION_GOAL)]


def measure_emd(folder: Path) -> list[dict[str, Any]]:
    """Pairs of wafers a second, and an epoch of the encoder with the surrogate as its loss, on two cores."""
    from zerobias.emd import emd_in_chunks, unit_images
    from zerobias.events import default_sample, read
    from zerobias.nn import EmdSurrogate, emd_loss
    from zerobias.train import SurrogateRecipe

    wafers = read(default_sample("wafer")).of("zero_bias")
    wafers = wafers.select(np.resize(np.arange(len(wafers)), _WAFERS))
    charges = wafers.collections["wafer"].astype(np.float32)
    images = unit_images(charges).astype(np.float32)
    pairs = images[:_PAIRS], images[-_PAIRS:]
    start = time.perf_counter()
    emd_in_chunks(*pairs, folder)
    exact = _PAIRS / (time.perf_counter() - start)
    recipe = SurrogateRecipe.model_validate({})
    surrogate = EmdSurrogate(**recipe.model_dump(include={"filters", "kernel", "convolutions", "units"}))
    surrogate.predict(pairs, batch_size=4096, verbose=0)  # compiles
    speed = best_rate(lambda: surrogate.predict(pairs, batch_size=4096, verbose=0), _PAIRS)

    import keras

    model = find_model("econ")
    network = model.module.autoencoder(model.build(), model.spec)
    inputs = model.module.inputs_of(network, charges, wafers)
    network.compile(keras.optimizers.Adam(), loss=emd_loss(surrogate), jit_compile=False)
    batch = model.module.recipe(model.spec).batch
    network.fit([each[:batch] for each in inputs], images[:batch], batch, verbose=0)  # compiles
    start = time.perf_counter()
    network.fit(inputs, images, batch, verbose=0)
    epoch = time.perf_counter() - start
    return [
        row("EMD surrogate", speed, "pairs/s", "exact EMD, two processes", exact),
        row("econ: epoch on 50 000 wafers", epoch, "s", "limit", _EPOCH_LIMIT_S),
    ]


def measured() -> Iterator[dict[str, Any]]:
    """All rows, as they come."""
    with tempfile.TemporaryDirectory() as folder:
        yield from measure_emd(Path(folder))
    yield from measure_simulation()
    for name in model_names():
        model = find_model(name)
        if model.spec.design != "conifer":  # trees: hls4ml has nothing to hold against ours
            yield from measure(model)
    for name in _SCORING_GOALS:
        yield measure_memory(find_model(name))


def main() -> int:
    """Measure the simulation and every model on the shelf."""
    load_keras()
    rows = []
    for line in measured():
        rows.append(line)
        sys.stdout.write(
            f"{line['name']:45s} {line['value']:12,.1f} {line['unit']:9s} "
            f"{line['ratio']:8.2f} x {line['reference']} ({line['reference_value']:,.1f})\n"
        )
        sys.stdout.flush()
    path = build_root() / "bench.json"
    write_text(path, json.dumps(rows, indent=2) + "\n")
    write_text(path.with_suffix(".md"), table(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())

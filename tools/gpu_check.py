"""XLA against machine code on random events, and its speed, on a machine with only JAX, NumPy and g++.

``pack FOLDER``, here, writes for every model (or those named) the function of ``zerobias.score.xla`` as JAX
exports it and the C++ of ``zerobias.score.source``. ``run FOLDER``, on the other machine, from this file and
``src/zerobias/score/stream.py`` of the same checkout, needs no zerobias: it compares the scores of both on
``--events`` events a model, then measures. It ends with exit code 1 at the first event that differs.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import runpy
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from zerobias.contract import Contract
    from zerobias.fixed import Graph

__all__ = ["main"]

_STREAM = Path(__file__).resolve().parents[1] / "src" / "zerobias" / "score" / "stream.py"
_THREADS = len(os.sched_getaffinity(0))
_BLOCK, _PART = 1 << 20, 1 << 15
_GRID = [(8, 1 << 25), (8, 1 << 24), (8, 1 << 26), (4, 1 << 25), (16, 1 << 25)]


def pack(folder: Path, names: list[str]) -> None:
    """Write all that ``run`` needs of the models, as their sample stores the events."""
    from zerobias.events import default_sample, read
    from zerobias.fixed import graph_of
    from zerobias.zoo import find_model, load_keras, model_names

    load_keras()
    for name in names or model_names():
        model = find_model(name)
        contract, graph = model.contract, graph_of(model.load(), model.contract)
        collection = contract.spec.collection
        kind = read(default_sample(collection)).collections[collection].dtype
        pack_graph(folder, name, contract, graph, kind)


def pack_graph(folder: Path, name: str, contract: Contract, graph: Graph, kind: np.dtype[Any]) -> None:
    """Write the files of one graph for events stored as ``kind``."""
    from zerobias.files import write_text
    from zerobias.score.compiled import FLAGS
    from zerobias.score.device import exported
    from zerobias.score.evaluator import admitted
    from zerobias.score.source import source

    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.jax").write_bytes(exported(contract, graph, kind))
    write_text(folder / f"{name}.cpp", source(contract, graph, kind))
    low, high = admitted(contract, kind)
    about = {"kind": str(kind), "low": low.tolist(), "high": high.tolist()}
    about |= {"scores": graph.score_shape, "flags": FLAGS}
    write_text(folder / f"{name}.json", json.dumps(about) + "\n")


class Case:
    """A packed model: its machine code, and its function on ``device``."""

    def __init__(self, folder: Path, name: str, device: Any) -> None:
        import jax.export

        about = json.loads((folder / f"{name}.json").read_text())
        self.name, self.device, self.kind = name, device, np.dtype(about["kind"])
        self.low, self.high = (np.array(about[end], self.kind) for end in ("low", "high"))
        self.scores = tuple(about["scores"])
        self.function = jax.export.deserialize(bytearray((folder / f"{name}.jax").read_bytes())).call
        library = folder.resolve() / f"{name}.so"
        command = ["g++", *about["flags"], "-shared", "-fPIC", "-w", str(folder / f"{name}.cpp")]
        subprocess.run([*command, "-o", str(library)], check=True)
        self._score = ctypes.CDLL(str(library)).score_events
        self._score.argtypes = [ctypes.c_void_p, ctypes.c_int64, ctypes.c_void_p]

    def stream(self, *settings: int) -> Any:
        """A stream, with numbers of chunks in flight and of bytes of a chunk."""
        made = runpy.run_path(str(_STREAM))["Stream"]
        return made(self.function, len(self.low), self.kind, self.device, *settings)

    def room(self, events: int) -> NDArray[np.int64]:
        """Memory for scores, touched: a first use is the system's time."""
        return np.full((events, *self.scores), -1, np.int64)

    def draw(self, rng: np.random.Generator, raw: NDArray[Any]) -> None:
        """Fill ``raw``: half of the events uniform, half with every feature of any size."""
        values = rng.random(raw.shape, np.float32) * (self.high.astype(np.float32) - self.low + 1)
        raw[:] = values.astype(self.kind) + self.low
        raw[::2] >>= rng.integers(0, 12, raw[::2].shape, self.kind.type)
        np.clip(raw, self.low, self.high, out=raw)

    def drawn(self, seed: int, events: int) -> NDArray[Any]:
        """Events of the seed, made in threads."""
        raw = np.empty((events, len(self.low)), self.kind)
        starts = range(0, events, _PART)
        generators = [np.random.Generator(np.random.SFC64([seed, start])) for start in starts]

        def fill(start: int, rng: np.random.Generator) -> None:
            self.draw(rng, raw[start : start + _PART])

        with ThreadPoolExecutor(_THREADS) as pool:
            list(pool.map(fill, starts, generators))
        return raw

    def expected(self, raw: NDArray[Any]) -> NDArray[np.int64]:
        """Scores by machine code."""
        scores = self.room(len(raw))

        def part(start: int) -> int:
            some, place = raw[start : start + _PART], scores[start : start + _PART]
            return int(self._score(some.ctypes.data, len(some), place.ctypes.data))

        with ThreadPoolExecutor(_THREADS) as pool:
            if any(list(pool.map(part, range(0, len(raw), _PART)))):
                raise RuntimeError(f"{self.name}: machine code refuses drawn events")
        return scores


def compare(case: Case, events: int) -> int:
    """Compare both on so many events; returns the number of different scores seen in the first block."""
    stream, distinct = case.stream(), 0
    for start in range(0, events, _BLOCK):
        raw = case.drawn(start, min(_BLOCK, events - start))
        expected, found = case.expected(raw), case.room(len(raw))
        if not stream.score(raw, found):
            raise RuntimeError(f"{case.name}: XLA refuses drawn events")
        if not np.array_equal(found, expected):
            event = start + int(np.argwhere((found != expected).reshape(len(raw), -1).any(1))[0, 0])
            here = event - start
            sys.exit(
                f"{case.name}: event {event} {raw[here].tolist()}: "
                f"XLA {found[here]}, machine code {expected[here]}"
            )
        distinct = distinct or len(np.unique(expected))
    return distinct


def rate(work: Callable[[], Any], events: int) -> float:
    """Events a second, best of three after a first that compiles."""
    work()
    times = []
    for _ in range(3):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return events / min(times)


def rates(case: Case, gigabytes: float) -> Iterator[tuple[str, float]]:
    """What is measured, and its events a second, on so many bytes of raw integers."""
    import jax

    some = case.drawn(0, 1 << 16)
    events = max(int(gigabytes * 1e9) // some[0].nbytes // len(some), 1) * len(some)
    raw, scores = np.resize(some, (events, len(case.low))), case.room(events)
    for settings in _GRID:
        stream = case.stream(*settings)
        label = f"host to host, {settings[0]} in flight, {settings[1] >> 20} MiB a chunk"
        yield label, rate(lambda stream=stream: stream.score(raw, scores), events)  # type: ignore[misc]
    yield "machine code, all cores", rate(lambda: case.expected(raw), events)
    step = min(1 << 18, events)
    function = case.stream().compiled(step)
    here = jax.device_put(raw[:step], case.device)

    def computed() -> None:
        jax.block_until_ready([function(here) for _ in range(events // step)])

    yield "on the device", rate(computed, events // step * step)
    locked, near = (
        jax.sharding.SingleDeviceSharding(case.device, memory_kind=kind) for kind in ("pinned_host", "device")
    )
    chunks = [jax.device_put(raw[at : at + step], locked) for at in range(0, events - step + 1, step)]

    def fetched(chunk: Any) -> None:
        np.asarray(function(jax.device_put(chunk, near))[0])

    with ThreadPoolExecutor(8) as pool:
        yield "from page-locked memory", rate(lambda: list(pool.map(fetched, chunks)), step * len(chunks))


def run(folder: Path, names: list[str], events: int, gigabytes: float, platform: str) -> None:
    """Compare and measure the packed models on ``platform``."""
    import jax

    device = jax.devices(platform)[0]
    say(f"JAX {jax.__version__} on {device.device_kind}, {_THREADS} threads")
    found = names or sorted(path.stem for path in folder.glob("*.jax"))
    cases = [Case(folder, name, device) for name in found]
    for case in cases:
        start = time.perf_counter()
        distinct = compare(case, events)
        seconds = time.perf_counter() - start
        say(f"{case.name}: {events} of {events} events equal, {distinct} scores, {seconds:.0f} s")
    for case in cases:
        try:
            for label, value in rates(case, gigabytes):
                say(f"{case.name}: {label}: {value / 1e6:.1f} M events/s")
        except jax.errors.JaxRuntimeError as error:
            say(f"{case.name}: {error}")


def say(text: str) -> None:
    """A line, at once: a run may be cut off."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("verb", choices=("pack", "run"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--events", type=int, default=100_000_000, help="events a model to compare")
    parser.add_argument("--gigabytes", type=float, default=4.0, help="raw integers to measure with")
    parser.add_argument("--platform", default="gpu", help="of JAX: gpu, cpu")
    given = parser.parse_args()
    if given.verb == "pack":
        pack(given.folder, given.names)
    else:
        run(given.folder, given.names, given.events, given.gigabytes, given.platform)


if __name__ == "__main__":
    main()

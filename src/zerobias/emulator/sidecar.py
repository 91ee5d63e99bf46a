"""The sidecar: what a library is, for people and programs that do not load it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zerobias.contract import IntArray
from zerobias.emulator.interface import Interface
from zerobias.files import tree_digest
from zerobias.zoo import digest

if TYPE_CHECKING:
    from zerobias.zoo import Model

__all__ = ["Threshold", "sidecar"]


@dataclass(frozen=True)
class Threshold:
    """A working point: events with ``score`` (in LSBs) or more fire, a share ``false_positive_rate`` of the
    zero bias of ``sample``."""

    false_positive_rate: float
    score: int
    sample: str


def sidecar(
    model: Model,
    interface: Interface,
    identity: str,
    golden: Mapping[str, IntArray],
    thresholds: Sequence[Threshold],
    fresh: Path,
) -> dict[str, Any]:
    """The JSON document. ``identity``: digest of the library; ``golden``: its golden arrays; ``fresh``: the
    folder that holds its ``firmware`` and ``ap_types``."""
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
            "latent": {
                "layer": model.spec.emulator.latent,
                "values": interface.latents,
                "type": str(interface.latent_type),
            }
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
            **model.digests,
            "golden": digest(golden),
            "sources": tree_digest(fresh / "firmware"),
        },
        "golden_events": len(golden["raw"]),
        "ap_types": {"from": f"hls4ml {version('hls4ml')}", "digest": tree_digest(fresh / "ap_types")},
    }

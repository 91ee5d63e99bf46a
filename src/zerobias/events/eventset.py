"""EventSet: raw hardware integers of Level-1 events with weights, pile-up, process and split."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zerobias.errors import DataError

__all__ = ["OBJECTS", "SHAPES", "SPLITS", "EventSet"]

SPLITS = ("train", "tuning", "test")
"""Splits of a sample, in the order of their numbers."""
SHAPES: Mapping[str, tuple[tuple[int, ...], str]] = {
    "objects": ((19, 3), "int16"),
    "regions": ((18, 14), "uint16"),
    "region_bits": ((18, 14), "uint8"),
    "taus": ((4, 3), "int16"),
    "ht": ((), "uint16"),
    "leader": ((), "uint32"),
    "wafer": ((48,), "uint32"),
    "wafer_place": ((5,), "int16"),
    "wafer_energy": ((), "uint32"),
}
"""Shape of one event and type of the known collections.

``objects``: MET, 4 e/gamma, 4 muons, 10 jets x (hwPt, hwEta, hwPhi), pT-ordered, absent = 0, 0, 0.
``regions``: calorimeter region ET, iphi x ieta, LSB 0.5 GeV. ``region_bits``: bit 0 tau, bit 1 e/gamma.
``taus``: as ``objects``. ``ht``: scalar sum of jets, LSB 0.5 GeV.
``leader``: number of the simulated collision that dominates the crossing; crossings that share one are
not independent.
``wafer``: charges of one HGCAL wafer's 48 trigger cells in ADC counts; ``wafer_place``: layer, u, v,
type (0-2), 1000 eta; ``wafer_energy``: energy of the signal particle in MeV, 0 for pile-up alone.
"""
OBJECTS = {"met": slice(0, 1), "egamma": slice(1, 5), "muon": slice(5, 9), "jet": slice(9, 19)}
"""Rows of each kind of object in the collection ``objects``."""


class _Collections(dict[str, NDArray[Any]]):
    """Raises ``DataError`` for a collection the events do not have."""

    def __missing__(self, name: str) -> NDArray[Any]:
        raise DataError(
            f"the events have no {name}: they hold {', '.join(self)}; take a file that has {name}"
        )


@dataclass(frozen=True)
class EventSet:
    """Events of one or more processes.

    ``collections``: name -> integers (events, ...), see :data:`SHAPES`. ``weight`` (events,): for zero
    bias the probability per crossing (the zero-bias weights of a split sum to one), 1 for a signal
    event. ``npu`` (events,): number of pile-up interactions. ``process`` and ``split`` (events,) index
    ``process_names`` (the first is ``zero_bias``) and :data:`SPLITS`.

    Raises ``DataError`` when lengths, types or values do not fit, and for a collection that is not there.
    """

    collections: Mapping[str, NDArray[Any]]
    weight: NDArray[np.float64]
    npu: NDArray[np.uint16]
    process: NDArray[np.uint8]
    split: NDArray[np.uint8]
    process_names: tuple[str, ...]
    provenance: Mapping[str, Any]

    def __post_init__(self) -> None:
        object.__setattr__(self, "collections", _Collections(self.collections))
        count = len(self.weight)
        for name, array in self.collections.items():
            if name not in SHAPES:
                raise DataError(f"collection {name!r} is unknown: there are {', '.join(SHAPES)}")
            shape, kind = SHAPES[name]
            if array.shape != (count, *shape) or array.dtype != kind:
                raise DataError(
                    f"collection {name!r} is {array.dtype} {array.shape}: it must be {kind} {(count, *shape)}"
                )
        for name, kind in (
            ("weight", "float64"),
            ("npu", "uint16"),
            ("process", "uint8"),
            ("split", "uint8"),
        ):
            array = getattr(self, name)
            if array.shape != (count,) or array.dtype != kind:
                raise DataError(f"{name} is {array.dtype} {array.shape}: it must be {kind} {(count,)}")
        bad = np.flatnonzero(~(np.isfinite(self.weight) & (self.weight >= 0)))
        if len(bad):
            raise DataError(
                f"weight of event {bad[0]} is {self.weight[bad[0]]}: weights are finite and not negative"
            )
        for name, limit in (("process", len(self.process_names)), ("split", len(SPLITS))):
            bad = np.flatnonzero(getattr(self, name) >= limit)
            if len(bad):
                raise DataError(
                    f"{name} of event {bad[0]} is {getattr(self, name)[bad[0]]}: it must be below {limit}"
                )
        if not all(isinstance(n, str) for n in self.process_names) or self.process_names[:1] != (
            "zero_bias",
        ):
            raise DataError(
                f"process names are {self.process_names}: they are strings, the first 'zero_bias'"
            )
        if len(set(self.process_names)) != len(self.process_names):
            raise DataError(f"process names {self.process_names} repeat: give each process its own name")

    def __len__(self) -> int:
        return len(self.weight)

    def select(self, mask: NDArray[Any]) -> EventSet:
        """The events of a boolean mask or index array (events,)."""
        return EventSet(
            {name: array[mask] for name, array in self.collections.items()},
            self.weight[mask],
            self.npu[mask],
            self.process[mask],
            self.split[mask],
            self.process_names,
            self.provenance,
        )

    def of(self, process: str | None = None, split: str | None = None) -> EventSet:
        """The events of one process and/or one split, by name.

        Raises ``DataError`` for an unknown name, listing the known ones.
        """
        mask = np.ones(len(self), dtype=bool)
        for name, known, array in (
            (process, self.process_names, self.process),
            (split, SPLITS, self.split),
        ):
            if name is None:
                continue
            if name not in known:
                raise DataError(f"no events named {name!r}: there are {', '.join(known)}")
            mask &= array == known.index(name)
        return self.select(mask)

    @property
    def signals(self) -> tuple[str, ...]:
        """Names of the processes that are not zero bias."""
        return tuple(name for name in self.process_names if name != "zero_bias")

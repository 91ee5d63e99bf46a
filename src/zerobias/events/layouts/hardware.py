"""Level-1 hardware integers: their ranges, and how foreign columns become them.

Widths and steps are those of the inputs of the global trigger: pT in 0.5 GeV (12 bits MET and HT, 11 jets,
9 e/gamma, muons and taus), eta in 0.0435 (muons 0.010875), phi in 2 pi / 144 (muons 2 pi / 576).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import tau
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zerobias.errors import DataError

__all__ = [
    "EGAMMA",
    "HT",
    "JET",
    "MET",
    "MUON",
    "REGION_MAX",
    "TAU",
    "Field",
    "Jagged",
    "Kind",
    "check_ranges",
    "pack",
    "region_bits",
    "same_counts",
]

Ints = NDArray[np.int64]

REGION_MAX = 1023


@dataclass(frozen=True)
class Kind:
    """One kind of trigger object: slots kept, largest integers and steps of eta and phi."""

    slots: int
    pt_max: int
    eta_min: int
    eta_max: int
    eta_lsb: float
    phi_count: int
    pt_offset: int = 0

    def hardware_pt(self, field: Field, values: NDArray[Any]) -> Ints:
        """pT in GeV, not negative, to integers: 2 pT (muons 2 pT + 1), saturating; 0 stays 0."""
        field.check_finite(values, low=0)
        counts = np.rint(2 * values.astype(np.float64))
        counts += self.pt_offset * (values > 0)
        return np.minimum(counts, self.pt_max).astype(np.int64)

    def hardware_eta(self, field: Field, values: NDArray[Any]) -> Ints:
        """eta to integers; beyond the field is an error."""
        field.check_finite(values, low=self.eta_min * self.eta_lsb, high=self.eta_max * self.eta_lsb)
        return np.rint(values.astype(np.float64) / self.eta_lsb).astype(np.int64)

    def hardware_phi(self, field: Field, values: NDArray[Any]) -> Ints:
        """phi in radians, any turn within 2 pi of zero, to integers 0 .. phi_count - 1."""
        field.check_finite(values, low=-tau, high=tau)
        return np.rint(values.astype(np.float64) / tau * self.phi_count).astype(np.int64) % self.phi_count


HT = Kind(1, 4095, 0, 0, 1.0, 1)
MET = Kind(1, 4095, 0, 0, 1.0, 144)
EGAMMA = Kind(4, 511, -128, 127, 0.0435, 144)
MUON = Kind(4, 511, -256, 255, 0.010875, 576, pt_offset=1)
JET = Kind(10, 2047, -128, 127, 0.0435, 144)
TAU = Kind(4, 511, -128, 127, 0.0435, 144)
_OBJECTS = {"MET": MET, "e/gamma": EGAMMA, "muon": MUON, "jet": JET}


@dataclass(frozen=True)
class Field:
    """Where values come from, for messages: ``rows`` gives the event of each entry of axis 0.

    Without ``rows`` the entry i of axis 0 belongs to the event ``start`` + i.
    """

    path: Path
    name: str
    start: int
    rows: Ints | None = None

    def keep(self, mask: NDArray[np.bool_]) -> Field:
        """The field of only the entries of a mask; ``rows`` must be given."""
        return self if self.rows is None else replace(self, rows=self.rows[mask])

    def check_finite(self, values: NDArray[Any], low: float | None = None, high: float | None = None) -> None:
        """Raise ``DataError`` for values that are not numbers, not finite or outside ``low`` to ``high``."""
        self._check_numeric(values)
        self._refuse(values, ~np.isfinite(values), "must be a finite number")
        if low is not None:
            self._refuse(values, values < low, f"must not be below {low:g}")
        if high is not None:
            self._refuse(values, values > high, f"must not be above {high:g}")

    def integers(self, values: NDArray[Any], low: int, high: int) -> Ints:
        """``values`` as integers; ``DataError`` unless every one is whole and from ``low`` to ``high``."""
        self._check_numeric(values)
        wrong = (values < low) | (values > high)
        if values.dtype.kind == "f":
            wrong |= ~np.isfinite(values) | (values != np.rint(values))
        self._refuse(values, wrong, f"must be a whole number from {low} to {high}")
        return values.astype(np.int64)

    def fault(self, row: int, text: str) -> DataError:
        """The error of the event ``row`` of the file."""
        return DataError(f"{self.path}: {self.name} of event {row} {text}: mend or drop that event")

    def _check_numeric(self, values: NDArray[Any]) -> None:
        if values.dtype.kind not in "biuf":
            raise DataError(f"{self.path}: {self.name} has type {values.dtype}: it must hold numbers")

    def _refuse(self, values: NDArray[Any], wrong: NDArray[np.bool_], rule: str) -> None:
        if wrong.any():
            first = np.unravel_index(int(np.argmax(wrong)), wrong.shape)
            row = self.start + int(first[0]) if self.rows is None else int(self.rows[first[0]])
            raise self.fault(row, f"is {values[first]}; it {rule}")


@dataclass(frozen=True)
class Jagged:
    """A variable number of values per event: ``counts`` (events,) and ``values`` (sum of counts,)."""

    counts: Ints
    values: NDArray[Any]

    @property
    def events(self) -> Ints:
        """Position, from 0, of the event each value belongs to."""
        return np.repeat(np.arange(len(self.counts)), self.counts)

    def keep(self, mask: NDArray[np.bool_]) -> Jagged:
        """Only the values of a mask (values,)."""
        return Jagged(np.bincount(self.events[mask], minlength=len(self.counts)), self.values[mask])


def pack(kind: Kind, pt: Jagged, eta: Ints, phi: Ints) -> Ints:
    """The ``kind.slots`` hardest objects of each event, shape (events, slots, 3); absent ones are 0, 0, 0.

    Objects of equal pT keep their order in the file.
    """
    kept = pt.values > 0
    triples = np.stack([pt.values, eta, phi], axis=1)[kept]
    events = pt.events[kept]
    order = np.lexsort((-triples[:, 0], events))
    triples, events = triples[order], events[order]
    counts = np.bincount(events, minlength=len(pt.counts))
    place = np.arange(len(events)) - np.repeat(np.cumsum(counts) - counts, counts)
    found = np.zeros((len(pt.counts), kind.slots, 3), np.int64)
    fits = place < kind.slots
    found[events[fits], place[fits]] = triples[fits]
    return found


def region_bits(tau_bit: Ints, egamma_bit: Ints) -> Ints:
    """Bit 0 the tau bit, bit 1 the e/gamma bit."""
    return tau_bit | egamma_bit << 1


def same_counts(path: Path, start: int, names: Sequence[str], columns: Sequence[Jagged]) -> None:
    """Raise ``DataError`` unless all columns have as many values in every event as the first."""
    for name, column in zip(names[1:], columns[1:], strict=True):
        differ = column.counts != columns[0].counts
        if differ.any():
            at = int(np.argmax(differ))
            raise Field(path, name, start).fault(
                start + at, f"has {column.counts[at]} values; {names[0]} has {columns[0].counts[at]}"
            )


def check_ranges(path: Path, start: int, collections: Mapping[str, NDArray[Any]]) -> None:
    """Raise ``DataError`` when integers read as they are exceed the width of their hardware field."""
    for name, high in (("regions", REGION_MAX), ("region_bits", 3), ("ht", HT.pt_max)):
        if name in collections:
            Field(path, name, start).integers(collections[name], 0, high)
    for name, kinds in (("objects", _OBJECTS), ("taus", {"tau": TAU})):
        first = 0
        for what, kind in kinds.items() if name in collections else ():
            part = collections[name][:, first : first + kind.slots]
            first += kind.slots
            limits = (0, kind.pt_max), (kind.eta_min, kind.eta_max), (0, kind.phi_count - 1)
            for axis, (label, (low, high)) in enumerate(zip(("pT", "eta", "phi"), limits, strict=True)):
                Field(path, f"{name} ({what} {label})", start).integers(part[:, :, axis], low, high)

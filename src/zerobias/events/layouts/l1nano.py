"""NanoAOD with Level-1 objects: L1 NanoAOD (hardware integers) and central NanoAOD (physical values)."""

from __future__ import annotations

import logging
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zerobias.errors import DataError
from zerobias.events.layouts.hardware import (
    EGAMMA,
    HT,
    JET,
    MET,
    MUON,
    REGION_MAX,
    TAU,
    Field,
    Ints,
    Jagged,
    Kind,
    pack,
    region_bits,
    same_counts,
)
from zerobias.events.layouts.root import RootFile, Tree
from zerobias.events.layouts.source import ForeignSource, TreeColumns

__all__ = ["NanoSource"]

_log = logging.getLogger(__name__)
_KINDS = {"EG": EGAMMA, "Mu": MUON, "Jet": JET, "Tau": TAU}
_OBJECTS = ("EG", "Mu", "Jet", "EtSum")
_HT_TYPE, _MET_TYPE = 1, 2  # CMSSW's l1t::EtSum
_PILEUP = ("Pileup_nPU", "PV_npvs")
_REGIONS = ("Regions_et", "Regions_ieta", "Regions_iphi")
_BITS = ("Regions_taubit", "Regions_egbit")


@dataclass(frozen=True)
class _Naming:
    """Branch names of the objects of one prefix, as hardware integers or physical values."""

    tree: Tree
    prefix: str
    hardware: bool

    def branch(self, what: str, part: str) -> str:
        """Branch of a part of an object; eta and phi at the vertex where the file has them."""
        stem = f"hw{part.capitalize()}" if self.hardware and part in ("pt", "eta", "phi") else part
        name = f"{self.prefix}{what}_{stem}"
        return f"{name}AtVtx" if f"{name}AtVtx" in self.tree.names else name

    def absent(self, what: str) -> list[str]:
        """Branches an object needs but the file lacks."""
        parts = ("pt", "phi", "etSumType") if what == "EtSum" else ("pt", "eta", "phi")
        return [name for name in (self.branch(what, part) for part in parts) if name not in self.tree.names]

    def missing(self) -> list[str]:
        """Branches that MET, e/gamma, muons and jets need but the file lacks."""
        return [name for what in _OBJECTS for name in self.absent(what)]


class NanoSource(TreeColumns, ForeignSource):
    """Objects of the crossing itself (bx 0) and, where present, calorimeter regions of the tree ``Events``.

    Unpacked objects (``L1EG_`` ...) are taken before re-emulated ones (``L1EmulEG_`` ...), hardware integers
    before physical values; muon coordinates are those at the vertex where the file has them.
    """

    layout = "L1 NanoAOD"

    @classmethod
    def recognises(cls, file: RootFile) -> bool:
        """A tree ``Events``."""
        return "Events" in file.tree_names()

    def __init__(self, path: Path, file: RootFile) -> None:
        super().__init__(path, file)
        self._tree = tree = file.tree("Events")
        self.rows = tree.entries
        choices = [_Naming(tree, prefix, hw) for hw in (True, False) for prefix in ("L1", "L1Emul")]
        fits = [naming for naming in choices if not naming.missing()]
        offers = []
        if fits:
            self._naming = fits[0]
            offers = ["objects", "ht"]
            if not self._naming.absent("Tau"):
                offers.append("taus")
        if tree.names.issuperset(_REGIONS):
            offers.append("regions")
            if tree.names.issuperset(_BITS):
                offers.append("region_bits")
        if not offers:
            nearest = min(choices, key=lambda naming: (len(naming.missing()), naming.hardware))
            objects = ", ".join(nearest.missing())
            regions = ", ".join(name for name in _REGIONS if name not in tree.names)
            raise DataError(
                f"{path}: tree Events has no Level-1 objects, with the prefix L1 or L1Emul, as hw values or "
                f"physical ones: for the nearest of these it lacks {objects}; and no regions, it lacks "
                f"{regions}: use L1 NanoAOD"
            )
        self.offers = tuple(offers)
        if fits and not self._naming.hardware:
            self.layout = "central NanoAOD"
            text = (
                f"{path}: central NanoAOD keeps only e/gamma >= 10 GeV, jets >= 30 GeV and muons >= 3 GeV: "
                "the events are biased by these thresholds and their integers are converted; use L1 NanoAOD"
            )
            _log.info("%s", text)
            warnings.warn(text, UserWarning, stacklevel=2)

    def columns(self, start: int, stop: int) -> dict[str, NDArray[Any]]:
        found: dict[str, NDArray[Any]] = {}
        if "objects" in self.collections or "ht" in self.collections:
            met, found["ht"] = self._sums(start, stop)
            if "objects" in self.collections:
                groups = [self._objects(what, start, stop) for what in ("EG", "Mu", "Jet")]
                found["objects"] = np.concatenate([met, *groups], axis=1)
        if "taus" in self.collections:
            found["taus"] = self._objects("Tau", start, stop)
        if "regions" in self.collections or "region_bits" in self.collections:
            found |= self._regions(start, stop)
        return found

    def _jagged(self, names: list[str], start: int, stop: int) -> tuple[list[Jagged], Ints]:
        """The branches, with equal counts, and the event, from ``start``, of each of their values."""
        parts = [self._tree.branch(name).jagged(start, stop) for name in names]
        same_counts(self.path, start, names, parts)
        return parts, parts[0].events

    def _values(self, what: str, parts: tuple[str, ...], start: int, stop: int) -> list[tuple[Field, Jagged]]:
        """The parts of the objects of bunch crossing 0, each with its field for messages."""
        names = [self._naming.branch(what, part) for part in parts]
        crossing = self._naming.branch(what, "bx")
        has_crossing = crossing in self._tree.names
        columns, events = self._jagged([*names, crossing] if has_crossing else names, start, stop)
        if has_crossing:
            central = columns.pop().values == 0
            columns, events = [column.keep(central) for column in columns], events[central]
        rows = events + start
        return [
            (Field(self.path, name, start, rows), column) for name, column in zip(names, columns, strict=True)
        ]

    def _objects(self, what: str, start: int, stop: int) -> Ints:
        kind = _KINDS[what]
        (at_pt, pt), (at_eta, eta), (at_phi, phi) = self._values(what, ("pt", "eta", "phi"), start, stop)
        return pack(
            kind,
            Jagged(pt.counts, self._pt(kind, at_pt, pt.values)),
            at_eta.integers(eta.values, kind.eta_min, kind.eta_max)
            if self._naming.hardware
            else kind.hardware_eta(at_eta, eta.values),
            self._phi(kind, at_phi, phi.values),
        )

    def _pt(self, kind: Kind, at: Field, values: NDArray[Any]) -> Ints:
        return at.integers(values, 0, kind.pt_max) if self._naming.hardware else kind.hardware_pt(at, values)

    def _phi(self, kind: Kind, at: Field, values: NDArray[Any]) -> Ints:
        return (
            at.integers(values, 0, kind.phi_count - 1)
            if self._naming.hardware
            else kind.hardware_phi(at, values)
        )

    def _sums(self, start: int, stop: int) -> tuple[Ints, Ints]:
        """MET (events, 1, 3) and HT (events,) of the energy sums."""
        (at_pt, pt), (at_phi, phi), (at_type, label) = self._values(
            "EtSum", ("pt", "phi", "etSumType"), start, stop
        )
        masks = [label.values == number for number in (_MET_TYPE, _HT_TYPE)]
        (met, is_met), (ht, is_ht) = ((pt.keep(mask), mask) for mask in masks)
        for part, number in ((met, _MET_TYPE), (ht, _HT_TYPE)):
            if (part.counts > 1).any():
                row = start + int(np.argmax(part.counts > 1))
                raise at_type.fault(row, f"is {number} more than once; each sum has one value in a crossing")
        met_pt = self._pt(MET, at_pt.keep(is_met), met.values)
        met_phi = self._phi(MET, at_phi.keep(is_met), phi.values[is_met])
        sums = np.zeros(stop - start, np.int64)
        sums[ht.counts > 0] = self._pt(HT, at_pt.keep(is_ht), ht.values)
        return pack(MET, Jagged(met.counts, met_pt), np.zeros_like(met_pt), met_phi), sums

    def _regions(self, start: int, stop: int) -> dict[str, Ints]:
        bits = "region_bits" in self.offers
        names = [*_REGIONS, *_BITS] if bits else [*_REGIONS]
        columns, events = self._jagged(names, start, stop)
        limits = (REGION_MAX, 13, 17, 1, 1)
        et, ieta, iphi, *flags = (
            Field(self.path, name, start, events + start).integers(column.values, 0, high)
            for name, column, high in zip(names, columns, limits, strict=False)
        )
        place = (events, iphi, ieta)
        cells = np.ravel_multi_index(place, (stop - start, 18, 14))
        twice = np.flatnonzero(np.bincount(cells) > 1)
        if len(twice):
            row, at = divmod(int(twice[0]), 18 * 14)
            raise Field(self.path, "Regions", start).fault(
                start + row, f"has ieta {at % 14}, iphi {at // 14} twice; a region has one value"
            )
        found = {"regions": np.zeros((stop - start, 18, 14), np.int64)}
        found["regions"][place] = et
        if bits:
            found["region_bits"] = np.zeros((stop - start, 18, 14), np.int64)
            found["region_bits"][place] = region_bits(*flags)
        return found

    def pileup(self, start: int, stop: int) -> NDArray[np.uint16]:
        name = next((name for name in _PILEUP if name in self._tree.names), None)
        if name is None:
            return np.zeros(stop - start, np.uint16)
        values = self._tree.branch(name).fixed(start, stop)
        return Field(self.path, name, start).integers(values, 0, 65535).astype(np.uint16)

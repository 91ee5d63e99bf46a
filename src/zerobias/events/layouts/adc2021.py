"""HDF5 files of the published autoencoder benchmark (ADC2021): floats, converted to hardware integers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zerobias.errors import DataError
from zerobias.events.layouts.hardware import EGAMMA, JET, MET, MUON, Field, Jagged, pack
from zerobias.events.layouts.hdf5 import Column, Hdf5Columns, column_names
from zerobias.events.layouts.source import ForeignSource

__all__ = ["AdcSource"]

_ROWS = {"met": (0, MET, 1), "e/gamma": (1, EGAMMA, 2), "muon": (5, MUON, 3), "jet": (9, JET, 4)}
"""First row, kind and class number of each kind of object in ``Particles``."""


class AdcSource(Hdf5Columns, ForeignSource):
    """``Particles`` (events, 19, 4): pT in GeV, eta, phi in radians, class 1 MET, 2 e, 3 muon, 4 jet."""

    layout = "ADC2021 HDF5"
    offers = ("objects",)

    @classmethod
    def recognises(cls, file: Any) -> bool:
        """A dataset ``Particles``."""
        return "Particles" in column_names(file)

    def __init__(self, path: Path, file: Any) -> None:
        super().__init__(path, file)
        self._particles = Column(path, file, "Particles")
        if self._particles.shape[1:] != (19, 4) or self._particles.dtype.kind not in "iuf":
            raise DataError(
                f"{path}: Particles is {self._particles.dtype} {self._particles.shape}: "
                "it must hold numbers of shape (events, 19, 4)"
            )
        self.rows = self._particles.rows

    def columns(self, start: int, stop: int) -> dict[str, NDArray[Any]]:
        values = self._particles.read(start, stop)
        Field(self.path, "Particles", start).check_finite(values)
        groups = []
        for name, (first, kind, number) in _ROWS.items():
            part = values[:, first : first + kind.slots]
            pt, eta, phi, label = (part[:, :, axis] for axis in range(4))
            self._check_class(start, pt, label, number, name)
            at = [Field(self.path, f"Particles ({name} {what})", start) for what in ("pT", "eta", "phi")]
            counts = np.full(stop - start, kind.slots)
            flat_eta = np.zeros_like(eta) if kind is MET else eta
            groups.append(
                pack(
                    kind,
                    Jagged(counts, kind.hardware_pt(at[0], pt).reshape(-1)),
                    kind.hardware_eta(at[1], flat_eta).reshape(-1),
                    kind.hardware_phi(at[2], phi).reshape(-1),
                )
            )
        return {"objects": np.concatenate(groups, axis=1)}

    def _check_class(self, start: int, pt: NDArray[Any], label: NDArray[Any], number: int, name: str) -> None:
        wrong = ((label != number) & (pt > 0)).any(axis=1)
        if wrong.any():
            row = int(np.argmax(wrong))
            found = label[row][(label[row] != number) & (pt[row] > 0)][0]
            raise Field(self.path, f"Particles ({name} class)", start).fault(
                start + row, f"is {found}; it must be {number}"
            )

    def pileup(self, start: int, stop: int) -> NDArray[np.uint16]:
        return np.zeros(stop - start, np.uint16)

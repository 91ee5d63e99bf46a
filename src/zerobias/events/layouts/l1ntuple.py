"""L1 ntuples: the input grid of CICADA in the calorimeter summary tree."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zerobias.errors import DataError
from zerobias.events.layouts.hardware import REGION_MAX, Field
from zerobias.events.layouts.root import RootFile
from zerobias.events.layouts.source import ForeignSource, TreeColumns

__all__ = ["NtupleSource"]

_TREES = ("l1CaloSummaryEmuTree/L1CaloSummaryTree", "l1CaloSummaryTree/L1CaloSummaryTree")
_BRANCH = "modelInput"


class NtupleSource(TreeColumns, ForeignSource):
    """Branch ``modelInput[18][14]`` (iphi, ieta), the emulated tree before the unpacked one."""

    layout = "L1 ntuple"
    offers = ("regions",)

    @classmethod
    def recognises(cls, file: RootFile) -> bool:
        """One of the calorimeter summary trees."""
        return not set(_TREES).isdisjoint(file.tree_names())

    def __init__(self, path: Path, file: RootFile) -> None:
        super().__init__(path, file)
        found = file.tree_names()
        self._tree = file.tree(next(name for name in _TREES if name in found))
        self.rows = self._tree.entries
        if _BRANCH not in self._tree.names:
            raise DataError(f"{path}: tree {self._tree.name} lacks the branch {_BRANCH}: restore the file")

    def columns(self, start: int, stop: int) -> dict[str, NDArray[Any]]:
        values = self._tree.branch(_BRANCH).fixed(start, stop)
        if values.ndim != 2 or values.shape[1] != 18 * 14:
            raise DataError(
                f"{self.path}: {_BRANCH} has shape {values.shape[1:]} an event: it must be [18][14]"
            )
        grid = values.reshape(stop - start, 18, 14)
        return {"regions": Field(self.path, _BRANCH, start).integers(grid, 0, REGION_MAX)}

    def pileup(self, start: int, stop: int) -> NDArray[np.uint16]:
        return np.zeros(stop - start, np.uint16)

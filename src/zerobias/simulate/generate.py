"""Proton collisions from Pythia 8 as flat particle arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zerobias.errors import SpecError, ToolError
from zerobias.simulate.black_hole import fill
from zerobias.simulate.spec import ProcessCard
from zerobias.simulate.suep import decay_scalar

__all__ = ["Particles", "generate", "generator_version", "write_mpi_file"]

_ETA_MAX = 5.3
_PT_MIN = 0.05
_BASE = ("Beams:eCM = 13600.", "Print:quiet = on", "Random:setSeed = on")
_HIGGS = 25


@dataclass(frozen=True)
class Particles:
    """Visible stable particles of many events: event i owns ``offset[i]:offset[i + 1]``.

    ``pt``, ``mass`` in GeV; ``sigma_mb`` is the generated cross-section after the pThat veto.
    """

    offset: NDArray[np.int64]
    pdg: NDArray[np.int32]
    pt: NDArray[np.float32]
    eta: NDArray[np.float32]
    phi: NDArray[np.float32]
    mass: NDArray[np.float32]
    sigma_mb: float

    def __len__(self) -> int:
        return len(self.offset) - 1


def generator_version() -> str:
    """Version of the installed Pythia 8.

    Raises ``ToolError`` when the optional package is missing.
    """
    _pythia()
    from importlib.metadata import version

    return version("pythia8mc")


def _pythia() -> Any:
    try:
        import pythia8mc
    except ImportError as error:
        raise ToolError("simulation needs Pythia 8 and numba: pip install 'zerobias[gen]'") from error
    return pythia8mc


def _start(settings: Sequence[str]) -> Any:
    pythia = _pythia().Pythia("", False)
    for line in settings:
        if not pythia.readString(line):
            raise SpecError(f"Pythia refuses the setting {line!r}: mend the process card")
    if not pythia.init():
        raise SpecError(f"Pythia cannot start with {list(settings)}: mend the process card")
    return pythia


def write_mpi_file(path: Path, tune: Sequence[str]) -> None:
    """Write the tables of multiparton interactions of a tune, which take Pythia seconds to make."""
    _start(
        [
            *_BASE,
            "Random:seed = 1",
            *tune,
            "SoftQCD:inelastic = on",
            "MultipartonInteractions:reuseInit = 1",
            f"MultipartonInteractions:initFile = {path}",
        ]
    )


def generate(
    settings: Sequence[str],
    count: int,
    seed: int,
    *,
    pthat_max: float | None = None,
    card: ProcessCard | None = None,
    mpi_file: Path | None = None,
) -> Particles:
    """``count`` events of a process; ``seed`` is Pythia's (1 to 9e8).

    Events above ``pthat_max`` (GeV) are vetoed. ``card`` is needed for what is made outside Pythia: the
    dark shower of SUEP, black holes. ``mpi_file`` is one of :func:`write_mpi_file` for the same tune.
    Raises ``SpecError`` for a setting Pythia refuses.
    """
    tables = () if mpi_file is None else _reuse(mpi_file)
    pythia = _start([*_BASE, f"Random:seed = {seed}", *settings, *tables])
    rng = np.random.default_rng(seed)
    rows: list[tuple[int, float, float, float, float]] = []
    ends = [0]
    tried = accepted = 0
    while len(ends) <= count:
        if card is not None and card.black_hole is not None:
            fill(rng, pythia, card.black_hole)
        if not pythia.next():
            continue
        tried += 1
        if pthat_max is not None and pythia.infoPython().pTHat() > pthat_max:
            continue
        accepted += 1
        scalar = None
        for particle in pythia.event:
            if particle.isFinal() and particle.isVisible():
                rows.append((particle.id(), particle.px(), particle.py(), particle.pz(), particle.e()))
            elif particle.id() == _HIGGS:
                scalar = particle.p()
        if card is not None and card.suep is not None:
            if scalar is None:
                raise SpecError(f"process {card.name} made no scalar (id 25) to decay: mend the card")
            momentum = np.array([scalar.px(), scalar.py(), scalar.pz(), scalar.e()])
            rows.extend(decay_scalar(rng, momentum, card.suep))
        ends.append(len(rows))
    sigma = pythia.infoPython().sigmaGen() * accepted / tried
    return _flat(np.array(rows, dtype=np.float64).reshape(-1, 5), np.array(ends), sigma)


def _reuse(path: Path) -> tuple[str, str]:
    return "MultipartonInteractions:reuseInit = 2", f"MultipartonInteractions:initFile = {path}"


def _flat(rows: NDArray[np.float64], ends: NDArray[np.int64], sigma: float) -> Particles:
    pt = np.hypot(rows[:, 1], rows[:, 2])
    eta = np.arcsinh(rows[:, 3] / np.maximum(pt, 1e-9))
    phi = np.arctan2(rows[:, 2], rows[:, 1])
    mass = np.sqrt(np.maximum(rows[:, 4] ** 2 - (pt * np.cosh(np.minimum(np.abs(eta), 20))) ** 2, 0.0))
    keep = (np.abs(eta) < _ETA_MAX) & (pt > _PT_MIN)
    before = np.concatenate([[0], np.cumsum(keep)])
    pt, eta, phi, mass = (column[keep].astype(np.float32) for column in (pt, eta, phi, mass))
    return Particles(before[ends], rows[keep, 0].astype(np.int32), pt, eta, phi, mass, sigma)

"""Proton collisions from Pythia 8 as flat particle arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zerobias.errors import SpecError, ToolError
from zerobias.simulate.spec import ProcessCard
from zerobias.simulate.suep import decay_scalar

__all__ = ["Particles", "generate", "generator_version"]

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
    pt: NDArray[np.float64]
    eta: NDArray[np.float64]
    phi: NDArray[np.float64]
    mass: NDArray[np.float64]
    sigma_mb: float


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


def generate(
    settings: Sequence[str],
    count: int,
    seed: int,
    *,
    pthat_max: float | None = None,
    card: ProcessCard | None = None,
) -> Particles:
    """``count`` events of a process; ``seed`` is Pythia's (1 to 9e8).

    Events above ``pthat_max`` (GeV) are vetoed. ``card`` is needed for SUEP, whose dark shower is
    added here. Raises ``SpecError`` for a setting Pythia refuses.
    """
    pythia = _pythia().Pythia("", False)
    for line in (*_BASE, f"Random:seed = {seed}", *settings):
        if not pythia.readString(line):
            raise SpecError(f"Pythia refuses the setting {line!r}: mend the process card")
    if not pythia.init():
        raise SpecError(f"Pythia cannot start with {list(settings)}: mend the process card")
    rng = np.random.default_rng(seed)
    rows: list[tuple[int, float, float, float, float]] = []
    ends = [0]
    tried = accepted = 0
    while len(ends) <= count:
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


def _flat(rows: NDArray[np.float64], ends: NDArray[np.int64], sigma: float) -> Particles:
    pdg = rows[:, 0].astype(np.int32)
    pt = np.hypot(rows[:, 1], rows[:, 2])
    eta = np.arcsinh(rows[:, 3] / np.maximum(pt, 1e-9))
    phi = np.arctan2(rows[:, 2], rows[:, 1])
    mass = np.sqrt(np.maximum(rows[:, 4] ** 2 - (pt * np.cosh(np.minimum(np.abs(eta), 20))) ** 2, 0.0))
    keep = (np.abs(eta) < _ETA_MAX) & (pt > _PT_MIN)
    before = np.concatenate([[0], np.cumsum(keep)])
    return Particles(before[ends], pdg[keep], pt[keep], eta[keep], phi[keep], mass[keep], sigma)

"""Simulation (extra ``gen``): process cards and detector constants -> EventSet."""

from zerobias.errors import ToolError

try:
    import numba  # noqa: F401
except ImportError as error:
    raise ToolError("simulation needs Pythia 8 and numba: pip install 'zerobias[gen]'") from error

from zerobias.simulate.generate import Particles
from zerobias.simulate.pool import GenerateChunk, Pool, make_pool
from zerobias.simulate.sample import simulate, simulate_to_file
from zerobias.simulate.spec import (
    BlackHoleCard,
    Detector,
    ProcessCard,
    SliceCard,
    SuepCard,
    ZeroBiasCard,
    load_cards,
)
from zerobias.simulate.strata import Strata
from zerobias.simulate.wafers import wafers_to_file

__all__ = [
    "BlackHoleCard",
    "Detector",
    "GenerateChunk",
    "Particles",
    "Pool",
    "ProcessCard",
    "SliceCard",
    "Strata",
    "SuepCard",
    "ZeroBiasCard",
    "load_cards",
    "make_pool",
    "simulate",
    "simulate_to_file",
    "wafers_to_file",
]

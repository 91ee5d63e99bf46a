"""Simulation (extra ``gen``): process cards and detector constants -> EventSet."""

from zerobias.simulate.sample import simulate, simulate_to_file
from zerobias.simulate.spec import Detector, ProcessCard, ZeroBiasCard, load_cards

__all__ = ["Detector", "ProcessCard", "ZeroBiasCard", "load_cards", "simulate", "simulate_to_file"]

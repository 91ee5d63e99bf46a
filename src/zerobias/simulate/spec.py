"""Declarations of the simulation: detector constants, zero-bias recipe, process cards."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from zerobias.shelves import shelf
from zerobias.specs import load_toml

__all__ = ["Detector", "ProcessCard", "SliceCard", "SuepCard", "ZeroBiasCard", "load_cards"]

_Range3 = tuple[float, float, float]


class _Spec(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Detector(_Spec):
    """Constants of the parametrised Level-1 emulation (``triggers/detector.toml``).

    Triples are values for the barrel, the endcap and beyond (|eta| < 1.4-1.479, < 2.5, above).
    Energies are in GeV, lengths in m, the field in T.
    """

    field_t: float = Field(gt=0)
    calorimeter_radius_m: float = Field(gt=0)
    calorimeter_half_length_m: float = Field(gt=0)
    ecal_stochastic: float
    ecal_noise: float
    ecal_constant: float
    hcal_stochastic: float
    hcal_constant: float
    hadron_response: float
    hadron_response_loss: float
    hadron_response_scale: float = Field(gt=0)
    hadron_mip_fraction: float = Field(ge=0, le=1)
    hadron_em_fraction: float = Field(ge=0, le=1)
    mip_energy: float
    lateral_share: float = Field(ge=0, le=0.5)
    ecal_tower_noise: _Range3
    hcal_tower_noise: _Range3
    ecal_threshold: _Range3
    hcal_threshold: _Range3
    met_threshold: _Range3
    jet_seed: float
    jet_scale: float = Field(gt=0)
    egamma_seed: float
    egamma_h_over_e: float = Field(gt=0)
    egamma_scale: float = Field(gt=0)
    muon_efficiency: float = Field(ge=0, le=1)
    muon_resolution: float
    muon_tail_resolution: float
    muon_tail_fraction: float
    muon_eta_max: float
    muon_barrel_pt_min: float
    muon_endcap_p_min: float


class SliceCard(_Spec):
    """One stratum of the pile-up pool. ``forced``: crossings generated with it as hardest slice."""

    name: str
    settings: tuple[str, ...]
    pthat_max: float | None = None
    pool: int = Field(gt=0)
    forced: int = Field(default=0, ge=0)


class ZeroBiasCard(_Spec):
    """Zero bias as premixed pile-up (``triggers/zero_bias.toml``); slices are ordered soft to hard."""

    description: str
    tune: tuple[str, ...]
    sigma_inelastic_mb: float = Field(gt=0)
    pileup_mean: float = Field(gt=0)
    pileup_sigma: float = Field(ge=0)
    natural: int = Field(gt=0)
    signal: int = Field(ge=0)
    seed: int
    slice: tuple[SliceCard, ...] = Field(min_length=1)


class SuepCard(_Spec):
    """Dark shower of a soft unclustered energy pattern: thermal dark mesons -> two dark photons each."""

    meson_mass: float
    temperature: float
    photon_mass: float
    electron: float
    muon: float


class ProcessCard(_Spec):
    """A signal process (``triggers/processes/<name>.toml``)."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    title: str
    generator: Literal["pythia", "suep"] = "pythia"
    settings: tuple[str, ...]
    suep: SuepCard | None = None


def load_cards(folder: Path | None = None) -> tuple[Detector, ZeroBiasCard, tuple[ProcessCard, ...]]:
    """Detector, zero-bias recipe and process cards of the triggers shelf or of ``folder``."""
    base = folder or shelf("triggers")
    processes = tuple(load_toml(path, ProcessCard) for path in sorted((base / "processes").glob("*.toml")))
    return (
        load_toml(base / "detector.toml", Detector),
        load_toml(base / "zero_bias.toml", ZeroBiasCard),
        processes,
    )

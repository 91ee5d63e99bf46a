"""Declarations of the simulation: detector constants, zero-bias recipe, process cards."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

from zerobias.shelves import shelf
from zerobias.specs import load_toml

__all__ = ["BlackHoleCard", "Detector", "ProcessCard", "SliceCard", "SuepCard", "ZeroBiasCard", "load_cards"]

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
    individual_et: float = Field(gt=0)
    ecal_tower_noise: _Range3
    hcal_tower_noise: _Range3
    ecal_threshold: _Range3
    hcal_threshold: _Range3
    met_threshold: _Range3
    jet_seed: float
    jet_min: float = Field(gt=0)
    jet_scale: float = Field(gt=0)
    jet_scale_soft: float
    jet_scale_range: float = Field(gt=0)
    ht_jet_min: float
    ht_eta_max: float
    egamma_seed: float
    egamma_h_over_e: float = Field(gt=0)
    egamma_scale: float = Field(gt=0)
    tau_seed: float
    tau_share: float = Field(ge=0, le=1)
    tau_scale: float = Field(gt=0)
    tau_eta_max: float
    region_bit_min: float = Field(gt=0)
    region_active_share: float = Field(ge=0, le=1)
    region_em_share: float = Field(ge=0, le=1)
    muon_efficiency: float = Field(ge=0, le=1)
    muon_scale: float = Field(gt=0)
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
    """Zero bias as premixed pile-up (``triggers/zero_bias.toml``); slices are ordered soft to hard.

    ``natural``: crossings without a forced slice. ``muon``: more of them, with ``muon_min`` muons, one
    more, and so on, the last with that many or more.
    """

    description: str
    tune: str
    tunes: dict[str, tuple[str, ...]]
    sigma_inelastic_mb: float = Field(gt=0)
    pileup_mean: float = Field(gt=0)
    pileup_sigma: float = Field(ge=0)
    natural: int = Field(gt=0)
    muon_min: int = Field(ge=1, le=4)
    muon: tuple[Annotated[int, Field(gt=0)], ...]
    signal: int = Field(gt=0)
    seed: int
    slice: tuple[SliceCard, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _known_tune(self) -> ZeroBiasCard:
        if self.tune not in self.tunes:
            raise ValueError(f"tune {self.tune!r} has no settings: [tunes] declares {', '.join(self.tunes)}")
        return self

    @model_validator(mode="after")
    def _four_muons_at_most(self) -> ZeroBiasCard:
        if self.muon_classes.stop > 5:
            raise ValueError(f"muon has classes of up to {self.muon_classes.stop - 1} muons: at most 4 count")
        return self

    @property
    def muon_classes(self) -> range:
        """The smallest number of muons of each entry of ``muon``."""
        return range(self.muon_min, self.muon_min + len(self.muon))

    def scaled(self, factor: float) -> ZeroBiasCard:
        """The recipe with ``factor`` times as many events, signals' collisions included.

        The pool of pile-up shrinks with ``factor`` but grows with its square root only: it is re-used.
        """
        reuse = min(factor, math.sqrt(factor))
        slices = tuple(
            s.model_copy(update={"forced": round(s.forced * factor), "pool": max(20, round(s.pool * reuse))})
            for s in self.slice
        )
        return self.model_copy(
            update={
                "natural": max(1, round(self.natural * factor)),
                "muon": tuple(max(1, round(wanted * factor)) for wanted in self.muon),
                "signal": max(1, round(self.signal * factor)),
                "slice": slices,
            }
        )


class SuepCard(_Spec):
    """Dark shower of a soft unclustered energy pattern: thermal dark mesons -> two dark photons each."""

    meson_mass: float
    temperature: float
    photon_mass: float
    electron: float
    muon: float


class BlackHoleCard(_Spec):
    """A black-hole-like state of ``mass`` GeV that decays to ``pairs`` particle pairs on average."""

    mass: float = Field(gt=0)
    pairs: float = Field(gt=0)
    rapidity: float = Field(ge=0)


class ProcessCard(_Spec):
    """A signal process (``triggers/processes/<name>.toml``): Pythia's, or one made here and showered."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    title: str
    settings: tuple[str, ...]
    suep: SuepCard | None = None
    black_hole: BlackHoleCard | None = None


def load_cards(folder: Path | None = None) -> tuple[Detector, ZeroBiasCard, tuple[ProcessCard, ...]]:
    """Detector, zero-bias recipe and process cards of the triggers shelf or of ``folder``."""
    base = folder or shelf("triggers")
    processes = tuple(load_toml(path, ProcessCard) for path in sorted((base / "processes").glob("*.toml")))
    return (
        load_toml(base / "detector.toml", Detector),
        load_toml(base / "zero_bias.toml", ZeroBiasCard),
        processes,
    )

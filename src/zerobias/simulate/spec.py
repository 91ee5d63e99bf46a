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
    """Magnetic field."""
    calorimeter_radius_m: float = Field(gt=0)
    """Radius of the calorimeter's face in the barrel."""
    calorimeter_half_length_m: float = Field(gt=0)
    """Distance of its face in the endcap from the collision point."""
    ecal_stochastic: float
    """Resolution of photons and electrons: the term a / sqrt(E)."""
    ecal_noise: float
    """The term b / E, in GeV."""
    ecal_constant: float
    """The constant term."""
    hcal_stochastic: float
    """Resolution of hadrons: the term a / sqrt(E)."""
    hcal_constant: float
    """The constant term."""
    hadron_response: float
    """Share of a hard hadron's energy that is seen."""
    hadron_response_loss: float
    """Share lost besides at low energy: loss x exp(-E / scale)."""
    hadron_response_scale: float = Field(gt=0)
    """The scale of that loss."""
    hadron_mip_fraction: float = Field(ge=0, le=1)
    """Probability that a hadron leaves in ECAL no more than a minimum-ionising particle."""
    hadron_em_fraction: float = Field(ge=0, le=1)
    """Otherwise ECAL gets a uniform share of what is seen, up to this one."""
    mip_energy: float
    """Energy a minimum-ionising particle leaves in ECAL."""
    lateral_share: float = Field(ge=0, le=0.5)
    """Share of a deposit of more than 1 GeV that goes to a second tower beside it."""
    individual_et: float = Field(gt=0)
    """Deposits of at least this ET are smeared one by one, softer ones by the sum of their variances."""
    ecal_tower_noise: _Range3
    """Noise of a tower in ECAL (ET); none is made in the forward calorimeter."""
    hcal_tower_noise: _Range3
    """Noise of a tower in HCAL (ET); none is made in the forward calorimeter."""
    ecal_threshold: _Range3
    """A tower's ET in ECAL counts above this, less this."""
    hcal_threshold: _Range3
    """A tower's ET in HCAL counts above this, less this."""
    met_threshold: _Range3
    """Towers of at least this ET count for MET."""
    jet_seed: float
    """Least ET of the tower at a jet's centre."""
    jet_min: float = Field(gt=0)
    """Least ET of a jet."""
    jet_scale: float = Field(gt=0)
    """Calibration of a jet of ET j before it: jet_scale + jet_scale_soft exp(-j / jet_scale_range)."""
    jet_scale_soft: float
    """See ``jet_scale``."""
    jet_scale_range: float = Field(gt=0)
    """See ``jet_scale``."""
    ht_jet_min: float
    """Least ET of a jet that counts for HT."""
    ht_eta_max: float
    """Its largest |eta|."""
    egamma_seed: float
    """Least ET in ECAL of the tower at a candidate's centre."""
    egamma_h_over_e: float = Field(gt=0)
    """Largest ET in HCAL behind it, as a share of that in ECAL."""
    egamma_scale: float = Field(gt=0)
    """Calibration of an e/gamma candidate."""
    tau_seed: float
    """Least ET of the tower at a candidate's centre."""
    tau_share: float = Field(ge=0, le=1)
    """Least share of its 3 x 3 towers in the ET of the 5 x 9 around."""
    tau_scale: float = Field(gt=0)
    """Calibration of a tau candidate."""
    tau_eta_max: float
    """Largest |eta| of a tau candidate."""
    region_bit_min: float = Field(gt=0)
    """Least ET of a region with a tau or e/gamma bit."""
    region_active_share: float = Field(ge=0, le=1)
    """Towers above this share of the region's ET are active; with the bits they fit in 2 x 2."""
    region_em_share: float = Field(ge=0, le=1)
    """Least share of ECAL in a region with the e/gamma bit."""
    muon_efficiency: float = Field(ge=0, le=1)
    """Probability that a muon is found."""
    muon_scale: float = Field(gt=0)
    """Muon pT seen: true pT x muon_scale x exp(resolution z), z normal."""
    muon_resolution: float
    """Resolution of most muons, see ``muon_scale``."""
    muon_tail_resolution: float
    """Resolution of the others."""
    muon_tail_fraction: float
    """Share of the others."""
    muon_eta_max: float
    """Largest |eta| of a muon."""
    muon_barrel_pt_min: float
    """Least pT of a muon that reaches the chambers, |eta| below 1."""
    muon_endcap_p_min: float
    """Least momentum of one that does, above."""


class SliceCard(_Spec):
    """One stratum of the pile-up pool."""

    name: str
    """Name of the slice."""
    settings: tuple[str, ...]
    """Pythia's settings."""
    pthat_max: float | None = None
    """Hard processes above this pThat in GeV are vetoed; none: no veto."""
    pool: int = Field(gt=0)
    """Collisions of the pool."""
    forced: int = Field(default=0, ge=0)
    """Crossings made with this slice as their hardest forced one; 0: the slice is not forced."""


class ZeroBiasCard(_Spec):
    """Zero bias as premixed pile-up (``triggers/zero_bias.toml``), and how much of it is made."""

    description: str
    """What the sample is, in one line."""
    tune: str
    """The tune in use, a key of ``tunes``."""
    tunes: dict[str, tuple[str, ...]]
    """Tune -> Pythia's settings."""
    sigma_inelastic_mb: float = Field(gt=0)
    """Inelastic cross-section in mb."""
    pileup_mean: float = Field(gt=0)
    """Mean of mu, the expected number of collisions of a crossing."""
    pileup_sigma: float = Field(ge=0)
    """Width of mu's normal distribution."""
    natural: int = Field(gt=0)
    """Crossings without a forced slice."""
    muon_min: int = Field(ge=1, le=4)
    """Number of muons of the first entry of ``muon``."""
    muon: tuple[Annotated[int, Field(gt=0)], ...]
    """More crossings without a forced slice: with ``muon_min`` muons, one more, and so on; the last entry
    with that many or more."""
    signal: int = Field(gt=0)
    """Collisions, and crossings, of each signal."""
    seed: int
    """Seed of the sample."""
    slice: tuple[SliceCard, ...] = Field(min_length=1)
    """Slices of the pool, soft to hard."""

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
    """Mass of the dark mesons in GeV."""
    temperature: float
    """Temperature of their momenta in GeV."""
    photon_mass: float
    """Mass of the dark photons in GeV."""
    electron: float
    """Share of dark photons that decay to electrons."""
    muon: float
    """Share that decays to muons; the rest decays to charged pions."""


class BlackHoleCard(_Spec):
    """A black-hole-like state that decays to many particles at once."""

    mass: float = Field(gt=0)
    """Mass in GeV."""
    pairs: float = Field(gt=0)
    """Mean number of pairs."""
    rapidity: float = Field(ge=0)
    """Width of its rapidity."""


class ProcessCard(_Spec):
    """A signal process (``triggers/processes/<name>.toml``): Pythia's, or one made here and showered."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    """The file's name, the process in event files."""
    title: str
    """What it is, in one line."""
    settings: tuple[str, ...]
    """Pythia's settings."""
    suep: SuepCard | None = None
    """Decay of the scalar to a dark shower, made here."""
    black_hole: BlackHoleCard | None = None
    """A many-particle final state, made here."""


def load_cards(folder: Path | None = None) -> tuple[Detector, ZeroBiasCard, tuple[ProcessCard, ...]]:
    """Detector, zero-bias recipe and process cards of the triggers shelf or of ``folder``."""
    base = folder or shelf("triggers")
    processes = tuple(load_toml(path, ProcessCard) for path in sorted((base / "processes").glob("*.toml")))
    return (
        load_toml(base / "detector.toml", Detector),
        load_toml(base / "zero_bias.toml", ZeroBiasCard),
        processes,
    )

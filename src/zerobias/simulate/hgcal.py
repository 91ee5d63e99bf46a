"""Declaration of the simulated HGCAL wafers (``triggers/hgcal.toml``)."""

from __future__ import annotations

import math
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, model_validator

from zerobias.shelves import shelf
from zerobias.specs import load_toml

__all__ = ["Hgcal", "Place", "load_hgcal"]

_Types = tuple[float, float, float]


class Place(BaseModel):
    """A wafer: its layer (1 is the first) and its position (u, v) in the hexagonal lattice."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    layer: int = Field(ge=1)
    u: int
    v: int


class Hgcal(BaseModel):
    """Constants of stack, showers, sensors and read-out, the mixture and the wafers.

    Units are in the names; triples are for the sensor types 0-2 (120, 200, 300 um of silicon).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    pileup_mean: float = Field(gt=0)
    pileup_sigma: float = Field(ge=0)
    pool_share: float = Field(gt=0, le=1)
    crossings: int = Field(ge=4)  # each split gets one
    signal: int = Field(ge=0)
    signal_pt_gev: tuple[float, float]
    seed: int = Field(ge=0)
    layers: int = Field(gt=0)
    front_cm: float = Field(gt=0)
    layer_cm: float = Field(gt=0)
    layer_radiation_lengths: float = Field(gt=0)
    interaction_length_radiation_lengths: float = Field(gt=0)
    z_absorber: float = Field(gt=14)
    critical_energy_mev: float = Field(gt=0)
    mip_loss_per_layer_mev: float = Field(gt=0)
    outer_radius_m: float = Field(gt=0)
    field_t: float = Field(gt=0)
    sampling_resolution: float = Field(gt=0)
    hadron_response: float = Field(gt=0)
    hadron_core_cm: float = Field(gt=0)
    hadron_halo_cm: float = Field(gt=0)
    hadron_core_share: float = Field(ge=0, le=1)
    reach_cm: float = Field(gt=0)
    mip_peak_fc: _Types
    mip_mean_fc: _Types
    noise_fc: _Types
    sensor_cells: tuple[int, int, int]
    lsb_fc: float = Field(gt=0)
    bits: int = Field(ge=1, le=32)
    type_radius_cm: tuple[float, float]
    wafer_pitch_cm: float = Field(gt=0)
    place: tuple[Place, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _check(self) -> Hgcal:
        if not 0 < self.signal_pt_gev[0] < self.signal_pt_gev[1]:
            raise ValueError(f"signal_pt_gev is {self.signal_pt_gev}: give 0 < lower end < upper end")
        for place in self.place:
            if place.layer > self.layers:
                raise ValueError(f"place has layer {place.layer}: the stack has {self.layers}")
            if place.u == place.v == 0:
                raise ValueError("place (0, 0) is the beam pipe: choose another wafer")
        return self

    def depth_cm(self, layer: int) -> float:
        """Distance of a layer's silicon from the collision point along the beam, in cm."""
        return self.front_cm + layer * self.layer_cm

    def centre_cm(self, place: Place) -> tuple[float, float]:
        """Centre of a wafer (x, y) in cm; neighbours are ``wafer_pitch_cm`` apart."""
        return (
            (place.v / 2 - place.u) * self.wafer_pitch_cm,
            place.v * math.sqrt(3) / 2 * self.wafer_pitch_cm,
        )

    def type_of(self, place: Place) -> int:
        """Sensor type of a wafer, by the radius of its centre."""
        return sum(math.hypot(*self.centre_cm(place)) >= radius for radius in self.type_radius_cm)

    def eta(self, place: Place) -> float:
        """Pseudorapidity of a wafer's centre."""
        return math.asinh(self.depth_cm(place.layer) / math.hypot(*self.centre_cm(place)))


def load_hgcal(folder: Path | None = None) -> Hgcal:
    """The wafers of the triggers shelf or of ``folder``."""
    return load_toml((folder or shelf("triggers")) / "hgcal.toml", Hgcal)

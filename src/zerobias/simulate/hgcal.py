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
    """A wafer: its layer and its position in the hexagonal lattice."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    layer: int = Field(ge=1)
    """Layer, 1 is the first."""
    u: int
    """Position along the first axis."""
    v: int
    """Position along the second axis."""


class Hgcal(BaseModel):
    """Constants of stack, showers, sensors and read-out, the mixture and the wafers.

    Units are in the names; triples are for the sensor types 0-2 (120, 200, 300 um of silicon).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    pileup_mean: float = Field(gt=0)
    """Mean of mu, the expected number of collisions of a crossing."""
    pileup_sigma: float = Field(ge=0)
    """Width of mu's normal distribution."""
    pool_share: float = Field(gt=0, le=1)
    """Share of the Level-1 sample's pool that is overlaid."""
    crossings: int = Field(ge=4)
    """Crossings of zero bias; each gives an image per place, and each split gets one."""
    signal: int = Field(ge=0)
    """Images of each signal."""
    signal_pt_gev: tuple[float, float]
    """Range of the signals' pT, drawn flat in the logarithm."""
    seed: int = Field(ge=0)
    """Seed of the images."""
    layers: int = Field(gt=0)
    """Layers of the stack."""
    front_cm: float = Field(gt=0)
    """Distance of its face from the collision point."""
    layer_cm: float = Field(gt=0)
    """Thickness of a layer."""
    layer_radiation_lengths: float = Field(gt=0)
    """Thickness of a layer in X0."""
    interaction_length_radiation_lengths: float = Field(gt=0)
    """Interaction length in X0."""
    z_absorber: float = Field(gt=14)
    """Effective atomic number of the absorber."""
    critical_energy_mev: float = Field(gt=0)
    """Effective critical energy."""
    mip_loss_per_layer_mev: float = Field(gt=0)
    """Energy a minimum-ionising particle loses in a layer."""
    outer_radius_m: float = Field(gt=0)
    """Radius beyond which particles miss the endcap's face."""
    field_t: float = Field(gt=0)
    """Magnetic field."""
    sampling_resolution: float = Field(gt=0)
    """Sampling resolution of showers; it sets their number of spots."""
    hadron_response: float = Field(gt=0)
    """Signal of the hadronic part per ionisation loss."""
    hadron_core_cm: float = Field(gt=0)
    """Median radius of the inner hadronic part."""
    hadron_halo_cm: float = Field(gt=0)
    """Median radius of the outer one."""
    hadron_core_share: float = Field(ge=0, le=1)
    """Share of the inner one."""
    reach_cm: float = Field(gt=0)
    """Showers whose axis passes a wafer's centre by more are left out."""
    mip_peak_fc: _Types
    """Most probable charge of a minimum-ionising particle."""
    mip_mean_fc: _Types
    """Its mean charge."""
    noise_fc: _Types
    """Noise of a sensor cell."""
    sensor_cells: tuple[int, int, int]
    """Sensor cells of a trigger cell."""
    lsb_fc: float = Field(gt=0)
    """Charge of one count."""
    bits: int = Field(ge=1, le=32)
    """Width of the counts."""
    type_radius_cm: tuple[float, float]
    """Inner edges of sensor types 1 and 2."""
    wafer_pitch_cm: float = Field(gt=0)
    """Distance of neighbouring wafers' centres."""
    place: tuple[Place, ...] = Field(min_length=1)
    """The wafers."""

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

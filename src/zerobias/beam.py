"""The beam: how many crossings a second a rate is a share of."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["Beam"]


class Beam(BaseModel):
    """Colliding bunches at one point of the LHC, and revolutions of a bunch in a second.

    Defaults: a full fill of 2024 or 2025; the revolution frequency is the speed of light over the
    circumference, 26 658.883 m (LHC Design Report, CERN-2004-003).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    bunches: int = Field(default=2760, gt=0)
    """Colliding bunches."""
    revolution_hz: float = Field(default=11245.5, gt=0, allow_inf_nan=False)
    """Revolutions of a bunch in a second."""

    @property
    def crossings_khz(self) -> float:
        """Bunch crossings in kHz."""
        return self.bunches * self.revolution_hz / 1e3

"""Targets: boards, their chips and the ceilings of a trigger, from ``firmware/targets/*.toml``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from zerobias.errors import SpecError
from zerobias.shelves import shelf
from zerobias.specs import load_toml, validate

__all__ = ["Capacity", "Ceilings", "Target", "load_target", "target_names"]


class _Spec(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Capacity(_Spec):
    """What the chip has."""

    lut: int = Field(gt=0)
    """LUT sites."""
    ff: int = Field(gt=0)
    """Registers."""
    dsp: int = Field(gt=0)
    """Multiplier cells (DSP48)."""
    bram36: int = Field(gt=0)
    """Block RAMs of 36 kbit."""


class Ceilings(_Spec):
    """Upper limits; an absent one is not checked. Shares are of the chip's capacity."""

    latency_ns: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """Latency in ns, input and output registers included."""
    ii_bx: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """Initiation interval in bunch crossings."""
    lut_percent: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """Share of the LUT sites in percent."""
    ff_percent: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """Share of the registers in percent."""
    dsp_percent: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    """Share of the DSPs in percent; 0: none may be used."""
    bram_percent: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    """Share of the block RAMs in percent; 0: none may be used."""


class Target(_Spec):
    """A board with its part, clock and ceilings."""

    name: str
    """The file's name."""
    description: str
    """The board and what it is for, in one line."""
    board: str
    """Name of the board."""
    part: str
    """The vendor's name of the chip with package and speed grade, as the tools take it; for an ASIC the FPGA
    that stands for it in estimates of LUT and of the clock."""
    clock_mhz: float = Field(gt=0)
    """Clock of the logic in MHz."""
    bx_ns: float = Field(default=25.0, gt=0)
    """Length of a bunch crossing in ns."""
    cell_delay: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    """Delay of the part's logic cells over those of Artix-7, speed grade -1, for static timing."""
    capacity: Capacity | None = None
    """What the chip has; none: an ASIC, as large as its design, whose netlists are of generic gates."""
    reprogrammable: bool = False
    """Whether new weights must need no new circuit: then a design with weights as ports is made too."""
    ceilings: Ceilings
    """Upper limits."""
    source: str
    """Where the figures are from, and which are the project's own."""

    @model_validator(mode="after")
    def _shares_are_of_something(self) -> Self:
        shares = [key for key in self.ceilings.model_dump(exclude_none=True) if key.endswith("_percent")]
        if shares and self.capacity is None:
            raise ValueError(f"ceiling {shares[0]} is a share of a capacity: declare one, or leave it out")
        return self

    @property
    def clock_ns(self) -> float:
        """Clock period in ns."""
        return 1e3 / self.clock_mhz

    @property
    def clocks_per_bx(self) -> float:
        """Clock cycles in one bunch crossing."""
        return self.bx_ns / self.clock_ns

    def tightened(self, ceilings: Mapping[str, float]) -> Target:
        """This target with a model's own ceilings.

        Raises ``SpecError`` for an unknown ceiling, one that is no number, or one above the target's.
        """
        for key in ceilings:
            if key not in Ceilings.model_fields:
                raise SpecError(f"ceiling {key!r} is unknown: there are {', '.join(Ceilings.model_fields)}")
        checked = validate(dict(ceilings), Ceilings, f"ceilings on target {self.name}")
        given = checked.model_dump(exclude_none=True)
        for key, value in given.items():
            own = getattr(self.ceilings, key)
            if own is not None and value > own:
                raise SpecError(
                    f"ceiling {key} = {value:g} loosens target {self.name} ({own:g}): "
                    f"a model may only tighten it, give at most {own:g}"
                )
        ceilings = self.ceilings.model_dump() | given
        return validate({**self.model_dump(), "ceilings": ceilings}, Target, f"target {self.name}")


def target_names() -> tuple[str, ...]:
    """Names of the targets on the firmware shelf."""
    return tuple(sorted(path.stem for path in (shelf("firmware") / "targets").glob("*.toml")))


def load_target(name: str) -> Target:
    """The target called ``name``.

    Raises ``SpecError`` for an unknown name (listing the known ones) or a broken file.
    """
    if name not in target_names():
        raise SpecError(f"no target named {name!r}: known are {', '.join(target_names())}")
    target = load_toml(shelf("firmware") / "targets" / f"{name}.toml", Target)
    if target.name != name:
        raise SpecError(f"target file {name}.toml declares the name {target.name!r}: make them equal")
    return target

"""Where a model's values lie on a board's links, as ``[links]`` of a model.toml declares it."""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

__all__ = ["LinkSpec", "LinksSpec", "PieceSpec", "SlotsSpec"]


class _Spec(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SlotsSpec(_Spec):
    """Values in order, each in bits of its own: on every link ``per_link`` of them, the lowest bits at
    ``first``, ``first + step``, ..."""

    first: int = Field(default=0, ge=0)
    step: int = Field(ge=1)
    per_link: int = Field(ge=1)


class PieceSpec(_Spec):
    """Bits ``low`` to ``low + width - 1`` of value number ``value`` lie at bits ``at``, ... of ``link``."""

    value: int = Field(default=0, ge=0)
    low: int = Field(default=0, ge=0)
    width: int = Field(ge=1)
    link: int = Field(default=0, ge=0)
    at: int = Field(ge=0)


class LinkSpec(_Spec):
    """``links`` links of ``bits`` bits an event each; ``slots`` or ``pieces`` say where the values lie.

    ``channels``: the board's numbers of these links (default: 0, 1, ...).
    """

    links: int = Field(ge=1)
    bits: int = Field(ge=1)
    channels: tuple[int, ...] = ()
    slots: SlotsSpec | None = None
    pieces: tuple[PieceSpec, ...] = ()

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.slots is None) != bool(self.pieces):
            raise ValueError("give either slots or pieces: they say where the values lie")
        if self.channels and (len(set(self.channels)) != self.links or min(self.channels) < 0):
            raise ValueError(f"channels must be {self.links} different numbers, one a link")
        return self


class LinksSpec(_Spec):
    """Links of the inputs and of the scores; an absent side has the default of ``emulator.vectors``."""

    input: LinkSpec | None = None
    output: LinkSpec | None = None

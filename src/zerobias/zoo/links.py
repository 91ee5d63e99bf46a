"""Where a model's values lie on a board's links, as ``[links]`` of a model.toml declares it."""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

__all__ = ["LinkSpec", "LinksSpec", "PieceSpec", "SlotsSpec"]


class _Spec(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SlotsSpec(_Spec):
    """Values in order, each in bits of its own: the lowest bits at ``first``, ``first + step``, ..."""

    first: int = Field(default=0, ge=0)
    """Lowest bit of the first value of a link."""
    step: int = Field(ge=1)
    """Bits from one value to the next."""
    per_link: int = Field(ge=1)
    """Values on a link; the next ones are on the next link."""


class PieceSpec(_Spec):
    """Bits ``low`` to ``low + width - 1`` of a value lie at bits ``at``, ... of a link; numbers from 0."""

    value: int = Field(default=0, ge=0)
    """Number of the value."""
    low: int = Field(default=0, ge=0)
    """Its lowest bit that is in this piece."""
    width: int = Field(ge=1)
    """Bits of the piece."""
    link: int = Field(default=0, ge=0)
    """Number of the link."""
    at: int = Field(ge=0)
    """Lowest bit of the piece on the link."""


class LinkSpec(_Spec):
    """The links of one side; ``slots`` or ``pieces`` say where the values lie."""

    links: int = Field(ge=1)
    """Number of links."""
    bits: int = Field(ge=1)
    """Bits of an event on each."""
    channels: tuple[int, ...] = ()
    """The board's numbers of these links; empty: 0, 1, ..."""
    slots: SlotsSpec | None = None
    """Values one after the other; or give ``pieces``."""
    pieces: tuple[PieceSpec, ...] = ()
    """Where each piece of a value lies; or give ``slots``."""

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
    """Links of the inputs."""
    output: LinkSpec | None = None
    """Links of the scores."""

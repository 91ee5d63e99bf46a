"""The input contract as it is declared in a ``model.toml``.

One declaration: ordered groups of identical objects, each with the same fields. The features are
the fields of object 1 of group 1, then object 2, ..., that is the C order of the event array.
"""

from __future__ import annotations

import math
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, model_validator

from zerobias.contract.fixedtype import FixedType
from zerobias.errors import SpecError

__all__ = ["ContractSpec", "FieldSpec", "GroupSpec", "TypeField"]


def _parse(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return FixedType.parse(value)
    except SpecError as error:
        raise ValueError(str(error)) from None


TypeField = Annotated[FixedType, BeforeValidator(_parse), PlainSerializer(str)]
"""A fixed-point type written as in C++."""


class _Spec(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


class FieldSpec(_Spec):
    """One quantity of an object, e.g. the transverse momentum of a jet."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    """The quantity, e.g. ``pt``."""
    width: int = Field(ge=1, le=20)
    """Bits of the raw integer."""
    signed: bool = False
    """Whether it is in two's complement."""
    minimum: int | None = None
    """Smallest allowed raw integer; none: that of ``width`` bits. Events below are refused."""
    maximum: int | None = None
    """Largest allowed raw integer; none: that of ``width`` bits. Events above are refused."""
    lsb: float = Field(gt=0)
    """What one count means, in ``unit``."""
    unit: str
    """Physical unit of ``lsb``."""
    step: float = Field(default=1.0, gt=0)
    """What one count is worth in the network's input vector, a power of two."""
    offset: tuple[float, ...] = (0.0,)
    """Subtracted, in units of the input vector: one entry, or one an object."""
    shift: tuple[int, ...] = (0,)
    """Then shifted right by so many bits (negative: left): one entry, or one an object."""

    @model_validator(mode="after")
    def _check(self) -> FieldSpec:
        if not math.log2(self.step).is_integer():
            raise ValueError(f"step {self.step} is no power of two: the hardware can only shift")
        low, high = self.representable
        if not (low <= self.low <= self.high <= high):
            raise ValueError(
                f"range [{self.low}, {self.high}] of field {self.name!r} does not fit "
                f"{self.width} {'signed' if self.signed else 'unsigned'} bits [{low}, {high}]"
            )
        return self

    @property
    def representable(self) -> tuple[int, int]:
        """Smallest and largest integer of ``width`` bits."""
        kind = FixedType(self.width, self.width, self.signed)
        return kind.min_int, kind.max_int

    @property
    def low(self) -> int:
        """Smallest allowed raw integer."""
        return self.representable[0] if self.minimum is None else self.minimum

    @property
    def high(self) -> int:
        """Largest allowed raw integer."""
        return self.representable[1] if self.maximum is None else self.maximum


class GroupSpec(_Spec):
    """Objects of one kind."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    """Kind of object, e.g. ``jet``."""
    count: int = Field(ge=1)
    """Number of objects."""
    absent: int = 0
    """Raw integer of every field of an absent object."""
    fields: tuple[FieldSpec, ...] = Field(min_length=1)
    """Quantities of each object, in the order of the event array."""

    @model_validator(mode="after")
    def _check(self) -> GroupSpec:
        for field in self.fields:
            for key, values in (("offset", field.offset), ("shift", field.shift)):
                if len(values) not in (1, self.count):
                    raise ValueError(
                        f"{self.name}.{field.name}: {key} has {len(values)} entries, "
                        f"it needs 1 or {self.count} (one an object)"
                    )
            if not field.low <= self.absent <= field.high:
                raise ValueError(f"{self.name}.{field.name}: absent value {self.absent} is out of range")
        return self


class ContractSpec(_Spec):
    """Raw hardware integers -> network input.

    ``x = raw * step`` in ``raw_type``; ``d = x - offset`` stored back in ``raw_type``; ``d >> shift``
    in the same type; cast to ``network_type``.
    """

    collection: str
    """Event array the features are read from, see ``zerobias.events.SHAPES``."""
    raw_type: TypeField
    """Type of ``x`` and ``d``."""
    offset_type: TypeField
    """Type that holds the offsets."""
    network_type: TypeField
    """Type of the network's inputs."""
    group: tuple[GroupSpec, ...] = Field(min_length=1)
    """Groups of objects, in the order of the event array."""

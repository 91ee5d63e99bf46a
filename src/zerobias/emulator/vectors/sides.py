"""The two sides of a model on a board: the hardware integers that go in, the score integers that come out."""

from __future__ import annotations

import math
from dataclasses import dataclass

from zerobias.fixed import Graph
from zerobias.zoo import LinkSpec, Model

__all__ = ["Field", "Side", "input_side", "output_side"]


@dataclass(frozen=True)
class Field:
    """One value: its width in bits, sign, and what one count is worth in the model's units."""

    name: str
    width: int
    signed: bool
    worth: float


@dataclass(frozen=True)
class Side:
    """``title``: inputs or scores. ``links``: where they lie on links, None for the default.

    ``frames``: words a link carries in one bunch crossing, at one a clock of the target.
    """

    title: str
    fields: tuple[Field, ...]
    links: LinkSpec | None
    frames: int


def input_side(model: Model) -> Side:
    """Hardware integers in the order of the contract."""
    fields = [
        Field(f"{group.name}{number}.{field.name}", field.width, field.signed, field.step)
        for group in model.spec.contract.group
        for number in range(1, group.count + 1)
        for field in group.fields
    ]
    return Side("inputs", tuple(fields), model.spec.links.input, _frames(model))


def output_side(model: Model, graph: Graph) -> Side:
    """Score integers in LSBs of the score type, several where the network gives several."""
    kind = graph.output_type
    fields = [
        Field(f"score{number}", kind.width, kind.signed, kind.lsb)
        for number in range(1, math.prod(graph.score_shape) + 1)
    ]
    return Side("scores", tuple(fields), model.spec.links.output, _frames(model))


def _frames(model: Model) -> int:
    return max(1, int(model.target.clocks_per_bx))

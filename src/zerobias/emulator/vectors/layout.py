"""Which bit of which link holds which bit of which value: data of a model, or a default.

The default fills words from the lowest bit, values in order; a value that does not fit in what is left of a
word begins the next one. A link carries one word a clock of the target and an event takes one bunch crossing;
when a link is full the next link goes on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from zerobias.contract import IntArray
from zerobias.emulator.vectors.sides import Side
from zerobias.errors import SpecError
from zerobias.zoo import LinkSpec, PieceSpec

__all__ = ["Bits", "Layout", "bus_layout", "link_layout"]

Bits = NDArray[np.uint8]
"""Single bits, 0 or 1."""


@dataclass(frozen=True, eq=False)
class Layout:
    """``channels``: numbers of the links. An event is ``frames`` words of ``word`` bits on each.

    Bit ``bit[i]`` of value ``value[i]`` lies at ``place[i]``: bits of the first link from the lowest of its
    first word upwards, then those of the second link; ordered by value and bit.
    """

    channels: tuple[int, ...]
    frames: int
    word: int
    value: IntArray
    bit: IntArray
    place: IntArray
    signed: NDArray[np.bool_]

    def pack(self, values: IntArray) -> Bits:
        """Values (events, values) -> words (events * frames, links, word), the lowest bit first."""
        links, length = len(self.channels), self.frames * self.word
        flat = np.zeros((len(values), links * length), dtype=np.uint8)
        flat[:, self.place] = (values[:, self.value] >> self.bit) & 1
        words = flat.reshape(len(values), links, self.frames, self.word).transpose(0, 2, 1, 3)
        return words.reshape(-1, links, self.word)

    def unpack(self, words: Bits) -> IntArray:
        """Inverse of :meth:`pack`; bits that belong to no value do not matter."""
        links = len(self.channels)
        events = words.reshape(-1, self.frames, links, self.word).transpose(0, 2, 1, 3)
        picked = events.reshape(len(events), -1)[:, self.place].astype(np.int64) << self.bit
        starts = np.flatnonzero(np.diff(self.value, prepend=-1))
        values: IntArray = np.add.reduceat(picked, starts, axis=1)
        top = np.int64(1) << self.bit[np.append(starts[1:], len(self.bit)) - 1]
        return np.where(self.signed & ((values & top) != 0), values - 2 * top, values)


def bus_layout(side: Side) -> Layout:
    """All values of an event in one word, densely, the first in the lowest bits: ``in_data`` and
    ``out_score`` of the RTL design."""
    widths = [field.width for field in side.fields]
    starts = np.cumsum([0, *widths[:-1]])
    pieces = [
        PieceSpec(value=index, width=width, at=int(start))
        for index, (width, start) in enumerate(zip(widths, starts, strict=True))
    ]
    spec = LinkSpec(links=1, bits=sum(widths), pieces=tuple(pieces))
    return _layout(side, spec, spec.bits)


def link_layout(side: Side, word: int) -> Layout:
    """The side's declared layout, or the default, in words of ``word`` bits.

    Raises ``SpecError`` when the declaration is no whole number of words, leaves a bit of a value out, puts
    two in one place, or goes beyond its links.
    """
    return _layout(side, side.links or _default(side, word), word)


def _default(side: Side, word: int) -> LinkSpec:
    length = side.frames * word
    pieces, at = [], 0
    for value, field in enumerate(side.fields):
        if at % word + field.width > word:
            at = -(-at // word) * word
        for low in range(0, field.width, word):
            width = min(word, field.width - low)
            # A word of a value wider than a word may begin a new link, so each has a piece of its own.
            pieces.append(PieceSpec(value=value, low=low, width=width, link=at // length, at=at % length))
            at += width
    return LinkSpec(links=-(-at // length), bits=length, pieces=tuple(pieces))


def _layout(side: Side, spec: LinkSpec, word: int) -> Layout:
    where = f"links of the {side.title}"
    if spec.bits % word:
        raise SpecError(
            f"{where}: {spec.bits} bits an event are no whole number of {word}-bit words; "
            "choose a format with other words, or mend bits"
        )
    rows = []
    for piece in _pieces(side, spec):
        if piece.value >= len(side.fields) or piece.low + piece.width > side.fields[piece.value].width:
            raise SpecError(
                f"{where}: bits {piece.low} to {piece.low + piece.width - 1} of value {piece.value} do not "
                f"exist: there are {len(side.fields)} values, value 0 of {side.fields[0].width} bits"
            )
        if piece.link >= spec.links or piece.at + piece.width > spec.bits:
            raise SpecError(
                f"{where}: value {piece.value} lies at bits {piece.at} to {piece.at + piece.width - 1} of "
                f"link {piece.link}: there are {spec.links} links of {spec.bits} bits"
            )
        rows += [
            (piece.value, piece.low + k, piece.link * spec.bits + piece.at + k) for k in range(piece.width)
        ]
    value, bit, place = np.array(sorted(rows), dtype=np.int64).T
    found = Counter(zip(value.tolist(), bit.tolist(), strict=True))
    for number, field in enumerate(side.fields):
        for low in range(field.width):
            if found[number, low] != 1:
                raise SpecError(
                    f"{where}: bit {low} of value {number} ({field.name}) has {found[number, low]} places, "
                    "it needs one"
                )
    taken, counts = np.unique(place, return_counts=True)
    if (counts > 1).any():
        link, at = divmod(int(taken[counts > 1][0]), spec.bits)
        raise SpecError(f"{where}: bit {at} of link {link} holds two values: move one")
    return Layout(
        channels=spec.channels or tuple(range(spec.links)),
        frames=spec.bits // word,
        word=word,
        value=value,
        bit=bit,
        place=place,
        signed=np.array([field.signed for field in side.fields]),
    )


def _pieces(side: Side, spec: LinkSpec) -> Iterable[PieceSpec]:
    if spec.slots is None:
        return spec.pieces
    slots = spec.slots
    return [
        PieceSpec(
            value=value,
            width=field.width,
            link=value // slots.per_link,
            at=slots.first + slots.step * (value % slots.per_link),
        )
        for value, field in enumerate(side.fields)
    ]

"""Other views of the same crossing: what changes in it is what an embedding is to ignore."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from zerobias.contract import Contract, IntArray
from zerobias.errors import SpecError

__all__ = ["ObjectViews"]

_FIELDS = ("pt", "eta", "phi")


@dataclass(frozen=True)
class ObjectViews:
    """Views of events of trigger objects, hardware integers to hardware integers; used in training only.

    A view turns all objects of an event together around phi, by one of ``turns`` equal steps, and mirrors all
    of them in eta or none. Each pT is smeared by the factor 1 + ``smear`` times a normal deviate, rounded,
    and kept at 1 count or more. Soft objects get lost: with probability ``lose`` * exp(-pT / ``soft``),
    ``soft`` in counts. Then the objects of a kind are pT-ordered again, absent ones last, as the hardware
    sends them. A kind with one object (missing transverse momentum) is turned and smeared, never lost.

    Every value stays in the range of the contract. Raises ``SpecError`` for a contract whose groups are not
    objects with fields pt, eta and phi and absent value 0, and for ``turns`` that do not divide phi's bins.
    """

    contract: Contract
    turns: int
    smear: float
    lose: float
    soft: float

    def __post_init__(self) -> None:
        for group in self.contract.spec.group:
            names = tuple(field.name for field in group.fields)
            if names != _FIELDS or group.absent != 0:
                raise SpecError(
                    f"group {group.name} has fields {', '.join(names)} and absent value {group.absent}: "
                    f"views are made of objects with fields {', '.join(_FIELDS)} and absent value 0"
                )
            bins = group.fields[2].high + 1
            if group.fields[2].low != 0 or self.turns < 1 or bins % self.turns:
                raise SpecError(
                    f"turns={self.turns}: the {bins} bins in phi of group {group.name}, counted from 0, do "
                    "not divide into as many steps"
                )

    def __call__(self, raw: IntArray, rng: np.random.Generator) -> IntArray:
        """A view of each event (events, features), drawn with ``rng``."""
        views = raw.copy()
        turn = rng.integers(0, self.turns, (len(raw), 1))
        mirror = np.where(rng.random((len(raw), 1)) < 0.5, -1, 1)
        start = 0
        for group in self.contract.spec.group:
            place = slice(start, start + group.count * len(_FIELDS))
            start = place.stop
            objects = raw[:, place].reshape(len(raw), group.count, len(_FIELDS))
            pt, eta, phi = np.moveaxis(objects, 2, 0)
            bins = group.fields[2].high + 1
            factor = 1 + self.smear * rng.standard_normal(pt.shape)
            lost = rng.random(pt.shape) < self.lose * np.exp(-pt / self.soft)
            changed = np.stack(
                [
                    np.clip(np.rint(pt * factor), 1, group.fields[0].high).astype(raw.dtype),
                    np.clip(eta * mirror, group.fields[1].low, group.fields[1].high),
                    (phi + turn * (bins // self.turns)) % bins,
                ],
                axis=2,
            )
            kept = (objects != 0).any(axis=2) & ~(lost & (group.count > 1))
            changed *= kept[:, :, None]
            order = np.argsort(-changed[:, :, 0], axis=1, kind="stable")
            views[:, place] = np.take_along_axis(changed, order[:, :, None], axis=1).reshape(len(raw), -1)
        return views

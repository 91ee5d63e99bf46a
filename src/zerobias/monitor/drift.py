"""Tests of new data against a reference: which shares changed by more than chance, and by enough."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.special import erfc, erfcinv, xlogy

from zerobias.errors import DataError
from zerobias.monitor.document import Document
from zerobias.monitor.reference import Reference
from zerobias.monitor.tally import Shares, Tally
from zerobias.monitor.variables import Kind, Variable

__all__ = ["Change", "Drift", "Limits", "Row", "compare"]

CROSSINGS, SHARE = 50, 10
"""A variable is tested where both samples hold 50 effective crossings of it, a share where one of the two
holds ten on its rarer side: below, the weights of a simulated sample are too uneven for a probability."""

_Array = NDArray[np.float64]
_Side = tuple[_Array, _Array]
Status = Literal["same", "drift", "explained by pile-up", "too few"]


class Limits(Document):
    """When a change is flagged: probability of any flag without a change, and least effects.

    ``shift``: of a share of the crossings, or of those that have the object. ``change``: of a rate or of the
    number of objects, relative.
    """

    significance: float = Field(default=0.001, gt=0, lt=1)
    shift: float = Field(default=0.02, ge=0, lt=1)
    change: float = Field(default=0.2, ge=0)


class Change(Document):
    """A share in the reference and in the new data, the probability of so large a difference by chance, times
    the number of shares tested, and effective crossings on both sides."""

    what: str
    reference: float
    new: float
    probability: float
    reference_effective: float
    new_effective: float
    flagged: bool


class Row(Document):
    """A variable's most telling change, as it is and at the reference's pile-up (None: not to be had)."""

    name: str
    kind: Kind
    status: Status
    change: Change | None
    at_pileup: Change | None


class Drift(Document):
    """All variables of the new data's ``events``; ``effective``: independent crossings of one weight.

    ``pileup``: of the profile of nPU, whose change is ``pileup_change``. When it differs, changes are judged
    at the reference's profile, of which the new data hold the share ``common``. ``tested``: shares tested.
    ``resolution``: the smallest change of a share of one half that would typically be flagged.
    """

    events: int
    weight: float
    effective: float
    tested: int
    resolution: float
    pileup: Literal["same", "differs", "not known"]
    pileup_change: Change | None
    common: float
    rows: tuple[Row, ...]


def compare(reference: Reference, tally: Tally, limits: Limits) -> Drift:
    """Hold the crossings of ``tally``, counted for the reference's variables, against it.

    A share differs when both the likelihood ratio and the score of two binomials of the effective crossings
    say so, after Bonferroni's correction for all shares tested, and by at least one of the limits. Raises
    ``DataError`` when nothing was counted.
    """
    if not tally.weight:
        raise DataError("the files have no zero bias to compare: they need some in the split 'test'")
    profile = reference.profile
    new = [tally.shares(number, profile) for number in range(len(reference.variables))]
    triples = list(zip(reference.variables, reference.shares, new, strict=True))
    known = reference.about.knows_pileup and tally.seen_pileup
    common = float(profile[_known(new[-1])].sum()) if known else 0.0
    weighted = reference.about.weighted and tally.weighted
    pairs = [
        _Pair(v, (a.share, a.variance), (b.share, b.variance), (a.effective, b.effective), weighted)
        for v, a, b in triples
    ]
    tested = sum(int(pair.tested.sum()) for pair in pairs)
    *plain, npu = [pair.change(tested, limits) for pair in pairs]
    moved = known and npu is not None and npu.flagged
    rows = []
    for (variable, old, found), change in zip(triples[:-1], plain, strict=True):
        pair = _at_pileup(variable, old, found, profile, weighted) if known else None
        at_pileup = None if pair is None else pair.change(tested, limits)
        judged = at_pileup if moved else change
        status: Status = "too few" if judged is None else "drift" if judged.flagged else "same"
        if status == "same" and change is not None and change.flagged:
            status = "explained by pile-up"
        rows.append(
            Row(name=variable.name, kind=variable.kind, status=status, change=change, at_pileup=at_pileup)
        )
    sizes = [1 / one.reference_effective + 1 / one.new_effective for one in plain if one is not None]
    chance = np.sqrt(2) * erfcinv(limits.significance / max(tested, 1))
    return Drift(
        events=tally.events,
        weight=tally.weight,
        effective=new[-1].effective,
        tested=tested,
        resolution=max(limits.shift, float(chance * 0.5 * np.median(np.sqrt(sizes)))) if sizes else 1.0,
        pileup="differs" if moved else "same" if known else "not known",
        pileup_change=npu if known else None,
        common=common,
        rows=tuple(rows),
    )


class _Pair:
    """A variable's shares and their variances in a ``reference`` and in ``new`` data, tested."""

    def __init__(
        self,
        variable: Variable,
        reference: _Side,
        new: _Side,
        crossings: tuple[float, float],
        weighted: bool,
    ) -> None:
        self.variable, self.share = variable, (reference[0], new[0])
        self.effective = _effective(*reference, crossings[0]), _effective(*new, crossings[1])
        if weighted and min(crossings):
            # One of two weighted samples may lack the rare heavy crossings that the other's errors show.
            gain = np.min([n / size for n, size in zip(self.effective, crossings, strict=True)], axis=0)
            self.effective = crossings[0] * gain, crossings[1] * gain
        (p, q), (n, m) = self.share, self.effective
        pooled = (n * p + m * q) / np.maximum(n + m, 1)
        rarer = np.where(pooled <= 0.5, [n * p, m * q], [n * (1 - p), m * (1 - q)])
        enough = min(crossings) >= CROSSINGS
        self.tested = np.asarray((rarer.max(axis=0) >= SHARE) & enough)
        ratio = _information(p, pooled, n) + _information(q, pooled, m)
        spread = pooled * (1 - pooled) * (1 / np.maximum(n, 1) + 1 / np.maximum(m, 1))
        score = (p - q) ** 2 / np.where(spread > 0, 2 * spread, 1)
        # Of few crossings either is too sure where the samples' sizes differ, or where one has none.
        self.probability = erfc(np.sqrt(np.maximum(np.minimum(ratio, score), 0)))

    def change(self, tested: int, limits: Limits) -> Change | None:
        """The most significant change, of the flagged ones where there is one; None when none is tested."""
        if not self.tested.any():
            return None
        p, q = self.share
        probability = np.minimum(self.probability * tested, 1)
        large = np.asarray(np.abs(q - p) >= limits.shift)
        if self.variable.kind in ("presence", "rate"):
            large = large | (np.abs(q - p) >= limits.change * p)
        flagged = self.tested & large & (probability < limits.significance) & (p != q)
        best = int(np.where(flagged if flagged.any() else self.tested, self.probability, 2).argmin())
        return Change(
            what=self.variable.what(best),
            reference=p[best],
            new=q[best],
            probability=probability[best],
            reference_effective=self.effective[0][best],
            new_effective=self.effective[1][best],
            flagged=bool(flagged[best]),
        )


def _at_pileup(variable: Variable, old: Shares, new: Shares, profile: _Array, weighted: bool) -> _Pair | None:
    """Both at the reference's profile, over the intervals of nPU in which both hold enough."""
    use = profile * (_known(old) & _known(new))
    if not use.any():
        return None
    before, now = (_side_at_pileup(one, use, profile) for one in (old, new))
    return _Pair(variable, before, now, (old.effective, new.effective), weighted)


def _side_at_pileup(shares: Shares, use: _Array, profile: _Array) -> _Side:
    """Shares at the part ``use`` of the profile; their variance, that of all intervals the side knows, grows
    as the part shrinks."""
    share = np.nan_to_num(shares.by_pileup) @ (use / use.sum())
    return share, shares.variance_at_pileup * profile[_known(shares)].sum() / use.sum()


def _known(shares: Shares) -> NDArray[np.bool_]:
    return np.asarray(~np.isnan(shares.by_pileup).any(axis=0))


def _effective(share: _Array, variance: _Array, crossings: float) -> _Array:
    """Crossings of one weight with which a share has its variance; ``crossings`` where it is 0 or 1."""
    spread = variance > 0
    found: _Array = np.where(spread, share * (1 - share) / np.where(spread, variance, 1), crossings)
    return found


def _information(share: _Array, pooled: _Array, crossings: _Array) -> _Array:
    """Logarithm of the likelihood of ``share`` over that of ``pooled``."""
    found: _Array = xlogy(crossings * share, share / np.where(pooled > 0, pooled, 1)) + xlogy(
        crossings * (1 - share), (1 - share) / np.where(pooled < 1, 1 - pooled, 1)
    )
    return found

"""Fit offsets and shifts on zero bias: a robust scaling rounded to what the hardware can do.

Offset = weighted median of the present objects, shift = round(log2(interquartile range)), both in
units of the input vector x. An object with too few entries takes over the fit of the object before
it in its group (the fourth muon of a zero-bias crossing is rare).
"""

from __future__ import annotations

import logging

import numpy as np
from numpy.typing import NDArray

from zerobias.contract.contract import Contract
from zerobias.contract.fixedtype import FixedType
from zerobias.contract.spec import ContractSpec, FieldSpec
from zerobias.errors import DataError

__all__ = ["fit_contract", "unit_fault"]

_log = logging.getLogger(__name__)
_UNIT_MARGIN = 0.25
"""log2 of how far from exactly two the factor of a wrong unit may be: 2 x 2**+-0.25 is 1.7 to 2.4."""


def fit_contract(
    spec: ContractSpec,
    collection: NDArray[np.generic],
    weight: NDArray[np.float64],
    minimum_entries: int = 100,
) -> ContractSpec:
    """``spec`` with offsets and shifts fitted on the events ``collection`` (events, ...).

    ``weight`` (events,) are the zero-bias weights. An object counts as present when its fields are
    not all at the absent value; with fewer than ``minimum_entries`` present objects the entry before
    is taken over. Raises ``DataError`` when the first object of a group has too few.
    """
    raw = Contract(spec).flatten(collection)
    start = 0
    groups = []
    for group in spec.group:
        block = raw[:, start : start + group.count * len(group.fields)]
        block = block.reshape(len(raw), group.count, len(group.fields))
        start += group.count * len(group.fields)
        present = (block != group.absent).any(axis=2)
        offsets: list[list[float]] = []
        shifts: list[list[int]] = []
        for number in range(group.count):
            mask = present[:, number]
            if mask.sum() < minimum_entries:
                if not offsets:
                    raise DataError(
                        f"{group.name}: only {int(mask.sum())} events hold such an object, a fit needs "
                        f"{minimum_entries}; give more events"
                    )
                _log.info("%s%d: %d entries, takes over the fit before", group.name, number + 1, mask.sum())
                offsets.append(offsets[-1])
                shifts.append(shifts[-1])
                continue
            pairs = [
                _fit_field(field, block[mask, number, index], weight[mask], spec.offset_type)
                for index, field in enumerate(group.fields)
            ]
            offsets.append([p[0] for p in pairs])
            shifts.append([p[1] for p in pairs])
        fields = tuple(
            field.model_copy(
                update={
                    "offset": tuple(row[index] for row in offsets),
                    "shift": tuple(row[index] for row in shifts),
                }
            )
            for index, field in enumerate(group.fields)
        )
        groups.append(group.model_copy(update={"fields": fields}))
    return spec.model_copy(update={"group": tuple(groups)})


def unit_fault(
    spec: ContractSpec, collection: NDArray[np.generic], weight: NDArray[np.float64]
) -> str | None:
    """A sentence when the offsets in GeV are twice or half of what ``fit_contract`` finds, else None.

    A table fitted on hardware integers of 0.5 GeV and read in GeV is off by exactly two in every entry;
    such a table was shipped once. Other differences are a matter of the sample.
    """
    try:
        fitted = fit_contract(spec, collection, weight)
    except DataError:
        return None
    pairs = [
        (declared, found)
        for group, again in zip(spec.group, fitted.group, strict=True)
        for field, refitted in zip(group.fields, again.fields, strict=True)
        if field.unit == "GeV"
        for declared, found in zip(field.offset * len(refitted.offset), refitted.offset, strict=False)
        if declared > 0 and found > 0
    ]
    if not pairs:
        return None
    factor = float(np.median([declared / found for declared, found in pairs]))
    for wrong, cause in ((2.0, "hardware integers"), (0.5, "twice the input vector")):
        if abs(np.log2(factor / wrong)) < _UNIT_MARGIN:
            return (
                f"the contract's offsets in GeV are {factor:.2f} times the sample's medians: the table was "
                f"fitted in another unit ({cause}); write offsets in units of raw x step, as "
                "`zerobias fit-contract` does"
            )
    return None


def _fit_field(
    field: FieldSpec, raw: NDArray[np.int64], weight: NDArray[np.float64], kind: FixedType
) -> tuple[float, int]:
    lower, median, upper = (_quantile(raw, weight, q) * field.step for q in (0.25, 0.5, 0.75))
    if field.low == field.high or lower == upper == median == 0.0:
        return 0.0, 0
    held = round(median / kind.lsb)
    held = min(max(held, kind.min_int), kind.max_int)
    return held * kind.lsb, round(np.log2(max(upper - lower, field.step)))


def _quantile(raw: NDArray[np.int64], weight: NDArray[np.float64], q: float) -> float:
    """Smallest value whose cumulative weight reaches the share ``q``."""
    order = np.argsort(raw, kind="stable")
    cumulative = np.cumsum(weight[order])
    return float(raw[order][np.searchsorted(cumulative, q * cumulative[-1])])

"""The ECON-T's algorithms without a network: best choice, super trigger cells, threshold sum.

Each takes trigger-cell charges (events, 48) and gives what the back end decodes from one frame of
32 bits x e-links a bunch crossing. Frames are those of the chip as its public emulations and test vectors
show them (hgc-tpg/hgcal-tpg-fe, cmantill/econt_test-vectors): docs/explanation/hgcal-compression.md.
Calibration and the 7-bit code of the chip's input are not applied: use
``TRIGGER_CELL.decode(TRIGGER_CELL.encode(charges))`` for charges as the chip sees them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zerobias.econt.code import MODULE_SUM, SUPER_TRIGGER_CELL, TRIGGER_CELL, FloatCode, whole_numbers
from zerobias.econt.sorting import descending
from zerobias.errors import DataError, SpecError
from zerobias.events.wafer import CELLS

__all__ = [
    "BEST_CHOICE_CELLS",
    "Decoded",
    "best_choice",
    "frame_bits",
    "super_trigger_cells",
    "threshold_sum",
    "transverse_threshold",
]

_E_LINKS_MAX = 13
_HEADER, _THRESHOLD_HEADER = 4, 5 + 3
_LIST_MAX = 7
_CHARGE_MAX = 2**32 - 1
BEST_CHOICE_CELLS = {
    1: 1,
    2: 4,
    3: 6,
    4: 9,
    5: 14,
    6: 18,
    7: 23,
    8: 28,
    9: 32,
    10: 37,
    11: 41,
    12: 46,
    13: 48,
}
"""Trigger cells best choice sends over 1 to 13 e-links (ECON-T working document v9, EDMS 2206779, quoted in
CMSSW's l1tHGCalConcentratorProducer_cfi.py): the most that fit into the frame."""

_SIDE = np.arange(16)
_GROUPS = {
    4: 4 * np.repeat(np.arange(3), 16) + np.tile(_SIDE // 8 * 2 + _SIDE % 4 // 2, 3),
    16: np.repeat(np.arange(3), 16),
}
"""Super trigger cell of each trigger cell: 2 x 2 or 4 x 4 neighbours of a sensor."""
_MEMBERS = {
    size: np.argsort(group, kind="stable").reshape(CELLS // size, size) for size, group in _GROUPS.items()
}


@dataclass(frozen=True)
class Decoded:
    """What the back end has of each wafer.

    ``charges`` (events, 48); ``total`` (events,): the module sum, for super trigger cells the sum of their
    sums, as no other is sent. ``bits`` (events,): length of the frame, header included. ``truncated``
    (events,): the frame did not fit and carries the module sum only.
    """

    charges: NDArray[np.float64]
    total: NDArray[np.int64]
    bits: NDArray[np.int64]
    truncated: NDArray[np.bool_]


def frame_bits(e_links: int) -> int:
    """Bits of one bunch crossing over ``e_links`` links of 1.28 Gb/s, the 4-bit header included.

    Raises ``SpecError`` unless ``e_links`` is from 1 to 13.
    """
    if not 1 <= e_links <= _E_LINKS_MAX:
        raise SpecError(f"e_links is {e_links}: the chip has 1 to {_E_LINKS_MAX}")
    return 32 * e_links


def best_choice(
    charges: NDArray[Any], e_links: int, *, cells: int | None = None, code: FloatCode = TRIGGER_CELL
) -> Decoded:
    """The largest ``cells`` charges (:data:`BEST_CHOICE_CELLS` if not given) and the module sum.

    Header, module sum, then cell numbers of 6 bits or, for more than 7 cells, a map of 48 bits, then the
    codes. Of equal charges the chip's sorting network keeps some (``zerobias.econt.sorting``).
    The module sum is that of all cells (``use_sum`` = 1).

    Raises ``DataError`` for bad charges, ``SpecError`` when the frame does not fit.
    """
    whole = _charges(charges)
    kept = BEST_CHOICE_CELLS.get(e_links, 0) if cells is None else cells
    budget = frame_bits(e_links)
    if not 1 <= kept <= CELLS:
        raise SpecError(
            f"cells is {kept}: best choice keeps 1 to {CELLS}; leave it out for the chip's number"
        )
    bits = _HEADER + MODULE_SUM.bits + _places(kept) + kept * code.bits
    _check_fit(f"best choice with {kept} cells", bits, budget, f"keep at most {BEST_CHOICE_CELLS[e_links]}")
    order = descending(whole)[:, :kept]
    mask = np.zeros(whole.shape, bool)
    np.put_along_axis(mask, order, True, axis=1)
    return _decoded(np.where(mask, code.decode(code.encode(whole)), 0), _module_sum(whole, code), bits)


def super_trigger_cells(
    charges: NDArray[Any],
    e_links: int,
    *,
    size: int = 4,
    code: FloatCode | None = None,
    located: bool = True,
) -> Decoded:
    """Sums of 2 x 2 (``size`` 4) or 4 x 4 cells (16) of a sensor; no module sum is sent.

    ``code`` of a sum: 4 + 3 bits for size 4 and 5 + 4 for size 16 if not given. ``located``: the place of
    the largest cell is sent too and gets the sum (STC; of equal cells the last); else the sum is spread
    evenly (size 4: CTC).

    Raises ``DataError`` for bad charges, ``SpecError`` for another size or when the frame does not fit.
    """
    whole = _charges(charges)
    budget = frame_bits(e_links)
    if size not in _MEMBERS:
        raise SpecError(f"size is {size}: super trigger cells sum 4 or 16 trigger cells")
    code = code or (TRIGGER_CELL if size == 4 else SUPER_TRIGGER_CELL)
    place = int(math.log2(size)) if located else 0
    bits = _HEADER + CELLS // size * (place + code.bits)
    _check_fit(
        f"super trigger cells of {size}", bits, budget, f"use {-(-bits // 32)} e-links or a larger size"
    )
    inside = whole[:, _MEMBERS[size]]
    sums = code.decode(code.encode(inside.sum(axis=2)))
    if located:
        last = size - 1 - inside[:, :, ::-1].argmax(axis=2)
        shares = np.where(np.arange(size) == last[:, :, None], sums[:, :, None], 0.0)
    else:
        shares = np.repeat(sums[:, :, None] / size, size, axis=2)
    decoded = np.zeros(whole.shape)
    decoded[:, _MEMBERS[size].ravel()] = shares.reshape(len(whole), CELLS)
    return _decoded(decoded, sums.sum(axis=1), bits)


def threshold_sum(
    charges: NDArray[Any], threshold: NDArray[Any] | int, e_links: int, *, code: FloatCode = TRIGGER_CELL
) -> Decoded:
    """Cells at or above ``threshold`` (a number, or one a wafer) and the module sum, in a variable frame.

    Header of 5 + 3 bits and module sum; with cells, up to 7 a count of 3 bits and cell numbers of 6, else a
    map of 48 bits; the codes; padded to 16 bits. The chip buffers frames over some bunch crossings and, when
    one comes too late, sends header and module sum only. Here a frame must fit into its own crossing: what
    does not is truncated in that way, so that every method is compared at the same number of bits.
    ``bits`` is the length before truncation: its mean over 32 x e-links cannot be helped by any buffer.

    Raises ``DataError`` for bad charges or thresholds, ``SpecError`` for a bad number of e-links.
    """
    whole = _charges(charges)
    budget = frame_bits(e_links)
    limits = np.asarray(threshold)
    if limits.shape not in ((), whole.shape[:1]):
        raise DataError(f"threshold has shape {limits.shape}: give one number, or one for each wafer")
    above = whole >= whole_numbers(limits, "threshold", _CHARGE_MAX).reshape(-1, 1)
    count = above.sum(axis=1)
    body = np.array([0, *(3 * (n <= _LIST_MAX) + _places(n) + n * code.bits for n in range(1, CELLS + 1))])
    bits = _THRESHOLD_HEADER + MODULE_SUM.bits + -(-body[count] // 16) * 16
    truncated = bits > budget
    kept = np.where(above & ~truncated[:, None], code.decode(code.encode(whole)), 0)
    return Decoded(kept.astype(np.float64), _module_sum(whole, code), bits, truncated)


def transverse_threshold(
    eta: NDArray[Any], mip: NDArray[Any] | float, mips: float = 1.35
) -> NDArray[np.int64]:
    """Smallest charges (events,) whose transverse part is ``mips`` minimum ionising particles or more.

    ``eta`` (events,); ``mip``: mean charge of a minimum ionising particle in the units of the charges, a
    number or one a wafer. 1.35 MIP_T is the threshold of CMSSW for the geometries from V10 on.
    """
    limits: NDArray[np.int64] = np.ceil(mips * mip * np.cosh(eta)).astype(np.int64)
    return limits


def _charges(charges: NDArray[Any]) -> NDArray[np.int64]:
    if charges.ndim != 2 or charges.shape[1] != CELLS:
        raise DataError(f"charges have shape {charges.shape}: it must be (events, {CELLS})")
    return whole_numbers(charges, "charge", _CHARGE_MAX)


def _places(cells: int) -> int:
    """Bits that say which cells follow: a list of numbers, or a map."""
    return 6 * cells if cells <= _LIST_MAX else CELLS


def _module_sum(whole: NDArray[np.int64], code: FloatCode) -> NDArray[np.int64]:
    """The module sum as it is decoded; it drops bits and finds the middle as the code of the cells does."""
    wide = replace(MODULE_SUM, dropped=code.dropped, middle=code.middle)
    sums: NDArray[np.int64] = whole.sum(axis=1)
    return wide.decode(wide.encode(sums))


def _check_fit(what: str, bits: int, budget: int, remedy: str) -> None:
    if bits > budget:
        raise SpecError(f"{what} needs {bits} bits: {budget // 32} e-links carry {budget}; {remedy}")


def _decoded(charges: NDArray[Any], total: NDArray[np.int64], bits: int) -> Decoded:
    count = len(charges)
    return Decoded(charges.astype(np.float64), total, np.full(count, bits), np.zeros(count, bool))

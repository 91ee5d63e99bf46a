"""Words of the ECON-T's 12 input links: a 4-bit bunch-crossing header and four trigger-cell codes of 7 bits.

The header is in the most significant bits, then cells 4 l to 4 l + 3 of link l in order: the layout of the
public test vectors (cmantill/econt_test-vectors, Utils/unpack.py).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from zerobias.econt.code import TRIGGER_CELL, whole_numbers
from zerobias.errors import DataError
from zerobias.events.wafer import CELLS

__all__ = ["LINKS", "pack_words", "unpack_words"]

LINKS = 12
_PER_LINK = CELLS // LINKS
_HEADER_SHIFT = _PER_LINK * TRIGGER_CELL.bits
_SHIFTS = TRIGGER_CELL.bits * np.arange(_PER_LINK)[::-1]
_HEADER_MAX, _CODE_MAX, _WORD_MAX = 2**4 - 1, 2**TRIGGER_CELL.bits - 1, 2**32 - 1


def pack_words(header: NDArray[Any], codes: NDArray[Any]) -> NDArray[np.uint32]:
    """Words (events, 12) of headers (events,) and codes (events, 48).

    Raises ``DataError`` for other shapes, and when a header is not of 4 or a code not of 7 bits.
    """
    if codes.ndim != 2 or codes.shape[1] != CELLS or header.shape != codes.shape[:1]:
        raise DataError(
            f"headers and codes have shapes {header.shape} and {codes.shape}: they must be (events,) and "
            f"(events, {CELLS}); give one header a wafer"
        )
    first = whole_numbers(header, "header", _HEADER_MAX)[:, None] << _HEADER_SHIFT
    cells = whole_numbers(codes, "code", _CODE_MAX).reshape(-1, LINKS, _PER_LINK)
    words: NDArray[np.uint32] = (first + (cells << _SHIFTS).sum(axis=2)).astype(np.uint32)
    return words


def unpack_words(words: NDArray[Any]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Headers (events,) and codes (events, 48) of words (events, 12).

    Raises ``DataError`` for another shape, when a word is not of 32 bits, and when the links of an event
    have different headers.
    """
    if words.ndim != 2 or words.shape[1] != LINKS:
        raise DataError(f"words have shape {words.shape}: it must be (events, {LINKS}), one word a link")
    whole = whole_numbers(words, "word", _WORD_MAX)
    header = whole >> _HEADER_SHIFT
    bad = np.flatnonzero((header != header[:, :1]).any(axis=1))
    if len(bad):
        raise DataError(
            f"event {bad[0]} has headers {header[bad[0]].tolist()}: all links carry the same bunch crossing; "
            "align the links first"
        )
    codes = (whole[:, :, None] >> _SHIFTS) & _CODE_MAX
    return header[:, 0].astype(np.uint8), codes.reshape(-1, CELLS).astype(np.uint8)

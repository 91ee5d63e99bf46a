"""Files without links: hls4ml's ``.dat`` and Verilog's ``$readmemh``, one event a line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from zerobias.contract import FixedType, IntArray
from zerobias.emulator.vectors.layout import bus_layout
from zerobias.emulator.vectors.sides import Side
from zerobias.emulator.vectors.text import Lines, hex_words, words_of
from zerobias.errors import DataError

__all__ = ["read_dat", "read_memory", "write_dat", "write_memory"]

_BLOCK = 4096
"""Events whose bits are held at once."""
_WORD = re.compile(r"[0-9a-fA-FxXzZ_]+")


def write_dat(side: Side, values: IntArray) -> Iterator[str]:
    """Values (events, values) in the model's units: decimal numbers, all digits of them."""
    worth = [field.worth for field in side.fields]
    for row in values.tolist():
        yield " ".join(f"{value * unit:.17g}" for value, unit in zip(row, worth, strict=True)) + "\n"


def read_dat(path: Path, side: Side) -> tuple[IntArray, NDArray[np.bool_]]:
    """Values (lines, values) of a file of numbers in the model's units, all of them known.

    Raises ``DataError`` with the line that has another number of them, or one that is no multiple of its LSB.
    """
    lines = Lines(path)
    rows = []
    for line in lines:
        if not line:
            continue
        words = line.split()
        if len(words) != len(side.fields):
            raise lines.fault(f"{len(words)} numbers, an event has {len(side.fields)} {side.title}")
        row = []
        for word, field in zip(words, side.fields, strict=True):
            kind = FixedType(field.width, field.width, field.signed)
            try:
                count = float(word.replace("_", "no digit")) / field.worth
                whole = int(count)
            except (ValueError, OverflowError):
                raise lines.fault(f"{word[:40]!r} is no number") from None
            if whole != count:
                raise lines.fault(
                    f"{word} is no multiple of {field.worth:g}, the LSB of {field.name}: print all its digits"
                )
            if not kind.min_int <= whole <= kind.max_int:
                raise lines.fault(f"{word} does not fit {field.name}, {field.width} bits: mend the number")
            row.append(whole)
        rows.append(row)
    values = np.array(rows, dtype=np.int64).reshape(len(rows), len(side.fields))
    return values, np.ones(len(rows), dtype=bool)


def write_memory(side: Side, values: IntArray) -> Iterator[str]:
    """One hexadecimal word an event (events, values): the bus of the RTL design, the first value lowest."""
    layout = bus_layout(side)
    for start in range(0, len(values), _BLOCK):
        for (word,) in hex_words(layout.pack(values[start : start + _BLOCK])):
            yield f"{word}\n"


def read_memory(path: Path, side: Side) -> tuple[IntArray, NDArray[np.bool_]]:
    """Values (words, values) of a ``$readmemh`` or ``$writememh`` file, and which words are known: no x or z.

    Raises ``DataError`` with the line that holds no word, one that is too wide, or an address out of order.
    """
    layout = bus_layout(side)
    lines = Lines(path)
    words: list[str] = []
    for line in lines:
        for token in line.partition("//")[0].split():
            if token.startswith("@"):
                if re.fullmatch(r"@[0-9a-fA-F]+", token) is None or int(token[1:], 16) != len(words):
                    raise lines.fault(f"address {token} where word {len(words)} is expected: write all words")
                continue
            word = token.replace("_", "")
            if _WORD.fullmatch(token) is None or not word:
                raise lines.fault(f"{token[:40]!r} is no hexadecimal word")
            known = re.search("[xXzZ]", word) is None
            if len(word) > -(-layout.word // 4) or (known and int(word, 16) >> layout.word):
                raise lines.fault(f"{token[:40]} has more than the {layout.word} bits of the {side.title}")
            words.append(word if known else "")
    if not words:
        raise DataError(f"{path} holds no words: write them with `zerobias vectors`")
    blocks = [
        layout.unpack(words_of([[word or "0"] for word in words[start : start + _BLOCK]], 1, layout.word))
        for start in range(0, len(words), _BLOCK)
    ]
    return np.concatenate(blocks), np.array([bool(word) for word in words])

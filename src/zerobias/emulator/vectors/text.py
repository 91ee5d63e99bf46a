"""Lines of a vector file with their numbers, and words as hexadecimal digits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from zerobias.emulator.vectors.layout import Bits
from zerobias.errors import DataError

__all__ = ["Frames", "Lines", "hex_words", "words_of"]


@dataclass(frozen=True, eq=False)
class Frames:
    """Words of some links, one row a clock.

    ``bits`` (rows, links, word), the lowest bit first; ``valid`` (rows, links): whether a word holds data.
    """

    channels: tuple[int, ...]
    bits: Bits
    valid: NDArray[np.bool_]


class Lines:
    """The lines of the file ``path``; raises ``DataError`` when it is missing or no text."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._lines = path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"{path} cannot be read as text ({error}): give a file of vectors") from error
        self.number = 0

    def __iter__(self) -> Iterator[str]:
        """The lines that are left, without white space around them."""
        while self.number < len(self._lines):
            self.number += 1
            yield self._lines[self.number - 1].strip()

    def header(self, *starts: str) -> tuple[str, str]:
        """Which of ``starts`` the next line begins with, and the rest of that line.

        Empty lines are passed over, and comments behind # where no header begins so.
        """
        comment = "#" if not any(start.startswith("#") for start in starts) else "\n"
        for line in self:
            if not line or line.startswith(comment):
                continue
            for start in starts:
                if line.startswith(start):
                    return start, line.removeprefix(start).strip()
            raise self.fault(f"header {line[:40]!r} is unknown: expected {' or '.join(map(repr, starts))}")
        raise self.fault(f"the file ends before its header {starts[0]!r}")

    def fault(self, text: str) -> DataError:
        """The error ``text`` about the present line."""
        return DataError(f"{self.path}, line {self.number}: {text}")


def hex_words(bits: Bits) -> list[list[str]]:
    """Words (rows, links, word) as hexadecimal digits, the highest first."""
    rows, links, word = bits.shape
    width = -(-word // 8)
    padded = np.zeros((rows, links, 8 * width), dtype=np.uint8)
    padded[:, :, :word] = bits
    text = np.packbits(padded[:, :, ::-1], axis=-1).tobytes().hex()
    digits, size = -(-word // 4), 2 * width
    tokens = [text[i + size - digits : i + size] for i in range(0, len(text), size)]
    return [tokens[i : i + links] for i in range(0, len(tokens), links)]


def words_of(rows: Sequence[Sequence[str]], links: int, word: int) -> Bits:
    """Inverse of :func:`hex_words`; every token has at most the digits of a word.

    Bits above ``word`` in the first digit are the caller's to refuse.
    """
    size = 2 * -(-word // 8)
    text = "".join(token.zfill(size) for row in rows for token in row)
    packed = np.frombuffer(bytes.fromhex(text), dtype=np.uint8).reshape(len(rows), links, size // 2)
    return np.unpackbits(packed, axis=-1)[:, :, ::-1][:, :, :word]

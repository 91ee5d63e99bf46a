"""Text files that boards play and capture: CTP7, EMP and APx.

Formats, as their public readers and writers have them:

* CTP7: ``upload_inputs.cpp`` and ``download_outputs.cpp`` of APxL1TAlgoDev/ctp7_hls_clientsw: three lines
  of header, then the number of the row and one 32-bit word a link; 1024 rows, of which the client reads all.
* EMP: ``readEMPFileV2`` and ``writeEMPFileV2`` in L1Trigger/DemonstratorTools/src/utilities.cc of
  cms-sw/cmssw: 64-bit words, each with four bits: start of orbit, start and end of packet, valid. Files of
  version 1 (``Board``, one bit ``v``) are read too.
* APx: ``readAPxFile`` and ``writeAPxFile`` there: 64-bit words, each with a side band: bit 0 valid, 1 start,
  3 end.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from zerobias.emulator.vectors.text import Frames, Lines, hex_words, words_of
from zerobias.errors import DataError

__all__ = ["BOARDS", "Board"]


@dataclass(frozen=True)
class Board:
    """A board's format: ``word`` bits a word, ``depth`` rows a file.

    ``write``: text of frames of which each event takes so many; ``read``: frames of a file, ``DataError``
    with the line that breaks the format.
    """

    word: int
    depth: int
    write: Callable[[str, Frames, int], Iterator[str]]
    read: Callable[[Path], Frames]


@dataclass(frozen=True)
class _Rows:
    """Rows of a file: each begins with its number, of this ``base``; lines that begin with ``skip`` are none.

    A ``word`` of ``bits`` bits ends with the white space behind it; it is data unless its group ``valid``, a
    digit, is even or its group ``strobe`` is 0.
    """

    bits: int
    number: re.Pattern[str]
    base: int
    word: re.Pattern[str]
    skip: str


_RULE = "=" * 100
_METADATA = "Metadata: (strobe,) start of orbit, start of packet, end of packet, valid"
_HEX_ROW = re.compile(r"0x([0-9a-fA-F]{1,9})\s+")
_EMP_ROW = re.compile(r"Frame ([0-9]{1,9})\s+:?\s*")
_LINK = re.compile(r"[0-9]{1,9}")
_CTP7 = _Rows(32, _HEX_ROW, 16, re.compile(r"0x(?P<data>[0-9a-fA-F]{1,8})(?:\s+|$)"), "===")
_APX = _Rows(
    64,
    _HEX_ROW,
    16,
    re.compile(r"0x[0-9a-fA-F]?(?P<valid>[0-9a-fA-F])\s+0x(?P<data>[0-9a-fA-F]{1,16})(?:\s+|$)"),
    "#",
)
_EMP = {
    "ID:": _Rows(
        64,
        _EMP_ROW,
        10,
        re.compile(r"(?P<strobe>[01])?[01]{3}(?P<valid>[01])\s+(?P<data>[0-9a-fA-F]{16})(?:\s+|$)"),
        "#",
    ),
    "Board ": _Rows(
        64,
        _EMP_ROW,
        10,
        re.compile(r"(?:(?P<strobe>[01])s)?(?P<valid>[01])v(?P<data>[0-9a-fA-F]{16})(?:\s+|$)"),
        "#",
    ),
}
"""By the first line of a file."""


def _flags(frames: Frames, per_event: int) -> Iterator[tuple[int, int, int, list[bool]]]:
    """Start of orbit, start of packet, end of packet of each row, and which of its words are valid."""
    for row, valid in enumerate(frames.valid.tolist()):
        place = row % per_event
        yield int(row == 0), int(place == 0), int(place == per_event - 1), valid


def _write_ctp7(title: str, frames: Frames, per_event: int) -> Iterator[str]:
    head = "Input" if title == "inputs" else "Output"
    yield f"{_RULE} \n{head:13}{'       '.join(f'LINK_{c:02d}' for c in frames.channels)} \n{_RULE} \n"
    for row, words in enumerate(hex_words(frames.bits)):
        yield f"0x{row:05x}   {''.join(f'0x{word}    ' for word in words)}\n"


def _write_emp(title: str, frames: Frames, per_event: int) -> Iterator[str]:
    yield f"ID: zerobias\n{_METADATA}\n\n      Link  "
    yield "".join(f"            {channel:03d}        " for channel in frames.channels) + "\n"
    rows = zip(_flags(frames, per_event), hex_words(frames.bits), strict=True)
    for row, ((orbit, start, end, valid), words) in enumerate(rows):
        cells = [
            f"  {orbit}{start}{end}1 {word}" if good else f"  0000 {word}"
            for good, word in zip(valid, words, strict=True)
        ]
        yield f"Frame {row:04d}  {''.join(cells)}\n"


def _write_apx(title: str, frames: Frames, per_event: int) -> Iterator[str]:
    yield "#Sideband ON\n#LinkLabel"
    yield "".join(f"                LINK_{channel:02d}    " for channel in frames.channels) + "\n#BeginData\n"
    rows = zip(_flags(frames, per_event), hex_words(frames.bits), strict=True)
    for row, ((_, start, end, valid), words) in enumerate(rows):
        cells = [
            f"    0x{(1 | start << 1 | end << 3) * good:02x} 0x{word}"
            for good, word in zip(valid, words, strict=True)
        ]
        yield f"0x{row:04x}{''.join(cells)}\n"


def _read_ctp7(path: Path) -> Frames:
    lines = Lines(path)
    lines.header("===")
    _, labels = lines.header("Input", "Output")
    channels = _channels(lines, labels, "LINK_")
    lines.header("===")
    return _frames(lines, channels, _CTP7)


def _read_emp(path: Path) -> Frames:
    lines = Lines(path)
    version, _ = lines.header(*_EMP)
    if version == "ID:":
        lines.header(_METADATA)
        _, labels = lines.header("Link ")
    else:
        lines.header("Quad/Chan :")
        _, labels = lines.header("Link :")
    channels = _channels(lines, labels, "")
    return _frames(lines, channels, _EMP[version])


def _read_apx(path: Path) -> Frames:
    lines = Lines(path)
    start, rest = lines.header("#Sideband", "#LinkLabel")
    if start == "#Sideband":
        if rest != "ON":
            raise lines.fault(f"header #Sideband {rest!r} is unknown: expected ON, the data hold one")
        _, rest = lines.header("#LinkLabel")
    channels = _channels(lines, rest, "LINK_")
    lines.header("#BeginData")
    return _frames(lines, channels, _APX)


def _channels(lines: Lines, text: str, prefix: str) -> tuple[int, ...]:
    """Numbers of the links that a header names."""
    labels = text.split()
    numbers = [label.removeprefix(prefix) for label in labels if label.startswith(prefix)]
    if not labels or len(numbers) < len(labels) or not all(map(_LINK.fullmatch, numbers)):
        raise lines.fault(f"{text[:40]!r} names no links: expected such as {prefix}00 {prefix}01")
    channels = tuple(map(int, numbers))
    if len(set(channels)) != len(channels):
        raise lines.fault("the header names a link twice")
    return channels


def _frames(lines: Lines, channels: tuple[int, ...], rows: _Rows) -> Frames:
    """The words of the lines that are left."""
    data: list[list[str]] = []
    valid: list[list[bool]] = []
    for line in lines:
        if not line or line.startswith(rows.skip):
            continue
        match = rows.number.match(line)
        if match is None or int(match[1], rows.base) != len(data):
            raise lines.fault(f"{line[:20]!r} does not begin row {len(data)}: a row is missing or damaged")
        place, words = match.end(), []
        while place < len(line):
            found = rows.word.match(line, place)
            if found is None:
                raise lines.fault(f"{line[place : place + 24]!r} does not begin with a word of this format")
            words.append(found.groupdict())
            place = found.end()
        if len(words) != len(channels):
            raise lines.fault(f"the row has {len(words)} words, the header names {len(channels)} links")
        data.append([cell["data"] for cell in words])
        valid.append([bool(int(w.get("valid", "1"), 16) & 1) and w.get("strobe") != "0" for w in words])
    if not data:
        raise DataError(f"{lines.path} holds no data: it ends with its header")
    return Frames(channels, words_of(data, len(channels), rows.bits), np.array(valid, dtype=bool))


BOARDS = {
    "ctp7": Board(32, 1024, _write_ctp7, _read_ctp7),
    "emp": Board(64, 1024, _write_emp, _read_emp),
    "apx": Board(64, 1024, _write_apx, _read_apx),
}
"""Boards' formats by name."""

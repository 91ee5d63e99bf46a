"""hls4ml's sources made fit for a library: only the files that are used, weights that cannot change."""

from __future__ import annotations

import re
from pathlib import Path

from zerobias.errors import UnsupportedError

__all__ = ["constant_decision", "constant_weights", "system_headers", "used_files"]

_QUOTED = re.compile(r'^[ \t]*#[ \t]*include[ \t]*"([^"]+)"', re.MULTILINE)
_ANGLED = re.compile(r"^[ \t]*#[ \t]*include[ \t]*<([^>]+)>", re.MULTILINE)
_ARRAY = re.compile(r"^(?P<type>[^\n/#=]+?) (?P<name>\w+)\[(?P<size>\d+)\] = ", re.MULTILINE)

_DECISION = re.compile(r"^(bool )\(\*split_fn\)(?=.* = )", re.MULTILINE)


def used_files(folder: Path, first: str) -> tuple[list[Path], list[str]]:
    """Files below ``folder`` that ``first`` includes, directly or not, in order of their names, and the names
    of included ones that lie elsewhere."""
    found, elsewhere, open_files = {folder / first}, set(), [folder / first]
    while open_files:
        path = open_files.pop()
        for name in _QUOTED.findall(path.read_text()):
            places = [base / name for base in (path.parent, folder) if (base / name).is_file()]
            if not places:
                elsewhere.add(name)
            elif (place := places[0].resolve()) not in found:
                found.add(place)
                open_files.append(place)
    return sorted(found), sorted(elsewhere)


def system_headers(files: list[Path]) -> list[str]:
    """Names that ``files`` include in angle brackets, sorted."""
    return sorted({name for path in files for name in _ANGLED.findall(path.read_text())})


def constant_weights(text: str, file: str) -> str:
    """Text of hls4ml's header ``file`` with its array constant and known to this file only.

    hls4ml's functions take pointers to values they could change, and never do: they get one of that type.
    Raises ``UnsupportedError`` when the header is not one array.
    """
    arrays = list(_ARRAY.finditer(text))
    if len(arrays) != 1:
        raise UnsupportedError(f"{file}: it defines {len(arrays)} arrays where hls4ml 1.3.0 writes one")
    kind, name, size = arrays[0]["type"], arrays[0]["name"], arrays[0]["size"]
    text = _ARRAY.sub(f"static const {kind} {name}_values[{size}] = ", text)
    end = text.index("};", arrays[0].start()) + len("};")
    return f"{text[:end]}\nstatic {kind} *const {name} = const_cast<{kind} *>({name}_values);{text[end:]}"


def constant_decision(text: str, file: str) -> str:
    """Text of conifer's source ``file`` with its pointer to a function constant and known to this file only.

    Raises ``UnsupportedError`` when the file does not define it.
    """
    text, found = _DECISION.subn(r"static \1(*const split_fn)", text)
    if found != 1:
        raise UnsupportedError(f"{file}: it defines {found} decisions where conifer 1.11 writes one")
    return text

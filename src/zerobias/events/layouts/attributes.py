"""Text attributes of the root group of an HDF5 file as h5py writes it by default.

libhdf5 1.14 loops for ever on some damaged global heaps, where variable-length text lies, so the text is
taken from the file here (HDF5 file format 3.0: superblock 0, object header 1, attributes, global heap).
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

__all__ = ["text_attributes"]

_ATTRIBUTE, _CONTINUATION = 12, 16
_VARIABLE_LENGTH = 9
_BLOCK_LIMIT = 1 << 24
_BLOCKS = 100


def text_attributes(path: Path) -> dict[str, str]:
    """Names and values of the variable-length text attributes.

    Raises ``ValueError`` or ``struct.error`` when the bytes are not what this writing gives.
    """
    found = {}
    with path.open("rb") as stream:
        head = _bytes(stream, 0, 96)
        if head[8] != 0 or head[13] != 8 or head[14] != 8:
            raise ValueError("it is not written in HDF5's default format")
        (place,) = struct.unpack_from("<Q", head, 64)
        version, size = struct.unpack_from("<B7xI", _bytes(stream, place, 16))
        if version != 1:
            raise ValueError("its root group is not written in HDF5's default format")
        blocks = [(place + 16, size)]
        for block in blocks:
            data, at = _bytes(stream, *block), 0
            while at + 8 <= len(data):
                kind, length = struct.unpack_from("<HH", data, at)
                body = data[at + 8 : at + 8 + length]
                at += 8 + length
                if kind == _CONTINUATION and len(blocks) < _BLOCKS:
                    blocks.append(struct.unpack("<QQ", body))
                elif kind == _ATTRIBUTE and (text := _attribute(stream, body)):
                    found[text[0]] = text[1]
    return found


def _attribute(stream: BinaryIO, body: bytes) -> tuple[str, str] | None:
    """Name and text of an attribute message; None when it is no variable-length text."""
    version, *sizes = struct.unpack_from("<BxHHH", body)
    step = 8 if version == 1 else 1  # version 3 has one byte more in front, and no padding
    name_size, type_size, space_size = (-(-size // step) * step for size in sizes)
    at = 8 if version == 1 else 9
    name = body[at : at + sizes[0]].rstrip(b"\0").decode()
    at += name_size
    if body[at] & 15 != _VARIABLE_LENGTH:
        return None
    _, place, index = struct.unpack_from("<IQI", body, at + type_size + space_size)
    return name, _heap_object(stream, place, index).decode()


def _heap_object(stream: BinaryIO, place: int, wanted: int) -> bytes:
    """One object of the global heap collection at ``place``."""
    signature, size = struct.unpack("<8sQ", _bytes(stream, place, 16))
    if signature != b"GCOL\1\0\0\0":
        raise ValueError(f"there is no global heap at byte {place}")
    data, at = _bytes(stream, place, size), 16
    while at + 16 <= size:
        index, length = struct.unpack_from("<H6xQ", data, at)
        if index == wanted and at + 16 + length <= size:
            return data[at + 16 : at + 16 + length]
        at += 16 + -(-length // 8) * 8
    raise ValueError(f"the global heap at byte {place} has no object {wanted}")


def _bytes(stream: BinaryIO, place: int, size: int) -> bytes:
    if size > _BLOCK_LIMIT:
        raise ValueError(f"a block of {size} bytes is declared, at most {_BLOCK_LIMIT} are read")
    stream.seek(place)
    data = stream.read(size)
    if len(data) != size:
        raise ValueError(f"the file ends before byte {place + size}")
    return data

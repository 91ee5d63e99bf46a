"""Events: files of any known layout -> :class:`EventSet` of raw hardware integers."""

from zerobias.events.eventset import OBJECTS, SHAPES, SPLITS, EventSet
from zerobias.events.files import checked_sample, default_sample, file_digest, stamp, write
from zerobias.events.layouts.own import FORMAT
from zerobias.events.reading import Chunks, chunks, read

__all__ = [
    "FORMAT",
    "OBJECTS",
    "SHAPES",
    "SPLITS",
    "Chunks",
    "EventSet",
    "checked_sample",
    "chunks",
    "default_sample",
    "file_digest",
    "read",
    "stamp",
    "write",
]

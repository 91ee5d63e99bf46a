"""Events: files -> :class:`EventSet` of raw hardware integers."""

from zerobias.events.eventset import SHAPES, SPLITS, EventSet
from zerobias.events.files import FORMAT, checked_sample, default_sample, file_digest, read, write

__all__ = [
    "FORMAT",
    "SHAPES",
    "SPLITS",
    "EventSet",
    "checked_sample",
    "default_sample",
    "file_digest",
    "read",
    "write",
]

"""Releases: a model version as a folder that never changes, and the index of their emulators."""

from zerobias.release.check import check_files, check_release
from zerobias.release.index import INDEX, index_text, write_index
from zerobias.release.repository import clean_commit
from zerobias.release.write import Release, claim_version, read_release, write_release

__all__ = [
    "INDEX",
    "Release",
    "check_files",
    "check_release",
    "claim_version",
    "clean_commit",
    "index_text",
    "read_release",
    "write_index",
    "write_release",
]

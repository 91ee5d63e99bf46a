"""Where the three shelves (models, firmware, triggers) lie.

In a checkout they are folders at its top level; in an installed wheel they are package data.
"""

from __future__ import annotations

from pathlib import Path

__all__ = ["build_root", "shelf"]

_CHECKOUT = Path(__file__).resolve().parents[2]
_INSTALLED = Path(__file__).resolve().parent / "shelf"


def shelf(name: str) -> Path:
    """Folder of the shelf ``name`` (``"models"``, ``"firmware"`` or ``"triggers"``)."""
    if name not in {"models", "firmware", "triggers"}:
        raise ValueError(f"no shelf named {name!r}: there are models, firmware and triggers")
    checkout = _CHECKOUT / name
    if checkout.is_dir() and (_CHECKOUT / "pyproject.toml").is_file():
        return checkout
    return _INSTALLED / name


def build_root() -> Path:
    """Where builds go: the checkout's ``firmware/build``, or that path below the current folder."""
    inside = shelf("firmware") != _INSTALLED / "firmware"
    return (_CHECKOUT if inside else Path.cwd()) / "firmware" / "build"

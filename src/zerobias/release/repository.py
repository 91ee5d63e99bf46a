"""What git says of the folders that a release is made from."""

from __future__ import annotations

import subprocess
from pathlib import Path

import zerobias
from zerobias.errors import InputError, ToolError

__all__ = ["clean_commit", "tracked_files"]


def clean_commit(folder: Path) -> str:
    """The commit that the repository of ``folder`` is at.

    Raises ``InputError`` when ``folder`` is in no repository, or when that repository or the one of a
    checked-out engine is damaged or holds changes that are not committed; ``ToolError`` without git.
    """
    if _git(folder, "rev-parse", "--show-toplevel") is None:
        raise InputError(
            f"{folder} is in no git repository that git reads: a release is made from a commit, so commit it "
            f"first (`git -C {folder} status` says why)"
        )
    engine = _engine()
    for place in (folder, engine):
        if place == engine and not _git(engine, "ls-files", "__init__.py"):
            continue  # installed, not checked out
        top = Path((_git(place, "rev-parse", "--show-toplevel") or "").strip())
        changed = _told(top, "status", "--porcelain", "--untracked-files=all").splitlines()
        if changed:
            more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
            raise InputError(
                f"{top} has changes that are not committed: {changed[0][3:]}{more}; commit or remove them, a "
                "release is made from a commit"
            )
    commit = _git(folder, "rev-parse", "HEAD")
    if commit is None:
        raise InputError(f"the repository of {folder} has no commit: a release is made from one")
    return commit.strip()


def tracked_files(folder: Path) -> list[Path]:
    """Files of ``folder`` that git knows, relative to it; ``InputError`` when git does not say."""
    return [Path(name) for name in _told(folder, "ls-files", "-z").split("\0") if name]


def _engine() -> Path:
    return Path(zerobias.__file__).resolve().parent


def _git(folder: Path, *words: str) -> str | None:
    """What git prints, None when it fails."""
    try:
        done = subprocess.run(["git", "-C", str(folder), *words], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise ToolError("git was not found: a release names its commit, install the package git") from None
    return done.stdout if done.returncode == 0 else None


def _told(folder: Path, *words: str) -> str:
    """What git prints, ``InputError`` when it fails: no answer is not an empty one."""
    text = _git(folder, *words)
    if text is None:
        raise InputError(f"git cannot read {folder}: mend what `git -C {folder} {words[0]}` says")
    return text

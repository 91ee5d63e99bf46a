"""A trigger menu, ``triggers/menus/<name>.toml``: seeds, integer thresholds and what these are for."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from zerobias.beam import Beam
from zerobias.errors import SpecError
from zerobias.events import OBJECTS, EventSet
from zerobias.events.layouts.hardware import EGAMMA, HT, JET, MET, MUON, TAU
from zerobias.files import write_text
from zerobias.physics.rates import Reach
from zerobias.shelves import shelf
from zerobias.specs import load_toml, validate

__all__ = [
    "KINDS",
    "Menu",
    "ModelSeed",
    "ObjectSeed",
    "check_pins",
    "check_sample",
    "check_thresholds",
    "load_menu",
    "menu_names",
    "menu_path",
    "object_score",
    "rewrite",
]

KINDS = {"met": MET, "ht": HT, "egamma": EGAMMA, "muon": MUON, "jet": JET, "tau": TAU}
"""Kinds of trigger objects a seed may cut on."""

_Khz = Annotated[float, Field(gt=0, allow_inf_nan=False)]
_Sha256 = Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")]
_HEADER = re.compile(r"^\[\[(object|model)\]\]")
_KEY = re.compile(r"^(\w+) = ")


class _Spec(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Seed(_Spec):
    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    """Name of the seed, its own in the menu."""
    goal_khz: _Khz
    """Rate goal in kHz, from which ``zerobias menu --set-thresholds`` derives the threshold."""
    threshold: int = Field(ge=0)
    """The seed fires at this integer or above."""


class ObjectSeed(_Seed):
    """Fires when the object of this ``rank`` in pT has a pT of ``threshold`` counts (hwPt) or more."""

    kind: Literal["met", "ht", "egamma", "muon", "jet", "tau"]
    """Kind of trigger object."""
    rank: int = Field(default=1, ge=1)
    """1: the hardest object of the kind, 2: the second, ..."""

    @model_validator(mode="after")
    def _is_there(self) -> Self:
        if self.rank > KINDS[self.kind].slots:
            raise ValueError(
                f"there are {KINDS[self.kind].slots} of {self.kind}: rank {self.rank} is too high"
            )
        return self

    @property
    def what(self) -> str:
        """The seed in words."""
        kind = KINDS[self.kind]
        count = f"{self.rank} " if kind.slots > 1 else ""
        return f"{count}{self.kind} of {max(self.threshold - kind.pt_offset, 0) / 2:g} GeV"


class ModelSeed(_Seed):
    """Fires when ``menu_scale`` x score of a model (its model.toml) is at least ``threshold``.

    ``version``, ``weights`` and ``contract`` pin the model that the threshold is for.
    """

    model: str
    """A model's name, or ``name@X.Y.Z``, a release."""
    version: str = Field(pattern=r"^\d+\.\d+\.\d+$")
    """Version of the model that the threshold is for."""
    weights: _Sha256
    """SHA-256 of its weights; empty until thresholds are set."""
    contract: _Sha256
    """SHA-256 of its input contract; empty until thresholds are set."""

    @property
    def what(self) -> str:
        """The seed in words."""
        return self.model if "@" in self.model else f"{self.model} {self.version}"


class Menu(_Spec):
    """Seeds, at least one, and where their thresholds come from: zero bias of a sample, at a beam."""

    title: str
    """What the menu is, in one line."""
    sample: _Sha256
    """SHA-256 of the event file that the thresholds are for; empty until they are set."""
    split: Literal["train", "tuning", "test"] = "test"
    """Split of its zero bias."""
    beam: Beam = Beam()
    """How many crossings a second a rate is a share of."""
    gain_khz: tuple[_Khz, ...] = (1.0, 2.0, 3.0, 5.0, 7.0, 10.0)
    """Rates in kHz at which the gain of each anomaly seed is looked at."""
    pileup_bins: int = Field(default=5, ge=1, le=20)
    """Intervals of nPU in which rates are given."""
    object: tuple[ObjectSeed, ...] = ()
    """Conventional seeds."""
    model: tuple[ModelSeed, ...] = ()
    """Anomaly seeds."""

    @model_validator(mode="after")
    def _seeds_have_names(self) -> Self:
        names = [seed.name for seed in self.seeds]
        if not names:
            raise ValueError("a menu needs a seed: add [[object]] or [[model]]")
        if len(set(names)) < len(names):
            twice = min(name for name in names if names.count(name) > 1)
            raise ValueError(f"two seeds are named {twice!r}: give each its own name")
        return self

    @property
    def seeds(self) -> tuple[ObjectSeed | ModelSeed, ...]:
        """All seeds, the conventional ones first."""
        return (*self.object, *self.model)


def menu_names(folder: Path | None = None) -> tuple[str, ...]:
    """Names of the menus on the triggers shelf, or in ``folder``."""
    return tuple(sorted(path.stem for path in (folder or shelf("triggers") / "menus").glob("*.toml")))


def menu_path(name: str, folder: Path | None = None) -> Path:
    """File of a menu; ``SpecError`` for an unknown one, listing the known."""
    if name not in menu_names(folder):
        raise SpecError(f"no menu named {name!r}: known are {', '.join(menu_names(folder)) or 'none'}")
    return (folder or shelf("triggers") / "menus") / f"{name}.toml"


def load_menu(path: Path) -> Menu:
    """The menu in a file; ``SpecError`` as :func:`zerobias.specs.load_toml`."""
    return load_toml(path, Menu)


def object_score(seed: ObjectSeed, events: EventSet) -> NDArray[np.int64]:
    """pT in counts (events,) of the object a seed cuts on; 0 where there is none.

    Raises ``DataError`` when the events lack its collection.
    """
    if seed.kind == "ht":
        found: NDArray[Any] = events.collections["ht"]
    elif seed.kind == "tau":
        found = events.collections["taus"][:, seed.rank - 1, 0]
    else:
        found = events.collections["objects"][:, OBJECTS[seed.kind].start + seed.rank - 1, 0]
    return found.astype(np.int64)


def check_pins(menu: Path, seed: ModelSeed, found: Mapping[str, str]) -> None:
    """Raise ``SpecError`` when a model's ``version``, ``weights`` or ``contract`` are not its seed's."""
    for key, value in found.items():
        pinned = getattr(seed, key)
        if value != pinned:
            raise SpecError(
                f"{menu}: seed {seed.name} is for {key} {_short(pinned)} of {seed.model}, which now has "
                f"{_short(value)}: {_remedy(menu)}" + ", after giving its version there" * (key == "version")
            )


def check_sample(menu: Path, spec: Menu, found: str) -> None:
    """Raise ``SpecError`` when a file's SHA-256 is not that of the sample the thresholds are for."""
    if found != spec.sample:
        raise SpecError(
            f"{menu}: its thresholds are for the sample {_short(spec.sample)}, the shipped one is "
            f"{_short(found)}: name that sample with --sample, or run `zerobias menu {menu.stem} "
            "--set-thresholds`"
        )


def check_thresholds(menu: Path, spec: Menu, found: Mapping[str, Reach]) -> None:
    """Raise ``SpecError`` when a seed's threshold is not the one its goal gives on the menu's own sample."""
    for seed in spec.seeds:
        point = found[seed.name].below
        if point is None or point.threshold != seed.threshold:
            now = "none" if point is None else f"{point.threshold}"
            raise SpecError(
                f"{menu}: seed {seed.name} has the threshold {seed.threshold}, its goal of "
                f"{seed.goal_khz:g} kHz gives {now}: {_remedy(menu)}"
            )


def _short(text: str) -> str:
    return "none" if not text else text if len(text) < 16 else f"{text[:12]}…"


def _remedy(menu: Path) -> str:
    return f"restore what it was made from, or run `zerobias menu {menu.stem} --set-thresholds`"


def rewrite(path: Path, values: Mapping[str, Mapping[str, int | str]], sample: str) -> Menu:
    """Write a menu's ``sample`` and new ``values`` of its seeds (by seed and key) in place, comments kept.

    Raises ``SpecError``, with the file unchanged, when a key to change does not stand on a line of its own.
    """
    menu = load_menu(path)
    tables = {"object": iter(menu.object), "model": iter(menu.model)}
    new: Mapping[str, int | str] = {"sample": sample}
    lines = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if header := _HEADER.match(line):
            new = values[next(tables[header[1]]).name]
        elif line.startswith("["):
            new = {}
        elif (key := _KEY.match(line)) and key[1] in new:
            value = new[key[1]]
            line = f'{key[1]} = "{value}"' if isinstance(value, str) else f"{key[1]} = {value}"
        lines.append(line)
    text = "\n".join(lines) + "\n"
    wanted = menu.model_copy(
        update={
            "sample": sample,
            "object": _updated(menu.object, values),
            "model": _updated(menu.model, values),
        }
    )
    if validate(tomllib.loads(text), Menu, str(path)) != wanted:
        raise SpecError(
            f"{path}: sample, and in each [[object]] or [[model]] threshold, weights and contract, must each "
            "stand on a line of its own, `key = value`: write them so"
        )
    write_text(path, text)
    return wanted


def _updated(seeds: Iterable[_Seed], values: Mapping[str, Mapping[str, int | str]]) -> tuple[_Seed, ...]:
    return tuple(seed.model_copy(update=dict(values[seed.name])) for seed in seeds)

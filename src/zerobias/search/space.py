"""The search space a model declares, ``[search]`` of model.toml, and the specs of its points.

The engine knows no model's fields: a place is looked up in the model's own tables, and whether a value makes
sense there is for the model's own code to say.
"""

from __future__ import annotations

import copy
import difflib
import json
from collections.abc import Mapping
from typing import Any

from zerobias.errors import SpecError
from zerobias.zoo import ModelSpec

__all__ = ["at", "checked", "suggested", "with_values"]

_TABLES = ("network", "training")


def checked(spec: ModelSpec) -> None:
    """Raise ``SpecError`` unless ``[search]`` declares something and every place in it exists."""
    search = spec.search
    if not search.choices and not search.ranges:
        raise SpecError(
            f"model {spec.name} declares no search space: add [search.choices] or [search.ranges]"
        )
    for place in (*search.choices, *search.ranges):
        at(spec, place)
    for place, values in search.choices.items():
        if not values:
            raise SpecError(f"model {spec.name}, [search.choices]: {place} has no values; list some")
    both = search.choices.keys() & search.ranges.keys()
    if both:
        raise SpecError(f"model {spec.name}, [search]: {min(both)} has choices and a range; give one of them")


def at(spec: ModelSpec, place: str) -> Any:
    """The value a model has at a place such as ``network.weights.0``.

    Raises ``SpecError`` naming the nearest place when there is none.
    """
    holder, key = _holder(spec, {name: getattr(spec, name) for name in _TABLES}, place)
    return holder[key]


def with_values(spec: ModelSpec, values: Mapping[str, Any]) -> ModelSpec:
    """The spec with other values at the given places; raises ``SpecError`` as :func:`at` does."""
    tables = {name: copy.deepcopy(getattr(spec, name)) for name in _TABLES}
    for place, value in values.items():
        holder, key = _holder(spec, tables, place)
        holder[key] = value
    return spec.model_copy(update=tables)


def suggested(spec: ModelSpec, trial: Any) -> dict[str, Any]:
    """Values by place of an optuna trial."""
    values: dict[str, Any] = {}
    for place, choices in spec.search.choices.items():
        # optuna keeps plain values only, so an array travels as its JSON text.
        texts = [json.dumps(choice) for choice in choices]
        values[place] = json.loads(trial.suggest_categorical(place, texts))
    for place, interval in spec.search.ranges.items():
        whole = isinstance(at(spec, place), int)
        ends = interval.low, interval.high
        if whole:
            values[place] = trial.suggest_int(place, round(ends[0]), round(ends[1]), log=interval.log)
        else:
            values[place] = trial.suggest_float(place, *ends, log=interval.log)
    return values


def _holder(spec: ModelSpec, tables: dict[str, Any], place: str) -> tuple[Any, Any]:
    """The table or array that holds a place, and its key or index there."""
    current: Any = tables
    names = place.split(".")
    for depth, name in enumerate(names):
        inside = list(current) if isinstance(current, dict) else list(range(len(current)))
        keys = {str(key): key for key in inside}
        if name not in keys:
            near = difflib.get_close_matches(name, keys, n=1, cutoff=0.0)
            hint = f"did you mean {'.'.join([*names[:depth], *near])!r}?" if near else "it holds nothing"
            raise SpecError(f"model {spec.name}, [search]: there is no {place!r}; {hint}")
        holder, key = current, keys[name]
        current = holder[key]
        if depth + 1 < len(names) and not isinstance(current, dict | list):
            raise SpecError(
                f"model {spec.name}, [search]: there is no {place!r}; "
                f"{'.'.join(names[: depth + 1])!r} is one value: name it alone"
            )
    if len(names) < 2:
        raise SpecError(f"model {spec.name}, [search]: {place!r} is a whole table; name a value in it")
    return holder, key

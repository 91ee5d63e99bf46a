"""Reference tables of the keys of a file, made from the pydantic model that declares it.

Every model of the file is one table: its docstring, then a row a key with what the text under the key in the
source says, its type with the rules that hold for it, and its default.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined, to_jsonable_python
from sphinx.pycode import ModuleAnalyzer

from zerobias.contract import FixedType

__all__ = ["key_text", "tables"]

_NAMES = {str: "text", int: "integer", float: "number", bool: "`true` or `false`", Any: "any value"}
_SIGNS = {"gt": ">", "ge": "≥", "lt": "<", "le": "≤"}


def key_text(model: type[BaseModel], *, toml: bool) -> str:
    """Markdown sections, one for each table of the file that ``model`` declares.

    ``toml``: places are written as the heads of TOML tables, else as a path in a JSON document.
    """
    return "\n\n".join(_section(table, places, toml) for table, places in tables(model).items())


def tables(model: type[BaseModel]) -> dict[type[BaseModel], list[str]]:
    """All models of a file, outer ones first, and their places: ``a.b``, ``a.b[]`` for an array of tables,
    ``a.b.NAME`` for a table of tables."""
    found: dict[type[BaseModel], list[str]] = {}
    for place, table in _tables(model, ""):
        found.setdefault(table, []).append(place)
    return found


def _tables(model: type[BaseModel], place: str) -> Iterator[tuple[str, type[BaseModel]]]:
    yield place, model
    for name, field in model.model_fields.items():
        for suffix, inner in _models(field.annotation, ""):
            yield from _tables(inner, f"{place}.{name}{suffix}".lstrip("."))


def _models(kind: Any, suffix: str) -> Iterator[tuple[str, type[BaseModel]]]:
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        yield suffix, kind
    suffix += {tuple: "[]", dict: ".NAME"}.get(get_origin(kind), "")
    for inner in get_args(kind):
        yield from _models(inner, suffix)


def _section(model: type[BaseModel], places: list[str], toml: bool) -> str:
    names = [f"`{_place(place, toml)}`" for place in dict.fromkeys(places)]
    title = f"## {', '.join(names[:3])}{' ...' if len(names) > 3 else ''}\n\n" if places != [""] else ""
    rows = [
        f"| `{name}` | {_cell(_meaning(model, name))} | {_kind(key, toml)} | {_default(key)} |"
        for name, key in model.model_fields.items()
    ]
    head = "| key | meaning | type | default |\n|---|---|---|---|\n"
    return f"{title}{_markdown(inspect.cleandoc(model.__doc__ or ''))}\n\n{{.keys}}\n{head}" + "\n".join(rows)


def _place(place: str, toml: bool) -> str:
    if not toml:
        return place
    return f"[[{place.replace('[]', '')}]]" if place.endswith("[]") else f"[{place.replace('[]', '')}]"


def _meaning(model: type[BaseModel], name: str) -> str:
    """The text under a key in the source of ``model`` or of a model it extends."""
    for owner in model.__mro__:
        if owner.__module__.split(".")[0] == "zerobias":
            texts = ModuleAnalyzer.for_module(owner.__module__).find_attr_docs()
            if lines := texts.get((owner.__qualname__, name)):
                return _markdown(" ".join(lines).strip())
    return ""


def _markdown(text: str) -> str:
    """A docstring's roles and literals as Markdown."""
    return re.sub(r":\w+:`~?([^`]*)`", r"`\1`", text).replace("``", "`")


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _kind(field: FieldInfo, toml: bool) -> str:
    """The type of a key in words, then its rules and those of what is in it."""
    null = not toml and type(None) in get_args(field.annotation)  # TOML has no null: such a key is left out
    return _cell(", ".join([_type(field.annotation) + " or null" * null, *_rules(field)]))


def _rules(field: FieldInfo) -> Iterator[str]:
    found, pending = list(field.metadata), [field.annotation]
    for kind in pending:
        for argument in get_args(kind):
            found += argument.metadata if isinstance(argument, FieldInfo) else []
            pending.append(argument)
    for rule in found:
        for key, sign in _SIGNS.items():
            if (limit := getattr(rule, key, None)) is not None:
                yield f"{sign} {limit:g}"
        if length := getattr(rule, "min_length", None):
            yield f"at least {length}"
        if pattern := getattr(rule, "pattern", None):
            yield f"`{pattern}`"
        if getattr(rule, "allow_inf_nan", None) is False:
            yield "finite"


def _type(kind: Any) -> str:
    arguments = [argument for argument in get_args(kind) if argument is not type(None)]
    origin = get_origin(kind)
    if origin is Literal:
        return " or ".join(f"`{argument}`" for argument in arguments)
    if origin is Annotated:
        return _type(arguments[0])
    if origin is tuple:
        count = "" if arguments[-1] is Ellipsis else f"{len(arguments)} x "
        return f"array of {count}{_type(arguments[0])}"
    if origin is dict:
        return f"table of {_type(arguments[1])}"
    if arguments:  # what may be absent
        return " or ".join(_type(argument) for argument in arguments)
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return "table"
    return "fixed-point type" if kind is FixedType else _NAMES.get(kind, kind.__name__)


def _default(field: FieldInfo) -> str:
    if field.default is PydanticUndefined:
        return "required"
    if field.default is None or isinstance(field.default, BaseModel):
        return "none" if field.default is None else "its keys'"
    return f"`{json.dumps(to_jsonable_python(field.default))}`"

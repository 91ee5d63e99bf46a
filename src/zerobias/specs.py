"""Read a TOML file into a validated specification, with messages that say what to mend."""

from __future__ import annotations

import difflib
import tomllib
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from zerobias.errors import SpecError

__all__ = ["load_toml", "validate"]

Spec = TypeVar("Spec", bound=BaseModel)


def load_toml(path: Path, model: type[Spec]) -> Spec:
    """The specification in the TOML file ``path``.

    Raises ``SpecError``: missing file, broken TOML (with its line), unknown key (with its path and the
    nearest valid key), or a value that breaks a rule.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SpecError(
            f"{path} cannot be read: {error.strerror}; write the file or mend the name"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SpecError(f"{path} is not valid TOML: {error}") from error
    return validate(data, model, str(path))


def validate(data: dict[str, Any], model: type[Spec], where: str) -> Spec:
    """``data`` as a ``model``; ``where`` names the source in the ``SpecError`` of the first fault."""
    try:
        return model.model_validate(data)
    except ValidationError as error:
        # A misspelt key is also reported as a missing one: say the spelling first.
        first = min(error.errors(), key=lambda e: e["type"] != "extra_forbidden")
        path = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            valid = _keys(model, first["loc"][:-1])
            near = difflib.get_close_matches(str(first["loc"][-1]), valid, n=1, cutoff=0.0)
            hint = f"did you mean {near[0]!r}?" if near else "remove it"
            raise SpecError(f"{where}: unknown key {path!r}; {hint}") from None
        message = first["msg"].removeprefix("Value error, ")
        given = "" if first["type"] == "missing" else f" (given: {first['input']!r:.60})"
        raise SpecError(f"{where}: {path or 'file'}: {message}{given}") from None


def _keys(model: type[BaseModel], path: tuple[int | str, ...]) -> list[str]:
    """Valid keys of the table at ``path`` inside ``model``."""
    current: Any = model
    for part in path:
        if isinstance(part, int):
            continue
        field = current.model_fields.get(part)
        if field is None:  # a key of a mapping, or the member of a union: no one table to name
            return []
        current = _model_in(field.annotation)
        if current is None:
            return []
    return [field.alias or name for name, field in current.model_fields.items()]


def _model_in(annotation: Any) -> Any:
    """The pydantic model inside an annotation such as ``tuple[Model, ...]`` or ``Model | None``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for arg in get_args(annotation) if (found := _model_in(arg)) is not None), None)

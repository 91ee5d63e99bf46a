"""Pages of the Python interface: one a stage, in order, with all that its package exports.

They are reStructuredText for Sphinx' autodoc, because docstrings are.
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, get_origin

from pydantic import BaseModel
from sphinx.pycode import ModuleAnalyzer

from check_imports import LEAVES, STAGES

__all__ = ["api_pages", "exported", "import_types", "stages"]


def stages() -> dict[str, ModuleType]:
    """The stages that exist, in the order data flows."""
    engine = Path(import_module("zerobias").__path__[0])
    there = [name for name in STAGES if (engine / name).is_dir() or (engine / f"{name}.py").is_file()]
    return {name: import_module(f"zerobias.{name}") for name in there}


def api_pages() -> dict[str, str]:
    """Text of the pages by name: ``index``, a page for each stage, and one for what any stage may import."""
    found = stages()
    pages = {name: "\n\n".join(_package(package, "=")) for name, package in found.items()}
    leaves = [part for name in sorted(LEAVES) for part in _package(import_module(f"zerobias.{name}"), "-")]
    pages["shared"] = "\n\n".join([_title("Used by every stage", "="), *leaves])
    lines = [
        _title("Python interface", "="),
        "What each stage exports, in the order data flows; a stage imports earlier ones only. Import from "
        "the packages named here.",
        "\n".join(f"* :doc:`{name}`: {_summary(package)}" for name, package in found.items())
        + "\n* :doc:`shared`: errors, files, targets and what else any stage may import.",
        "\n".join([".. toctree::", "   :hidden:", "", *(f"   {name}" for name in pages)]),
    ]
    return {"index": "\n\n".join(lines), **pages}


def exported(package: ModuleType) -> list[ModuleType]:
    """A package or module, and the packages inside that export something."""
    found = [package]
    for folder in getattr(package, "__path__", []):
        for path in sorted(Path(folder).glob("*/__init__.py")):
            inside = import_module(f"{package.__name__}.{path.parent.name}")
            found += exported(inside) if getattr(inside, "__all__", []) else []
    return found


def import_types() -> None:
    """Run what zerobias' modules import for type checkers alone, so that annotations can be evaluated."""
    for name, module in sorted(sys.modules.items()):
        if name.split(".")[0] == "zerobias":
            for block in _for_types(module):
                exec(compile(ast.Module(block.body, []), name, "exec"), vars(module))
    pydantic = sys.modules[BaseModel.__module__]  # some of its names exist in stubs alone
    for block in _for_types(pydantic):
        names = [node.name for node in ast.walk(block) if isinstance(node, ast.alias)]
        vars(pydantic).update(dict.fromkeys(names, Any) | vars(pydantic))


def _for_types(module: ModuleType) -> list[ast.If]:
    body = ast.parse(inspect.getsource(module)).body
    return [node for node in body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]


def _title(text: str, line: str) -> str:
    return f"{text}\n{line * len(text)}"


def _summary(package: ModuleType) -> str:
    """The first paragraph of its docstring, without links."""
    first = (inspect.getdoc(package) or "").split("\n\n")[0]
    return re.sub(r":\w+:`([^`]*)`", r"``\1``", first).replace("\n", " ")


def _package(package: ModuleType, line: str) -> list[str]:
    parts = []
    for part in exported(package):
        parts += [_title(part.__name__, line), f".. automodule:: {part.__name__}\n   :no-members:"]
        parts += [_member(part, name) for name in part.__all__]
        line = "-"
    return parts


def _member(package: ModuleType, name: str) -> str:
    value, full = getattr(package, name), f"{package.__name__}.{name}"
    if inspect.isclass(value):
        return f".. autoclass:: {full}\n   :members:"
    if inspect.isfunction(value):
        return f".. autofunction:: {full}"
    if inspect.ismodule(value):
        return f".. automodule:: {value.__name__}\n   :no-members:"
    # autodoc looks for the text under a constant in the package, not in the module it comes from.
    texts = ModuleAnalyzer.for_module(_home(package, name)).find_attr_docs()
    text = "\n".join(f"   {row}".rstrip() for row in texts.get(("", name), []))
    plain = isinstance(value, str | tuple) or get_origin(value) is Literal
    shown = f"\n   :value: {repr(value).replace('typing.', '')}" if plain and len(repr(value)) <= 100 else ""
    return f".. py:data:: {name}\n   :module: {package.__name__}{shown}\n\n{text}"


def _home(package: ModuleType, name: str) -> str:
    """The module that defines what ``package`` exports as ``name``."""
    for statement in ast.parse(inspect.getsource(package)).body:
        if isinstance(statement, ast.ImportFrom) and name in {alias.name for alias in statement.names}:
            assert statement.module is not None
            return _home(sys.modules[statement.module], name)
    return package.__name__

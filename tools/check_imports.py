"""Check the shape of the engine: the direction of imports and the rules every module keeps.

``python tools/check_imports.py src/zerobias`` prints one line per fault, ``file:line: what is wrong``, and
exits with status 1 if there is any. The rules:

* a stage imports only itself, leaves and earlier stages; a leaf imports only leaves;
* every module or package directly under the engine is a declared stage or leaf;
* every module defines ``__all__``, never calls ``print`` and has fewer than ``LINE_LIMIT`` lines.

Imports are read from the syntax tree, so those inside functions and ``if TYPE_CHECKING`` count too.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

__all__ = ["LEAVES", "LINE_LIMIT", "STAGES", "check", "main"]

STAGES = (
    "contract",
    "events",
    "econt",
    "simulate",
    "emd",
    "trees",
    "zoo",
    "nn",
    "train",
    "fixed",
    "hls",
    "rtl",
    "emulator",
    "score",
    "verify",
    "physics",
    "search",
    "report",
    "release",
    "monitor",
    "cli",
)
"""The stages in the order data flows: each may import only those before it."""

LEAVES = frozenset(
    {"beam", "doctor", "errors", "executor", "figures", "files", "shelves", "specs", "targets"}
)
"""Modules any stage may import; they import no stage."""

LINE_LIMIT = 400


def check(engine: Path) -> list[str]:
    """Faults of the engine in the folder ``engine``, as lines ``file:line: what is wrong``, in file order."""
    faults: list[str] = []
    for path in sorted(engine.rglob("*.py")):
        source = path.read_text(encoding="utf-8")
        tree = ast.parse(source, filename=str(path))
        faults += [f"{path}:{line}: {text}" for line, text in _faults(engine, path, source, tree)]
    return faults


def _faults(engine: Path, path: Path, source: str, tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Line and text of each fault of one module."""
    parts = path.relative_to(engine).with_suffix("").parts
    unit = parts[0]
    if unit not in STAGES and unit not in LEAVES and unit != "__init__":
        yield 1, f"stage {unit} is missing from the declared order (STAGES in tools/check_imports.py)"
    if not any("__all__" in _assigned(statement) for statement in tree.body):
        yield 1, "module has no __all__"
    lines = len(source.splitlines())
    if lines >= LINE_LIMIT:
        yield LINE_LIMIT, f"module has {lines} lines; split it below {LINE_LIMIT}"
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print":
            yield node.lineno, "print() in the engine; use logging"
        if isinstance(node, ast.Import | ast.ImportFrom):
            for imported in _imported_units(engine.name, parts, node):
                if fault := _direction_fault(unit, imported):
                    yield node.lineno, fault


def _assigned(statement: ast.stmt) -> set[str]:
    """Names a module-level statement assigns to."""
    targets: list[ast.expr] = []
    if isinstance(statement, ast.Assign):
        targets = statement.targets
    elif isinstance(statement, ast.AnnAssign):
        targets = [statement.target]
    return {target.id for target in targets if isinstance(target, ast.Name)}


def _imported_units(package: str, parts: tuple[str, ...], node: ast.Import | ast.ImportFrom) -> list[str]:
    """Stages and leaves an import statement in the module ``parts`` of ``package`` names."""
    if isinstance(node, ast.Import):
        modules = [alias.name for alias in node.names]
    else:
        base = node.module or ""
        if node.level:
            parents = (package, *parts)[: -node.level]
            base = ".".join((*parents, base)) if base else ".".join(parents)
        # The names count as modules too: `from zerobias import train` imports the stage `train`.
        modules = [f"{base}.{alias.name}" for alias in node.names]
    split = [module.split(".") for module in modules]
    units = [names[1] for names in split if names[0] == package and len(names) > 1]
    return [unit for unit in dict.fromkeys(units) if not unit.startswith("__")]


def _direction_fault(unit: str, imported: str) -> str | None:
    """What is wrong with ``unit`` importing ``imported``, or ``None``."""
    if imported == unit or imported in LEAVES:
        return None
    if imported not in STAGES:
        return f"stage {unit} imports {imported}, which is missing from the declared order"
    if unit in LEAVES or unit == "__init__":
        return f"leaf {unit} imports stage {imported}"
    if unit in STAGES and STAGES.index(imported) > STAGES.index(unit):
        return f"stage {unit} imports later stage {imported}"
    return None


def main(arguments: list[str]) -> int:
    """Check the engine named on the command line; the exit status: 0 clean, 1 faults, 2 wrong use."""
    if len(arguments) != 1 or not Path(arguments[0]).is_dir():
        sys.stderr.write("usage: check_imports.py ENGINE_FOLDER\n")
        return 2
    faults = check(Path(arguments[0]))
    if faults:
        sys.stdout.write("\n".join(faults) + f"\n{len(faults)} faults in the shape of the engine\n")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

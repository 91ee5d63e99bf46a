"""Every notebook runs, and shows what it has stored."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path
from types import ModuleType
from typing import Any

import nbformat
import pytest
from nbclient.exceptions import CellExecutionError

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("notebooks_tool", ROOT / "tools" / "notebooks.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def printed(notebook: Any) -> list[tuple[str, str]]:
    """Kind and text of all that a notebook shows; of a picture, that there is one."""
    return [
        (output.output_type, output.get("text", "") if output.output_type == "stream" else "")
        for cell in notebook.cells
        for output in cell.get("outputs", [])
    ]


@pytest.mark.parametrize("path", sorted((ROOT / "notebooks").glob("*.ipynb")), ids=lambda path: path.stem)
def test_runs_and_shows_what_is_stored(path: Path, tool: ModuleType) -> None:
    found = printed(tool.execute(path))
    assert found == printed(nbformat.read(path, as_version=4))
    assert any(kind == "display_data" for kind, _ in found), "no picture"


def test_a_failing_cell_fails(tmp_path: Path, tool: ModuleType) -> None:
    path = tmp_path / "bad.ipynb"
    shutil.copy(next((ROOT / "notebooks").glob("*.ipynb")), path)
    notebook = nbformat.read(path, as_version=4)
    notebook.cells = [cell for cell in notebook.cells if cell.cell_type == "code"][:1]
    notebook.cells[0].source = "1 / 0"
    nbformat.write(notebook, path)
    with pytest.raises(CellExecutionError, match="ZeroDivisionError"):
        tool.execute(path)

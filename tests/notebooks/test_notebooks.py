"""Every notebook runs, and shows what it has stored."""

from __future__ import annotations

import importlib.util
import re
import shutil
from pathlib import Path
from types import ModuleType
from typing import Any

import nbformat
import pytest
from nbclient.exceptions import CellExecutionError

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("notebooks_tool", ROOT / "tools" / "notebooks.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def printed(notebook: Any) -> list[tuple[str, int]]:
    """What each cell prints, and how many pictures it shows."""
    outputs = [cell.get("outputs", []) for cell in notebook.cells]
    return [
        (
            "".join(output.text for output in shown if output.output_type == "stream"),
            sum(output.output_type == "display_data" for output in shown),
        )
        for shown in outputs
    ]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_runs_and_shows_what_is_stored(path: Path, tool: ModuleType) -> None:
    found = printed(tool.execute(path))
    assert found == printed(nbformat.read(path, as_version=4))
    assert any(pictures for _, pictures in found)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_shows_no_path_of_a_machine(path: Path) -> None:
    for cell in nbformat.read(path, as_version=4).cells:
        for output in cell.get("outputs", []):
            shown = [output.get("text", ""), *(v for k, v in output.get("data", {}).items() if "text" in k)]
            assert not re.search(r"(?<![\w.<])/[a-z]+/", "".join(shown))


def test_own_model_is_that_of_the_how_to() -> None:
    page = (ROOT / "docs" / "how-to" / "new-model.md").read_text()
    notebook = nbformat.read(ROOT / "notebooks" / "bring_your_own_model.ipynb", as_version=4)
    written = [cell.source for cell in notebook.cells if cell.source.startswith("%%writefile")]
    files = re.findall(r"```\w+ file=(\S+)\n(.*?)```", page, re.DOTALL)
    assert written == [f"%%writefile {name}\n{text}".rstrip() for name, text in files]
    assert len(files) == 2


def test_a_failing_cell_fails(tmp_path: Path, tool: ModuleType) -> None:
    path = tmp_path / "bad.ipynb"
    shutil.copy(next((ROOT / "notebooks").glob("*.ipynb")), path)
    notebook = nbformat.read(path, as_version=4)
    notebook.cells = [cell for cell in notebook.cells if cell.cell_type == "code"][:1]
    notebook.cells[0].source = "1 / 0"
    nbformat.write(notebook, path)
    with pytest.raises(CellExecutionError, match="ZeroDivisionError"):
        tool.execute(path)

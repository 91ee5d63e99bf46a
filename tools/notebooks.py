"""Execute notebooks/*.ipynb and store what they show: ``make notebooks``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

from zerobias.files import write_text

__all__ = ["FOLDER", "execute", "main"]

FOLDER = Path(__file__).resolve().parents[1] / "notebooks"


def execute(path: Path) -> Any:
    """The notebook with the outputs of a run in its own folder, without what libraries log.

    Raises ``CellExecutionError`` when a cell fails.
    """
    notebook = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    client = NotebookClient(
        notebook,
        timeout=900,
        kernel_name="python3",
        resources={"metadata": {"path": str(path.parent)}},
        record_timing=False,
    )
    client.execute(env={"TF_CPP_MIN_LOG_LEVEL": "3"})
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
    return notebook


def main() -> int:
    """Run all notebooks and write them back."""
    for path in sorted(FOLDER.glob("*.ipynb")):
        sys.stdout.write(f"{path.name}\n")
        write_text(path, nbformat.writes(execute(path)) + "\n")  # type: ignore[no-untyped-call]
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Draw a finished build's report as an SVG: ``python tools/report_picture.py MODEL PICTURE``.

Reads ``firmware/build/MODEL/report.json``. The SVG names no web font, so it needs no network.
"""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path

from rich.console import Console

from zerobias.report import read_report, render
from zerobias.shelves import build_root
from zerobias.zoo import find_model

__all__ = ["main"]


def main(arguments: list[str]) -> int:
    """Write the picture."""
    name, picture = arguments
    report = read_report(build_root() / name / "report.json")
    console = Console(width=110, record=True, file=io.StringIO())
    console.print(render(report, find_model(name).target))
    svg = console.export_svg(title=f"make firmware MODEL={name}", unique_id="report")
    svg = re.sub(r"@font-face \{.*?\}", "", svg, flags=re.DOTALL)
    Path(picture).write_text(svg.replace("Fira Code", "monospace"))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

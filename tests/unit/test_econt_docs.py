"""docs/explanation/hgcal-compression.md and its picture say what the code does."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import re
from collections import Counter
from pathlib import Path

import numpy as np

from zerobias.econt import (
    MODULE_SUM,
    SUPER_TRIGGER_CELL,
    TRIGGER_CELL,
    best_choice,
    super_trigger_cells,
)

ROOT = Path(__file__).resolve().parents[2]
BEST = ((2, 4), (3, 6), (4, 9), (5, 14))
PAGE = (ROOT / "docs" / "explanation" / "hgcal-compression.md").read_text(encoding="utf-8")


def test_largest_values_are_those_of_the_codes() -> None:
    for name, code in (
        ("TRIGGER_CELL", TRIGGER_CELL),
        ("MODULE_SUM", MODULE_SUM),
        ("SUPER_TRIGGER_CELL", SUPER_TRIGGER_CELL),
    ):
        widths = f"{code.exponent_bits} + {code.mantissa_bits} | {code.bits}"
        assert f"| `{name}` | {widths} | {code.largest:,} |".replace(",", " ") in PAGE


def test_frames_are_those_of_the_methods() -> None:
    wafer = np.ones((1, 48), int)
    rows = dict(
        re.findall(r"^\| (best choice, \d+ cells|[SC]TC.*?) \| .* = (\d+ \| \d) \|$", PAGE, re.MULTILINE)
    )
    wide = SUPER_TRIGGER_CELL
    expected = {f"best choice, {n} cells": best_choice(wafer, e, cells=n).bits for e, n in BEST}
    expected["STC4, 4 + 3 bits"] = super_trigger_cells(wafer, 4).bits
    expected["STC4, 5 + 4 bits"] = super_trigger_cells(wafer, 5, code=wide).bits
    expected["CTC4, 4 + 3 bits"] = super_trigger_cells(wafer, 3, located=False).bits
    expected["STC16, 5 + 4 bits"] = super_trigger_cells(wafer, 2, size=16).bits
    assert rows == {name: f"{bits[0]} | {-(-bits[0] // 32)}" for name, bits in expected.items()}


def test_example_prints_what_the_page_shows() -> None:
    code, output = re.search(r"```python\n(.*?)```\n\n```\n(.*?)```", PAGE, re.DOTALL).groups()  # type: ignore[union-attr]
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(code, {})
    assert printed.getvalue() == output


def test_picture_shows_each_cell_in_all_three_and_is_always_the_same(tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("wafer_picture", ROOT / "tools" / "wafer_picture.py")
    assert spec is not None
    assert spec.loader is not None
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    for name in ("a.svg", "b.svg"):
        assert tool.main([str(tmp_path / name)]) == 0
    text = (tmp_path / "a.svg").read_text()
    assert text == (tmp_path / "b.svg").read_text()
    for picture in (text, (ROOT / "docs" / "wafer.svg").read_text()):
        numbers = Counter(re.findall(r">(\d+)</text>", picture))
        assert numbers == {str(cell): 3 for cell in range(48)}

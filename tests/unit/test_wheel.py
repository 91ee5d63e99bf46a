"""The wheel installs one name and carries the shelves."""

from __future__ import annotations

import zipfile
from pathlib import Path

from hatchling.builders.wheel import WheelBuilder

ROOT = Path(__file__).resolve().parents[2]


def test_wheel_holds_the_package_and_the_shelves(tmp_path: Path) -> None:
    wheel = next(WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"]))
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"zerobias"}
    for needed in (
        "cli/app.py",
        "py.typed",
        "report/page/page.css",
        "report/page/page.html.j2",
        "report/page/parts.html.j2",
        "shelf/models/axol1tl/model.toml",
        "shelf/models/axol1tl/weights/quantised.npz",
        "shelf/models/axol1tl/golden/golden.npz",
        "shelf/firmware/targets/ugt.toml",
        "shelf/firmware/templates/top.cpp.in",
        "shelf/triggers/sample/l1_sample.h5",
        "shelf/triggers/processes/ttbar.toml",
        "shelf/triggers/menus/run3.toml",
    ):
        assert f"zerobias/{needed}" in names
    assert not [
        name for name in names if "/build/" in name or "__pycache__" in name or name.endswith(".txt.tmp")
    ]

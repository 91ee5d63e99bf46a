"""The command that runs a vendor's tool on a build."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from zerobias.cli.console import AsJson, ModelName, ModelsFolder, TargetName, emit, err, guarded
from zerobias.cli.stages import locked
from zerobias.errors import DataError
from zerobias.shelves import build_root
from zerobias.zoo import find_model

__all__ = ["vendor"]


class Tool(StrEnum):
    """The vendor's tools."""

    VITIS_HLS = "vitis_hls"
    VIVADO = "vivado"


class Design(StrEnum):
    """The two designs."""

    HLS4ML = "hls4ml"
    RTL = "rtl"


@guarded
def vendor(
    name: ModelName,
    tool: Annotated[Tool, typer.Option("--tool", help="vitis_hls, or vivado on its result or on the RTL.")],
    design: Annotated[Design, typer.Option("--design", help="Which design.")] = Design.HLS4ML,
    target: TargetName = None,
    models: ModelsFolder = None,
    build: Annotated[Path | None, typer.Option("--build", help="Folder for builds.")] = None,
    hours: Annotated[float, typer.Option("--hours", help="End the tool after this long.", min=0)] = 4.0,
    as_json: AsJson = False,
) -> None:
    """Run a vendor's tool on a build; the next `firmware` reports its figures."""
    from zerobias.rtl.vendor import run_vendor, vendor_rows

    model = find_model(name, models)
    model = model if target is None else model.on(target)
    folder = (build or build_root()) / model.build_name
    if not folder.is_dir():
        raise DataError(f"no build in {folder}: run `zerobias firmware {name}` first")
    with (
        err.status(f"{tool} on the {design} design") as status,
        locked(folder, lambda: status.update(f"waiting for another build in {folder}")),
    ):
        place = run_vendor(folder, design.value, tool.value, timeout_s=3600 * hours)
        rows = vendor_rows(folder, model.target)
    table = Table("design", "metric", "value", "source", "how", box=None)
    for row in rows:
        value = "not valid" if row.value is None else f"{row.value:,.4g}"
        table.add_row(row.design, row.metric, value, row.source, row.method)
    emit({"path": str(place), "rows": [row._asdict() for row in rows]}, as_json, table)

"""Commands of ``zerobias``."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.table import Table
from typer.core import TyperGroup

from zerobias import __version__
from zerobias.cli.console import (
    AsJson,
    ModelName,
    ModelsFolder,
    Sample,
    TargetName,
    emit,
    err,
    guarded,
    load_keras,
    out,
    progress,
    sample_of,
)
from zerobias.cli.emulator import emulator
from zerobias.cli.menu import menu
from zerobias.cli.monitor import monitor
from zerobias.cli.release import release
from zerobias.cli.score import score
from zerobias.cli.search import auc_loss, pareto
from zerobias.cli.simulate import simulate
from zerobias.cli.study import study
from zerobias.cli.vectors import capture, vectors
from zerobias.cli.vendor import vendor
from zerobias.contract import fit_contract, markdown_table
from zerobias.doctor import check_qkeras_owner, diagnose
from zerobias.errors import GateError, InputError
from zerobias.events import read
from zerobias.files import write_text
from zerobias.shelves import build_root
from zerobias.zoo import (
    find_model,
    model_names,
    read_weights,
    released_versions,
    with_contract,
    write_weights,
)

__all__ = ["app"]


class _InOrder(TyperGroup):
    """Lists `simulate`, which has commands of its own, where its stage stands: Typer puts it last."""

    def list_commands(self, ctx: Any) -> list[str]:
        names = [name for name in super().list_commands(ctx) if name != "simulate"]
        names.insert(names.index("contract"), "simulate")
        return names


app = typer.Typer(
    cls=_InOrder,
    help="Quantised neural networks from zero-bias data to trigger firmware, with proof.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.command()
@guarded
def doctor(as_json: AsJson = False) -> None:
    """Print versions, who owns the import name qkeras, and tools found and missing."""
    diagnosis = diagnose()
    table = Table(
        "", "found", "for", "if missing", title=f"zerobias {__version__}", box=None, title_justify="left"
    )
    for finding in diagnosis.findings:
        lost = finding.found is None
        style = "red" if lost and finding.required else "dim" if lost else None
        table.add_row(
            finding.name,
            finding.found or "missing",
            finding.purpose,
            finding.remedy if lost else "",
            style=style,
        )
    emit(diagnosis.model_dump(mode="json"), as_json, table)
    if not diagnosis.ok:
        raise InputError("something required is missing: see the red lines above")


@app.command()
@guarded
def models(models: ModelsFolder = None, as_json: AsJson = False) -> None:
    """List the models."""
    found = [find_model(name, models) for name in model_names(models)]
    table = Table("model", "version", "target", "what", "releases", box=None)
    rows = []
    for model in found:
        spec, releases = model.spec, released_versions(model.folder)
        table.add_row(model.name, spec.version, spec.target.name, spec.title, ", ".join(releases))
        rows.append(
            {"name": model.name, "version": spec.version, "target": spec.target.name, "releases": releases}
        )
    emit(rows, as_json, table)


app.add_typer(simulate, name="simulate")


@app.command()
@guarded
def contract(name: ModelName, models: ModelsFolder = None, as_json: AsJson = False) -> None:
    """Print a model's input contract as a table."""
    model = find_model(name, models)
    emit(model.spec.contract.model_dump(mode="json"), as_json, markdown_table(model.contract))


@app.command("fit-contract")
@guarded
def fit(name: ModelName, sample: Sample = None, models: ModelsFolder = None, as_json: AsJson = False) -> None:
    """Fit offsets and shifts on the sample's train split and freeze them in model.toml."""
    model = find_model(name, models).working()
    events = read(sample_of(model, sample)).of("zero_bias", "train")
    fitted = fit_contract(
        model.spec.contract, events.collections[model.spec.contract.collection], events.weight
    )
    fields = [field for group in fitted.group for field in group.fields]
    values = iter(
        [f"offset = {[float(v) for v in f.offset]}, shift = {[int(v) for v in f.shift]}" for f in fields]
    )
    path = model.folder / "model.toml"
    text, count = re.subn(
        r"offset = \[[^\]]*\], shift = \[[^\]]*\]", lambda _: next(values), path.read_text()
    )
    if count != len(fields):
        raise InputError(
            f"{path}: {count} of {len(fields)} fields declare `offset = [...], shift = [...]` on one line; "
            "write both for every field"
        )
    write_text(path, text)
    emit(fitted.model_dump(mode="json"), as_json, f"{path}: offsets and shifts of {count} fields written")


@app.command()
@guarded
def train(
    name: ModelName, sample: Sample = None, models: ModelsFolder = None, as_json: AsJson = False
) -> None:
    """Train a model from its seed and write its working weights."""
    model = find_model(name, models).working()
    load_keras(threads=2)
    from zerobias.train import train as run

    events = read(sample_of(model, sample))
    with progress(f"training {name}") as told:
        history = run(model, events, told)
    emit(dict(history), as_json, f"{model.folder / 'weights'}: digest {history['digest'][:16]}")


@app.command("import-weights")
@guarded
def import_weights(
    name: ModelName,
    arrays: Annotated[Path, typer.Argument(help="An .npz file with arrays named <layer>/<array>.")],
    contract: Annotated[
        Path | None, typer.Option("--contract", help="A TOML file whose [contract] replaces the model's.")
    ] = None,
    models: ModelsFolder = None,
    as_json: AsJson = False,
) -> None:
    """Build the working model from plain arrays (and a contract), for weights trained elsewhere."""
    model = find_model(name, models).working()
    declaration = None
    if contract is not None:
        model, declaration = with_contract(model, contract)
    load_keras()
    from zerobias.fixed import graph_of
    from zerobias.zoo import apply_weights, collect_weights, digest

    network = model.build()
    given = read_weights(arrays)
    network = apply_weights(network, given)
    graph_of(network, model.contract)  # refuses what has no exact meaning before anything is written
    kept = collect_weights(network)
    rounded = sum(int((kept[key] != given[key]).sum()) for key in kept)
    write_weights(model.weights_path("quantised"), kept)
    if declaration is not None:
        write_text(model.folder / "model.toml", declaration)
    model.weights_path("float").unlink(missing_ok=True)  # it belonged to the former weights
    emit(
        {"path": str(model.weights_path("quantised")), "digest": digest(kept), "rounded": rounded},
        as_json,
        f"{model.weights_path('quantised')}: {len(kept)} arrays, {rounded} values rounded to their types",
    )


@app.command()
@guarded
def firmware(
    name: ModelName,
    sample: Sample = None,
    models: ModelsFolder = None,
    build: Annotated[Path | None, typer.Option("--build", help="Folder for builds.")] = None,
    target: TargetName = None,
    design: Annotated[
        Literal["hls4ml", "conifer", "rtl"] | None,
        typer.Option("--design", help="Deploy this one; default: model.toml's."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write, simulate and verify the firmware of a model, with a report.

    The deployed design decides: `hls4ml`, of trees `conifer`, takes about half a minute, `rtl` is synthesised
    too, in minutes.
    """
    model = find_model(name, models)
    if target is not None:
        model = model.on(target)
    if design is not None:
        model = replace(model, spec=model.spec.model_copy(update={"design": design}))
    check_qkeras_owner()
    from zerobias.cli.build import build_firmware
    from zerobias.report import render

    with err.status("start") as status:
        made = build_firmware(model, build or build_root(), status.update, sample=sample)
    emit(made.report.model_dump(mode="json"), as_json, render(made.report, model.target))
    if not as_json:
        out.print(f"{'written' if made.fresh else 'unchanged'}: {made.folder}")
    if made.report.verdict == "fail":
        raise GateError(made.report.causes[0])


app.command()(vendor)


app.command()(emulator)
app.command()(vectors)
app.command()(capture)


app.command()(score)


app.command()(menu)


@app.command()
@guarded
def golden(
    name: ModelName, sample: Sample = None, models: ModelsFolder = None, as_json: AsJson = False
) -> None:
    """Rewrite a model's golden vectors and say what changed."""
    model = find_model(name, models).working()
    load_keras()
    from zerobias.cli.build import reference
    from zerobias.fixed import shaped
    from zerobias.verify import Golden, golden_inputs, write_golden

    _, graph = reference(model)
    raw = golden_inputs(model.contract, read(sample_of(model, sample)))
    path = model.folder / "golden" / "golden.npz"
    change = write_golden(path, Golden(raw, graph.evaluate(shaped(model.contract, graph, raw))))
    emit(
        {"path": str(path), "events": len(raw), "change": change},
        as_json,
        f"{path}: {len(raw)} events, {change}",
    )


@app.command()
@guarded
def compare(
    left: Annotated[Path, typer.Argument(help=".npz, .csv or text: ours, a board's, another emulator's.")],
    right: Annotated[Path, typer.Argument(help="The file to hold against it.")],
    name: Annotated[str | None, typer.Option("--model", help="Names the features of `raw`.")] = None,
    models: ModelsFolder = None,
    as_json: AsJson = False,
) -> None:
    """Compare two files of vectors or scores: first differing event, feature or layer."""
    from zerobias.verify import compare_files

    features = [] if name is None else [f.name for f in find_model(name, models).contract.features]
    found = compare_files(left, right)
    table = Table("array", "events", "differ", "first event", "column", "left", "right", "distance", box=None)
    for row in found.arrays:
        column = "" if row.first_column is None else str(row.first_column)
        if row.name == "raw" and row.first_column is not None and row.first_column < len(features):
            column = features[row.first_column]
        cells = (row.first_event, column, row.left, row.right, row.distance)
        shown = ["" if cell is None else str(cell) for cell in cells]
        table.add_row(
            row.name, str(row.events), str(row.differing), *shown, style="red" if row.differing else None
        )
    for side, names in (("left", found.only_left), ("right", found.only_right)):
        for lonely in names:
            table.add_row(lonely, f"only in the {side} file", style="red")
    emit(found.model_dump(mode="json"), as_json, table)
    if not found.equal:
        first = next((row for row in found.arrays if row.differing), None)
        if first is None:
            lonely = ", ".join((*found.only_left, *found.only_right))
            raise GateError(f"the files hold different arrays: {lonely}")
        counts = f"{first.differing} of {first.events} events, first in event {first.first_event}"
        raise GateError(f"{first.name} differs in {counts}")


app.command()(pareto)
app.command("auc-loss")(auc_loss)
app.command()(study)
app.command()(release)
app.command()(monitor)

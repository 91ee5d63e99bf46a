"""``zerobias menu``: rates and gains of a trigger menu, and the thresholds that its goals give."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Group
from rich.table import Table

from zerobias.cli.console import AsJson, ModelsFolder, Sample, emit, err, guarded, load_keras
from zerobias.doctor import check_qkeras_owner
from zerobias.errors import DataError
from zerobias.events import EventSet, default_sample, file_digest, read
from zerobias.files import write_text
from zerobias.physics import (
    KINDS,
    Menu,
    MenuTable,
    MenuUnit,
    Rate,
    SeedScores,
    ZeroBias,
    check_pins,
    check_sample,
    check_thresholds,
    draw_menu,
    load_menu,
    menu_path,
    menu_table,
    object_score,
    rewrite,
)
from zerobias.physics.bootstrap import Value
from zerobias.shelves import build_root
from zerobias.zoo import Model, find_model

__all__ = ["menu"]

_OVERLAPS = 8
"""Pairs shown; the document has all."""


@guarded
def menu(
    name: Annotated[str, typer.Argument(help="Name of a menu of triggers/menus.")],
    set_thresholds: Annotated[
        bool,
        typer.Option("--set-thresholds", help="Write the thresholds its goals give, and what they are for."),
    ] = False,
    sample: Sample = None,
    menus: Annotated[
        Path | None,
        typer.Option("--menus", help="A folder of menus, not the shelf's.", file_okay=False),
    ] = None,
    models: ModelsFolder = None,
    build: Annotated[Path | None, typer.Option("--build", help="Folder for builds.")] = None,
    as_json: AsJson = False,
) -> None:
    """Rates, overlaps and gained signal of a trigger menu, with plots.

    A menu for another model or sample, or with a threshold that its goal does not give, is refused; with
    `--sample`, thresholds from another sample are taken as they are.
    """
    path = menu_path(name, menus)
    spec = load_menu(path)
    found = {seed.name: find_model(seed.model, models) for seed in spec.model}
    pins = {seed: _pins(model) for seed, model in found.items()}
    for seed in spec.model:
        checked = {"version": pins[seed.name]["version"]} if set_thresholds else pins[seed.name]
        check_pins(path, seed, checked)
    file = sample or default_sample()
    with err.status("events") as status:
        events = read(file)
        sample_digest = file_digest(file)
        if sample is None and not set_thresholds:
            check_sample(path, spec, sample_digest)
        background = events.of("zero_bias", spec.split)
        if not len(background):
            raise DataError(f"{file} has no zero bias in its split {spec.split!r}: give another sample")
        signals = {signal: part for signal in events.signals if len(part := events.of(signal, spec.split))}
        leader = background.collections.get("leader")
        zero_bias = ZeroBias(background.weight, background.npu, leader, spec.beam)
        status.update("scores")
        scores = _scores(spec, found, background, signals)
        reaches = {seed.name: scores[seed.name].reach(seed.goal_khz, zero_bias) for seed in spec.seeds}
        if set_thresholds:
            values: dict[str, dict[str, int | str]] = {}
            for seed_name, reached in reaches.items():
                if reached.below is None:
                    raise DataError(f"{path}: seed {seed_name}: {reached}; give a higher goal")
                values[seed_name] = {**pins.get(seed_name, {}), "threshold": reached.below.threshold}
            spec = rewrite(path, values, sample_digest)
        elif sample_digest == spec.sample:
            check_thresholds(path, spec, reaches)
        status.update("rates and gains")
        table = menu_table(
            spec, name=name, sample=file.name, zero_bias=zero_bias, signals=signals, scores=scores
        )
        status.update("plots")
        folder = (build or build_root()) / "menus" / name
        write_text(folder / "menu.json", table.model_dump_json(indent=2) + "\n")
        draw_menu(table, folder)
    emit(table.model_dump(mode="json"), as_json, _shown(table, folder))


def _pins(model: Model) -> dict[str, str]:
    """What a menu pins of a model."""
    return {"version": model.spec.version, **model.digests}


def _scores(
    spec: Menu, models: Mapping[str, Model], background: EventSet, signals: Mapping[str, EventSet]
) -> dict[str, SeedScores]:
    found = {
        seed.name: SeedScores(
            object_score(seed, background),
            {signal: object_score(seed, part) for signal, part in signals.items()},
            KINDS[seed.kind].pt_max,
        )
        for seed in spec.object
    }
    return found | {seed: _model_scores(model, background, signals) for seed, model in models.items()}


def _model_scores(model: Model, background: EventSet, signals: Mapping[str, EventSet]) -> SeedScores:
    """Exact scores in the menu's unit."""
    check_qkeras_owner()
    load_keras()
    from zerobias.cli.build import reference
    from zerobias.fixed import shaped

    _, graph = reference(model)
    if graph.score_shape:
        raise DataError(f"model {model.name} gives several scores an event: a seed needs one")
    scale, contract = model.spec.menu_scale, model.contract
    unit = MenuUnit(1, 0) if scale is None else MenuUnit(scale, graph.output_type.frac)

    def of(part: EventSet) -> np.ndarray:
        raw = contract.flatten(part.collections[contract.spec.collection])
        return unit.counts(graph.evaluate(shaped(contract, graph, raw)))

    highest = int(unit.counts(np.array([graph.output_type.max_int]))[0])
    return SeedScores(of(background), {s: of(part) for s, part in signals.items()}, highest, unit)


def _shown(found: MenuTable, folder: Path) -> Group:
    title = f"{found.title}: {found.crossings_khz / 1e3:.1f} MHz of crossings, {found.sample} {found.split}"
    rates = Table("seed", "what", "threshold", "goal kHz", "rate kHz", "pure kHz", box=None, title=title)
    for row in found.seeds:
        raw = "" if row.raw_threshold is None else f" (raw {row.raw_threshold})"
        cells = (f"{row.threshold}{raw}", f"{row.goal_khz:g}", _rate(row.rate), _rate(row.pure))
        rates.add_row(row.name, row.what, *cells)
    for label, total in (("all conventional", found.conventional), ("total", found.total)):
        if total is not None:
            rates.add_row(label, "", "", "", _rate(total), style="bold")
    parts: list[Table | str] = [rates]
    pairs = sorted(found.overlaps, key=lambda row: -row.rate.khz)[:_OVERLAPS]
    overlaps = Table("seed", "and", "overlap kHz", box=None, title="largest overlaps")
    for pair in pairs:
        overlaps.add_row(pair.first, pair.second, _rate(pair.rate))
    parts += [overlaps] if pairs else []
    parts += [_gain(found, seed) for seed in dict.fromkeys(row.seed for row in found.gains)]
    plateaus = {f"{row.name}: {row.plateau}" for row in found.seeds if row.plateau}
    plateaus |= {f"{row.seed}: {row.plateau}" for row in found.points if row.plateau}
    parts += sorted(plateaus)
    return Group(*parts, f"plots and menu.json: {folder}")


def _gain(found: MenuTable, seed: str) -> Table:
    """Signal taken by the conventional seeds, and gained by an anomaly seed at each rate."""
    points = [row for row in found.points if row.seed == seed and row.pure is not None]
    title = f"signal gained by {seed} at each rate; in brackets with zero bias' pile-up"
    heads = [f"{row.khz:g} kHz, %" for row in points]
    table = Table("signal", "conventional, %", *heads, box=None, title=title)
    table.columns[0].no_wrap = True
    table.add_row("threshold", "", *(str(row.threshold) for row in points), style="dim")
    table.add_row("adds, kHz", "", *(f"{r.pure.khz:.2g}" if r.pure else "" for r in points), style="dim")
    for row in found.efficiencies:
        gains = [gain for gain in found.gains if (gain.signal, gain.seed) == (row.signal, seed)]
        base = _percent(row.conventional, row.conventional_reweighted)
        table.add_row(row.signal, base, *(_percent(gain.gain, gain.gain_reweighted) for gain in gains))
    return table


def _rate(rate: Rate) -> str:
    return f"{rate.khz:.3g} ({rate.low:.3g}-{rate.high:.3g})"


def _percent(value: Value, other: Value | None) -> str:
    bracket = "" if other is None else f" [{100 * other.value:.1f}]"
    return f"{100 * value.value:.1f}±{100 * value.error:.1f}{bracket}"

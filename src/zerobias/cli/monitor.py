"""``zerobias monitor``: new event files against a reference, recorded scores and the emulator's inputs."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Group
from rich.table import Table

from zerobias.cli.console import AsJson, ModelName, ModelsFolder, emit, guarded, load_keras, sample_of
from zerobias.cli.scale import bars
from zerobias.doctor import check_qkeras_owner
from zerobias.errors import GateError
from zerobias.files import write_text
from zerobias.zoo import Model, find_model

if TYPE_CHECKING:
    from collections.abc import Callable

    from zerobias.monitor import Monitoring, Reference
    from zerobias.score import Scorer

__all__ = ["monitor", "reference_bytes"]

_SHOWN = 20
"""Flags of drift shown; the document has all."""


@guarded
def monitor(
    name: ModelName,
    files: Annotated[list[Path], typer.Argument(help="Event files of any known layout.")],
    recorded: Annotated[
        str | None,
        typer.Option("--recorded", help="Recorded scores: a file of them, or a column of the event files."),
    ] = None,
    against: Annotated[
        list[Path] | None,
        typer.Option("--against", help="The same crossings elsewhere, for each event file one, in order."),
    ] = None,
    sample: Annotated[
        Path | None,
        typer.Option("--sample", help="Compare with this zero bias, not with the release's reference."),
    ] = None,
    drift: Annotated[
        bool, typer.Option("--drift/--no-drift", help="Look for drift; the files must be zero bias.")
    ] = True,
    significance: Annotated[
        float, typer.Option("--significance", help="Probability of any flag of drift by chance.")
    ] = 0.001,
    shift: Annotated[
        float, typer.Option("--min-shift", help="Least change of a share of crossings that is flagged.")
    ] = 0.02,
    change: Annotated[
        float, typer.Option("--min-change", help="Least relative change of a rate that is flagged.")
    ] = 0.2,
    output: Annotated[Path | None, typer.Option("--output", help="Write the JSON document here.")] = None,
    models: ModelsFolder = None,
    as_json: AsJson = False,
) -> None:
    """Compare new events with a release's reference: drift, rates, and scores that are not the exact ones.

    A release brings its reference; a working model's is made of the shipped sample. Exit code 3: something is
    flagged.
    """
    model = find_model(name, models)
    check_qkeras_owner()
    load_keras()
    from zerobias.monitor import Limits
    from zerobias.monitor import monitor as run
    from zerobias.specs import validate

    limits = validate(
        {"significance": significance, "shift": shift, "change": change}, Limits, "zerobias monitor"
    )
    scorer = _scorer(model)
    with bars(*(["reference"] if drift else []), "events") as told:
        reference = _reference(model, scorer, sample, partial(told, "reference")) if drift else None
        found = run(
            model.label,
            scorer,
            reference,
            files,
            recorded=recorded,
            against=against or (),
            limits=limits,
            told=partial(told, "events"),
        )
    document = found.model_dump(mode="json")
    if output is not None:
        write_text(output, found.model_dump_json(indent=1) + "\n")
    emit(document, as_json, _shown(found))
    if found.flags:
        first = found.flags[0]
        more = f", and {len(found.flags) - 1} more" if len(found.flags) > 1 else ""
        raise GateError(f"{first.kind}, {first.where}: {first.text}{more}")


def reference_bytes(model: Model, sample: Path | None) -> bytes:
    """The reference that a release of ``model`` carries."""
    load_keras()
    from zerobias.monitor import make_reference

    return make_reference(model, _scorer(model), sample_of(model, sample)).content()


def _scorer(model: Model) -> Scorer:
    from zerobias.cli.build import reference
    from zerobias.score import Scorer

    return Scorer(model.contract, reference(model)[1])


def _reference(
    model: Model, scorer: Scorer, sample: Path | None, told: Callable[[int, int], None]
) -> Reference:
    from zerobias.monitor import REFERENCE, Reference, make_reference

    if model.released and sample is None:
        return Reference.read(model.folder / REFERENCE, model)
    return make_reference(model, scorer, sample_of(model, sample), told)


def _shown(found: Monitoring) -> Group:
    lines = [_compared(found)]
    table = Table("flag", "where", "finding", box=None)
    hidden = max(0, len(found.flags) - _SHOWN)
    for flag in found.flags[:_SHOWN]:
        table.add_row(flag.kind, flag.where, flag.text, style="red")
    return Group(*lines, *([table] if found.flags else []), *([f"and {hidden} more flags"] if hidden else []))


def _compared(found: Monitoring) -> str:
    lines = []
    drift, reference = found.drift, found.reference
    if drift is not None and reference is not None:
        lines.append(
            f"{found.model}: {drift.events} crossings of zero bias (worth {drift.effective:.0f}) against "
            f"{reference.events} of {reference.sample} (worth {reference.effective:.0f})"
        )
        explained = sum(row.status == "explained by pile-up" for row in drift.rows)
        few = sum(row.status == "too few" for row in drift.rows)
        pileup = f"pile-up {drift.pileup}"
        if drift.pileup == "differs" and drift.pileup_change is not None:
            change = drift.pileup_change
            pileup += (
                f" (nPU {change.what}: {100 * change.new:.3g} %, {100 * change.reference:.3g} % in the "
                f"reference), so all is compared at the reference's, of which {100 * drift.common:.0f} % is "
                f"there; that explains {explained} of {len(drift.rows)} variables"
            )
        lines.append(f"{pileup}; {few} of {len(drift.rows)} variables have too few crossings to tell")
        lines.append(f"shares of one half are flagged from a change of {100 * drift.resolution:.2g} % on")
    if found.scores is not None:
        lines.append(
            f"recorded scores: {found.scores.differing} of {found.scores.compared} are not the exact ones"
        )
    if found.inputs is not None:
        one = found.inputs
        lines.append(
            f"inputs: {one.differing} of {one.compared} crossings differ, matched by {one.matched_by}; "
            f"{one.only_here} only here, {one.only_there} only there"
        )
        if one.recorded_fits is not None and one.differing:
            said = ", ".join(f"of {where} in {count}" for where, count in one.recorded_fits.items())
            lines.append(f"where they differ the recorded score is that {said}")
    if not found.flags:
        lines.append("nothing is flagged")
    return "\n".join(lines)

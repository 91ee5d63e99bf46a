"""Incidents of past trigger emulators: each has a defence, and is seen when the defence is taken away."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from zerobias.cli.build import Build, build_firmware
from zerobias.contract import Contract, ContractSpec, unit_fault
from zerobias.errors import SpecError
from zerobias.events import EventSet, read, write
from zerobias.fixed import from_keras
from zerobias.hls import write_project
from zerobias.verify import compare, csim_implementation, extreme_events
from zerobias.zoo import Model, collect_weights, find_model, write_weights


@pytest.fixture(scope="module")
def events(small_sample: Path) -> EventSet:
    """A tenth of the shipped sample."""
    return read(small_sample)


def built(shelf: Path, folder: Path, events: EventSet, change: Callable[[str], str]) -> Build:
    """Build of the tiny model with a changed model.toml."""
    shutil.copytree(shelf, folder / "models")
    toml = folder / "models" / "tiny" / "model.toml"
    text = change(toml.read_text())
    toml.write_text(text)
    write(folder / "sample.h5", events)
    model = find_model("tiny", folder / "models")
    weights = collect_weights(model.module.train(model.spec, None).quantised)
    write_weights(model.weights_path("quantised"), weights)
    return build_firmware(model, folder / "build", lambda step: None, sample=folder / "sample.h5")


# --- inputs truncated to whole GeV: 157 of 20 000 events differed between data and emulator ---------------


@pytest.mark.long
@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("ap_int<18>(ap_int<64>(hw[i]) << left[i])", "ap_int<18>(ap_int<64>(hw[i]) >> 1 << (left[i] + 1))"),
        ("raw_t difference = x[i] - offset[i];", "raw_t difference = ap_int<13>(x[i]) - offset[i];"),
    ],
)
def test_half_gev_that_is_truncated_turns_the_gate_red(
    right: str, wrong: str, tiny: Model, events: EventSet, tmp_path: Path
) -> None:
    contract, network = tiny.contract, tiny.load()
    graph = from_keras(network, contract)
    project = write_project(tiny.spec, network, graph, contract, tiny.target, tmp_path / "hls")
    raw = contract.flatten(events.of(split="test").collections["objects"])
    extremes = extreme_events(contract, random=1000, corners=100)

    def differing() -> Any:
        csim = csim_implementation(project, contract, graph)
        return compare(contract, graph, [csim], raw, extremes).disagreements

    assert differing() == ()
    header = next(project.path.rglob("*_scaling.h"))
    text = header.read_text()
    assert right in text
    header.write_text(text.replace(right, wrong))
    (found,) = differing()
    assert found.layer == "contract"
    assert ".pt differs" in found.cause or ".pt," in found.cause


def test_half_gev_that_the_types_cannot_hold_is_refused(tiny: Model) -> None:
    with pytest.raises(SpecError, match=r"feature met.pt: raw values .* times step 0.5 do not fit"):
        Contract(
            tiny.spec.contract.model_copy(update={"raw_type": replace(tiny.contract.raw_type, integer=18)})
        )


# --- a scale table fitted on hardware integers, shipped with every pT offset doubled ----------------------


def doubled(spec: ContractSpec, factor: float) -> ContractSpec:
    """The contract with the offsets of all fields in GeV times ``factor``."""
    groups = [
        group.model_copy(
            update={
                "fields": tuple(
                    field.model_copy(update={"offset": tuple(v * factor for v in field.offset)})
                    if field.unit == "GeV"
                    else field
                    for field in group.fields
                )
            }
        )
        for group in spec.group
    ]
    return spec.model_copy(update={"group": tuple(groups)})


@pytest.mark.parametrize(("factor", "said"), [(1.0, None), (2.0, "hardware integers"), (0.5, "twice")])
def test_scale_table_in_another_unit_is_seen(factor: float, said: str | None, events: EventSet) -> None:
    train = events.of("zero_bias", "train")
    spec = doubled(find_model("axol1tl").spec.contract, factor)
    found = unit_fault(spec, train.collections["objects"], train.weight)
    assert (found is None) if said is None else (said in (found or ""))


def test_published_tables_are_not_accused(tiny: Model, events: EventSet) -> None:
    """The v4 table differs from our sample's medians, but not by a unit."""
    train = events.of("zero_bias", "train")
    assert unit_fault(tiny.spec.contract, train.collections["objects"], train.weight) is None


@pytest.mark.long
def test_doubled_table_fails_the_build(shelf_with_tiny: Path, tmp_path: Path, events: EventSet) -> None:
    def change(text: str) -> str:
        lines = []
        for line in text.splitlines():
            if 'name = "pt"' in line:
                start = line.index("offset = [") + len("offset = [")
                end = line.index("]", start)
                values = ", ".join(str(2 * float(v)) for v in line[start:end].split(","))
                line = line[:start] + values + line[end:]
            lines.append(line)
        return "\n".join(lines) + "\n"

    report = built(shelf_with_tiny, tmp_path, events, change).report
    assert report.verdict == "fail"
    assert any("was fitted in another unit (hardware integers)" in cause for cause in report.causes)


# --- a score that wraps: the most anomalous event looks like the quietest ---------------------------------


@pytest.mark.long
@pytest.mark.parametrize(("wrap", "verdict"), [("closed", "pass-on-estimates"), ("v4", "fail")])
def test_score_that_can_wrap_fails_the_build(
    wrap: str, verdict: str, shelf_with_tiny: Path, tmp_path: Path, events: EventSet
) -> None:
    # Eight latent units of up to 64 each: 8 x 4096 is above the 16 384 of ap_ufixed<18,14>.
    def change(text: str) -> str:
        return text.replace('wrap = "closed"', f'wrap = "{wrap}"').replace("latent = 2", "latent = 8")

    report = built(shelf_with_tiny, tmp_path, events, change).report
    named = [cause for cause in report.causes if "score_sum_cast" in cause and "can overflow" in cause]
    assert (report.verdict, len(named)) == (verdict, int(verdict == "fail"))

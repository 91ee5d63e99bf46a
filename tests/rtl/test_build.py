"""A build that deploys the RTL design: measured rows, bands of the estimates, refusals."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import pytest

from zerobias.cli.build import Build, build_firmware
from zerobias.contract import IntArray
from zerobias.errors import GateError, UnsupportedError
from zerobias.rtl import Circuit
from zerobias.targets import load_target
from zerobias.zoo import Model


def deploying(model: Model, design: str) -> Model:
    return replace(model, spec=model.spec.model_copy(update={"design": design}))


@pytest.fixture(scope="module")
def built(shelf_with_tiny: Path, small_sample: Path, tmp_path_factory: pytest.TempPathFactory) -> Build:
    """The tiny model with its RTL design deployed, built twice."""
    from zerobias.zoo import find_model

    model, root = deploying(find_model("tiny", shelf_with_tiny), "rtl"), tmp_path_factory.mktemp("build")
    assert build_firmware(model, root, lambda step: None, sample=small_sample).fresh
    again = build_firmware(model, root, lambda step: None, sample=small_sample)
    assert not again.fresh
    return again


def test_figures_of_the_deployed_rtl_are_measured(built: Build) -> None:
    report = built.report
    assert report.deployed == "rtl"
    assert "rtl" in report.agreement.implementations
    assert report.agreement.mismatches["rtl"] == 0
    found = {(row.metric, row.source): row for row in report.hardware if row.design == "rtl"}
    assert {source for _, source in found} == {"rtl-sim", "yosys", "estimate"}
    target = load_target(report.target)
    assert found["ii", "rtl-sim"].value == pytest.approx(target.clock_ns / target.bx_ns)
    assert found["lut", "yosys"].value
    assert found["dsp", "yosys"].value == found["bram", "yosys"].value == 0
    latency, clock = found["latency", "rtl-sim"], found["clock", "estimate"]
    assert clock.value is not None
    assert (latency.value is not None) == (clock.value <= target.clock_ns)
    assert report.verdict == ("fail" if report.causes else "pass")
    assert (built.folder / "rtl" / "build_vivado.tcl").is_file()


@pytest.mark.parametrize("metric", ["lut", "ff"])
def test_measurement_lies_in_the_band_of_its_estimate(built: Build, metric: str) -> None:
    rows = {row.source: row for row in built.report.hardware if (row.design, row.metric) == ("rtl", metric)}
    measured = rows["yosys"].value
    assert measured is not None
    assert rows["estimate"].expects(measured)
    assert not rows["estimate"].expects(2 * measured)


@pytest.mark.parametrize("design", ["hls4ml", "rtl"])
def test_a_circuit_that_differs_ends_the_build(
    design: str, tiny: Model, small_sample: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = Circuit.predict

    def one_wrong(circuit: Circuit, raw: IntArray) -> IntArray:
        scores = right(circuit, raw)
        scores[17] += 1
        return scores

    monkeypatch.setattr(Circuit, "predict", one_wrong)
    message = r"differs from the integer reference on 1 of \d+ extremes, first on number 17"
    with pytest.raises(GateError, match=message):
        build_firmware(deploying(tiny, design), tmp_path, lambda step: None, sample=small_sample)


def test_too_large_for_the_chip(
    tiny: Model, small_sample: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Refused where it is deployed; elsewhere the build goes on without an RTL design."""
    target = load_target("ugt")
    small = target.model_copy(update={"capacity": target.capacity.model_copy(update={"lut": 100})})
    with pytest.raises(UnsupportedError, match=r"^layer \w+: \d+ products with non-zero weights"):
        build_firmware(
            replace(deploying(tiny, "rtl"), board=small), tmp_path, lambda step: None, sample=small_sample
        )
    with caplog.at_level(logging.WARNING):
        made = build_firmware(replace(tiny, board=small), tmp_path, lambda step: None, sample=small_sample)
    assert "no RTL design: layer" in caplog.text
    assert {row.design for row in made.report.hardware} == {"hls4ml"}
    assert not (made.folder / "rtl").exists()

"""`zerobias firmware` on every model found on the shelf."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from zerobias.cli.build import build_firmware
from zerobias.hls import run_csim
from zerobias.report import read_report
from zerobias.verify import read_golden
from zerobias.zoo import find_model, model_names


@pytest.mark.parametrize("name", model_names())
def test_firmware_is_exact_and_inside_its_budget(name: str, tmp_path: Path) -> None:
    model = find_model(name)
    steps: list[str] = []
    build = build_firmware(model, tmp_path, steps.append)
    report = build.report
    assert build.fresh
    assert report.verdict == "pass-on-estimates"
    assert report.causes == ()
    compared = ("reference", "keras" if model.spec.design == "hls4ml" else "sklearn", "csim")
    assert report.agreement.implementations == compared
    assert report.agreement.mismatches == dict.fromkeys(compared, 0)
    assert report.agreement.events > 10_000
    assert report.agreement.extremes > 100_000
    assert {row.metric for row in report.hardware} == {"latency", "ii", "lut", "ff", "dsp", "bram"}
    assert all(row.source == "estimate" and row.method for row in report.hardware)
    golden = read_golden(model.folder / "golden" / "golden.npz")
    shape = golden.score.shape[1:]
    np.testing.assert_array_equal(run_csim(build.folder / "csim", golden.raw, shape), golden.score)
    assert (report.physics is None) == bool(shape), "an AUC needs one score"
    if report.physics is not None:
        assert report.physics.quantisation is not None
        assert report.physics.quantisation.mean.value > -0.01
    assert json.loads((build.folder / "report.json").read_text()) == report.model_dump(mode="json")

    steps.clear()
    again = build_firmware(model, tmp_path, steps.append)
    assert not again.fresh
    assert steps == []
    assert again.report == report == read_report(again.folder / "report.json")

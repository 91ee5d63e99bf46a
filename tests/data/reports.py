"""Reports with every part filled, for the tests of the page."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from zerobias.physics import PhysicsTable, Sample, ScoreCurves, physics_table, score_curves
from zerobias.report import Agreement, HeadroomRow, Report, assemble, budgeted
from zerobias.targets import load_target

UGT = load_target("ugt")


@cache
def _physics() -> tuple[PhysicsTable, ScoreCurves]:
    rng = np.random.default_rng(3)
    background = {
        "model": rng.poisson(30, 600),
        "model_float": rng.normal(30, 6, 600),
        "ht": rng.poisson(9, 600),
    }
    # The names of the signals are not in alphabetical order: report.json sorts keys.
    signals = {
        name: {"model": rng.poisson(m, 80), "model_float": rng.normal(m, 6, 80), "ht": rng.poisson(h, 80)}
        for name, m, h in (("zp", 60, 12), ("a_4l", 38, 11))
    }
    weight = rng.uniform(0.5, 1.5, 600)
    physics = physics_table(
        background=background,
        background_weight=weight,
        background_npu=rng.integers(20, 60, 600),
        signals=signals,
        signal_weight={name: np.ones(80) for name in signals},
        signal_npu={name: rng.integers(25, 80, 80) for name in signals},
        sample="toy.h5",
        split="test",
        replicas=20,
    )
    curves = score_curves(
        Sample(background["model"], weight),
        {name: Sample(scores["model"], np.ones(80)) for name, scores in signals.items()},
    )
    return physics, curves


def full_report(**changes: Any) -> Report:
    """A report that passes on estimates, of two designs and two signals."""
    physics, curves = _physics()
    parts: dict[str, Any] = {
        "model": "toy",
        "title": "Toy score",
        "version": "1.0.0",
        "target": UGT,
        "deployed": "hls4ml",
        "digest": "0123456789abcdef",
        "settings": {"reuse_factor": 1, "part": UGT.part, "clock_mhz": 240.0, "tools": {"numpy": "2.4.6"}},
        "agreement": Agreement(
            events=1013,
            extremes=9017,
            implementations=("reference", "csim"),
            mismatches={"reference": 0, "csim": 0},
        ),
        "disagreements": (),
        "hardware": (
            budgeted(UGT, "hls4ml", "latency", 37.5, "estimate", "toy levels", (0.5, 2.0)),
            budgeted(UGT, "hls4ml", "lut", 4332.0, "estimate", "toy products"),
            budgeted(UGT, "hls4ml", "dsp", 0.0, "estimate", "toy products"),
            budgeted(UGT, "hls4ml", "ff", 1925.0, "estimate", "toy registers"),
            budgeted(UGT, "rtl", "latency", 45.0, "rtl-sim", "toy clocks"),
            budgeted(UGT, "rtl", "clock", None, "vivado", "toy timing"),
        ),
        "headroom": (
            HeadroomRow(
                node="dense1",
                type="ap_fixed<14,9>",
                minimum=-75.25,
                maximum=57.5,
                bits_used=13,
                bits_available=14,
                overflows=False,
            ),
        ),
        "physics": physics,
        "curves": curves,
    }
    return assemble(**(parts | changes))


def failing_report() -> Report:
    """The same with 412 mismatches, a latency above its ceiling and a node that overflows."""
    report = full_report()
    over = budgeted(UGT, "hls4ml", "latency", 62.5, "estimate", "toy levels", (0.5, 2.0))
    return full_report(
        agreement=report.agreement.model_copy(update={"mismatches": {"reference": 0, "csim": 412}}),
        hardware=(over, *report.hardware[1:]),
        headroom=(report.headroom[0].model_copy(update={"overflows": True}),),
    )

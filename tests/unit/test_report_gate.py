"""Regressions that go with targets_physics_report.patch: each is red without it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import BaseModel, ConfigDict

from zerobias.errors import DataError, SpecError
from zerobias.physics import Sample, efficiency, physics_table
from zerobias.report import Agreement, Report, assemble, budgeted, read_report, write_report
from zerobias.specs import validate
from zerobias.targets import Ceilings, load_target

UGT = load_target("ugt")


def report(*, hardware: bool = True, **agreement: Any) -> Report:
    parts = {
        "events": 10,
        "extremes": 90,
        "implementations": ("reference", "csim"),
        "mismatches": {"csim": 0},
    }
    latency = UGT.model_copy(update={"ceilings": Ceilings(latency_ns=50.0)})
    rows = (budgeted(latency, "rtl", "latency", 25.0, "rtl-sim", "toy"),) if hardware else ()
    return assemble(
        model="toy",
        version="1.0.0",
        target=latency,
        deployed="rtl",
        digest="0" * 8,
        settings={},
        agreement=Agreement(**(parts | agreement)),
        disagreements=(),
        hardware=rows,
        headroom=(),
        physics=None,
    )


def test_control() -> None:
    assert report().verdict == "pass"


@pytest.mark.parametrize(
    ("agreement", "cause"),
    [
        ({"events": 0, "extremes": 0}, "agreement was checked on 0 events"),
        ({"implementations": ("reference",), "mismatches": {}}, "no implementation was compared"),
        ({"mismatches": {}}, "csim has no mismatch count"),
        ({"mismatches": {"csim": 3}}, "csim differs from the integer reference on 3 events"),
    ],
)
def test_nothing_compared_is_no_pass(agreement: dict[str, Any], cause: str) -> None:
    made = report(**agreement)
    assert made.verdict == "fail"
    assert cause in made.causes[0]


def test_without_hardware_rows_nothing_is_proven() -> None:
    assert report(hardware=False).verdict == "pass-on-estimates"


def test_a_verdict_in_a_file_must_follow_from_its_numbers(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    write_report(report(mismatches={"csim": 3}), path)
    data = json.loads(path.read_text()) | {"verdict": "pass", "causes": []}
    path.write_text(json.dumps(data))
    with pytest.raises(DataError):
        read_report(path)


def test_a_whole_number_of_clocks_keeps_its_own_budget() -> None:
    target = UGT.model_copy(update={"ceilings": UGT.ceilings.model_copy(update={"latency_ns": 125.0})})
    assert budgeted(target, "rtl", "latency", 30 * target.clock_ns, "rtl-sim", "toy").ok is True
    assert budgeted(target, "rtl", "latency", 31 * target.clock_ns, "rtl-sim", "toy").ok is False


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1.0, 0.0])
def test_a_ceiling_is_a_positive_number(value: float) -> None:
    with pytest.raises(SpecError, match="latency_ns"):
        UGT.tightened({"latency_ns": value})


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid")
    width: int = 1


class Whole(BaseModel):
    model_config = ConfigDict(extra="forbid")
    named: dict[str, Part] = {}


def test_unknown_key_in_a_named_table() -> None:
    with pytest.raises(SpecError, match=r"^f: unknown key 'named.x.widht'"):
        validate({"named": {"x": {"widht": 1}}}, Whole, "f")


@pytest.mark.parametrize("npu", [[21, 22, 50, 51, 70, 71], [21, 22, 50, 70]])
def test_few_events_in_a_pileup_bin(npu: list[int]) -> None:
    rng = np.random.default_rng(5)
    made = physics_table(
        background={"model": rng.integers(0, 9, 2000)},
        background_weight=np.ones(2000),
        background_npu=rng.integers(20, 80, 2000),
        signals={"s": {"model": rng.integers(0, 9, len(npu))}},
        signal_weight={"s": np.ones(len(npu))},
        signal_npu={"s": np.array(npu)},
        sample="toy",
        split="test",
    )
    assert made.pileup
    assert all(np.isfinite(row.auc.error) for row in made.pileup)


@pytest.mark.parametrize("weight", [1.0, 0.1, 0.3, 1 / 3])
@pytest.mark.parametrize("count", [100, 1000, 5000])
def test_a_share_of_exactly_the_rate_is_allowed(count: int, weight: float) -> None:
    events = Sample(np.arange(count), np.full(count, weight))
    assert efficiency(events, events, 0.01) == pytest.approx(0.01, abs=1e-12)

"""The report: verdicts follow from the numbers, JSON comes back, the terminal shows units and sources."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from rich.console import Console

from zerobias.errors import DataError
from zerobias.hls import Estimate
from zerobias.physics import physics_table
from zerobias.report import (
    Agreement,
    Design,
    HardwareRow,
    HeadroomRow,
    Metric,
    Report,
    assemble,
    budgeted,
    estimated_rows,
    hardware_table,
    read_report,
    render,
    write_report,
)
from zerobias.report.model import Source
from zerobias.report.text import budget_text
from zerobias.targets import Ceilings, load_target
from zerobias.zoo import HlsSettings

UGT = load_target("ugt")


IN_BUDGET: dict[Metric, float | None] = {"latency": 25.0, "ii": 1.0, "lut": 4332.0, "dsp": 0, "bram": 0}


def rows(source: Source, design: Design = "hls4ml", **values: float | None) -> tuple[HardwareRow, ...]:
    """A row for each metric that the uGT limits; None leaves the row in without its value."""
    found = {**IN_BUDGET, **values}
    return tuple(budgeted(UGT, design, m, v, source, "toy") for m, v in found.items())  # type: ignore[arg-type]


def without(metric: Metric, found: tuple[HardwareRow, ...]) -> tuple[HardwareRow, ...]:
    return tuple(row for row in found if row.metric != metric)


def report(
    mismatches: int = 0, latency: float | None = 25.0, source: Source = "estimate", **changes: Any
) -> Report:
    parts: dict[str, Any] = {
        "model": "toy",
        "version": "1.0.0",
        "target": UGT,
        "deployed": "hls4ml",
        "digest": "0123456789abcdef",
        "settings": {"strategy": "latency"},
        "agreement": Agreement(
            events=10,
            extremes=90,
            implementations=("reference", "csim"),
            mismatches={"reference": 0, "csim": mismatches},
        ),
        "disagreements": ("csim differs",) if mismatches else (),
        "hardware": rows(source, latency=latency),
        "headroom": (),
        "physics": None,
    }
    return assemble(**(parts | changes))


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({}, "pass-on-estimates"),
        ({"source": "vivado"}, "pass"),
        ({"source": "vivado", "latency": None}, "pass-on-estimates"),
        ({"latency": 50.0}, "pass-on-estimates"),
        ({"latency": 50.01}, "fail"),
        ({"mismatches": 1}, "fail"),
    ],
)
def test_verdict_follows_from_the_numbers(changes: dict[str, Any], verdict: str) -> None:
    assert report(**changes).verdict == verdict


@pytest.mark.parametrize("metric", IN_BUDGET)
def test_every_ceiling_needs_a_measurement_to_pass(metric: Metric) -> None:
    whole = rows("vivado")
    assert report(hardware=whole).verdict == "pass"
    lacking = report(hardware=without(metric, whole))
    assert (lacking.verdict, lacking.unmeasured) == ("pass-on-estimates", (metric,))
    estimated = report(hardware=(*without(metric, whole), *rows("estimate")))
    assert (estimated.verdict, estimated.unmeasured) == ("pass-on-estimates", (metric,))


def test_rows_of_the_other_design_decide_nothing() -> None:
    estimates, measured = rows("estimate"), rows("yosys", "rtl")
    over = rows("yosys", "rtl", latency=62.5)
    assert report(hardware=(*estimates, *measured)).verdict == "pass-on-estimates"
    assert report(hardware=(*estimates, *measured), deployed="rtl").verdict == "pass"
    assert report(hardware=(*estimates, *over)).causes == ()
    assert report(hardware=(*estimates, *over), deployed="rtl").verdict == "fail"
    assert report(hardware=estimates, deployed="rtl").unmeasured == tuple(IN_BUDGET)


def test_a_measurement_takes_the_place_of_an_estimate() -> None:
    assert report(hardware=(*rows("estimate", lut=1e6), *rows("vivado"))).verdict == "pass"
    red = report(hardware=(*rows("estimate"), *rows("vivado", lut=1e6)))
    assert red.verdict == "fail"
    assert red.causes[0].startswith("lut of the hls4ml design is 1e+06 LUT (vivado), the budget is 21660")


def test_a_design_slower_than_the_clock_fails() -> None:
    def clock(value: float, source: Source = "vivado") -> HardwareRow:
        return budgeted(UGT, "hls4ml", "clock", value, source, "toy")

    assert report(hardware=(*rows("vivado"), clock(4.16))).verdict == "pass"
    assert report(hardware=(*rows("vivado"), clock(4.16, "estimate"))).verdict == "pass"
    for source in ("vivado", "estimate"):
        red = report(hardware=(*rows("vivado"), clock(4.2, source)))
        assert red.verdict == "fail"
        assert red.causes[0].startswith(f"clock of the hls4ml design is 4.2 ns ({source}), the budget is 4.1")


def test_without_ceilings_nothing_is_proven() -> None:
    free = UGT.model_copy(update={"ceilings": Ceilings()})
    assert report(target=free, hardware=rows("vivado")).verdict == "pass-on-estimates"


def test_an_estimate_declares_its_error_band() -> None:
    row = budgeted(UGT, "rtl", "lut", 1000.0, "estimate", "toy", (0.5, 1.25))
    assert [row.expects(lut) for lut in (499, 500, 1250, 1251)] == [False, True, True, False]
    with pytest.raises(ValueError, match="lut of the rtl design declares no band"):
        budgeted(UGT, "rtl", "lut", 1000.0, "estimate", "toy").expects(1000)
    with pytest.raises(ValidationError, match="only an estimate has one"):
        budgeted(UGT, "rtl", "lut", 1000.0, "yosys", "toy", (0.5, 1.25))
    with pytest.raises(ValidationError, match="from low to high"):
        budgeted(UGT, "rtl", "lut", 1000.0, "estimate", "toy", (1.25, 0.5))


def test_overflow_fails_and_names_the_node() -> None:
    row = HeadroomRow(
        node="sum",
        type="ap_ufixed<18,14>",
        minimum=0,
        maximum=32768,
        bits_used=20,
        bits_available=18,
        overflows=True,
    )
    failed = report(headroom=(row,))
    assert failed.verdict == "fail"
    assert failed.causes == (
        "node sum (ap_ufixed<18,14>) can overflow: values reach [0, 32768]; "
        "widen its type or let it saturate",
    )


def test_budget_sentence_names_number_and_two_ways_out() -> None:
    assert report(latency=62.5).causes == (
        "latency of the hls4ml design is 62.5 ns (estimate), the budget is 50; "
        "use fewer or narrower layers, or a target with a faster clock",
    )


def test_budgets_come_in_the_metric_s_unit() -> None:
    row = budgeted(UGT, "hls4ml", "lut", 21660.0, "estimate", "toy")
    assert (row.unit, row.budget, row.ok) == ("LUT", 21660.0, True)
    assert budgeted(UGT, "hls4ml", "lut", 21661.0, "estimate", "toy").ok is False
    assert budgeted(UGT, "hls4ml", "dsp", 0, "estimate", "toy").ok is True
    assert budgeted(UGT, "hls4ml", "dsp", 1, "estimate", "toy").ok is False
    free = budgeted(UGT, "hls4ml", "ff", 1e6, "estimate", "toy")
    assert (free.budget, free.ok) == (None, None)


def test_json_comes_back_and_is_deterministic(tmp_path: Path) -> None:
    write_report(report(), tmp_path / "a" / "report.json")
    write_report(report(), tmp_path / "b.json")
    assert read_report(tmp_path / "b.json") == report()
    assert (tmp_path / "a" / "report.json").read_bytes() == (tmp_path / "b.json").read_bytes()


def test_not_a_report(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text('{"model": 1}')
    with pytest.raises(DataError, match="is not a report"):
        read_report(tmp_path / "x.json")


def test_one_clock_is_one_clock() -> None:
    row = budgeted(load_target("econ-t"), "rtl", "ii", 1.0, "rtl-sim", "toy")
    assert row.note == "1 clock"
    assert budgeted(UGT, "rtl", "ii", 1.0, "rtl-sim", "toy").note == "6 clocks"


def test_terminal_text() -> None:
    console = Console(width=110, record=True, color_system=None, file=io.StringIO())
    found = (
        budgeted(UGT, "hls4ml", "latency", 25.0, "estimate", "toy"),
        budgeted(UGT, "hls4ml", "lut", 4332.0, "estimate", "toy", (0.5, 2.0)),
        budgeted(UGT, "rtl", "clock", 4.0, "estimate", "toy"),
    )
    console.print(render(report(mismatches=3, hardware=found), UGT))
    text = "\n".join(line.rstrip() for line in console.export_text().splitlines())
    assert text == (
        "toy 1.0.0  target ugt (xc7vx690tffg1927-2, 240 MHz)  digest 01234567\n"
        "agreement: csim DIFFERS, 97 of 100 events equal to the integer reference\n"
        "hardware; the hls4ml design is deployed\n"
        "design   metric      value                          budget                 source\n"
        "hls4ml  latency      25 ns   6 clocks, 1.00 BX       50 ns  ok         ≈ estimate\n"
        "hls4ml      lut  4,332 LUT  1.00 % of the chip  21,660 LUT  ok  ≈ estimate ×0.5-2\n"
        "rtl       clock       4 ns             250 MHz  4.16667 ns  ok         ≈ estimate\n"
        "headroom over the contract's input box\n"
        "node  type  minimum  maximum  bits  of\n"
        "verdict: fail\n"
        "  csim differs"
    )


def test_rows_of_an_estimate() -> None:
    counts = Estimate(ebops=30_000, multipliers=30, adders=40, dsp=1, ff=500, levels=9, cycles=12)
    found = estimated_rows(counts, UGT, HlsSettings(reuse_factor=2))
    assert {(row.design, row.source) for row in found} == {("hls4ml", "estimate")}
    values = {row.metric: (row.value, row.ok) for row in found}
    assert values["latency"] == (pytest.approx(13 * 25 / 6), False)  # 54 ns; 50 ns is the ceiling
    assert values["lut"] == (15_000, True)
    assert values["dsp"] == (1, False)
    table = hardware_table(found, "hls4ml")
    assert list(table.columns[1].cells) == [row.metric for row in found]
    assert {str(cell) for cell in table.columns[5].cells} == {"ok", "over", "-"}
    assert {row.style for row in table.rows} == {None}
    assert {row.style for row in hardware_table(found, "rtl").rows} == {"dim"}


def test_a_ceiling_of_cells_is_whole() -> None:
    row = budgeted(load_target("xcvu9p"), "hls4ml", "lut", 35_467.0, "estimate", "toy")
    assert row.budget == pytest.approx(35_467.2)
    assert budget_text(row) == "35,467 LUT"


def test_asic_has_no_share_of_a_chip() -> None:
    econ = load_target("econ-t")
    lut = budgeted(econ, "rtl", "lut", 4332.0, "yosys", "toy")
    assert (lut.budget, lut.ok) == (None, None)
    made = report(
        target=econ, deployed="rtl", hardware=(lut, budgeted(econ, "rtl", "ii", 1.0, "rtl-sim", "toy"))
    )
    assert made.budgets == ("latency", "ii")
    console = Console(width=110, record=True, color_system=None, file=io.StringIO())
    console.print(render(made, econ))
    text = console.export_text()
    assert "4,332 LUT" in text
    assert "of the chip" not in text


def test_terminal_names_what_was_not_measured() -> None:
    console = Console(width=110, record=True, color_system=None, file=io.StringIO())
    console.print(render(report(hardware=without("ii", rows("vivado"))), UGT))
    assert console.export_text().endswith("verdict: pass-on-estimates (not measured: ii)\n")


@pytest.mark.parametrize(
    ("npu", "met", "model", "note"),
    [
        (
            [40, 40, 50, 99],
            "1.0000 ± 0.0000",
            "0.5000 ± 0.0000",
            "1 of 1 signals reweighted in nPU; left out: at most 0.0 % of zero bias, 25.0 % of a signal",
        ),
        (
            [40, 40, 40, 40],
            "1.0000 ± 0.0000",
            "0.5000 ± 0.0000",
            "1 of 1 signals reweighted in nPU; left out: at most 50.0 % of zero bias, 0.0 % of a signal",
        ),
        ([0, 0, 0, 0], "-", "-", "0 of 1 signals reweighted in nPU"),
    ],
)
def test_terminal_shows_the_mean_auc_with_and_without_reweighting(
    npu: list[int], met: str, model: str, note: str
) -> None:
    physics = physics_table(
        background={"met": np.zeros(4, dtype=np.int64), "model": np.zeros(4, dtype=np.int64)},
        background_weight=np.ones(4),
        background_npu=np.array([40, 40, 50, 50]),
        signals={"toy": {"met": np.ones(4, dtype=np.int64), "model": np.zeros(4, dtype=np.int64)}},
        signal_weight={"toy": np.ones(4)},
        signal_npu={"toy": np.array(npu)},
        sample="toy.h5",
        split="test",
        replicas=20,
    )
    console = Console(width=110, record=True, color_system=None, file=io.StringIO())
    console.print(render(report(physics=physics), UGT))
    lines = [" ".join(line.split()) for line in console.export_text().splitlines()]
    start = lines.index("mean AUC over the signals")
    assert lines[start + 1 : start + 5] == [
        "score AUC with zero-bias pile-up",
        f"met 1.0000 ± 0.0000 {met}",
        f"model 0.5000 ± 0.0000 {model}",
        note,
    ]

"""The vendor seam with fake tools on PATH; their reports are constructed by hand (tests/data/vendor)."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from zerobias.cli.app import app
from zerobias.errors import DataError, InputError, ToolError
from zerobias.report import Agreement, Report, assemble, budgeted, render
from zerobias.rtl.vendor import read_csynth, read_timing, read_utilization, run_vendor, vendor_rows
from zerobias.targets import load_target

DATA = Path(__file__).parents[1] / "data" / "vendor"
UGT = load_target("ugt")
REPORT = "toy_top_prj/solution1/syn/report"
CSYNTH = f"{REPORT}/toy_top_csynth.xml"
VITIS = f"mkdir -p {REPORT} && cp {DATA}/hls.app toy_top_prj && cp {DATA}/csynth.xml {CSYNTH}"
PROJECT_TCL = 'set project_name "toy_top"\nset backend "vitis"\n'
VIVADO = f"cp {DATA}/utilization.rpt {DATA}/timing.rpt ."


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Puts fake tools on PATH, before everything else; each call notes its arguments in ``calls``."""
    place = tmp_path / "bin"
    place.mkdir()
    monkeypatch.setenv("PATH", f"{place}:{os.environ['PATH']}")

    def add(**scripts: str) -> Path:
        for name, script in scripts.items():
            program = place / name.replace("_run", "-run")
            program.write_text(f'#!/bin/sh\necho "{program.name} $*" >> {place}/calls\n{script}\n')
            program.chmod(0o755)
        return place / "calls"

    return add


@pytest.fixture
def build(tmp_path: Path) -> Path:
    """A build folder with what the seam reads of both projects."""
    for project, files in {
        "hls": ("build_hls.tcl", "build_vivado.tcl"),
        "rtl": ("build_vivado.tcl",),
    }.items():
        folder = tmp_path / "build" / project
        folder.mkdir(parents=True)
        for name in files:
            (folder / name).write_text("exit\n")
    (tmp_path / "build" / "hls" / "project.tcl").write_text(
        'set project_name "toy_top"\nset backend "vitis"\n'
    )
    (tmp_path / "build" / "stages").mkdir()
    return tmp_path / "build"


def figures(folder: Path) -> dict[tuple[str, str], tuple[float | None, str]]:
    return {(row.design, row.metric): (row.value, row.source) for row in vendor_rows(folder, UGT)}


def left_over(folder: Path) -> list[str]:
    return [path.name for path in folder.glob(".*")]


# --- reports --------------------------------------------------------------------------------------


@pytest.fixture
def finished(tmp_path: Path) -> Path:
    """A folder as Vitis HLS leaves it."""
    folder = tmp_path / "finished"
    (folder / REPORT).mkdir(parents=True)
    (folder / "project.tcl").write_text(PROJECT_TCL)
    shutil.copy(DATA / "hls.app", folder / "toy_top_prj")
    shutil.copy(DATA / "csynth.xml", folder / CSYNTH)
    return folder


def test_csynth_report(finished: Path) -> None:
    found = read_csynth(finished)
    assert (found.clock_ns, found.estimated_clock_ns) == (4.17, 3.021)
    assert (found.latency, found.interval) == (7, 3), "the worst case of both"
    assert (found.lut, found.ff, found.dsp, found.bram18) == (5678, 1234, 2, 5)
    report = finished / CSYNTH
    report.write_text(report.read_text().replace("DSP>", "DSP48E>"))  # the name in old versions
    assert read_csynth(finished) == found


ELEMENTS = (
    "UserAssignments/TargetClockPeriod",
    "PerformanceEstimates/SummaryOfTimingAnalysis/EstimatedClockPeriod",
    "PerformanceEstimates/SummaryOfOverallLatency/Best-caseLatency",
    "PerformanceEstimates/SummaryOfOverallLatency/Worst-caseLatency",
    "PerformanceEstimates/SummaryOfOverallLatency/Interval-min",
    "PerformanceEstimates/SummaryOfOverallLatency/Interval-max",
    "AreaEstimates/Resources/LUT",
    "AreaEstimates/Resources/FF",
    "AreaEstimates/Resources/DSP",
    "AreaEstimates/Resources/BRAM_18K",
    "AreaEstimates/AvailableResources",
)


@pytest.mark.parametrize("element", ELEMENTS)
def test_missing_element_of_csynth_is_named(finished: Path, element: str) -> None:
    report = finished / CSYNTH
    name = element.split("/")[-1]
    report.write_text(report.read_text().replace(f"<{name}>", "<x>").replace(f"</{name}>", "</x>"))
    with pytest.raises(DataError, match=f"^{re.escape(f'{report}: element {element} is missing; run')}"):
        read_csynth(finished)


@pytest.mark.parametrize("text", ["undef", "?", ""])
def test_unknown_latency_of_csynth_is_named(finished: Path, text: str) -> None:
    report = finished / CSYNTH
    report.write_text(report.read_text().replace("<Worst-caseLatency>7", f"<Worst-caseLatency>{text}"))
    with pytest.raises(DataError, match=r"element \S+/Worst-caseLatency is .*, no number"):
        read_csynth(finished)


@pytest.mark.parametrize("missing", ["project.tcl", "toy_top_prj/hls.app", CSYNTH])
def test_unfinished_run_of_vitis_is_named(finished: Path, missing: str) -> None:
    (finished / missing).unlink()
    with pytest.raises(DataError, match=f"^{re.escape(str(finished / missing))} "):
        read_csynth(finished)


def test_damaged_files_of_vitis_are_named(finished: Path) -> None:
    report = finished / CSYNTH
    report.write_text(report.read_text()[:500])
    with pytest.raises(DataError, match=r"toy_top_csynth\.xml is not XML"):
        read_csynth(finished)
    (finished / "project.tcl").write_text("set part x\n")
    with pytest.raises(DataError, match="does not set project_name"):
        read_csynth(finished)


def test_utilization_of_both_families() -> None:
    found = read_utilization(DATA / "utilization.rpt")
    assert (found.lut, found.ff, found.dsp, found.bram36) == (4321, 1111, 3, 1.5)
    found = read_utilization(DATA / "utilization_ultrascale.rpt")
    assert (found.lut, found.ff, found.dsp, found.bram36) == (2500, 900, 0, 0)


def test_timing() -> None:
    found = read_timing(DATA / "timing.rpt")
    assert (found.clock_ns, found.worst_slack_ns) == (4.167, 0.25)


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("utilization.rpt", "Slice LUTs ", "Luts       ", "row Slice LUTs or CLB LUTs is missing"),
        (
            "utilization.rpt",
            "Slice Registers",
            "Registers",
            "row Slice Registers or CLB Reg.* missing",
        ),
        ("utilization.rpt", "Block RAM Tile", "RAM", "row Block RAM Tile is missing"),
        ("utilization.rpt", "| DSPs           |    3", "| DSPs           |    x", "DSPs is 'x', no number"),
        ("timing.rpt", "WNS(ns)", "WNS", r"column WNS\(ns\) of the Design Timing Summary is missing"),
        ("timing.rpt", "0.250", "NA", r"WNS\(ns\) is 'NA', no number"),
        ("timing.rpt", "clock  {", "other  {", "row clock of the Clock Summary is missing"),
    ],
)
def test_damaged_text_reports(tmp_path: Path, file: str, old: str, new: str, message: str) -> None:
    text = (DATA / file).read_text()
    assert old in text
    (tmp_path / file).write_text(text.replace(old, new))
    read = read_timing if file == "timing.rpt" else read_utilization
    with pytest.raises(DataError, match=f"^{re.escape(str(tmp_path / file))}: {message}; run"):
        read(tmp_path / file)
    with pytest.raises(DataError, match="cannot be read"):
        read(tmp_path / "none.rpt")


# --- running --------------------------------------------------------------------------------------


def test_vitis_then_vivado(build: Path, tools: Callable[..., Path]) -> None:
    calls = tools(vitis_run=VITIS, vivado=VIVADO)
    assert vendor_rows(build, UGT) == ()
    run_vendor(build, "hls4ml", "vitis_hls", timeout_s=30)
    assert figures(build) == {
        ("hls4ml", "latency"): (pytest.approx(9 * 25 / 6), "csynth"),
        ("hls4ml", "ii"): (pytest.approx(0.5), "csynth"),
        ("hls4ml", "clock"): (3.021, "csynth"),
        ("hls4ml", "lut"): (5678, "csynth"),
        ("hls4ml", "ff"): (1234, "csynth"),
        ("hls4ml", "dsp"): (2, "csynth"),
        ("hls4ml", "bram"): (2.5, "csynth"),
    }
    run_vendor(build, "hls4ml", "vivado", timeout_s=30)
    run_vendor(build, "rtl", "vivado", timeout_s=30)
    vivado = {"clock": pytest.approx(25 / 6 - 0.25), "lut": 4321, "ff": 1111, "dsp": 3, "bram": 1.5}
    found = figures(build)
    for design in ("hls4ml", "rtl"):
        for metric, value in vivado.items():
            assert found.pop((design, metric)) == (value, "vivado")
    assert set(found) == {("hls4ml", "latency"), ("hls4ml", "ii")}
    hls, rtl = build / "hls", build / "rtl"
    assert calls.read_text().splitlines() == [
        f"vitis-run --mode hls --tcl {hls}/build_hls.tcl",
        f"vivado -mode batch -nojournal -nolog -source {hls}/build_vivado.tcl"
        f" -tclargs {build}/vendor/hls4ml/vitis_hls",
        f"vivado -mode batch -nojournal -nolog -source {rtl}/build_vivado.tcl",
    ]
    assert left_over(build) == []


def test_old_vitis_has_another_program(build: Path, tools: Callable[..., Path]) -> None:
    calls = tools(vitis_hls=VITIS)
    run_vendor(build, "hls4ml", "vitis_hls", timeout_s=30)
    assert calls.read_text() == f"vitis_hls -f {build}/hls/build_hls.tcl\n"


def test_results_of_another_project_are_not_used(
    build: Path, tools: Callable[..., Path], caplog: pytest.LogCaptureFixture
) -> None:
    tools(vitis_run=VITIS, vivado=VIVADO)
    run_vendor(build, "hls4ml", "vitis_hls", timeout_s=30)
    (build / "hls" / "weights.h").write_text("other weights\n")
    assert vendor_rows(build, UGT) == ()
    assert "vitis_hls is of another project than the one built now" in caplog.text
    with pytest.raises(DataError, match="has no Verilog of the hls4ml design as it is now"):
        run_vendor(build, "hls4ml", "vivado", timeout_s=30)
    (build / "hls" / "weights.h").unlink()
    assert len(vendor_rows(build, UGT)) == 7


@pytest.mark.parametrize("tool", ["vitis_hls", "vivado"])
def test_missing_tool(build: Path, tool: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    design = "rtl" if tool == "vivado" else "hls4ml"
    product = "Vivado" if tool == "vivado" else "Vitis"
    with pytest.raises(ToolError) as caught:
        run_vendor(build, design, tool, timeout_s=30)  # type: ignore[arg-type]
    assert str(caught.value) == (
        f"{tool} was not found: install AMD {product} and put it on PATH with `source <where it is "
        "installed>/settings64.sh`; a build needs no vendor tool"
    )
    assert left_over(build) == []


@pytest.mark.parametrize(
    ("script", "timeout_s", "message"),
    [
        ("sleep 60", 0.5, "was stopped after its limit of 0.5 s"),
        ("kill -9 $$", 30, "was killed, as the system does when memory runs out"),
        (
            f"{VITIS}; echo 'ERROR: [HLS 200-1] no licence'; exit 1",
            30,
            "failed: ERROR: .HLS 200-1. no licence",
        ),
        ("exit 3", 30, "failed with exit status 3"),
    ],
)
def test_a_failing_tool_changes_nothing_and_the_next_run_is_clean(
    build: Path, tools: Callable[..., Path], script: str, timeout_s: float, message: str
) -> None:
    tools(vitis_run=VITIS)
    run_vendor(build, "hls4ml", "vitis_hls", timeout_s=30)
    before = vendor_rows(build, UGT)
    tools(vitis_run=f"touch unfinished; {script}")
    with pytest.raises(ToolError, match=f"^vitis-run {message}") as caught:
        run_vendor(build, "hls4ml", "vitis_hls", timeout_s=timeout_s)
    log = build / "vendor" / "hls4ml-vitis_hls.log"
    assert f"see {log}" in str(caught.value)
    assert log.is_file()
    assert left_over(build) == []
    assert vendor_rows(build, UGT) == before
    tools(vitis_run=f"test ! -e unfinished && {VITIS}")
    run_vendor(build, "hls4ml", "vitis_hls", timeout_s=30)
    assert vendor_rows(build, UGT) == before


def test_what_cannot_be_run(build: Path) -> None:
    with pytest.raises(InputError, match="vitis_hls has nothing to do for the rtl design"):
        run_vendor(build, "rtl", "vitis_hls", timeout_s=30)
    (build / "rtl" / "build_vivado.tcl").unlink()
    with pytest.raises(DataError, match=r"no \S+: vivado needs a build of the rtl design, run"):
        run_vendor(build, "rtl", "vivado", timeout_s=30)


def test_a_report_of_another_clock_is_refused(build: Path, tools: Callable[..., Path]) -> None:
    tools(vitis_run=VITIS, vivado=VIVADO)
    run_vendor(build, "hls4ml", "vitis_hls", timeout_s=30)
    with pytest.raises(DataError, match=r"vitis_hls reports a clock of 4.17 ns, target ctp7 has 6.25"):
        vendor_rows(build, load_target("ctp7"))
    run_vendor(build, "rtl", "vivado", timeout_s=30)
    shutil.rmtree(build / "vendor" / "hls4ml")
    with pytest.raises(DataError, match=r"vivado reports a clock of 4.167 ns, target ctp7 has 6.25"):
        vendor_rows(build, load_target("ctp7"))


# --- the report -----------------------------------------------------------------------------------


def report(folder: Path) -> Report:
    estimates = tuple(
        budgeted(UGT, "hls4ml", metric, value, "estimate", "toy")  # type: ignore[arg-type]
        for metric, value in {"latency": 25.0, "ii": 1.0, "lut": 4000.0, "dsp": 0, "bram": 0}.items()
    )
    names = ("reference", "csim")
    return assemble(
        model="toy",
        version="1.0.0",
        target=UGT,
        deployed="hls4ml",
        digest="0" * 8,
        settings={},
        agreement=Agreement(events=1, extremes=1, implementations=names, mismatches={"csim": 0}),
        disagreements=(),
        hardware=(*estimates, *(budgeted(UGT, *figure) for figure in vendor_rows(folder, UGT))),
        headroom=(),
        physics=None,
    )


@pytest.fixture
def free_of_memory(tools: Callable[..., Path]) -> None:
    """Vitis HLS whose report has neither DSP nor block RAM, which the uGT does not allow."""
    edit = f"sed -i 's/<DSP>2/<DSP>0/; s/<BRAM_18K>5/<BRAM_18K>0/' {CSYNTH}"
    tools(vitis_run=f"{VITIS} && {edit}")


@pytest.mark.usefixtures("free_of_memory")
def test_measurements_make_a_pass(build: Path) -> None:
    assert report(build).verdict == "pass-on-estimates"
    run_vendor(build, "hls4ml", "vitis_hls", timeout_s=30)
    assert report(build).verdict == "pass"
    console = Console(width=110, record=True, color_system=None, file=io.StringIO())
    console.print(render(report(build), UGT))
    lines = [" ".join(line.split()) for line in console.export_text().splitlines()]
    assert "hls4ml clock 3.021 ns 331 MHz 4.16667 ns ok csynth" in lines


def test_a_measurement_over_budget_fails(build: Path, tools: Callable[..., Path]) -> None:
    tools(vitis_run=VITIS)
    run_vendor(build, "hls4ml", "vitis_hls", timeout_s=30)
    assert [cause.split(" (")[0] for cause in report(build).causes] == [
        "dsp of the hls4ml design is 2 DSP",
        "bram of the hls4ml design is 2.5 BRAM36",
    ]


@pytest.mark.usefixtures("free_of_memory")
def test_a_latency_needs_the_clock_to_be_reached(build: Path, tools: Callable[..., Path]) -> None:
    run_vendor(build, "hls4ml", "vitis_hls", timeout_s=30)
    tools(
        vivado=f"{VIVADO}; sed -i 's/0.250/-0.250/' timing.rpt; sed -i 's/|    3 |/|    0 |/' utilization.rpt"
    )
    run_vendor(build, "hls4ml", "vivado", timeout_s=30)
    latency = next(row for row in vendor_rows(build, UGT) if row.metric == "latency")
    assert latency.value is None
    assert latency.method.endswith("not valid, the clock is not reached")
    assert report(build).causes[0].startswith("clock of the hls4ml design is 4.41667 ns (vivado)")


# --- the command ----------------------------------------------------------------------------------


def command(*words: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["vendor", *map(str, words)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.stdout, result.stderr


def test_the_command(build: Path, tools: Callable[..., Path]) -> None:
    tools(vitis_run=VITIS)
    build.rename(build.with_name("axol1tl"))
    words = "axol1tl", "--build", build.parent, "--tool", "vitis_hls"
    code, out, _ = command(*words, "--json")
    document = json.loads(out)
    assert code == 0
    assert document["path"] == str(build.parent / "axol1tl" / "vendor" / "hls4ml" / "vitis_hls")
    assert {row["metric"]: row["value"] for row in document["rows"]}["lut"] == 5678
    assert "5,678" in command(*words)[1]


@pytest.mark.parametrize(
    ("script", "more", "message"),
    [
        (None, (), "vitis_hls was not found: install AMD Vitis"),
        ("sleep 60", ("--hours", 0.0001), "vitis-run was stopped after its limit of 0.36 s"),
        ("kill -9 $$", (), "vitis-run was killed"),
        ("exit 1", (), "vitis-run failed with exit status 1"),
        ("true", (), "toy_top_prj/hls.app is missing, so this is no finished run of Vitis HLS"),
        (VITIS, ("--target", "ctp7"), "no build in"),
        (VITIS, ("--target", "vu9p"), "no target named 'vu9p': known are ctp7, econ-t, ugt"),
        (VITIS, ("--design", "rtl"), "vitis_hls has nothing to do for the rtl design"),
    ],
)
def test_the_command_fails_in_one_sentence(
    build: Path,
    tools: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    script: str | None,
    more: tuple[object, ...],
    message: str,
) -> None:
    if script is None:
        monkeypatch.setenv("PATH", "/nowhere")
    else:
        tools(vitis_run=script)
    build.rename(build.with_name("axol1tl"))
    code, out, err = command("axol1tl", "--build", build.parent, "--tool", "vitis_hls", *more)
    assert (code, out) == (2, "")
    assert message in err
    assert len([line for line in err.splitlines() if line.startswith("error: ")]) == 1

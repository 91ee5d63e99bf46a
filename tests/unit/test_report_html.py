"""The report as a page: verdict, every number, estimates marked, escaping, nothing from outside."""

from __future__ import annotations

import re
import runpy
from collections.abc import Iterator
from contextlib import suppress
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args

import pytest
from pydantic import ValidationError

from zerobias.report import Report, budgeted, html, page, read_report, write_page, write_report
from zerobias.report.charts import budget_bar
from zerobias.report.model import Metric, Source
from zerobias.targets import load_target

REPORTS = SimpleNamespace(**runpy.run_path(str(Path(__file__).parents[1] / "data" / "reports.py")))
UGT, full_report, failing_report = REPORTS.UGT, REPORTS.full_report, REPORTS.failing_report
VOID = {"meta", "path", "rect", "br", "link", "img", "input"}


class Reader(HTMLParser):
    """Tags (with attributes), tables as {caption: rows of cell texts}, and all text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.tables: dict[str, list[list[str]]] = {}
        self.text = ""
        self._open: list[str] = []
        self._rows: list[list[str]] = []
        self._caption = ""
        self.feed(text)
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)
        if tag == "table":
            self._rows, self._caption = [], ""
        elif tag == "tr":
            self._rows.append([])
        elif tag in ("td", "th"):
            self._rows[-1].append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self._open.pop() == tag
        if tag == "table":
            self.tables[self._caption] = self._rows

    def handle_data(self, data: str) -> None:
        if "style" in self._open:
            return
        self.text += data
        if "caption" in self._open:
            self._caption += data
        elif "td" in self._open or "th" in self._open:
            self._rows[-1][-1] += data


@pytest.fixture(scope="module")
def report() -> Report:
    return full_report()


@pytest.fixture(scope="module")
def read(report: Report) -> Reader:
    return Reader(page(report))


def table(read: Reader, caption: str) -> list[list[str]]:
    """Rows of the one table whose caption starts so, without its head."""
    [rows] = [rows for name, rows in read.tables.items() if name.startswith(caption)]
    return rows[1:]


def test_verdict_comes_first(read: Reader) -> None:
    main = read.text[read.text.index("Provenance") :]
    assert main.split("\n", 1)[1].strip().startswith("≈ Verdict: pass-on-estimates")
    assert "no measurement, of: latency, initiation interval, look-up tables, DSP blocks, block RAM." in main


def test_measured_ceilings_pass() -> None:
    values = {"latency": 25.0, "ii": 1.0, "lut": 4332.0, "dsp": 0.0, "bram": 0.0}
    rows = tuple(budgeted(UGT, "hls4ml", m, v, "vivado", "toy") for m, v in values.items())  # type: ignore[arg-type]
    text = Reader(page(full_report(hardware=rows))).text
    assert "✓ Verdict: pass\n" in text
    assert "a measurement of the hls4ml design keeps every ceiling of ugt" in text
    assert "≈ 25 ns" not in text


def test_failure_names_every_cause() -> None:
    failed = failing_report()
    read = Reader(page(failed))
    assert "✗ Verdict: fail" in read.text
    assert len(failed.causes) == 3
    assert all(cause in read.text for cause in failed.causes)
    assert table(read, "Implementations")[1] == ["csim", "9,618 of 10,030", "412", "DIFFERS"]
    assert table(read, "Range of every node")[0][-1] == "OVERFLOWS"
    [latency] = [row for row in table(read, "Figures of the hls4ml") if row[0] == "latency"]
    assert (latency[1], latency[4]) == ("≈ 62.5 ns15 clocks, 2.50 BX", "✗ over")


def test_an_implementation_without_a_count_is_not_called_exact(report: Report) -> None:
    agreement = report.agreement.model_copy(update={"implementations": ("reference", "csim", "rtl")})
    read = Reader(page(full_report(agreement=agreement)))
    assert table(read, "Implementations")[2] == ["rtl", "not compared", "-", "NOT COMPARED"]


def test_hardware_says_design_source_unit_and_band(read: Reader) -> None:
    rows = {row[0]: row for row in table(read, "Figures of the hls4ml")}
    assert rows["latency"] == [
        "latency",
        "≈ 37.5 ns9 clocks, 1.50 BX",
        "",
        "50 ns75 % of it",
        "✓ ok",
        "≈ estimate ×0.5-2toy levels; a measurement is expected between 18.75 ns and 75 ns",
    ]
    assert rows["flip-flops"][3:5] == ["none", "-"]
    other = {row[0]: row for row in table(read, "Figures of the rtl")}
    assert other["latency"][1] == "45 ns11 clocks, 1.80 BX"
    assert other["latency"][5] == "rtl-simtoy clocks"
    assert other["clock period"][1] == "unknown"


def test_estimates_are_hatched_and_marked_measurements_are_not(report: Report, read: Reader) -> None:
    for row in report.hardware:
        [cells] = [
            cells
            for cells in table(read, f"Figures of the {row.design}")
            if f"{row.source}" in cells[5] and cells[1].endswith(row.note) and row.method in cells[5]
            if cells[0] == {"ff": "flip-flops", "dsp": "DSP blocks", "lut": "look-up tables"}.get(row.metric)
            or cells[0].startswith(row.metric)
        ]
        assert cells[1].startswith("≈ ") == cells[5].startswith("≈ ") == (row.source == "estimate")
    bars = [
        attrs for tag, attrs in read.tags if tag == "rect" and "x" in attrs and attrs.get("height") == "14"
    ]
    kinds = [str(attrs["class"]).split()[0] for attrs in bars]
    assert kinds == ["estimate", "estimate", "estimate", "measured"], "latency, lut, dsp; latency of the rtl"
    assert ["fill" in attrs for attrs in bars] == [True, True, True, False]


def test_every_metric_and_source_has_a_meaning() -> None:
    assert set(html._MEANING) == set(get_args(Metric))
    assert set(html._SOURCES) == set(get_args(Source))


def test_all_designs_are_shown_the_deployed_one_first(report: Report) -> None:
    ports = budgeted(load_target("econ-t"), "rtl-ports", "gates", 12345.0, "yosys", "toy")
    read = Reader(page(full_report(hardware=(*report.hardware, ports), deployed="rtl")))
    order = [name.split()[3] for name in read.tables if name.startswith("Figures of")]
    assert order == ["rtl", "hls4ml", "rtl-ports"]
    assert table(read, "Figures of the rtl-ports")[0][:2] == ["gate area", "12,345 NAND2"]


def test_bars_are_shares_of_the_ceiling() -> None:
    def bar(value: float, band: tuple[float, float] | None = None) -> Any:
        return budget_bar(budgeted(UGT, "hls4ml", "latency", value, "estimate", "toy", band))

    half, over = bar(25.0, (0.5, 2.0)), bar(250.0, (0.1, 2.0))
    assert (half.length, half.ceiling, half.band) == (80.0, 160.0, (40.0, 160.0))
    assert (half.beyond, half.band_beyond) == (False, False)
    assert (over.length, over.band) == (200.0, (80.0, 200.0))
    assert (over.beyond, over.band_beyond) == (True, True)
    none_allowed = [budget_bar(budgeted(UGT, "rtl", "dsp", n, "yosys", "toy")) for n in (0.0, 1.0)]
    assert [b is not None and b.length for b in none_allowed] == [0.0, 200.0]
    assert budget_bar(budgeted(UGT, "rtl", "ff", 9.0, "yosys", "toy")) is None
    assert budget_bar(budgeted(UGT, "rtl", "lut", None, "yosys", "toy")) is None


def test_physics_tables_hold_the_figures(report: Report, read: Reader) -> None:
    assert report.physics is not None
    found = {(row[0], row[1]): row for row in table(read, "Every score on every signal")}
    assert len(found) == len(report.physics.rows) == 6
    for row in report.physics.rows:
        cells = found[row.signal, row.score]
        assert cells[2] == f"{row.auc.value:.4f} ± {row.auc.error:.4f}"
        few = " †" if row.background_above["0.001"] < 10 else ""
        value = row.efficiency["0.001"]
        assert cells[5:] == [
            f"{value.value:.4f} ± {value.error:.4f}{few}",
            f"{row.background_above['0.001']:.1f}",
            "80",
            "600",
        ]
    assert any("†" in cell for row in found.values() for cell in row)
    assert [row[0] for row in table(read, "AUC of the network versus pile-up")] == ["zp", "a_4l"]


def leaves(data: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Paths of all numbers."""
    if isinstance(data, dict | list):
        for key, value in data.items() if isinstance(data, dict) else enumerate(data):
            yield from leaves(value, (*path, key))
    elif isinstance(data, int | float) and not isinstance(data, bool):
        yield path


def changed(data: Any, path: tuple[str | int, ...], factor: float) -> Any:
    """A copy of ``data`` with another number at ``path``."""
    if not path:
        return type(data)(data * factor + (7 if isinstance(data, int) else 0.0311) * (factor - 1) * 10)
    copy: Any = dict(data) if isinstance(data, dict) else list(data)
    copy[path[0]] = changed(data[path[0]], path[1:], factor)
    return copy


def valid(data: Any, path: tuple[str | int, ...], *factors: float) -> Report:
    """The report with another number at ``path``, and with the verdict that follows from it."""
    for factor in factors or (1.2, 0.8):  # a band must not be upside down
        for verdict in ("pass-on-estimates", "fail", "pass"):
            with suppress(ValidationError):
                return Report.model_validate(changed(data, path, factor) | {"verdict": verdict})
    raise AssertionError(f"no other number is valid at {path}")


def test_every_number_of_the_json_is_on_the_page(report: Report) -> None:
    data, before = report.model_dump(mode="json"), page(report)
    paths = list(leaves(data))
    curves = [path for path in paths if path[0] == "curves"]
    # Of the points of the curves, every 29th: they are all alike.
    paths = [path for path in paths if path[0] != "curves"] + curves[::29]
    assert len(paths) > 150
    assert [path for path in paths if before == page(valid(data, path))] == []
    assert before == page(valid(data, ("agreement", "events"), 1.0)), "control: nothing changed"


def test_nothing_of_a_model_is_taken_for_markup() -> None:
    bad = '<script>alert("1")</script>&"\'</title></style>'
    made = full_report(
        model=bad,
        title=bad,
        version=bad,
        disagreements=(bad,),
        digest=bad,
        settings={bad: bad, "tools": {bad: bad}},
    )
    text = page(made)
    assert "<script" not in text
    assert "&lt;script&gt;alert(&#34;1&#34;)&lt;/script&gt;&amp;&#34;&#39;" in text
    read = Reader(text)
    assert [bad, bad] in table(read, "Versions of tools")
    assert [tag for tag, _ in read.tags] == [
        tag
        for tag, _ in Reader(
            page(full_report(disagreements=("x",), settings={"x": "x", "tools": {"x": "x"}}))
        ).tags
    ]


def test_names_of_signals_and_nodes_are_escaped(report: Report) -> None:
    assert "<i>" not in page(report)
    raw = (
        report.model_dump_json()
        .replace('"a_4l"', '"<i>"')
        .replace('"dense1"', '"<i>"')
        .replace("toy levels", "<i>")
    )
    text = page(Report.model_validate_json(raw))
    assert "<i>" not in text
    assert text.count("&lt;i&gt;") > 10


@pytest.mark.parametrize("made", [full_report, failing_report])
def test_nothing_comes_from_outside(made: Any) -> None:
    text = page(made())
    assert "http:" not in text
    assert "https:" not in text
    assert not re.search(r"\ssrc\s*=|@import|<script|<link|<iframe|<img|\son\w+\s*=", text)
    assert set(re.findall(r"url\((.)", text)) == {"#"}
    read = Reader(text)
    assert all(str(a["href"]).startswith("#") for _, a in read.tags if "href" in a)
    policy = [a["content"] for _, a in read.tags if a.get("http-equiv") == "Content-Security-Policy"]
    assert policy == ["default-src 'none'; style-src 'unsafe-inline'"]


def test_structure_for_keyboard_and_screen_reader(read: Reader) -> None:
    tags = [tag for tag, _ in read.tags]
    assert [tags.count(tag) for tag in ("header", "nav", "main", "footer", "h1")] == [1] * 5
    identifiers = [a["id"] for _, a in read.tags if "id" in a]
    assert len(identifiers) == len(set(identifiers))
    for _, attrs in read.tags:
        for key in ("href", "aria-labelledby"):
            if key in attrs:
                assert str(attrs[key]).removeprefix("#") in identifiers
    assert next(attrs for tag, attrs in read.tags if tag == "a") == {"class": "skip", "href": "#main"}
    levels = [int(tag[1]) for tag in tags if re.fullmatch(r"h[1-6]", tag)]
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert all(attrs.get("scope") in ("col", "row") for tag, attrs in read.tags if tag == "th")
    assert tags.count("table") == tags.count("caption") == len(read.tables)
    assert "" not in read.tables
    for tag, attrs in read.tags:
        if tag == "svg":
            assert attrs.get("aria-hidden") == "true" or (attrs["role"] == "img" and attrs["aria-label"])
    regions = [attrs for _, attrs in read.tags if attrs.get("class") == "scroll"]
    assert all(attrs["tabindex"] == "0" and attrs["aria-labelledby"] for attrs in regions)


def test_the_page_is_a_function_of_the_json(report: Report, tmp_path: Path) -> None:
    write_report(report, tmp_path / "report.json")
    write_page(report, tmp_path / "report.html")
    assert page(read_report(tmp_path / "report.json")) == (tmp_path / "report.html").read_text()
    assert len((tmp_path / "report.html").read_bytes()) < 500_000
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["report.html", "report.json"]


def test_a_report_without_physics_or_without_curves() -> None:
    for changes in ({"physics": None, "curves": None}, {"curves": None}, {"hardware": (), "headroom": ()}):
        read = Reader(page(full_report(**changes)))
        assert "Verdict: pass-on-estimates" in read.text
        assert ("raw integer score" in read.text) == ("curves" not in changes)

"""The documentation as a site: built without a warning, no broken link, nothing of the code left out."""

from __future__ import annotations

import ast
import contextlib
import io
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, get_args
from urllib.parse import unquote, urlsplit

import pytest
from pydantic import BaseModel
from typer.main import get_command

from zerobias.cli.app import app
from zerobias.executor import BatchFile
from zerobias.physics import Menu
from zerobias.release import Release
from zerobias.report import Report
from zerobias.simulate import Detector, ProcessCard, ZeroBiasCard
from zerobias.simulate.hgcal import Hgcal
from zerobias.simulate.validate import Anchors
from zerobias.targets import Target
from zerobias.zoo import ModelSpec

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))
from check_imports import STAGES  # noqa: E402

ENGINE = ROOT / "src" / "zerobias"
KEYS: dict[str, tuple[type[BaseModel], str]] = {
    "anchors": (Anchors, "triggers/anchors.toml"),
    "batch-job": (BatchFile, ""),
    "detector": (Detector, "triggers/detector.toml"),
    "hgcal": (Hgcal, "triggers/hgcal.toml"),
    "menu": (Menu, "triggers/menus/*.toml"),
    "model": (ModelSpec, "models/*/model.toml"),
    "process": (ProcessCard, "triggers/processes/*.toml"),
    "release": (Release, ""),
    "report": (Report, ""),
    "target": (Target, "firmware/targets/*.toml"),
    "zero-bias": (ZeroBiasCard, "triggers/zero_bias.toml"),
}
"""Page of ``docs/reference/keys`` -> what it describes, and the shipped files of the kind."""
FREE = {"network", "training", "choices", "ranges", "ceilings", "tunes"}
"""Tables whose keys are not those of a model."""


class Page(HTMLParser):
    """Anchors, links (with the attribute they stand in), and tables of a page as rows of texts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[tuple[str, str]] = []
        self.tables: list[list[list[str]]] = []
        self._in_cell = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.anchors |= {found[key] or "" for key in ("id", "name") if key in found}
        self.links += [(tag, found[key] or "") for key in ("href", "src") if key in found]
        if tag == "table":
            self.tables.append([])
        if tag == "tr":
            self.tables[-1].append([])
        if tag in ("td", "th"):
            self.tables[-1][-1].append("")
            self._in_cell = True

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th"):
            self._in_cell = False

    def handle_data(self, data: str) -> None:
        if self._in_cell:
            self.tables[-1][-1][-1] += data


def faults(site: Path) -> list[str]:
    """What is wrong with the links of a site: no file, no anchor, or something a browser would fetch."""
    pages = {path: Page(path.read_text(encoding="utf-8")) for path in sorted(site.rglob("*.html"))}
    wrong = []
    for path, page in pages.items():
        for tag, link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                if tag != "a" and parts.scheme != "data":
                    wrong.append(f"{path.relative_to(site)}: <{tag}> fetches {link}")
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            anchor = unquote(parts.fragment)
            if not target.is_file():
                wrong.append(f"{path.relative_to(site)}: no file {link}")
            elif anchor and target in pages and anchor not in pages[target].anchors:
                wrong.append(f"{path.relative_to(site)}: no anchor {link}")
    return wrong


def sphinx(conf: Path, source: Path, site: Path) -> subprocess.CompletedProcess[str]:
    """A build as `make docs` makes it."""
    options = ["-qEWn", "--keep-going", "-b", "html", "-c", str(conf), "-d", str(site.parent / "doctrees")]
    return subprocess.run(
        [sys.executable, "-m", "sphinx", *options, str(source), str(site)],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site."""
    folder = tmp_path_factory.mktemp("docs") / "html"
    done = sphinx(ROOT / "docs", ROOT, folder)
    assert done.returncode == 0, done.stderr
    return folder


def page(site: Path, name: str) -> Page:
    return Page((site / name).read_text(encoding="utf-8"))


def test_links_lead_somewhere_and_nothing_is_fetched(site: Path) -> None:
    assert faults(site) == []


def test_broken_links_are_found(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text(
        '<a href="b.html#here">1</a><a href="b.html#there">2</a><a href="c.html">3</a><a href="#top">4</a>'
        '<img src="d.png"><script src="https://e.f/g.js"></script><a href="https://e.f">5</a>'
    )
    (tmp_path / "b.html").write_text('<p id="here">')
    assert faults(tmp_path) == [
        "a.html: no anchor b.html#there",
        "a.html: no file c.html",
        "a.html: no anchor #top",
        "a.html: no file d.png",
        "a.html: <script> fetches https://e.f/g.js",
    ]


def test_a_broken_link_fails_the_build_and_a_folder_does_not(tmp_path: Path) -> None:
    (tmp_path / "conf.py").write_text(
        f"import sys\nsys.path.insert(0, {str(ROOT / 'docs')!r})\nimport conf\n"
        "from conf import extensions, myst_enable_extensions, myst_heading_anchors\n"
        "def setup(app):\n    app.connect('doctree-read', conf._folders)\n"
    )
    for name in ("with", "without"):
        (tmp_path / name).mkdir()
    (tmp_path / "with" / "README.md").write_text("---\norphan: true\n---\n# With\n")
    good = "# Index\n[a](with/) [b](without/) [c](#index)\n"
    (tmp_path / "index.md").write_text(good)
    done = sphinx(tmp_path, tmp_path, tmp_path / "html")
    assert (done.returncode, done.stderr) == (0, "")
    links = [link for tag, link in page(tmp_path / "html", "index.html").links if "README" in link]
    assert links == ["with/README.html"]
    (tmp_path / "index.md").write_text(good + "[d](missing.md) [e](#missing) [f](missing/)\n")
    done = sphinx(tmp_path, tmp_path, tmp_path / "html")
    assert done.returncode == 1
    assert len(re.findall("myst.xref_missing", done.stderr)) == 3, done.stderr


def test_every_markdown_file_is_a_page(site: Path) -> None:
    named = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *ROOT.glob("models/*/README.md")]
    for path in [*named, ROOT / "triggers" / "README.md"]:
        assert (site / path.relative_to(ROOT)).with_suffix(".html").is_file(), path
    assert "docs/index.html" in [link for _, link in page(site, "index.html").links]


# --- the Python interface ----------------------------------------------------------------------------------


def exports(module: str) -> set[str]:
    """Full names of ``__all__`` of a module or package, read without importing it."""
    path = ROOT / "src" / module.replace(".", "/")
    source = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    for statement in ast.parse(source.read_text(encoding="utf-8")).body:
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "__all__":
            return {f"{module}.{name}" for name in ast.literal_eval(statement.value)}
    raise AssertionError(f"{source} has no __all__")


def test_the_python_interface_is_what_the_packages_export(site: Path) -> None:
    """A page for each stage, in order, and one for the rest, with all exported names and no other."""
    packages = {".".join(p.parent.relative_to(ENGINE.parent).parts) for p in ENGINE.rglob("*/__init__.py")}
    units = {f"zerobias.{path.stem}" for path in ENGINE.glob("[a-z]*.py")} | packages
    pages = [link for _, link in page(site, "docs/reference/api/index.html").links if "/" not in link]
    order = list(dict.fromkeys(link.removesuffix(".html") for link in pages if link.endswith(".html")))
    stages = [stage for stage in STAGES if f"zerobias.{stage}" in units]
    assert order == [*stages, "shared"]
    for name in order:
        own = {unit for unit in units if unit.split(".")[1] == name}
        if name == "shared":
            own = {unit for unit in units if unit.split(".")[1] not in stages}
        wanted = set().union(*map(exports, own))
        anchors = page(site, f"docs/reference/api/{name}.html").anchors
        shown = {anchor for anchor in anchors if anchor.rpartition(".")[0] in own}
        modules = {anchor.removeprefix("module-") for anchor in anchors if anchor.startswith("module-")}
        assert shown | (modules & wanted) == wanted, name
        text = (site / f"docs/reference/api/{name}.html").read_text(encoding="utf-8")
        assert (
            re.findall(r'id="(zerobias[^"]*)"(?:(?!<dt).)*?<dd></dd>', text, re.DOTALL) == []
        )  # no docstring


# --- keys and commands --------------------------------------------------------------------------------------


def models(kind: Any) -> Iterator[type[BaseModel]]:
    """The pydantic models in an annotation, and in the annotations of their keys."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        yield kind
        for field in kind.model_fields.values():
            yield from models(field.annotation)
    for inner in get_args(kind):
        yield from models(inner)


def undescribed(found: Page, model: type[BaseModel]) -> list[str]:
    """Keys of ``model`` and of the models in it that have no row with a meaning, a type and a default."""
    tables = [{row[0]: row[1:] for row in table[1:]} for table in found.tables]
    missing = []
    for part in models(model):
        names = list(part.model_fields)
        rows = next((table for table in tables if list(table) == names), {})
        missing += [f"{part.__name__}.{name}" for name in names if not all(rows.get(name, [""]))]
    return missing


def test_every_key_of_every_file_is_described(site: Path) -> None:
    assert {path.stem for path in (ROOT / "docs/reference/keys").glob("*.md")} == {"index", *KEYS}
    for name, (model, shipped) in KEYS.items():
        found = page(site, f"docs/reference/keys/{name}.html")
        assert undescribed(found, model) == [], name
        described = {row[0] for table in found.tables for row in table}
        files = list(ROOT.glob(shipped)) if shipped else []
        assert bool(files) == bool(shipped)
        for path in files:
            assert keys(tomllib.loads(path.read_text(encoding="utf-8"))) <= described, path


def keys(table: dict[str, Any]) -> set[str]:
    """All keys of a TOML document, without those of free tables."""
    found = set(table)
    for name, value in table.items():
        for inner in value if isinstance(value, list) else [value]:
            if isinstance(inner, dict) and name not in FREE:
                found |= keys(inner)
    return found


def test_a_key_without_a_text_or_a_row_is_found() -> None:
    class Inner(BaseModel):
        said: int
        """A text."""
        unsaid: int = 1

    class Outer(BaseModel):
        inner: tuple[Inner, ...] = ()
        """A text."""

    cells = "<td>A</td><td>B</td><td>C</td>"
    tables = [f"<table><tr><th>key</th></tr><tr><td>{name}</td>{cells}</tr>" for name in ("inner", "said")]
    html = f"{tables[0]}</table>{tables[1]}%s</table>"
    assert undescribed(Page(html % ""), Outer) == ["Inner.said", "Inner.unsaid"]
    row = "<tr><td>unsaid</td><td></td><td>B</td><td>C</td></tr>"
    assert undescribed(Page(html % row), Outer) == ["Inner.unsaid"]
    assert undescribed(Page(html % row.replace("<td></td>", "<td>A</td>")), Outer) == []


def test_every_command_and_option_is_described(site: Path) -> None:
    found = page(site, "docs/reference/cli.html")
    shown = {cell.split()[0] for table in found.tables for row in table for cell in row[:1]}
    assert {"0", "2", "3"} <= shown  # the exit codes
    pending = [("zerobias", get_command(app))]
    for name, command in pending:
        pending += [(f"{name} {part}", inner) for part, inner in getattr(command, "commands", {}).items()]
        if command.params:
            assert name.replace(" ", "-") in found.anchors
        for parameter in command.params:
            assert {parameter.opts[0], f"{parameter.opts[0]}..."} & shown, (name, parameter.opts)


def test_the_example_of_raw_integers_prints_what_the_page_shows() -> None:
    text = (ROOT / "docs/explanation/raw-integers.md").read_text(encoding="utf-8")
    code, output = re.findall(r"```(?:python)?\n(.*?)```", text, re.DOTALL)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(code, {})
    assert printed.getvalue() == output

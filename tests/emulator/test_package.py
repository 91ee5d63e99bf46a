"""Writing a package: plain files, the same bytes each time, and refusals before anything is written."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from zerobias.emulator import Threshold, write_emulator
from zerobias.emulator.sources import constant_decision, constant_weights, used_files
from zerobias.errors import DataError, GateError, SpecError, UnsupportedError
from zerobias.files import tree_digest
from zerobias.fixed import graph_of
from zerobias.hls.csim import ap_types
from zerobias.shelves import shelf
from zerobias.verify import read_golden
from zerobias.zoo import find_model, read_weights, write_weights


def with_emulator(subject: Any, **table: Any) -> Any:
    """The subject with another ``[emulator]`` table."""
    model = subject.model
    spec = model.spec.model_copy(update={"emulator": model.spec.emulator.model_copy(update=table)})
    return replace(subject, model=replace(model, spec=spec))


def test_two_writes_are_byte_identical(second: Any, tmp_path: Path) -> None:
    one, other = second.write(tmp_path / "one"), second.write(tmp_path / "other")
    assert tree_digest(one.path) == tree_digest(other.path)
    assert one.digest == other.digest


def test_equal_package_is_left_and_a_changed_one_replaced(first: Any, tmp_path: Path) -> None:
    package = first.write(tmp_path / "package")
    assert package.fresh
    package.library.write_text("built")
    assert not first.write(package.path).fresh
    assert package.library.read_text() == "built"
    path = first.model.weights_path("quantised")
    kept = read_weights(path)
    try:
        write_weights(path, {**kept, "mu/bias": -kept["mu/bias"]})
        assert first.write(package.path).fresh  # the sidecar names the weights' digest
    finally:
        write_weights(path, kept)
    assert not package.library.exists()


@pytest.mark.parametrize("part", ["emulator.cpp.in", "emulator.mk.in", "emulator_model.h.in", "ap_fixed.h"])
def test_digest_is_that_of_all_a_library_is_built_from(
    part: str, first: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = first.write(tmp_path / "before")
    own, types = tmp_path / "firmware", tmp_path / "ap_types"
    shutil.copytree(shelf("firmware") / "templates", own / "templates")
    shutil.copytree(ap_types(), types)
    with ((types if part == "ap_fixed.h" else own / "templates") / part).open("a") as file:
        file.write("\n")
    monkeypatch.setattr("zerobias.hls.templates.shelf", lambda name: own)
    monkeypatch.setattr("zerobias.emulator.package.ap_types", lambda: types)
    after = first.write(tmp_path / "after")
    assert before.digest != after.digest
    for package in (before, after):
        assert f'"{package.digest}"' in (package.path / "tiny_v1p2p3.h").read_text()
        assert f' {package.digest}"' in (package.path / "tiny_v1p2p3.cpp").read_text()


def test_package_stands_alone(first: Any, tmp_path: Path) -> None:
    package = first.write(tmp_path / "package")
    files = [path for path in package.path.rglob("*") if path.is_file()]
    texts = {path.name: path.read_text() for path in files if path.parent.name != "golden"}
    assert not [name for name, text in texts.items() if str(tmp_path) in text or "site-packages" in text]
    assert not [name for name, text in texts.items() if re.search(r"@[A-Z_]+@", text)]
    assert {"Makefile", "check.cpp", "exports.map", "emulator.h", "tiny_v1p2p3.cpp"} <= texts.keys()
    assert "nnet_softmax.h" not in texts
    assert "nnet_conv2d_stream.h" not in texts
    makefile = texts["Makefile"]
    for target in ("all:", "install:", "clean:", "check:"):
        assert f"\n{target}" in makefile


def test_sidecar_says_what_the_library_is(second: Any, tmp_path: Path) -> None:
    package = second.write(tmp_path / "package", thresholds=[Threshold(0.01, 271, "sample.h5")])
    sidecar = json.loads(package.sidecar.read_text())
    assert package.library.name == "TinyModel_v1p2p4.so"
    assert sidecar["library"] == "TinyModel_v1p2p4"
    assert sidecar["namespace"] == "tiny_v1_2_4"
    assert sidecar["digest"] == package.digest
    assert sidecar["input"]["type"] == "ap_fixed<18,13>"
    met = {"name": "met.pt", "low": 0, "high": 4095, "worth": 0.5, "lsb": 0.5, "unit": "GeV"}
    assert sidecar["input"]["features"][0] == {**met, "absent": 0, "offset": 18.0, "shift": 3}
    assert sidecar["result"] == {
        "type": "std::pair<std::array<ap_fixed<10,7,AP_RND_CONV,AP_SAT>,8>,ap_ufixed<18,14>>",
        "values": 1,
        "score_type": "ap_ufixed<18,14>",
        "score_lsb": 1 / 16,
        "latent": {"layer": "mu", "values": 8, "type": "ap_fixed<10,7,AP_RND_CONV,AP_SAT>"},
    }
    point = {"false_positive_rate": 0.01, "score": 271, "sample": "sample.h5"}
    assert sidecar["thresholds"]["points"] == [point]
    assert sidecar["ap_types"]["from"] == "hls4ml 1.3.0"
    assert set(sidecar["digests"]) == {"weights", "contract", "golden", "sources"}


def test_every_weight_is_constant_and_local(second: Any, tmp_path: Path) -> None:
    package = second.write(tmp_path / "package")
    headers = sorted((package.path / "firmware" / "weights").glob("*.h"))
    assert len(headers) == 6
    for header in headers:
        assert re.search(r"^static const \w+ \w+_values\[\d+\] = \{", header.read_text(), re.MULTILINE)


def test_nothing_of_trees_can_change(tmp_path: Path) -> None:
    model = find_model("axol1tl_forest")
    network = model.load()
    golden = read_golden(model.folder / "golden" / "golden.npz")
    graph = graph_of(network, model.contract)
    package = write_emulator(model, network, graph, golden.raw, golden.score, tmp_path / "package")
    for name in ("BDT.cpp", "parameters.h"):
        lines = (package.path / "firmware" / name).read_text().splitlines()
        defined = [line for line in lines if re.match(r"\w[^#{}]* =", line)]
        assert defined
        assert all(line.startswith("static ") or line.startswith("const char* const") for line in defined)
        assert all(" const " in line or "*const " in line for line in defined)


def test_source_without_a_decision_is_refused() -> None:
    with pytest.raises(
        UnsupportedError, match=r"BDT.cpp: it defines 0 decisions where conifer 1.11 writes one"
    ):
        constant_decision("bool split_fn(int);\n", "BDT.cpp")


def test_header_with_two_arrays_is_refused() -> None:
    with pytest.raises(UnsupportedError, match=r"w2.h: it defines 2 arrays where hls4ml 1.3.0 writes one"):
        constant_weights("int a[1] = {1};\nint b[1] = {2};\n", "w2.h")


def test_used_files_follows_includes(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "a.cpp").write_text('#include "sub/b.h"\n#include "far.h"\n// #include "c.h"\n')
    (tmp_path / "sub" / "b.h").write_text('  #include "d.h"\n')
    for name in ("sub/d.h", "c.h"):
        (tmp_path / name).write_text("")
    files, elsewhere = used_files(tmp_path, "a.cpp")
    assert [file.name for file in files] == ["a.cpp", "b.h", "d.h"]
    assert elsewhere == ["far.h"]


def test_stale_golden_scores_are_refused(first: Any, tmp_path: Path) -> None:
    score = first.score.copy()
    score[[7, 9]] ^= 1
    with pytest.raises(GateError, match="differs from 2 of 160 golden scores, first in event 7: restore"):
        replace(first, score=score).write(tmp_path / "package")
    assert not (tmp_path / "package").exists()


@pytest.mark.parametrize(("events", "scores"), [(0, 0), (160, 159), (80, 160)])
def test_golden_arrays_that_do_not_fit_are_refused(
    events: int, scores: int, first: Any, tmp_path: Path
) -> None:
    said = rf"shape \({events}, 57\) with scores of shape \({scores},\): the network gives 1 value"
    with pytest.raises(DataError, match=said):
        replace(first, raw=first.raw[:events], score=first.score[:scores]).write(tmp_path / "package")


def test_golden_events_of_another_contract_are_refused(first: Any, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"has shape \(160, 56\) .* the contract needs \(events, 57\)"):
        replace(first, raw=first.raw[:, 1:]).write(tmp_path / "package")


@pytest.mark.parametrize("score_type", ["ap_ufixed<18,13>", "ap_fixed<18,14>", "ap_ufixed<17,14>"])
def test_score_type_that_does_not_hold_the_score_is_refused(
    score_type: str, first: Any, tmp_path: Path
) -> None:
    kind = type(first.graph.output_type).parse(score_type)
    with pytest.raises(SpecError, match=r"does not hold the score .* bit for bit"):
        with_emulator(first, score_type=kind).write(tmp_path / "package")


@pytest.mark.parametrize("latent", ["nothing", "hidden", "scaled", "score"])
def test_latent_that_is_no_typed_layer_is_refused(latent: str, first: Any, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"declared type: give one of hidden_relu, mu$"):
        with_emulator(first, latent=latent).write(tmp_path / "package")


def test_thresholds_do_not_change_the_library(first: Any, tmp_path: Path) -> None:
    one = first.write(tmp_path / "one")
    other = first.write(tmp_path / "other", thresholds=[Threshold(0.1, int(np.max(first.score)), "x")])
    assert one.digest == other.digest
    assert tree_digest(one.path / "firmware") == tree_digest(other.path / "firmware")


def test_score_that_can_wrap_is_refused(tmp_path: Path, subject_of: Any) -> None:
    wraps = subject_of(lambda text: text.replace('wrap = "closed"', 'wrap = "v4"'))
    with pytest.raises(GateError, match=r"score_sum_cast needs 19 bits, ap_ufixed<18,14> has 18 and wraps"):
        wraps.write(tmp_path / "package")


def test_page_names_tests_and_controls_that_exist() -> None:
    root = Path(__file__).parents[2]
    rows = [
        list(line.strip("|").split("|"))
        for line in (root / "docs" / "explanation" / "emulators.md").read_text().splitlines()
        if re.match(r"\| \d \|", line)
    ]
    sources = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    assert [int(row[0]) for row in rows] == list(range(1, 8))
    for row in rows:
        for cell in row[3:5]:
            names = re.findall(r"`(test_\w+)(?:\[(\w+)\])?`", cell)
            assert names
            assert all(f"def {name}(" in sources and f"{case or name}" in sources for name, case in names)

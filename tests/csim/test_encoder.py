"""A build whose score has several values: exact, without physics, and red for each way to differ."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from zerobias.cli.build import Build, build_firmware
from zerobias.events import EventSet, write
from zerobias.executor import Run
from zerobias.fixed import Dense, Graph, from_keras, shaped
from zerobias.hls import HlsProject, namespace
from zerobias.report import render
from zerobias.score import score_files
from zerobias.verify import (
    Golden,
    Verdict,
    compare,
    csim_implementation,
    extreme_events,
    golden_inputs,
    read_golden,
    write_golden,
)
from zerobias.zoo import Model


@pytest.fixture(scope="module")
def wafers() -> EventSet:
    """Charges of every size, with a signal."""
    rng = np.random.default_rng(5)
    count = 1200
    return EventSet(
        {"wafer": rng.integers(0, 1 << rng.integers(0, 11, (count, 48)), dtype=np.uint32)},
        np.ones(count),
        np.full(count, 200, dtype=np.uint16),
        rng.integers(0, 2, count, dtype=np.uint8),
        rng.integers(0, 3, count, dtype=np.uint8),
        ("zero_bias", "electron"),
        {},
    )


@pytest.fixture(scope="module")
def sample(wafers: EventSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("wafers") / "wafers.h5"
    write(path, wafers)
    return path


@pytest.fixture(scope="module")
def graph(encoder: Model) -> Graph:
    return from_keras(encoder.load(), encoder.contract)


@pytest.fixture(scope="module")
def built(encoder: Model, sample: Path, tmp_path_factory: pytest.TempPathFactory) -> Build:
    return build_firmware(encoder, tmp_path_factory.mktemp("build"), lambda step: None, sample=sample)


def test_every_output_is_exact(built: Build, encoder: Model, graph: Graph, wafers: EventSet) -> None:
    report = built.report
    assert report.agreement.mismatches == {"reference": 0, "keras": 0, "csim": 0}
    assert report.agreement.extremes > 100_000
    assert report.verdict == "pass-on-estimates"
    assert report.physics is None, "an AUC needs one score"
    render(report, encoder.target)
    assert {row.design for row in report.hardware} == {"hls4ml", "rtl"}
    assert {"normalised", "image", "latent_act"} <= {row.node for row in report.headroom}
    scores = graph.evaluate(
        shaped(encoder.contract, graph, encoder.contract.flatten(wafers.collections["wafer"]))
    )
    assert scores.shape == (len(wafers), 4)
    assert min(len(np.unique(column)) for column in scores.T) > 10, "a constant output proves nothing"


def mutated(
    built: Build, model: Model, graph: Graph, folder: Path, file: str, change: Callable[[str], str]
) -> str:
    """What the gate says of a copy of the project with one source file changed."""
    shutil.copytree(built.folder / "hls", folder / "hls")
    project = HlsProject(folder / "hls", model.name, namespace(model.name, model.spec.version), ())
    path = project.path / "firmware" / file
    text = path.read_text()
    assert change(text) != text, "the mutation changes nothing"
    path.write_text(change(text))
    rng = np.random.default_rng(6)
    events = rng.integers(0, 1 << rng.integers(0, 11, (1000, 48)))
    extremes = extreme_events(model.contract, random=500, corners=100)
    verdict: Verdict = compare(
        model.contract, graph, [csim_implementation(project, model.contract, graph)], events, extremes
    )
    (found,) = verdict.disagreements
    return str(found)


def test_one_weight_bit_of_one_output(built: Build, encoder: Model, graph: Graph, tmp_path: Path) -> None:
    source = (built.folder / "hls" / "firmware" / "encoder.cpp").read_text()
    array = re.search(r"\b(w\d+)\b[^;]*\);\s*// latent$", source, re.MULTILINE)
    assert array
    kernel = next(node.op for node in graph if node.name == "latent")
    assert isinstance(kernel, Dense)
    row = int(np.argmax(np.abs(kernel.kernel[:, 2])))

    def change(text: str) -> str:
        start, end = text.index("{", text.index("=")), text.rindex("};")
        numbers = [float(v) for v in text[start + 1 : end].split(",")]
        numbers[4 * row + 2] -= np.sign(numbers[4 * row + 2]) * kernel.kernel_type.lsb
        return text[: start + 1] + ", ".join(map(str, numbers)) + text[end:]

    text = mutated(built, encoder, graph, tmp_path, f"weights/{array[1]}.h", change)
    assert re.search(
        r"worst is event \d+, output 2: \d+ instead of \d+ \(\d+ LSB\); first diverging layer: latent", text
    )
    assert f"weight [{row}, 2]" in text


def test_shift_off_by_one(built: Build, encoder: Model, graph: Graph, tmp_path: Path) -> None:
    def change(text: str) -> str:
        return text.replace(">> place;", ">> (place + 1);")

    text = mutated(built, encoder, graph, tmp_path, "nnet_utils/nnet_code_gen.h", change)
    assert "first diverging layer: normalised" in text
    assert re.search(r"output \d \(also different: \d, \d, \d\)", text)


def test_one_cell_elsewhere_in_the_image(built: Build, encoder: Model, graph: Graph, tmp_path: Path) -> None:
    def change(text: str) -> str:
        return text.replace("index[64] = {28, 29,", "index[64] = {29, 28,")

    assert "first diverging layer: image" in mutated(
        built, encoder, graph, tmp_path, "nnet_utils/nnet_code_gen.h", change
    )


def test_golden_vectors_hold_every_output(
    encoder: Model, graph: Graph, wafers: EventSet, tmp_path: Path
) -> None:
    raw = golden_inputs(encoder.contract, wafers)
    score = graph.evaluate(shaped(encoder.contract, graph, raw))
    path = tmp_path / "golden.npz"
    assert write_golden(path, Golden(raw, score)) == "new file"
    np.testing.assert_array_equal(read_golden(path).score, score)
    other = score.copy()
    other[7, 3] += 2
    assert write_golden(path, Golden(raw, other)) == f"1 of {other.size} scores changed, by up to 2 LSB"
    assert write_golden(path, Golden(raw, score[:, 0])) == "scores of shape () in place of (4,)"
    wide = raw.copy()
    wide[0, 0] = 2**18
    write_golden(path, Golden(wide, score))
    np.testing.assert_array_equal(read_golden(path).raw, wide)


def test_scores_of_files_hold_every_output(
    encoder: Model, graph: Graph, wafers: EventSet, sample: Path, here: Run, tmp_path: Path
) -> None:
    score_files(encoder, [sample], tmp_path / "scores.h5", run=here)
    raw = encoder.contract.flatten(wafers.collections["wafer"])
    with h5py.File(tmp_path / "scores.h5") as file:
        np.testing.assert_array_equal(file["score"], graph.evaluate(shaped(encoder.contract, graph, raw)))

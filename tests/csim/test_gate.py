"""The agreement gate on the tiny model: green as written, red and named for each way it can fail."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from zerobias.contract import IntArray
from zerobias.errors import DataError, ToolError
from zerobias.events import read
from zerobias.fixed import Graph, from_keras, shaped
from zerobias.hls import HlsProject, compile_csim, run_csim, write_project
from zerobias.physics import MenuUnit, ZeroBias, reach
from zerobias.verify import Verdict, compare, csim_implementation, extreme_events, keras_implementation
from zerobias.zoo import Model, apply_weights, find_model, read_weights


@pytest.fixture(scope="module")
def built(shelf_with_tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Model, Graph, HlsProject]:
    """The tiny model, its graph and its written project."""
    model = find_model("tiny", shelf_with_tiny)
    network = model.load()
    graph = from_keras(network, model.contract)
    folder = tmp_path_factory.mktemp("build") / "hls"
    return model, graph, write_project(model.spec, network, graph, model.contract, model.target, folder)


def gate(model: Model, graph: Graph, project: HlsProject, random: int = 3000) -> Verdict:
    extremes = extreme_events(model.contract, random=random, corners=500)
    return compare(
        model.contract, graph, [csim_implementation(project, model.contract, graph)], extremes[:50], extremes
    )


def test_all_implementations_agree(built: tuple[Model, Graph, HlsProject]) -> None:
    model, graph, project = built
    extremes = extreme_events(model.contract, random=20_000)
    verdict = compare(
        model.contract,
        graph,
        [
            keras_implementation(model.load(), model.contract, graph),
            csim_implementation(project, model.contract, graph),
        ],
        extremes[:100],
        extremes,
    )
    assert verdict.equal
    assert verdict.mismatches == {"reference": 0, "keras": 0, "csim": 0}
    assert verdict.extremes == len(extremes) > 22_000


def mutated(
    built: tuple[Model, Graph, HlsProject], tmp_path: Path, file: str, change: Callable[[str], str]
) -> Verdict:
    """Verdict on a copy of the project with one source file changed."""
    model, graph, project = built
    copy = replace(project, path=tmp_path / "hls")
    shutil.copytree(project.path, copy.path)
    path = next(copy.path.glob(file))
    before = path.read_text()
    after = change(before)
    assert after != before, "the mutation changes nothing"
    path.write_text(after)
    return gate(model, graph, copy)


def array_file(project: HlsProject, layer: str, letter: str) -> str:
    source = (project.path / "firmware" / f"{project.name}.cpp").read_text()
    found = re.search(rf"\b({letter}\d+)\b[^;]*\);\s*// {layer}$", source, re.MULTILINE)
    assert found
    return f"firmware/weights/{found[1]}.h"


def change_number(index: int, step: float) -> Callable[[str], str]:
    """Add ``step`` to the number at ``index`` of a C array."""

    def change(text: str) -> str:
        start, end = text.index("{", text.index("=")), text.rindex("};")
        numbers = [float(v) for v in text[start + 1 : end].split(",")]
        numbers[index] += step
        return text[: start + 1] + ", ".join(map(str, numbers)) + text[end:]

    return change


def test_thresholds_fire_on_the_same_events(
    built: tuple[Model, Graph, HlsProject], small_sample: Path
) -> None:
    """Thresholds found on the scores of C simulation: the same integers, the same events, for every rate."""
    model, graph, project = built
    zero_bias = read(small_sample, ["objects", "leader"]).of("zero_bias")
    raw = model.contract.flatten(zero_bias.collections["objects"])
    unit = MenuUnit(3, graph.output_type.frac)
    crossings = ZeroBias(zero_bias.weight, zero_bias.npu, zero_bias.collections["leader"], replicas=10)
    reference = graph.evaluate(shaped(model.contract, graph, raw))

    def fired(scores: IntArray) -> tuple[list[int], NDArray[np.bool_]]:
        counts = unit.counts(scores)
        points = [reach(counts, khz, crossings).below for khz in (30, 300, 3000, 15_000)]
        thresholds = [point.threshold for point in points if point is not None]
        return thresholds, np.stack([scores >= unit.raw(threshold) for threshold in thresholds])

    thresholds, masks = fired(run_csim(compile_csim(project), raw))
    expected, reference_masks = fired(reference)
    assert thresholds == expected == sorted(set(expected), reverse=True)
    np.testing.assert_array_equal(masks, reference_masks)
    np.testing.assert_array_equal(masks, np.stack([unit.counts(reference) >= t for t in thresholds]))
    assert 0 < masks[0].sum() < masks[-1].sum() < len(raw)
    # The control: a reference with one weight bit more fires on other events.
    network, arrays = model.build(), read_weights(model.weights_path("quantised"))
    arrays["mu/kernel"][0, 0] += 0.125
    apply_weights(network, arrays)
    mutant = from_keras(network, model.contract)
    _, other = fired(mutant.evaluate(shaped(model.contract, mutant, raw)))
    assert (other != masks).any()


def only(verdict: Verdict) -> str:
    (disagreement,) = verdict.disagreements
    assert disagreement.count > 0
    assert disagreement.lsb >= 1
    assert disagreement.expected != disagreement.found
    return str(disagreement)


def test_one_weight_bit(built: tuple[Model, Graph, HlsProject], tmp_path: Path) -> None:
    _, graph, project = built
    kernel = next(n.op for n in graph if n.name == "hidden").kernel  # type: ignore[attr-defined]
    index = int(np.flatnonzero(np.abs(kernel).ravel() > 0)[0])
    step = -0.125 if kernel.ravel()[index] > 0 else 0.125  # one LSB towards zero stays in the type
    row, column = np.unravel_index(index, kernel.shape)
    text = only(mutated(built, tmp_path, array_file(project, "hidden", "w"), change_number(index, step)))
    assert "first diverging layer: hidden" in text
    assert f"weight [{row}, {column}]" in text


@pytest.mark.long
def test_one_bias_bit(built: tuple[Model, Graph, HlsProject], tmp_path: Path) -> None:
    graph, project = built[1], built[2]
    bias = next(n.op for n in graph if n.name == "mu").bias  # type: ignore[attr-defined]
    step = -0.125 if bias[0] > 0 else 0.125
    text = only(mutated(built, tmp_path, array_file(project, "mu", "b"), change_number(0, step)))
    assert "first diverging layer: mu" in text
    assert "bias [0]" in text


def test_one_accumulator_narrower(built: tuple[Model, Graph, HlsProject], tmp_path: Path) -> None:
    def narrow(text: str) -> str:
        return re.sub(
            r"ap_fixed<(\d+),(\d+)> hidden_accum_t",
            lambda m: f"ap_fixed<{int(m[1]) - 4},{int(m[2]) - 4}> hidden_accum_t",
            text,
        )

    text = only(mutated(built, tmp_path, "firmware/defines.h", narrow))
    assert "first diverging layer: hidden" in text
    assert "is too narrow" in text


@pytest.mark.long
def test_accumulator_that_drops_a_fraction_bit(
    built: tuple[Model, Graph, HlsProject], tmp_path: Path
) -> None:
    def narrow(text: str) -> str:
        return re.sub(
            r"ap_fixed<(\d+),(\d+)> mu_accum_t",
            lambda m: f"ap_fixed<{int(m[1]) - 5},{m[2]}> mu_accum_t",
            text,
        )

    text = only(mutated(built, tmp_path, "firmware/defines.h", narrow))
    assert "first diverging layer: mu" in text
    assert "drops" in text


@pytest.mark.parametrize(("name", "index", "step"), [("offset", 3, 0.5), ("shift", 15, 1)])
def test_one_offset_or_shift(
    built: tuple[Model, Graph, HlsProject], tmp_path: Path, name: str, index: int, step: float
) -> None:
    def change(text: str) -> str:
        start = text.index(f"{name}[57] = {{") + len(f"{name}[57] = {{")
        end = text.index("}", start)
        numbers = text[start:end].split(", ")
        numbers[index] = (
            str(float(numbers[index]) + step) if name == "offset" else str(int(numbers[index]) + int(step))
        )
        return text[:start] + ", ".join(numbers) + text[end:]

    text = only(mutated(built, tmp_path, "firmware/*_scaling.h", change))
    assert "first diverging layer: contract" in text
    assert f"offset, shift or order of {built[0].contract.features[index].name} differs" in text


@pytest.mark.long
def test_two_features_swapped(built: tuple[Model, Graph, HlsProject], tmp_path: Path) -> None:
    def change(text: str) -> str:
        return text.replace("input[i] = scaled[i];", "input[i] = scaled[i == 27 ? 30 : i == 30 ? 27 : i];")

    text = only(mutated(built, tmp_path, "firmware/*_top.cpp", change))
    assert "first diverging layer: contract" in text
    assert "features jet1.pt and jet2.pt are swapped" in text


def test_score_head_changed(built: tuple[Model, Graph, HlsProject], tmp_path: Path) -> None:
    def change(text: str) -> str:
        return text.replace("ap_ufixed<18,14> score_square_t", "ap_ufixed<17,14> score_square_t")

    assert "first diverging layer: score_square" in only(
        mutated(built, tmp_path, "firmware/defines.h", change)
    )


def test_keras_divergence_names_the_layer(built: tuple[Model, Graph, HlsProject]) -> None:
    model, graph, _ = built
    network = model.load()
    layer = network.get_layer("mu")
    kernel = np.asarray(layer.kernel).copy()
    kernel[0, 0] += 0.125
    layer.kernel.assign(kernel)
    extremes = extreme_events(model.contract, random=1000, corners=200)
    verdict = compare(
        model.contract, graph, [keras_implementation(network, model.contract, graph)], extremes[:9], extremes
    )
    assert "keras differs" in only(verdict)
    assert "first diverging layer: mu" in only(verdict)


def test_two_writes_are_byte_identical(built: tuple[Model, Graph, HlsProject], tmp_path: Path) -> None:
    model, graph, project = built
    again = write_project(
        model.spec, model.load(), graph, model.contract, model.target, tmp_path / "elsewhere" / "deep"
    )
    files = sorted(p.relative_to(project.path) for p in project.path.rglob("*") if p.is_file())
    assert files == sorted(p.relative_to(again.path) for p in again.path.rglob("*") if p.is_file())
    assert len(files) > 20
    for file in files:
        assert (project.path / file).read_bytes() == (again.path / file).read_bytes(), file


def test_project_holds_no_path_of_this_machine(built: tuple[Model, Graph, HlsProject]) -> None:
    project = built[2]
    for path in project.path.rglob("*"):
        if path.is_file():
            assert str(project.path.parent) not in path.read_text(), path


def test_namespace_holds_every_symbol(built: tuple[Model, Graph, HlsProject]) -> None:
    project = built[2]
    assert project.namespace == "tiny_v1_2_3"
    for path in (project.path / "firmware" / "weights").glob("*.h"):
        assert f"namespace {project.namespace} {{" in path.read_text()


def test_missing_compiler_is_one_sentence(
    built: tuple[Model, Graph, HlsProject], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = replace(built[2], path=tmp_path / "hls")
    shutil.copytree(built[2].path, copy.path)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolError, match=r"g\+\+ was not found"):
        compile_csim(copy)


def test_csim_is_compiled_once(built: tuple[Model, Graph, HlsProject]) -> None:
    project = built[2]
    first = compile_csim(project).stat().st_mtime_ns
    assert compile_csim(project).stat().st_mtime_ns == first


def test_no_event_proves_nothing(built: tuple[Model, Graph, HlsProject]) -> None:
    model, graph, _ = built
    nothing = np.zeros((0, 57), dtype=np.int64)
    with pytest.raises(DataError, match="needs some of each"):
        compare(model.contract, graph, [], nothing, nothing)


def test_run_csim_takes_any_number_of_events(built: tuple[Model, Graph, HlsProject]) -> None:
    program = compile_csim(built[2])
    extremes = extreme_events(built[0].contract, random=10, corners=0)
    whole = run_csim(program, extremes)
    assert run_csim(program, extremes[:1]).tolist() == whole[:1].tolist()
    assert run_csim(program, extremes[:0]).tolist() == []

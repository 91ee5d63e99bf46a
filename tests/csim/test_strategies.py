"""hls4ml's strategies: each is written into the project and gives the reference's integers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import zerobias.hls.project
from zerobias.cli.build import reference
from zerobias.errors import ToolError
from zerobias.fixed import shaped
from zerobias.hls import HlsProject, compile_csim, estimate, run_csim, suspect, trace_csim, write_project
from zerobias.verify import extreme_events
from zerobias.zoo import HlsSettings, Model


@pytest.fixture
def written(tiny: Model, tmp_path: Path) -> Callable[..., HlsProject]:
    """Writes the tiny model's project with other hls4ml settings."""
    network, graph = reference(tiny)

    def write(**settings: Any) -> HlsProject:
        spec = tiny.spec.model_copy(update={"hls": HlsSettings(**settings)})
        return write_project(spec, network, graph, tiny.contract, tiny.target, tmp_path / "hls")

    return write


def differing(model: Model, project: HlsProject) -> int:
    """How many of a few thousand events, extremes among them, the C simulation gets wrong."""
    contract, (_, graph) = model.contract, reference(model)
    low, high = contract.box
    drawn = np.random.default_rng(3).integers(low, high + 1, (2000, len(low)))
    raw = np.concatenate([extreme_events(contract)[::50], drawn])
    scores = run_csim(compile_csim(project), raw)
    return int((scores != graph.evaluate(shaped(contract, graph, raw))).sum())


def text(project: HlsProject, file: str) -> str:
    return (project.path / "firmware" / file).read_text()


@pytest.mark.long
def test_shared_multipliers(tiny: Model, written: Callable[..., HlsProject]) -> None:
    project = written(strategy="resource", reuse_factor=19)
    assert text(project, "parameters.h").count("strategy = nnet::resource;") == 3
    assert "#pragma HLS DATAFLOW" in text(project, "tiny.cpp")
    assert "#pragma HLS DATAFLOW" in text(project, "tiny_top.cpp")
    reuse = {layer.name: layer.reuse_factor for layer in project.layers if layer.class_name == "Dense"}
    assert reuse == {"hidden": 19, "mu": 8, "score_sum": 2}, "hls4ml takes what divides each layer"
    assert differing(tiny, project) == 0
    graph = reference(tiny)[1]
    found = estimate(tiny.contract, graph, tiny.target, project.layers)
    unrolled = estimate(tiny.contract, graph, tiny.target)
    assert found.interval == 19
    assert found.cycles == unrolled.cycles + 18 + 7
    assert found.bram == 2
    assert found.ebops < unrolled.ebops
    assert suspect(project, graph, *tiny.contract.box, "hidden") == ""
    header = project.path / "firmware" / "weights" / "w3.h"
    head, values = header.read_text().split("= {")
    changed = values.split(",")
    changed[57] = "3.875"  # stored by output, then input
    header.write_text("= {".join((head, ",".join(changed))))
    found_fault = suspect(project, graph, *tiny.contract.box, "hidden")
    assert found_fault.startswith("layer hidden: weight [0, 1] is 3.875 in the project")
    assert differing(tiny, project) > 0


def test_adder_graphs(tiny: Model, written: Callable[..., HlsProject]) -> None:
    project = written(strategy="distributed_arithmetic")
    for layer, index in {"hidden": 3, "mu": 5, "score_sum": 9}.items():
        assert f"::dense_da_{index}<" in text(project, "tiny.cpp"), layer
    assert "#pragma HLS PIPELINE II=1" in text(project, "tiny_top.cpp")
    assert differing(tiny, project) == 0
    graph = reference(tiny)[1]
    raw = extreme_events(tiny.contract)[:10]
    traced = trace_csim(project, raw)
    assert {"contract", "hidden", "mu"} <= set(traced)
    luts = {layer.name: layer.adder_luts for layer in project.layers if layer.adder_luts is not None}
    assert set(luts) == {"hidden", "mu", "score_sum"}
    found = estimate(tiny.contract, graph, tiny.target, project.layers)
    unrolled = estimate(tiny.contract, graph, tiny.target)
    assert found.ebops != unrolled.ebops
    assert suspect(project, graph, *tiny.contract.box, "hidden") == (
        "layer hidden is an adder graph, whose constants cannot be read back"
    )


def test_adder_graphs_without_da4ml(
    written: Callable[..., HlsProject], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zerobias.hls.project, "find_spec", lambda name: None)
    with pytest.raises(ToolError) as caught:
        written(strategy="distributed_arithmetic")
    assert str(caught.value) == (
        "strategy distributed_arithmetic needs the package da4ml: run `pip install da4ml==0.6.0`"
    )
    assert not (tmp_path / "hls").exists()
    assert written(strategy="latency").path.is_dir()

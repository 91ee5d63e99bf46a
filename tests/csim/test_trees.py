"""The gate on trees: conifer's C simulation and scikit-learn's own trees, green as written, else red."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import conifer
import numpy as np
import pytest
from sklearn.ensemble import GradientBoostingClassifier

from zerobias.contract import FixedType
from zerobias.emulator import interface_of
from zerobias.errors import SpecError, UnsupportedError
from zerobias.fixed import Graph, graph_of
from zerobias.hls import HlsProject, write_project
from zerobias.hls.trees import conifer_ensemble
from zerobias.trees import TreeEnsemble, from_gradient_boosting
from zerobias.verify import (
    Verdict,
    compare,
    csim_implementation,
    extreme_events,
    framework_implementation,
    sklearn_implementation,
)
from zerobias.zoo import Model

Built = tuple[Model, TreeEnsemble, Graph, HlsProject]


@pytest.fixture(scope="module")
def built(grove: Model, tmp_path_factory: pytest.TempPathFactory) -> Built:
    """The test trees, their graph and their written project."""
    trees = grove.load()
    graph = graph_of(trees, grove.contract)
    return grove, trees, graph, written(grove, trees, graph, tmp_path_factory.mktemp("build") / "hls")


def written(model: Model, trees: TreeEnsemble, graph: Graph, path: Path) -> HlsProject:
    return write_project(model.spec, trees, graph, model.contract, model.target, path)


def gate(built: Built, project: HlsProject) -> Verdict:
    model, trees, graph, _ = built
    extremes = extreme_events(model.contract, random=4000, corners=64, sizes=4000)
    implementations = [
        framework_implementation(trees, model.contract, graph),
        csim_implementation(project, model.contract, graph),
    ]
    return compare(model.contract, graph, implementations, extremes[:50], extremes)


def test_all_implementations_agree(built: Built) -> None:
    verdict = gate(built, built[3])
    assert verdict.equal
    assert verdict.mismatches == {"reference": 0, "sklearn": 0, "csim": 0}
    scores = built[2].evaluate(built[0].contract.scale(extreme_events(built[0].contract, random=4000)))
    assert len(np.unique(scores)) > 50


def test_two_writes_are_byte_identical_and_name_no_machine(built: Built, tmp_path: Path) -> None:
    model, trees, graph, project = built
    again = written(model, trees, graph, tmp_path / "elsewhere" / "deep")
    files = sorted(p.relative_to(project.path) for p in project.path.rglob("*") if p.is_file())
    assert files == sorted(p.relative_to(again.path) for p in again.path.rglob("*") if p.is_file())
    assert {"BDT.h", "BDT.cpp", "parameters.h", "grove.cpp", "grove_top.cpp"} <= {file.name for file in files}
    for file in files:
        assert (project.path / file).read_bytes() == (again.path / file).read_bytes(), file
        assert str(project.path.parent) not in (project.path / file).read_text(), file


def mutated(built: Built, tmp_path: Path, change: Callable[[str], str], *files: str) -> str:
    """The one sentence of a gate on a copy of the project with source files changed."""
    copy = replace(built[3], path=tmp_path / "hls")
    shutil.copytree(built[3].path, copy.path)
    for file in files:
        path = copy.path / "firmware" / file
        before = path.read_text()
        path.write_text(change(before))
        assert path.read_text() != before, "the mutation changes nothing"
    (disagreement,) = gate(built, copy).disagreements
    assert disagreement.count > 0
    return str(disagreement)


def change_line(tree: int, line: int, index: int, change: Callable[[float], float]) -> Callable[[str], str]:
    """Change the number at ``index`` of a line of conifer's tree."""

    def changed(text: str) -> str:
        lines = text.splitlines()
        start = next(i for i, row in enumerate(lines) if f" tree_0_{tree} = " in row)
        numbers = lines[start + line].strip(" {},").split(",")
        numbers[index] = str(change(float(numbers[index])))
        lines[start + line] = "    {" + ",".join(numbers) + "},"
        return "\n".join(lines) + "\n"

    return changed


def test_one_threshold(built: Built, tmp_path: Path) -> None:
    trees = built[1]
    root = float(trees.threshold[trees.root[4]]) / 8
    text = mutated(built, tmp_path, change_line(4, 3, 0, lambda v: v + 0.125), "parameters.h")
    assert "first diverging layer: trees; parameters.h, line " in text
    pair = f"{root + 0.125} in the project and {root} in the model (1 such)"
    assert f"tree 4: threshold of node 0 is {pair}" in text


@pytest.mark.long
def test_one_leaf(built: Built, tmp_path: Path) -> None:
    trees, nodes = built[1], list(built[1].slices())[2]
    leaf = int(np.flatnonzero(trees.feature[nodes] < 0)[-1])
    value = float(trees.value[nodes][leaf]) / 4
    text = mutated(built, tmp_path, change_line(2, 4, leaf, lambda v: v + 0.25), "parameters.h")
    assert "first diverging layer: trees" in text
    assert f"tree 2: value of node {leaf} is {value + 0.25} in the project and {value} in the model" in text


@pytest.mark.long
def test_sum_too_narrow(built: Built, tmp_path: Path) -> None:
    def narrow(text: str) -> str:
        return text.replace("typedef ap_ufixed<10,8> ", "typedef ap_ufixed<7,5> ")

    text = mutated(built, tmp_path, narrow, "grove.h", "parameters.h")
    assert "first diverging layer: score; grove.h, line 13 is 'typedef ap_ufixed<7,5> result_t;'" in text


@pytest.mark.long
def test_conifers_other_convention(built: Built, tmp_path: Path) -> None:
    """``<`` in the place of ``<=`` differs where an input equals a threshold."""

    def other(text: str) -> str:
        return text.replace('convention = "<="', 'convention = "<"')

    text = mutated(built, tmp_path, other, "parameters.h")
    assert "first diverging layer: trees; parameters.h, line 12 is" in text


@pytest.mark.parametrize("array", ["threshold", "value"])
def test_scikit_learns_trees_are_another_reading(built: Built, array: str) -> None:
    """The control of the framework's side: one threshold or leaf of the ensemble it gets is changed."""
    model, trees, graph, _ = built
    place = trees.root[4] if array == "threshold" else np.flatnonzero(trees.feature < 0)[-1]
    changed = getattr(trees, array).copy()
    changed[place] += 1
    extremes = extreme_events(model.contract, random=4000, sizes=4000)
    other = sklearn_implementation(replace(trees, **{array: changed}), model.contract, graph)
    (disagreement,) = compare(model.contract, graph, [other], extremes[:9], extremes).disagreements
    assert "sklearn differs" in str(disagreement)
    assert "first diverging layer: trees" in str(disagreement)


def test_conversion_is_conifers_own_for_gradient_boosting() -> None:
    """Same nodes, decisions and values as conifer 1.11 reads from scikit-learn, the first guess aside."""
    rng = np.random.default_rng(0)
    x = rng.integers(0, 50, (300, 4)).astype(np.float32)
    truth = x[:, 0] + x[:, 1] > x[:, 2] + x[:, 3]
    fitted = GradientBoostingClassifier(n_estimators=5, max_depth=3, random_state=1).fit(x, truth)
    theirs = conifer.converters.sklearn.convert(fitted)
    kind, inputs = FixedType.parse("ap_fixed<40,8>"), FixedType.parse("ap_fixed<24,8>")
    floating = from_gradient_boosting("t", fitted)
    ours = conifer_ensemble(floating.quantised(inputs, kind), inputs)
    same = ("n_trees", "n_features", "max_depth", "norm", "splitting_convention")
    assert [ours[key] for key in same] == [theirs[key] for key in same]
    for (left,), (right,) in zip(ours["trees"], theirs["trees"], strict=True):
        leaf = np.array(right["feature"]) == -2
        for key in ("feature", "weight", "children_left", "children_right"):
            assert left[key] == right[key], key
        # Thresholds rounded down to the inputs' LSB, leaves to the score's, the lowest one at zero.
        floor = np.floor(np.array(right["threshold"]) / inputs.lsb) * inputs.lsb
        np.testing.assert_array_equal(np.array(left["threshold"])[~leaf], floor[~leaf])
        lsbs = np.rint(np.array(right["value"])[leaf] / kind.lsb)
        np.testing.assert_array_equal(np.array(left["value"])[leaf] / kind.lsb, lsbs - lsbs.min())


def refused(built: Built, tmp_path: Path, **changes: Any) -> str:
    model, trees, graph, _ = built
    changed = replace(model, spec=model.spec.model_copy(update=changes))
    with pytest.raises(UnsupportedError) as caught:
        written(changed, trees, graph, tmp_path / "hls")
    return str(caught.value)


def test_what_trees_do_not_have_is_refused(built: Built, tmp_path: Path, tiny: Model) -> None:
    assert refused(built, tmp_path, design="hls4ml") == (
        "model grove: conifer writes its HLS project, so there is no design 'hls4ml': "
        'set design = "conifer" or "rtl"'
    )
    hls = built[0].spec.hls.model_copy(update={"reuse_factor": 2})
    assert refused(built, tmp_path, hls=hls) == (
        "model grove: trees are fully unrolled: leave strategy and reuse_factor out of [hls]"
    )
    assert not (tmp_path / "hls").exists()
    emulator = built[0].spec.emulator.model_copy(update={"latent": "trees"})
    other = replace(built[0], spec=built[0].spec.model_copy(update={"emulator": emulator}))
    with pytest.raises(SpecError, match=r"emulator\.latent 'trees': trees have no layers, leave it out"):
        interface_of(other, built[1], built[2])
    small = replace(built[1], score_type=FixedType.parse("ap_ufixed<10,0>"))
    with pytest.raises(UnsupportedError, match=r"multiplies the score by 1, which ap_ufixed<10,0> does not"):
        conifer_ensemble(small, built[0].contract.network_type)
    network = tiny.build()
    spec = tiny.spec.model_copy(update={"design": "conifer"})
    with pytest.raises(UnsupportedError, match='set design = "hls4ml" or "rtl"'):
        write_project(
            spec, network, graph_of(network, tiny.contract), tiny.contract, tiny.target, tmp_path / "hls"
        )


def test_sources_stay_in_their_namespace(built: Built) -> None:
    text = (built[3].path / "firmware" / "grove.cpp").read_text()
    inside = text[text.index("namespace grove_v1_0_0 {") : text.index("} // namespace conifer")]
    assert re.findall(r'#include "(.*)"', inside) == ["BDT.h", "BDT.cpp"]
    assert re.findall(r'#include "(.*)"', text) == ["grove.h", "BDT.h", "BDT.cpp"]

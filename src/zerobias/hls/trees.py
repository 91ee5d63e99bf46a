"""Write the C++ of a tree ensemble with conifer 1.11 (backend xilinxhls), for ``zerobias.hls.project``.

conifer's conventions, and what makes its sums the reference's integers:

* it asks ``x <= threshold`` as scikit-learn does, when told so by ``splitting_convention``;
* it compares the sum of all inputs times weights, one of them 1 and the others 0, in the input's own type:
  thresholds and inputs are held in the network's input type, which holds each of them;
* leaves, their sum, the first guess and a norm are held in one type, which wraps on overflow: the score's
  type, whose LSB all leaves are multiples of and which must hold the norm 1. A sum that wraps on the way
  still ends right, since the final one fits.

conifer 1.11 has no converter for an isolation forest: the ensemble's own arrays are converted here, of
whatever origin.
"""

from __future__ import annotations

import re
import tempfile
import warnings
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np

from zerobias.contract import FixedType, IntArray
from zerobias.errors import UnsupportedError
from zerobias.fixed import Trees
from zerobias.hls.templates import fill_template
from zerobias.trees import LEAF, TreeEnsemble

__all__ = ["conifer_ensemble", "suspect_trees", "write_trees"]

_LEAF_FEATURE = -2
_NO_CHILD = -1


def conifer_ensemble(ensemble: TreeEnsemble, network_type: FixedType) -> dict[str, Any]:
    """conifer's dictionary of a quantised ensemble, thresholds and values as real numbers.

    Raises ``UnsupportedError`` when the score's type does not hold 1, by which conifer multiplies.
    """
    kind = ensemble.score_type
    if kind is None or not kind.holds(0, 1 << max(kind.frac, 0)):
        raise UnsupportedError(
            f"trees {ensemble.name}: conifer multiplies the score by 1, which {kind} does not hold; "
            "give it more integer bits"
        )
    used = _used_features(ensemble)
    return {
        "n_trees": len(ensemble.root),
        "n_features": len(used),
        "n_classes": 1,
        "max_depth": ensemble.depth,
        "init_predict": [0],
        "norm": 1,
        "library": "sklearn",
        "splitting_convention": "<=",
        "trees": [[_tree(ensemble, used, nodes, network_type.lsb, kind.lsb)] for nodes in ensemble.slices()],
    }


def _used_features(ensemble: TreeEnsemble) -> IntArray:
    """Features that a decision asks about, in order: conifer gets these alone, its C simulation multiplies
    each with a weight at every node."""
    return np.unique(ensemble.feature[ensemble.feature != LEAF])


def write_trees(ensemble: TreeEnsemble, network_type: FixedType, name: str, space: str, folder: Path) -> None:
    """Write ``name``.h and ``name``.cpp with the function ``name`` of C++ namespace ``space``, and the
    files of conifer they include, to ``folder``/firmware.

    Raises ``UnsupportedError`` as :func:`conifer_ensemble`.
    """
    from conifer.backends.xilinxhls.writer import XilinxHLSConfig, XilinxHLSModel

    firmware = folder / "firmware"
    firmware.mkdir(parents=True)
    config = XilinxHLSConfig.default_config() | {
        "backend": "xilinxhls",
        "project_name": name,
        "output_dir": str(folder),
        "input_precision": _written(network_type),
        "threshold_precision": _written(network_type),
        "weight_precision": "ap_fixed<2,2>",
        "score_precision": _written(ensemble.score_type),
    }
    # Any metadata but conifer's own, which asks for the name of user and machine.
    model = XilinxHLSModel(conifer_ensemble(ensemble, network_type), config, metadata=name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # it leaves its files to be closed by Python
        model.write_bdt_h()
        model.write_parameters_h()
    values = {
        "NAME": name,
        "NAMESPACE": space,
        "GUARD": space.upper(),
        "INPUT": _written(network_type),
        "RESULT": _written(ensemble.score_type),
        "N_FEATURES": str(ensemble.features),
        "USED": ", ".join(map(str, _used_features(ensemble))),
    }
    for suffix in (".h", ".cpp"):
        (firmware / f"{name}{suffix}").write_text(fill_template(f"trees{suffix}.in", values))


def _written(kind: FixedType | None) -> str:
    """Type without rounding and saturation, which nothing needs: every value is held."""
    assert kind is not None
    return str(FixedType(kind.width, kind.integer, kind.signed))


def _tree(
    ensemble: TreeEnsemble, used: IntArray, nodes: slice, input_lsb: float, score_lsb: float
) -> dict[str, Any]:
    """One tree, nodes counted from its own root and features among the used ones."""
    leaf = ensemble.feature[nodes] == LEAF
    feature = np.where(leaf, _LEAF_FEATURE, np.searchsorted(used, ensemble.feature[nodes]))
    children = {
        f"children_{side}": [
            _NO_CHILD if ends else int(child) - nodes.start
            for child, ends in zip(getattr(ensemble, side)[nodes], leaf, strict=True)
        ]
        for side in ("left", "right")
    }
    return children | {
        "feature": feature.tolist(),
        "weight": (feature[:, None] == np.arange(len(used))).astype(int).tolist(),
        "threshold": (ensemble.threshold[nodes] * input_lsb).tolist(),
        "value": (ensemble.value[nodes] * score_lsb).tolist(),
    }


_FIELDS = ("feature", "weight", "threshold", "value", "left child", "right child", "parent")
"""What the lines of a tree hold in conifer's parameters.h."""
_TREE = re.compile(r"^static const BDT::Tree<.*> tree_0_(\d+) = \{$")


def suspect_trees(project: Path, name: str, space: str, trees: Trees, network_type: FixedType) -> str:
    """What the sources of the project in the folder ``project`` say otherwise than the ensemble's, or an
    empty string: the first line that differs from what is written for it."""
    with tempfile.TemporaryDirectory(prefix="zerobias-") as scratch:
        fresh = Path(scratch) / "project"
        write_trees(trees.ensemble, network_type, name, space, fresh)
        for file in sorted((fresh / "firmware").iterdir()):
            want = file.read_text().splitlines()
            got = (project / "firmware" / file.name).read_text().splitlines()
            tree, line_of_tree = "", 0
            for number, (expected, found) in enumerate(zip_longest(want, got, fillvalue=""), 1):
                opening = _TREE.match(expected)
                if opening is not None:
                    tree, line_of_tree = opening[1], number
                if found == expected:
                    continue
                where, row = f"{file.name}, line {number}", number - line_of_tree - 1
                if tree and row < len(_FIELDS):
                    return f"{where}, tree {tree}: {_changed(_FIELDS[row], found, expected)}"
                return f"{where} is {found.strip()!r} in the project and {expected.strip()!r} for the model"
    return ""


def _changed(what: str, found: str, expected: str) -> str:
    """Which entry of a line of numbers differs."""
    got, want = (line.strip(" {},").split(",") for line in (found, expected))
    wrong = [node for node, (a, b) in enumerate(zip_longest(got, want)) if a != b]
    if what == "weight" or len(got) != len(want):
        return f"{what} differs"
    pair = f"{got[wrong[0]]} in the project and {want[wrong[0]]} in the model"
    return f"{what} of node {wrong[0]} is {pair} ({len(wrong)} such)"

"""Quantised trees in scikit-learn's own code: what Keras is for a network."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from zerobias.contract import Contract, IntArray
from zerobias.fixed import Graph
from zerobias.trees import LEAF, TreeEnsemble
from zerobias.verify.gate import Implementation, Traced

__all__ = ["sklearn_implementation"]


def sklearn_implementation(ensemble: TreeEnsemble, contract: Contract, graph: Graph) -> Implementation:
    """The trees of a quantised ensemble, each rebuilt as scikit-learn's and asked about real inputs."""
    kind = graph.output_type
    trees = [_tree(ensemble, nodes, contract.network_type.lsb, kind.lsb) for nodes in ensemble.slices()]

    def leaves(raw: IntArray) -> tuple[NDArray[Any], NDArray[np.float64]]:
        inputs = (contract.scale(raw) * contract.network_type.lsb).astype(np.float32)
        return inputs, np.stack([tree.predict(inputs)[:, 0] for tree in trees], axis=1)

    def score(raw: IntArray) -> IntArray:
        found: IntArray = np.rint(leaves(raw)[1].sum(axis=1) / kind.lsb).astype(np.int64)
        return found

    def trace(raw: IntArray) -> Traced:
        inputs, values = leaves(raw)
        return {"contract": ("contract", inputs), "trees": ("trees", values)}

    return Implementation("sklearn", score, trace, lambda layer: "")


def _tree(ensemble: TreeEnsemble, nodes: slice, input_lsb: float, score_lsb: float) -> Any:
    """scikit-learn's tree with the nodes of one of ours."""
    from sklearn.tree._tree import NODE_DTYPE, TREE_LEAF, TREE_UNDEFINED, Tree

    leaf = ensemble.feature[nodes] == LEAF
    records = np.zeros(len(leaf), dtype=NODE_DTYPE)
    records["left_child"] = np.where(leaf, TREE_LEAF, ensemble.left[nodes] - nodes.start)
    records["right_child"] = np.where(leaf, TREE_LEAF, ensemble.right[nodes] - nodes.start)
    records["feature"] = np.where(leaf, TREE_UNDEFINED, ensemble.feature[nodes])
    records["threshold"] = ensemble.threshold[nodes] * input_lsb
    values = (ensemble.value[nodes] * score_lsb).reshape(-1, 1, 1)
    tree = Tree(ensemble.features, np.array([1], dtype=np.intp), 1)
    state = {"max_depth": ensemble.depth, "node_count": len(leaf), "nodes": records, "values": values}
    tree.__setstate__(state)
    return tree

"""Trees: scikit-learn's decisions and sums, exactly, in integers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import GradientBoostingClassifier, IsolationForest

from zerobias.contract import Contract, ContractSpec, FixedType, IntArray
from zerobias.errors import DataError, UnsupportedError
from zerobias.fixed import Interval, Trees, from_trees, graph_of
from zerobias.trees import LEAF, TreeEnsemble, from_gradient_boosting, from_isolation_forest

SCORE = FixedType.parse("ap_ufixed<14,8>")


def contract(network_type: str = "ap_fixed<8,6>") -> Contract:
    """Six features of 6 bits, half of them signed, at 2^-2 of a network input each."""
    fields = [
        {"name": "pt", "width": 6, "lsb": 1.0, "unit": "GeV", "step": 0.25},
        {"name": "eta", "width": 6, "signed": True, "lsb": 1.0, "unit": "1", "step": 0.25},
    ]
    return Contract(
        ContractSpec.model_validate(
            {
                "collection": "objects",
                "raw_type": "ap_fixed<12,8>",
                "offset_type": "ap_fixed<8,8>",
                "network_type": network_type,
                "group": [{"name": "jet", "count": 3, "fields": fields}],
            }
        )
    )


def events(count: int, seed: int = 0) -> IntArray:
    """Network input integers, small ones more often."""
    low, high = contract().box
    rng = np.random.default_rng(seed)
    return np.clip(rng.geometric(0.1, (count, 6)) * rng.choice([1, -1], (count, 6)), low, high)


def real(x: IntArray) -> Any:
    return (x * contract().network_type.lsb).astype(np.float32)


@pytest.fixture(scope="module")
def forest() -> Any:
    return IsolationForest(n_estimators=12, max_samples=32, max_features=0.5, random_state=3).fit(
        real(events(500))
    )


@pytest.fixture(scope="module")
def boosted() -> Any:
    x = events(500, 1)
    truth = x[:, 0] * x[:, 3] + x[:, 2] > 30
    fitted = GradientBoostingClassifier(n_estimators=9, max_depth=4, learning_rate=0.3, random_state=3)
    return fitted.fit(real(x), truth)


def trees_of(fitted: Any) -> TreeEnsemble:
    return (
        from_isolation_forest("t", fitted)
        if isinstance(fitted, IsolationForest)
        else from_gradient_boosting("t", fitted)
    )


def applied(fitted: Any, x: IntArray) -> IntArray:
    """Number of the leaf (events, trees) by scikit-learn, counted through all trees."""
    estimators = np.ravel(fitted.estimators_)
    columns = getattr(fitted, "estimators_features_", [np.arange(6)] * len(estimators))
    first = np.cumsum([0, *(e.tree_.node_count for e in estimators[:-1])])
    return np.stack(
        [e.tree_.apply(real(x)[:, c]) + n for e, c, n in zip(estimators, columns, first, strict=True)], axis=1
    )


def test_isolation_forest_is_the_path_length_of_scikit_learn(forest: Any) -> None:
    x = events(2000, 5)
    lengths = -from_isolation_forest("t", forest).predict(real(x))
    c = 2 * (np.log(31) + np.euler_gamma) - 2 * 31 / 32  # of 32 training events a tree
    np.testing.assert_allclose(-(2.0 ** (-lengths / (12 * c))), forest.score_samples(real(x)), rtol=1e-13)


def test_gradient_boosting_is_the_decision_function_less_a_constant(boosted: Any) -> None:
    x = events(2000, 5)
    rest = boosted.decision_function(real(x)) - from_gradient_boosting("t", boosted).predict(real(x))
    np.testing.assert_allclose(rest, rest[0], rtol=0, atol=1e-13)


@pytest.mark.parametrize("kind", ["forest", "boosted"])
def test_integers_decide_and_add_as_scikit_learn(kind: str, request: pytest.FixtureRequest) -> None:
    """Every event ends in scikit-learn's leaf, and the score is the sum of these leaves' rounded values."""
    fitted = request.getfixturevalue(kind)
    floating = trees_of(fitted)
    quantised = floating.quantised(contract().network_type, SCORE)
    every = np.unique(quantised.threshold)  # inputs on both sides of each threshold, in every feature
    sides = np.clip(np.concatenate([every, every + 1]), *(end.max() for end in contract().box))
    x = np.concatenate([events(3000, 7), np.repeat(sides[:, None], 6, axis=1)])
    leaf = applied(fitted, x)
    numbered = replace(quantised, value=np.arange(len(quantised.value)))
    np.testing.assert_array_equal(numbered.leaf_values(x), leaf)
    rounded = np.rint(floating.value / SCORE.lsb)
    lowest = [rounded[nodes][floating.feature[nodes] == LEAF].min() for nodes in floating.slices()]
    expected = rounded[leaf].sum(axis=1) - sum(lowest)
    graph = graph_of(quantised, contract())
    np.testing.assert_array_equal(graph.evaluate(x), expected)
    assert len(np.unique(expected)) > 50
    # The control: one threshold, one leaf, each of every tree.
    for nodes in quantised.slices():
        for array in ("threshold", "value"):
            used = np.flatnonzero(numbered.feature[nodes] != LEAF)[0] if array == "threshold" else None
            place = nodes.start + used if used is not None else np.intersect1d(leaf, np.r_[nodes])[0]
            changed = getattr(quantised, array).copy()
            changed[place] += 1
            mutant = graph_of(replace(quantised, **{array: changed}), contract())
            assert (mutant.evaluate(x) != expected).any(), (array, place)


def test_intervals_are_those_of_all_inputs(boosted: Any) -> None:
    """In a box of few values every one is tried: each tree's bounds are reached and never left."""
    quantised = trees_of(boosted).quantised(contract().network_type, SCORE)
    low, high = np.array([3, -2, 6, -1, 9, 0]), np.array([6, 1, 9, 2, 12, 3])
    grid = np.stack(np.meshgrid(*(np.arange(a, b + 1) for a, b in zip(low, high, strict=True))), -1)
    values = quantised.leaf_values(grid.reshape(-1, 6))
    found = Trees(quantised, SCORE).interval(Interval(low.astype(object), high.astype(object), 2))
    np.testing.assert_array_equal(found.low, values.min(axis=0))
    np.testing.assert_array_equal(found.high, values.max(axis=0))
    assert found.frac == SCORE.frac
    assert (values % (1 << found.zeros) == 0).all()


def test_score_too_narrow_is_seen(boosted: Any) -> None:
    quantised = trees_of(boosted).quantised(contract().network_type, FixedType.parse("ap_ufixed<8,2>"))
    graph = from_trees(quantised, contract())
    assert [row.node for row in graph.headroom(graph.intervals(*contract().box)) if row.overflows] == [
        "score"
    ]


def test_arrays_come_back(boosted: Any) -> None:
    quantised = trees_of(boosted).quantised(contract().network_type, SCORE)
    empty = TreeEnsemble("t", 6, SCORE)
    again = empty.with_arrays(quantised.arrays)
    np.testing.assert_array_equal(again.predict(events(100)), quantised.predict(events(100)))
    with pytest.raises(UnsupportedError, match="none yet: load the model's weights"):
        from_trees(empty, contract())


def damaged(boosted: Any, **changes: Any) -> None:
    quantised = trees_of(boosted).quantised(contract().network_type, SCORE)
    arrays = {key: value.copy() for key, value in quantised.arrays.items()}
    for key, (place, value) in changes.items():
        arrays[f"trees/{key}"][place] = value
    quantised.with_arrays(arrays)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"left": (0, 0)}, "child of none, of two or of another tree"),
        ({"left": (0, 10**6)}, "child of none, of two or of another tree"),
        ({"right": (0, 1)}, "child of none, of two or of another tree"),
        ({"root": (1, 2)}, "child of none, of two or of another tree"),
        ({"feature": (0, 6)}, "look at features beyond the 6 of the contract"),
        ({"feature": (0, LEAF)}, "a leaf that goes on"),
    ],
)
def test_damaged_arrays_are_refused(boosted: Any, changes: Any, words: str) -> None:
    with pytest.raises(DataError, match=words):
        damaged(boosted, **changes)


def test_wrong_arrays_are_refused(boosted: Any) -> None:
    quantised = trees_of(boosted).quantised(contract().network_type, SCORE)
    arrays = quantised.arrays
    with pytest.raises(DataError, match=r"the weights hold mu/kernel: trees are trees/feature, trees/left"):
        quantised.with_arrays({"mu/kernel": np.zeros(3)})
    with pytest.raises(DataError, match="differ in length"):
        quantised.with_arrays(arrays | {"trees/value": arrays["trees/value"][1:]})
    with pytest.raises(DataError, match="hold numbers that are no integers"):
        quantised.with_arrays(arrays | {"trees/threshold": arrays["trees/threshold"] + 0.5})
    with pytest.raises(DataError, match="hold no tree"):
        quantised.with_arrays({key: value[:0] for key, value in arrays.items()})
    mixed = {"root": [0, 2], "feature": [0, LEAF, LEAF, LEAF], "threshold": [0] * 4, "value": [0] * 4}
    mixed |= {"left": [1, 1, 2, 3], "right": [3, 1, 2, 3]}
    with pytest.raises(DataError, match="hold a node that is the child of none, of two or of another tree"):
        quantised.with_arrays({f"trees/{key}": np.array(value) for key, value in mixed.items()})


def test_graphs_that_have_no_meaning_are_refused(boosted: Any) -> None:
    floating = trees_of(boosted)
    with pytest.raises(UnsupportedError, match="have no score type: quantise them first"):
        from_trees(floating, contract())
    quantised = floating.quantised(contract().network_type, SCORE)
    with pytest.raises(UnsupportedError, match="the trees take 7 inputs, the contract gives 6 features"):
        from_trees(replace(quantised, features=7), contract())
    far = replace(quantised, threshold=quantised.threshold + (quantised.feature == 2) * 1000)
    with pytest.raises(UnsupportedError, match=r"a threshold on jet2\.pt is 10\d\d LSB, the network"):
        from_trees(far, contract())
    with pytest.raises(UnsupportedError, match="float32, which holds 24 bits exactly; use a narrower"):
        floating.quantised(FixedType.parse("ap_fixed<25,20>"), SCORE)


def test_several_classes_are_refused() -> None:
    x = events(200)
    fitted = GradientBoostingClassifier(n_estimators=2).fit(real(x), np.abs(x[:, 0]) % 3)
    with pytest.raises(UnsupportedError, match="fit two classes, signal and background"):
        from_gradient_boosting("t", fitted)

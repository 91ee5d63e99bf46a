"""Circuits of trees: exact on every kind of input, on a grid coarser than the thresholds too."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from zerobias.errors import UnsupportedError
from zerobias.fixed import Builder, Cast, Graph, Input, Sum, Trees, graph_of, shaped
from zerobias.rtl import trace
from zerobias.verify import extreme_events
from zerobias.zoo import Model


def test_circuit_is_the_reference(grove: Model) -> None:
    trees = grove.load()
    raw = extreme_events(grove.contract, random=5000, sizes=5000)
    found = trace(grove.contract, graph_of(trees, grove.contract)).predict(raw)
    expected = graph_of(trees, grove.contract)
    np.testing.assert_array_equal(found, expected.evaluate(shaped(grove.contract, expected, raw)))
    assert len(np.unique(found)) > 50
    # The control: a threshold or a leaf less.
    for place, array in ((trees.root[2], "threshold"), (np.flatnonzero(trees.value)[-1], "value")):
        changed = getattr(trees, array).copy()
        changed[place] -= 1
        other = graph_of(replace(trees, **{array: changed}), grove.contract)
        assert (trace(grove.contract, other).predict(raw) != found).any(), array


def test_thresholds_between_the_values_of_a_wire(grove: Model) -> None:
    """Inputs cast to a coarser type: half of the thresholds are no such value."""
    trees = grove.load()
    coarse = replace(grove.contract.network_type, width=grove.contract.network_type.width - 2, rounding="TRN")
    builder = Builder()
    builder.add("in", Input(grove.contract.network_type, (6,)))
    builder.add("coarse", Cast(coarse), "in")
    builder.add("fine", Cast(grove.contract.network_type), "coarse")
    builder.add("sum", Sum(), builder.add("trees", Trees(trees, trees.score_type), "fine"))
    builder.add("score", Cast(trees.score_type), "sum")
    graph = Graph(tuple(builder.nodes))
    raw = extreme_events(grove.contract, random=5000, sizes=5000)
    expected = graph.evaluate(shaped(grove.contract, graph, raw))
    np.testing.assert_array_equal(trace(grove.contract, graph).predict(raw), expected)
    assert len(np.unique(expected)) > 20


def test_weights_as_ports_are_refused(grove: Model) -> None:
    with pytest.raises(UnsupportedError, match="no weights to be ports: trees are constants of the circuit"):
        trace(grove.contract, graph_of(grove.load(), grove.contract), ports=True)

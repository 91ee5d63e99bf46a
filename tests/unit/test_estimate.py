"""Estimators against counts by hand."""

from __future__ import annotations

import numpy as np
import pytest

from zerobias.contract import Contract, ContractSpec, FixedType
from zerobias.fixed import Cast, Conv, Dense, Graph, Input, Node, Op, Square, Windows
from zerobias.hls.estimate import constant_bits, estimate, signed_digits
from zerobias.targets import load_target

UGT = load_target("ugt")


def four_bits(features: int) -> Contract:
    field = {"name": "x", "width": 4, "lsb": 1, "unit": "1"}
    spec = {
        "collection": "regions",
        "raw_type": "ap_uint<4>",
        "offset_type": "ap_uint<4>",
        "network_type": "ap_uint<4>",
        "group": [{"name": "pixel", "count": features, "fields": [field]}],
    }
    return Contract(ContractSpec.model_validate(spec))


def graph(op: Op, shape: tuple[int, ...]) -> Graph:
    nodes = [Node("in", Input(FixedType(4, 4, False), shape), ()), Node("op", op, ("in",))]
    return Graph((*nodes, Node("out", Cast(FixedType(20, 20)), ("op",))))


@pytest.mark.parametrize(
    ("value", "bits", "digits"),
    [(0, 0, 0), (1, 1, 1), (-8, 1, 1), (5, 3, 2), (6, 2, 2), (7, 3, 2), (-11, 4, 3), (15, 4, 2)],
)
def test_constants(value: int, bits: int, digits: int) -> None:
    assert constant_bits(np.array([value])).tolist() == [bits]
    assert signed_digits(np.array([value])).tolist() == [digits]


def test_dense_by_hand() -> None:
    kernel = np.array([[5, 0], [1, -8], [0, 7]])
    op = Dense(kernel, FixedType(5, 5), np.array([1, 0]), FixedType(2, 2))
    found = estimate(four_bits(3), graph(op, (3,)), UGT)
    assert found.ebops == 4 * (3 + 1 + 1 + 3)
    assert found.multipliers == 4
    assert found.adders == (2 + 1 + 1 - 1) + (1 + 2 - 1)  # signed digits and bias, less one
    assert found.levels == 3 + 2  # contract: subtraction and cast; four terms: two levels; a plain cast: none
    assert found.dsp == 0


def test_convolution_counts_every_position() -> None:
    op = Dense(np.array([[3], [1]]), FixedType(3, 3), np.array([0]), FixedType(1, 1))
    once = estimate(four_bits(2), graph(op, (2,)), UGT)
    conv = Conv(op, Windows.of((4,), (2,), (1,), "valid"))
    three = estimate(four_bits(4), graph(conv, (4, 1)), UGT)
    assert (three.ebops, three.multipliers, three.adders) == (
        3 * once.ebops,
        3 * once.multipliers,
        3 * once.adders,
    )
    assert three.levels == once.levels


def test_wide_products_are_dsps() -> None:
    assert estimate(four_bits(2), graph(Square(), (2,)), UGT).dsp == 0
    nodes = (
        Node("in", Input(FixedType(4, 4, False), (2,)), ()),
        Node(
            "wide", Dense(np.array([[200], [200]]), FixedType(9, 9), np.array([0]), FixedType(1, 1)), ("in",)
        ),
        Node("op", Square(), ("wide",)),
        Node("out", Cast(FixedType(40, 40)), ("op",)),
    )
    assert estimate(four_bits(2), Graph(nodes), UGT).dsp == 1


def test_a_slower_clock_takes_fewer_cycles() -> None:
    op = Dense(np.full((3, 2), 5), FixedType(5, 5), np.array([1, 0]), FixedType(2, 2))
    slow = UGT.model_copy(update={"clock_mhz": 40.0})
    assert (
        estimate(four_bits(3), graph(op, (3,)), slow).cycles
        < estimate(four_bits(3), graph(op, (3,)), UGT).cycles
    )

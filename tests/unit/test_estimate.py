"""Estimators against counts by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from zerobias.contract import Contract, ContractSpec, FixedType
from zerobias.fixed import Cast, Conv, Dense, Graph, Input, Node, Op, Square, Sum, SumShift, Windows
from zerobias.hls import Estimate, HlsLayer, estimated_figures
from zerobias.hls.estimate import constant_bits, estimate, signed_digits
from zerobias.report import budgeted
from zerobias.targets import load_target
from zerobias.zoo import HlsSettings

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


def layer(**changes: object) -> HlsLayer:
    plain = HlsLayer("op", "Dense", FixedType(20, 20), FixedType(12, 12), FixedType(5, 5), 3, 2)
    return replace(plain, **changes)  # type: ignore[arg-type]


def test_shared_multipliers_by_hand() -> None:
    op = Dense(np.array([[5, 0], [1, -8], [0, 7]]), FixedType(5, 5), np.array([1, 0]), FixedType(2, 2))
    all_exist = estimate(four_bits(3), graph(op, (3,)), UGT)
    shared = layer(strategy="resource", reuse_factor=3)
    found = estimate(four_bits(3), graph(op, (3,)), UGT, [shared])
    # Two products of 4 x 5 bits with adders of 12; one input a clock, of 4 bits, is chosen from three.
    assert found.ebops == 2 * (4 * 5 + 12) + 4
    assert (found.multipliers, found.adders, found.dsp, found.bram) == (2, 2, 0, 1)
    assert (found.interval, found.cycles) == (3, all_exist.cycles + 2)
    wide = Dense(op.kernel, FixedType(11, 11), op.bias, op.bias_type)
    found = estimate(four_bits(3), graph(wide, (3,)), UGT, [shared])
    assert (found.ebops, found.dsp) == (2 * 12 + 4, 2), "11 bits take a DSP"
    assert estimate(four_bits(3), graph(op, (3,)), UGT, [layer(strategy="resource")]) == all_exist
    assert estimate(four_bits(3), graph(op, (3,)), UGT, [layer(name="other", reuse_factor=3)]) == all_exist


def test_positions_of_a_convolution_one_after_the_other() -> None:
    op = Dense(np.array([[3], [1]]), FixedType(3, 3), np.array([0]), FixedType(1, 1))
    conv = Conv(op, Windows.of((4,), (2,), (1,), "valid"))
    once = estimate(four_bits(2), graph(op, (2,)), UGT)
    found = estimate(four_bits(4), graph(conv, (4, 1)), UGT, [layer(strategy="resource", passes=3)])
    assert (found.ebops, found.multipliers, found.interval) == (once.ebops, once.multipliers, 3)
    all_exist = estimate(four_bits(4), graph(conv, (4, 1)), UGT)
    assert found.cycles == all_exist.cycles + 2


def test_adder_graphs_count_their_luts_at_every_position() -> None:
    op = Dense(np.array([[3], [1]]), FixedType(3, 3), np.array([0]), FixedType(1, 1))
    conv = Conv(op, Windows.of((4,), (2,), (1,), "valid"))
    graphs = layer(strategy="distributed_arithmetic", adder_luts=7.5)
    assert estimate(four_bits(4), graph(conv, (4, 1)), UGT, [graphs]).ebops == 23
    assert estimate(four_bits(2), graph(op, (2,)), UGT, [graphs]).ebops == 8


def test_figures_by_strategy() -> None:
    found = Estimate(ebops=900, multipliers=30, adders=40, dsp=1, ff=500, levels=9, cycles=8)
    assert {f.metric: f.value for f in estimated_figures(found, UGT, HlsSettings())} == {
        "latency": pytest.approx(8 * 25 / 6),
        "ii": pytest.approx(1 / 6),
        "lut": 900,
        "ff": 500,
        "dsp": 1,
        "bram": 0,
    }
    halved = {f.metric: f for f in estimated_figures(found, UGT, HlsSettings(reuse_factor=2))}
    assert (halved["lut"].value, halved["lut"].method) == (450, "EBOPs / 2; 30 products, 40 adders")
    assert halved["ii"].value == pytest.approx(2 / 6)
    assert halved["latency"].value == pytest.approx(9 * 25 / 6)
    shared = replace(found, interval=4, cycles=11, bram=2)
    rows = {
        f.metric: f for f in estimated_figures(shared, UGT, HlsSettings(strategy="resource", reuse_factor=4))
    }
    assert [rows[m].value for m in ("ii", "lut", "bram")] == [pytest.approx(4 / 6), 900, 2]
    methods = {
        name: estimated_figures(found, UGT, HlsSettings(strategy=name))[2].method  # type: ignore[arg-type]
        for name in ("latency", "resource", "distributed_arithmetic")
    }
    assert len(set(methods.values())) == 3
    assert methods["distributed_arithmetic"].startswith("adder graphs of da4ml")


def test_every_estimate_of_a_size_declares_its_band() -> None:
    found = Estimate(ebops=900, multipliers=30, adders=40, dsp=1, ff=500, levels=9, cycles=8)
    for figure in estimated_figures(found, UGT, HlsSettings()):
        row = budgeted(UGT, "hls4ml", figure.metric, figure.value, "estimate", figure.method, figure.band)
        if figure.metric in ("dsp", "bram"):
            assert row.band is None
            continue
        assert row.expects(figure.value)
        assert not row.expects(4 * figure.value)
        assert not row.expects(0.2 * figure.value)


def test_block_normalisation_by_hand() -> None:
    found = estimate(four_bits(3), graph(SumShift(FixedType(8, 1, signed=False)), (3,)), UGT)
    # Sums up to 45 have 6 bits: shifts by 4, 2 and 1 place leave 7 fractional bits and 4, 2, 1 whole ones.
    assert found.ebops == 3 * 4 + 3 * ((7 + 4) + (7 + 2) + (7 + 1))
    assert (found.adders, found.multipliers, found.dsp) == (2, 0, 0)
    three = estimate(four_bits(3), graph(Sum(), (3,)), UGT)
    assert found.levels == three.levels + 3


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


@pytest.mark.parametrize(
    ("kind", "levels"),
    [
        (FixedType(4, 4, False, "RND_CONV", "SAT"), 0),  # holds every value of the input
        (FixedType(6, 5, True, "RND_CONV", "SAT"), 0),
        (FixedType(3, 3, False, "RND_CONV", "SAT"), 2),  # saturates
        (FixedType(3, 4, False, "RND_CONV", "SAT"), 2),  # rounds
        (FixedType(3, 3, False), 0),  # drops bits
    ],
)
def test_cast_that_changes_no_value_takes_no_level(kind: FixedType, levels: int) -> None:
    wide = FixedType(12, 12)
    bare = estimate(four_bits(2), graph(Cast(wide), (2,)), UGT).levels
    assert estimate(four_bits(2), graph(Cast(kind), (2,)), UGT).levels == bare + levels


def test_a_slower_clock_takes_fewer_cycles() -> None:
    op = Dense(np.full((3, 2), 5), FixedType(5, 5), np.array([1, 0]), FixedType(2, 2))
    slow = UGT.model_copy(update={"clock_mhz": 40.0})
    assert (
        estimate(four_bits(3), graph(op, (3,)), slow).cycles
        < estimate(four_bits(3), graph(op, (3,)), UGT).cycles
    )

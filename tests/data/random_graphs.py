"""Random contracts and fixed-point graphs of every operation, to compare ways to evaluate them."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from zerobias.contract import Contract, ContractSpec, FixedType
from zerobias.errors import SpecError
from zerobias.fixed import (
    Add,
    AveragePool,
    Builder,
    Cast,
    Concatenate,
    Conv,
    Dense,
    Dot,
    Gather,
    Graph,
    Input,
    LeakyRelu,
    MaxPool,
    Multiply,
    Reshape,
    Square,
    Subtract,
    Sum,
    SumShift,
    Table,
    Trees,
    Windows,
)
from zerobias.trees import LEAF, TreeEnsemble

WIDEST = 44
"""Bits above which a value is cast before anything else happens to it."""
TAP = FixedType(40, 28)
"""Type in which the score shows the result of every node."""


def random_type(
    rng: np.random.Generator, frac: int, bits: int, most: int = 14, signed: bool | None = None
) -> FixedType:
    """A type near that of values with ``frac`` fractional bits of ``bits``: some limit, some round."""
    integer = int(np.clip(bits - frac - rng.integers(4), -2, most))
    return FixedType(
        int(rng.integers(6, min(most, integer + 10), endpoint=True)),
        integer,
        bool(rng.integers(4)) if signed is None else signed,
        str(rng.choice(["TRN", "RND", "RND_CONV"])),
        str(rng.choice(["WRAP", "SAT", "SAT_SYM"])),
    )


def random_contract(rng: np.random.Generator) -> Contract:
    """30 features of a few kinds; some subtract, shift or cast until values wrap or saturate."""
    fields = [
        {
            "name": f"f{number}",
            "width": int(rng.integers(2, 12)),
            "signed": bool(rng.integers(2)),
            "lsb": 1.0,
            "unit": "none",
            "step": float(2.0 ** rng.integers(-2, 1)),
            "offset": [float(rng.integers(-40, 40)) / 2],
            "shift": [int(rng.integers(-3, 6))],
        }
        for number in range(5)
    ]
    while True:
        width = int(rng.integers(13, 19))
        spec = {
            "collection": "objects",
            "raw_type": f"ap_fixed<{width},{width - int(rng.integers(2, 5))}>",
            "offset_type": str(rng.choice(["ap_fixed<8,7>", "ap_fixed<7,7>", "ap_fixed<12,8>"])),
            "network_type": str(random_type(rng, 2, 9)),
            "group": [{"name": "object", "count": 6, "fields": fields}],
        }
        try:
            return Contract(ContractSpec.model_validate(spec))
        except SpecError:
            continue


def random_trees(rng: np.random.Generator, contract: Contract) -> Trees:
    """Three trees of up to four decisions, which ask about any feature, within its range or not."""
    kind = random_type(rng, 3, 9, 12, False)
    low, high = contract.box
    nodes: list[list[int]] = []

    def grow(depth: int) -> int:
        node, feature = len(nodes), int(rng.integers(len(low)))
        nodes.append([LEAF, 0, node, node, int(rng.integers(kind.max_int, endpoint=True))])
        if depth < 4 and rng.integers(5):
            threshold = int(rng.integers(low[feature] - 1, high[feature], endpoint=True))
            nodes[node] = [feature, threshold, grow(depth + 1), grow(depth + 1), 0]
        return node

    root = np.array([grow(0) for _ in range(3)])
    feature, threshold, left, right, value = np.array(nodes).T
    return Trees(TreeEnsemble("trees", len(low), kind, root, feature, threshold, left, right, value), kind)


class _Growing:
    """A graph that grows by random operations on its latest values."""

    def __init__(self, rng: np.random.Generator, contract: Contract) -> None:
        self.rng, self.contract, self.builder = rng, contract, Builder()
        self.builder.add("in", Input(contract.network_type, (6, 5, 1)))
        self.now = "in"

    def look(self, name: str) -> tuple[tuple[int, ...], int, int]:
        """Shape, fractional bits and bits of a node."""
        interval = Graph(tuple(self.builder.nodes)).intervals(*self.contract.box)[name]
        low, high = interval.bounds
        return interval.low.shape, interval.frac, max(-low, high).bit_length() + 1

    def add(self, op: object, *inputs: str) -> str:
        self.now = self.builder.add(f"n{len(self.builder.nodes)}", op, *(inputs or (self.now,)))  # type: ignore[arg-type]
        return self.now

    def kind(self, most: int = 14, signed: bool | None = None) -> FixedType:
        """A type near the latest values."""
        _, frac, bits = self.look(self.now)
        return random_type(self.rng, frac, bits, most, signed)

    def cast(self, most: int = 14, signed: bool | None = None) -> str:
        return self.add(Cast(self.kind(most, signed)))

    def dense(self, inputs: int, outputs: int) -> Dense:
        kernel_type, bias_type = (random_type(self.rng, 3, 6, 10, True) for _ in range(2))
        kernel = self.rng.integers(
            -(1 << kernel_type.width - 1), 1 << kernel_type.width - 1, (inputs, outputs)
        )
        kernel *= self.rng.random(kernel.shape) < self.rng.choice([0.2, 1.0])
        bias = self.rng.integers(-(1 << bias_type.width - 1), 1 << bias_type.width - 1, outputs)
        return Dense(kernel, kernel_type, bias, bias_type)

    def branches(self, op: type) -> None:
        """``op`` of two values of one shape that differ."""
        start = self.now
        self.add(op(), self.cast(), self.add(LeakyRelu(int(self.rng.integers(1, 4))), start))

    def windows(self, op: type | None) -> None:
        """A convolution or pooling over an image."""
        shape = self.look(self.now)[0]
        if len(shape) != 3 or min(shape[:2]) < 2:
            return
        padding = str(self.rng.choice(["valid", "same"]))
        size = (2, 2) if op else tuple(int(v) for v in self.rng.integers(1, 3, 2))
        strides = tuple(int(v) for v in self.rng.integers(1, 3, 2))
        windows = Windows.of(shape[:2], size, strides, padding)
        if op:
            self.add(op(windows))
        else:
            self.add(Conv(self.dense(math.prod(size) * shape[2], int(self.rng.integers(1, 6))), windows))

    def table(self) -> None:
        domain = self.kind(8)
        self.add(Cast(domain))
        kind = random_type(self.rng, 3, 9, 20)
        values = self.rng.integers(
            kind.min_int, kind.max_int, domain.max_int - domain.min_int + 1, endpoint=True
        )
        self.add(Table(values, domain.min_int, kind))

    def sum_shift(self) -> None:
        self.cast(18, signed=False)
        bits = int(self.rng.integers(2, 10))
        self.add(SumShift(FixedType(bits, 1, False)))

    def rearranged(self) -> None:
        shape = self.look(self.now)[0]
        size = math.prod(shape)
        if self.rng.integers(2):
            self.add(Reshape((size,)))
        index = self.rng.integers(-1, size, (4, 3, 2))
        index[0, 0, 0] = -1
        self.add(Gather(index))

    def grow(self) -> None:
        """A random step from a random node; what became wide is cast first."""
        self.now = str(self.rng.choice([node.name for node in self.builder.nodes]))
        shape, frac, bits = self.look(self.now)
        if 2 * bits > WIDEST or abs(frac) > 12:
            self.cast()
        steps: list[Callable[[], object]] = [
            self.cast,
            lambda: self.add(self.dense(shape[-1], int(self.rng.integers(1, 8)))),
            lambda: self.windows(None),
            lambda: self.windows(MaxPool),
            lambda: self.windows(AveragePool),
            lambda: self.add(LeakyRelu(int(self.rng.integers(1, 4)))),
            lambda: self.add(Square()),
            *(lambda op=op: self.branches(op) for op in (Add, Subtract, Multiply, Concatenate)),
            self.table,
            self.sum_shift,
            self.rearranged,
        ]
        steps[int(self.rng.integers(len(steps)))]()

    def graph(self, length: int) -> Graph:
        for _ in range(length):
            self.grow()
        self.cast()
        self.add(Reshape((math.prod(self.look(self.now)[0]),)))
        self.add(Sum())
        self.add(Dot(), self.builder.nodes[-2].name, self.add(LeakyRelu(1), self.builder.nodes[-2].name))
        self.add(random_trees(self.rng, self.contract), self.add(Reshape((30,)), "in"))
        taps = [
            self.add(Cast(TAP), self.add(Reshape((math.prod(self.look(node.name)[0]),)), node.name))
            for node in tuple(self.builder.nodes)
            if not isinstance(node.op, Reshape)
        ]
        self.add(Concatenate(), *taps)
        self.add(Cast(TAP))
        return Graph(tuple(self.builder.nodes))


def random_graph(seed: int, length: int) -> tuple[Contract, Graph]:
    """A contract of 30 features and a graph of ``length`` random steps; the score is every node's result."""
    rng = np.random.default_rng(seed)
    contract = random_contract(rng)
    return contract, _Growing(rng, contract).graph(length)


def sum_of_squares() -> tuple[Contract, Graph]:
    """A dense layer and a sum of squares, of more than 16 bits."""
    rng = np.random.default_rng(3)
    contract = random_contract(np.random.default_rng(9))
    builder = Builder()
    builder.add("in", Input(contract.network_type, (30,)))
    kind = FixedType(6, 3)
    builder.add("dense", Dense(rng.integers(-32, 32, (30, 5)), kind, rng.integers(-32, 32, 5), kind), "in")
    builder.add("cast", Cast(FixedType(10, 7, True, "RND_CONV", "SAT")), "dense")
    builder.add("square", Square(), "cast")
    builder.add("sum", Sum(), "square")
    builder.add("score", Cast(FixedType(30, 20)), "sum")
    return contract, Graph(tuple(builder.nodes))


def plain_contract(width: int, features: int = 2, shift: int = 0) -> Contract:
    """Unsigned features that reach the network as they are, but for a shift."""
    kind = f"ap_ufixed<{width},{width}>"
    fields = [{"name": "x", "width": width, "lsb": 1.0, "unit": "none", "step": 1.0, "shift": [shift]}]
    group = [{"name": "object", "count": features, "fields": fields}]
    spec = {"collection": "objects", "raw_type": kind, "offset_type": kind, "network_type": kind}
    return Contract(ContractSpec.model_validate(spec | {"group": group}))


def wide_totals() -> tuple[Contract, Graph]:
    """A block normalisation whose values and results fit in 32 bits; their sum does not."""
    contract, builder, whole = plain_contract(20, 16), Builder(), FixedType(30, 30)
    builder.add("in", Input(contract.network_type, (16,)))
    kernel, bias = 500 * np.eye(16, dtype=np.int64), np.zeros(16, np.int64)
    builder.add("dense", Dense(kernel, whole, bias, whole), "in")
    builder.add("shift", SumShift(FixedType(3, 1, False)), "dense")
    builder.add("both", Concatenate(), "shift", "in")
    builder.add("score", Cast(FixedType(22, 20, False)), "both")
    return contract, Graph(tuple(builder.nodes))


def rounded_at_the_border() -> tuple[Contract, Graph]:
    """A value of up to 2**31 - 1 that is rounded to the even above it."""
    contract, builder, wide = plain_contract(20), Builder(), FixedType(32, 32)
    builder.add("in", Input(contract.network_type, (2,)))
    kernel, bias = 2048 * np.eye(2, dtype=np.int64), np.full(2, 2047)
    builder.add("dense", Dense(kernel, wide, bias, wide), "in")
    builder.add("score", Cast(FixedType(40, 41, True, "RND_CONV")), "dense")
    return contract, Graph(tuple(builder.nodes))

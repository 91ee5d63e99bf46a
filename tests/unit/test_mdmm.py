"""Constrained training on toys whose answers, multipliers included, are known in closed form."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from zerobias.errors import DataError
from zerobias.nn import (
    Bounds,
    Constraint,
    Equality,
    Maximum,
    Minimum,
    VariationalAutoencoder,
    effective_bits,
)
from zerobias.train import read_checkpoint, write_checkpoint

Function = Callable[[Any], Any]


class Toy(keras.Model):
    """Minimises ``objective`` of its point (n,) under constraints on functions of the point."""

    def __init__(
        self, start: list[float], objective: Function, constraints: list[tuple[Function, Constraint]]
    ) -> None:
        super().__init__()
        self.point = self.add_weight(shape=(len(start),), initializer="zeros", name="point")
        self.point.assign(start)
        self.objective = objective
        self.constraints = [constraint for _, constraint in constraints]
        self.functions = [function for function, _ in constraints]

    def call(self, inputs: Any) -> Any:
        terms = [c(f(self.point)) for f, c in zip(self.functions, self.constraints, strict=True)]
        return self.objective(self.point) + sum(terms) + 0.0 * inputs


def compiled(toy: Toy, optimizer: Any) -> Toy:
    toy.compile(optimizer)
    toy(np.zeros((1, 1), np.float32))
    optimizer.build(toy.trainable_variables)
    return toy


def descend(toy: Toy, steps: int, rate: float = 0.05) -> Toy:
    """``steps`` of training by plain gradient descent, or with the optimiser it was compiled with."""
    if not toy.compiled:
        compiled(toy, keras.optimizers.SGD(rate))

    @tf.function
    def step() -> None:
        with tf.GradientTape() as tape:
            loss = toy(tf.zeros((1, 1)))
        toy.optimizer.apply(tape.gradient(loss, [v.value for v in toy.trainable_variables]))

    for _ in range(steps):
        step()
    return toy


def answer(toy: Toy) -> tuple[np.ndarray, list[float]]:
    return np.asarray(toy.point), [float(c.multiplier) for c in toy.constraints]


def square(p: Any) -> Any:
    return ops.sum(p**2)


def first(p: Any) -> Any:
    return p[0]


def test_convex_equality() -> None:
    # min x^2 + y^2 with x + y = 1: x = y = 1/2, and 2x + lambda = 0
    point, multipliers = answer(descend(Toy([3.0, -1.0], square, [(ops.sum, Equality(1.0))]), 600))
    assert point == pytest.approx([0.5, 0.5], abs=1e-4)
    assert multipliers == pytest.approx([-1.0], abs=1e-4)


@pytest.mark.parametrize(
    ("constraint", "best", "multiplier"),
    [
        (Maximum(1.0), 1.0, 2.0),  # min (x - 2)^2 with x <= 1: 2(x - 2) + lambda = 0
        (Maximum(3.0), 2.0, 0.0),  # not active
        (Minimum(3.0), 3.0, 2.0),  # 2(x - 2) - lambda = 0
        (Minimum(1.0), 2.0, 0.0),
        (Bounds(-1.0, 1.0), 1.0, 2.0),
        (Bounds(3.0, 4.0), 3.0, -2.0),
        (Bounds(1.5, 4.0), 2.0, 0.0),
    ],
)
def test_convex_inequalities(constraint: Constraint, best: float, multiplier: float) -> None:
    toy = Toy([0.3], lambda p: ops.sum((p - 2.0) ** 2), [(first, constraint)])
    point, multipliers = answer(descend(toy, 500, 0.1))
    assert point == pytest.approx([best], abs=1e-3)
    assert multipliers == pytest.approx([multiplier], abs=1e-3)


def test_two_constraints_at_once() -> None:
    # min x^2 + y^2, x + y = 4, x <= 1: x = 1, y = 3; 2y + l1 = 0, 2x + l1 + l2 = 0
    toy = Toy([0.0, 0.0], square, [(ops.sum, Equality(4.0)), (first, Maximum(1.0))])
    point, multipliers = answer(descend(toy, 800, 0.1))
    assert point == pytest.approx([1.0, 3.0], abs=1e-3)
    assert multipliers == pytest.approx([-6.0, 4.0], abs=3e-3)


def test_non_convex_product_on_a_circle() -> None:
    # min x y with x^2 + y^2 = 2: (1, -1) or (-1, 1); y + 2 lambda x = 0
    toy = Toy([1.5, -0.2], lambda p: p[0] * p[1], [(square, Equality(2.0))])
    point, multipliers = answer(descend(toy, 500, 0.1))
    assert point == pytest.approx([1.0, -1.0], abs=1e-3)
    assert multipliers == pytest.approx([0.5], abs=1e-3)


@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_damping_reaches_a_concave_front_which_weighted_sums_cannot(scale: float) -> None:
    # min -x^2 with x = 1: -2 + scale * lambda = 0; stable only for scale * damping > 2
    def toy(damping: float) -> Toy:
        constraint = Equality(1.0, scale=scale, damping=damping)
        return Toy([0.8], lambda p: -square(p), [(first, constraint)])

    point, multipliers = answer(descend(toy(2.0 / scale + 2.0), 800))
    assert point == pytest.approx([1.0], abs=1e-3)
    assert multipliers == pytest.approx([2.0 / scale], abs=1e-3)
    astray, _ = answer(descend(toy(1.0), 100))
    assert abs(astray[0]) > 10


def test_without_damping_the_multiplier_does_not_settle() -> None:
    # f = 0: the point and lambda circle round the answer for ever
    plain = descend(Toy([0.0], lambda p: 0.0 * square(p), [(first, Equality(1.0, damping=0.0))]), 500, 0.05)
    damped = descend(Toy([0.0], lambda p: 0.0 * square(p), [(first, Equality(1.0))]), 500, 0.05)
    (x,), (multiplier,) = answer(plain)
    assert np.hypot(x - 1.0, multiplier) > 0.9
    assert answer(damped)[0] == pytest.approx([1.0], abs=1e-2)


def test_value_of_the_term_is_that_of_the_lagrangian() -> None:
    constraint = Equality(1.0, scale=3.0, damping=4.0)
    constraint.multiplier.assign(5.0)
    assert float(constraint(ops.convert_to_tensor(3.0))) == 3.0 * (5.0 * 2.0 + 4.0 * 4.0 / 2)


@pytest.mark.parametrize("optimizer", [keras.optimizers.SGD, keras.optimizers.Adam])
def test_stopped_and_resumed_equals_uninterrupted(optimizer: Any, tmp_path: Path) -> None:
    def toy() -> Toy:
        constraints = [(ops.sum, Equality(4.0)), (first, Maximum(1.0)), (square, Bounds(1.0, 9.0))]
        made = Toy([0.1, 0.2], lambda p: ops.sum((p - 2.0) ** 4), constraints)
        return compiled(made, optimizer(0.01))

    def state(toy: Toy) -> list[bytes]:
        return [np.asarray(v).tobytes() for v in (*toy.weights, *toy.optimizer.variables)]

    path = tmp_path / "checkpoint.npz"
    whole, stopped, resumed, forgetful = descend(toy(), 80), descend(toy(), 50), toy(), toy()
    write_checkpoint(path, stopped)
    assert state(stopped) != state(whole)
    read_checkpoint(path, resumed)
    assert state(resumed) == state(stopped)
    assert state(descend(resumed, 30)) == state(whole)
    # Negative control: without the multipliers the run goes elsewhere.
    read_checkpoint(path, forgetful)
    for constraint in forgetful.constraints:
        constraint.multiplier.assign(0.0)
    assert state(descend(forgetful, 30)) != state(whole)


def test_checkpoint_of_another_model_is_refused(tmp_path: Path) -> None:
    small = descend(Toy([0.0], square, [(first, Equality(1.0))]), 1)
    large = descend(Toy([0.0], square, [(first, Maximum(1.0))]), 1)
    write_checkpoint(tmp_path / "checkpoint.npz", small)
    with pytest.raises(DataError, match="another model or optimiser"):
        read_checkpoint(tmp_path / "checkpoint.npz", large)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Equality(1.0, scale=0.0), "scale=0.0"),
        (lambda: Equality(1.0, damping=-1.0), "damping=-1.0"),
        (lambda: Maximum(1.0, slack=0.0), "no gradient"),
        (lambda: Bounds(2.0, 2.0), "low < high"),
    ],
)
def test_bad_settings_are_refused(make: Callable[[], Constraint], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        make()


def test_effective_bits() -> None:
    # LSB 1/4: 0, 1, 3 and 7 LSBs have 0, 1, 2 and 3 bits; the second row's variable has twice the bits
    kernel = ops.convert_to_tensor([[0.0, 0.25], [-0.75, 1.75]])
    assert float(effective_bits(kernel, "ap_fixed<6,4>")) == pytest.approx(6.0)
    assert float(effective_bits(kernel, "ap_fixed<6,4>", np.array([[4.0], [8.0]]))) == pytest.approx(44.0)


def test_training_meets_a_budget_of_bits_and_drops_the_useless_weights() -> None:
    # 8 weights, 2 of them useful: 2 x log2(1 + 16) = 8.2 bits are enough, so a budget of 9 costs nothing.
    wanted = np.array([1.0, -1.0, 0, 0, 0, 0, 0, 0], np.float32)
    start = [0.3, -0.3, 0.3, -0.3, 0.3, 0.3, -0.3, 0.3]
    used = np.arange(8) < 2
    budget = Maximum(9.0, scale=0.01, damping=0.1)
    toy = Toy(
        start,
        lambda p: ops.sum(used * (p - wanted) ** 2),
        [(lambda p: effective_bits(p, "ap_fixed<6,2>"), budget)],
    )
    compiled(toy, keras.optimizers.Adam(0.02))
    assert float(effective_bits(toy.point, "ap_fixed<6,2>")) > 18
    point, _ = answer(descend(toy, 1000))
    integers = np.round(point * 16)
    assert integers[:2].tolist() == [16, -16]
    assert not integers[2:].any()


def test_autoencoder_pays_for_its_budget_once_a_batch() -> None:
    inputs = keras.Input((3,))
    encoder = keras.Model(inputs, [inputs, keras.layers.Dense(2, use_bias=False, name="mu")(inputs)])
    encoder.get_layer("mu").set_weights([np.full((3, 2), 0.5, np.float32)])
    decoder = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)])

    def cost(model: keras.Model) -> Any:
        return ops.sum(model.get_layer("mu").kernel)

    budget = Equality(1.0, damping=2.0)
    model = VariationalAutoencoder(encoder, decoder, beta=1.0, seed=1, budget=budget, cost=cost)
    events = np.zeros((5, 3), np.float32)
    model((events, events))
    assert [float(term) for term in model.losses] == [4.0]  # (3 - 1)^2, whatever the number of events
    assert any(variable is budget.multiplier for variable in model.trainable_variables)

"""Constrained training: the modified differential method of multipliers.

Platt & Barr, "Constrained Differential Optimization", NIPS 1987: with a constraint g = 0 the Lagrangian
``f + scale * (lambda * g + damping * g**2 / 2)`` is minimised by the weights and the slacks and maximised by
the multiplier lambda, all at once. The damping term makes a constrained minimum attractive even where f is
concave, which no fixed weighted sum of f and g can do.

The multiplier and the slack are weights of the constraint's layer, and the multiplier's gradient is turned
round. So any Keras optimiser does ascent and descent in one step, and whatever saves a model's weights and
its optimiser's state saves theirs.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import keras
from keras import ops

__all__ = ["Bounds", "Constraint", "Equality", "Maximum", "Minimum"]


class Constraint(keras.layers.Layer):  # type: ignore[misc]
    """The term a constraint adds to the loss; a layer of the model whose loss it is.

    Call it on the constrained quantity (a scalar) and add the result to the loss. ``scale`` is the weight of
    the term in the loss; ``damping`` that of g squared. Both positive (``damping`` may be 0: the plain
    method of multipliers, which circles or diverges where f is not convex); else ``ValueError``.
    """

    def __init__(self, *, scale: float = 1.0, damping: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not (scale > 0 and damping >= 0):
            raise ValueError(f"scale={scale}, damping={damping}: give scale > 0 and damping >= 0")
        self.scale = scale
        self.damping = damping
        self.multiplier = self.add_weight(shape=(), initializer="zeros", name="multiplier")

    @abstractmethod
    def infeasibility(self, value: Any) -> Any:
        """g: zero where the constraint holds; positive multipliers push it down."""

    def call(self, value: Any) -> Any:
        """scale * (lambda * g + damping * g**2 / 2), with the sign of lambda's gradient turned round."""
        g = self.infeasibility(value)
        fixed = ops.stop_gradient
        linear = fixed(self.multiplier) * g - self.multiplier * fixed(g) + fixed(self.multiplier * g)
        return self.scale * (linear + 0.5 * self.damping * ops.square(g))


class Equality(Constraint):
    """value = ``target``."""

    def __init__(self, target: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.target = target

    def infeasibility(self, value: Any) -> Any:
        """value - target."""
        return value - self.target


class _OneSided(Constraint):
    """A limit on one side; ``slack`` squared, in units of value, takes up the distance to it.

    So a loose constraint costs nothing. Raises ``ValueError`` for a slack that starts at 0, from where it has
    no gradient.
    """

    def __init__(self, limit: float, *, slack: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if slack == 0:
            raise ValueError("slack=0 has no gradient: give another start")
        self.limit = limit
        self.slack = self.add_weight(shape=(), initializer=keras.initializers.Constant(slack), name="slack")


class Maximum(_OneSided):
    """value <= ``limit``."""

    def infeasibility(self, value: Any) -> Any:
        """value + slack**2 - limit."""
        return value + ops.square(self.slack) - self.limit


class Minimum(_OneSided):
    """value >= ``limit``."""

    def infeasibility(self, value: Any) -> Any:
        """limit + slack**2 - value."""
        return self.limit + ops.square(self.slack) - value


class Bounds(Constraint):
    """``low`` <= value <= ``high``; the slack is an angle, its sine the place between the two.

    Raises ``ValueError`` unless low < high.
    """

    def __init__(self, low: float, high: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not low < high:
            raise ValueError(f"low={low}, high={high}: give low < high")
        self.middle, self.half = (low + high) / 2, (high - low) / 2
        self.slack = self.add_weight(shape=(), initializer="zeros", name="slack")

    def infeasibility(self, value: Any) -> Any:
        """value - (the point of [low, high] the slack stands for)."""
        return value - (self.middle + self.half * ops.sin(self.slack))

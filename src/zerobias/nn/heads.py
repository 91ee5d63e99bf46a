"""Score heads: the last layer of a trigger network, exact in Keras and in firmware."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from zerobias.contract import FixedType, cast_values

__all__ = ["SumOfSquares"]


@keras.saving.register_keras_serializable(package="zerobias")
class SumOfSquares(keras.layers.Layer):  # type: ignore[misc]
    """Anomaly score sum_i mu_i**2 of a latent vector (batch, n) -> (batch, 1).

    Each square is cast to ``square_type``, their sum to ``sum_type``, the result to ``score_type``.
    With ``wrap="closed"`` the sum has room and saturates into the score; ``wrap="v4"`` reproduces
    AXOL1TL v4, whose sum wraps modulo 2**14 (CMS firmware; facts in the model card).
    """

    def __init__(self, wrap: str = "closed", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if wrap not in ("closed", "v4"):
            raise ValueError(f"wrap={wrap!r}: it must be 'closed' or 'v4'")
        self.wrap = wrap
        self.square_type = FixedType(18, 14, signed=False)
        closed = wrap == "closed"
        self.sum_type = FixedType(20, 16, signed=False) if closed else self.square_type
        self.score_type = FixedType(18, 14, signed=False, overflow="SAT") if closed else self.square_type

    def call(self, inputs: Any) -> Any:
        """Scores (batch, 1) as real values."""
        squares = cast_values(inputs * inputs, self.square_type)
        total = cast_values(ops.sum(squares, axis=-1, keepdims=True), self.sum_type)
        return cast_values(total, self.score_type)

    def get_config(self) -> dict[str, Any]:
        """Keras configuration."""
        return {**super().get_config(), "wrap": self.wrap}

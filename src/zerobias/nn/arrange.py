"""What lies in front of a detector's network: values over the scale of their sum, and their arrangement."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from zerobias.contract import FixedType, cast_values

__all__ = ["Gather", "SumShift"]

_PLACES = range(-64, 64)
"""Powers of two between which a sum may lie; float32 networks hold no others exactly."""


@keras.saving.register_keras_serializable(package="zerobias")
class SumShift(keras.layers.Layer):  # type: ignore[misc]
    """Block normalisation x / 2**floor(log2(sum of x)) of a vector (batch, n) without signs.

    In firmware a shift, by the place of the sum's highest set bit. Results lie in [0, 2); bits below those of
    the type ``kind`` are dropped, and a sum of zero gives zeros. Exact while the layer's dtype holds the sum.
    Raises ``ValueError`` unless ``kind`` is a plain ap_ufixed<W,1>.
    """

    def __init__(self, kind: str = "ap_ufixed<8,1>", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.kind = FixedType.parse(kind)
        if self.kind != FixedType(self.kind.width, 1, signed=False):
            raise ValueError(f"kind={kind!r}: results lie in [0, 2) and are truncated, give ap_ufixed<W,1>")

    def call(self, inputs: Any) -> Any:
        """Normalised values, same shape."""
        total = ops.sum(inputs, axis=-1, keepdims=True)
        # By comparison, since a logarithm in floating point may miss a power of two.
        passed = ops.cast(total >= ops.convert_to_tensor([2.0**n for n in _PLACES], total.dtype), "int32")
        factors = ops.convert_to_tensor([0.0, *(2.0**-n for n in _PLACES)], inputs.dtype)
        return cast_values(inputs * ops.take(factors, ops.sum(passed, axis=-1, keepdims=True)), self.kind)

    def get_config(self) -> dict[str, Any]:
        """Keras configuration."""
        return {**super().get_config(), "kind": str(self.kind)}


@keras.saving.register_keras_serializable(package="zerobias")
class Gather(keras.layers.Layer):  # type: ignore[misc]
    """The input's values (batch, ...), counted in C order, at the places ``index``; -1 stands for zero.

    The result has the shape (batch, *shape of ``index``). Raises ``ValueError`` for an index the input lacks.
    """

    def __init__(self, index: Sequence[Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.index = np.asarray(index, dtype=np.int64)

    def build(self, input_shape: Any) -> None:
        """Check the index against the input."""
        size = int(np.prod(input_shape[1:]))
        wrong = self.index[(self.index < -1) | (self.index >= size)]
        if wrong.size:
            raise ValueError(f"index {wrong[0]}: an input of {size} values takes -1 to {size - 1}")
        super().build(input_shape)

    def call(self, inputs: Any) -> Any:
        """Arranged values (batch, *shape of ``index``)."""
        size = int(np.prod(inputs.shape[1:]))
        padded = ops.pad(ops.reshape(inputs, (-1, size)), ((0, 0), (0, 1)))
        return ops.take(padded, np.where(self.index < 0, size, self.index), axis=-1)

    def get_config(self) -> dict[str, Any]:
        """Keras configuration."""
        return {**super().get_config(), "index": self.index.tolist()}

"""The contract, and fixed-point casts, in Keras."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from zerobias.contract.contract import Contract
from zerobias.contract.fixedtype import FixedType

if TYPE_CHECKING:
    import keras

__all__ = ["cast_values", "preprocessing_layer"]


def cast_values(value: Any, kind: FixedType) -> Any:
    """Keras tensor of real values cast to ``kind``: real values again, same shape and dtype.

    Exact as long as the dtype holds ``value / LSB`` exactly. No gradient is defined for it.
    """
    from keras import ops

    counts = value * 2.0**kind.frac
    if kind.rounding == "TRN":
        counts = ops.floor(counts)
    elif kind.rounding == "RND":
        counts = ops.floor(counts + 0.5)
    else:
        counts = ops.round(counts)  # half to even
    if kind.overflow == "WRAP":
        span = 2.0**kind.width
        counts = counts - span * ops.floor((counts - kind.min_int) / span)
    else:
        counts = ops.clip(counts, float(kind.min_int), float(kind.max_int))
    return counts * kind.lsb


def preprocessing_layer(contract: Contract) -> keras.layers.Layer:
    """Keras layer: raw integers (batch, features) -> network input values (batch, features), float32.

    The arithmetic runs in float64, where every step is exact (raw types have at most 48 bits).
    """
    import keras
    from keras import ops

    step = 2.0 ** contract.step_log2.astype(np.float64)
    offset = contract.offset * contract.offset_type.lsb
    factor = 2.0 ** (-contract.shift.astype(np.float64))

    class ContractScaling(keras.layers.Layer):  # type: ignore[misc]
        """Raw hardware integers to the network's input, exactly as the firmware does it."""

        def call(self, inputs: Any) -> Any:
            x = ops.cast(inputs, "float64") * step
            difference = cast_values(x - offset, contract.raw_type)
            shifted = cast_values(difference * factor, contract.raw_type)
            return ops.cast(cast_values(shifted, contract.network_type), "float32")

    return ContractScaling(name="contract", dtype="float64", trainable=False)

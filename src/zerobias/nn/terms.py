"""Weights that are sums of few powers of two: the depth of an adder tree, as a quantiser for training."""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import ops
from numpy.typing import NDArray

from zerobias.contract import FixedType

__all__ = ["LimitedTerms"]


class LimitedTerms:
    """Quantiser of a kernel (inputs, outputs) to a type, with at most ``terms`` signed digits an output.

    A product with a constant is a sum of shifted variables, one for each non-zero digit of the constant's
    canonical signed-digit form, and all digits of an output are added in one tree, ``log2`` of their number
    deep. Each value is rounded to the type; of the digits of a column the largest are kept, and among equal
    ones those of the larger weights. Gradients pass as if nothing had been rounded or dropped, so a dropped
    digit can come back. The result lies on the type's grid: a network with ``bits(kind)`` holds it unchanged.

    Raises ``ValueError`` for ``terms`` below 1.
    """

    def __init__(self, kind: str, terms: int) -> None:
        if terms < 1:
            raise ValueError(f"terms={terms}: an output without a term is constant, give 1 or more")
        self.kind = FixedType.parse(kind)
        self.terms = terms
        self.bits = self.kind.width
        self._digits = _signed_digits(np.arange(self.kind.min_int, self.kind.max_int + 1))

    def __call__(self, kernel: Any) -> Any:
        """Real values of the limited kernel, same shape."""
        inputs, outputs = kernel.shape
        lsb, (least, most) = self.kind.lsb, (self.kind.min_int, self.kind.max_int)
        held = ops.clip(ops.round(ops.stop_gradient(kernel) / lsb), least, most)
        digits = ops.take(self._digits, ops.cast(held - least, "int32"), axis=0)
        column = ops.reshape(ops.transpose(digits, (1, 0, 2)), (outputs, -1))
        size = ops.transpose(ops.abs(ops.stop_gradient(kernel)))
        first = ops.abs(column) + 1e-3 * ops.repeat(ops.tanh(size), digits.shape[-1], axis=1) * lsb
        order = ops.argsort(ops.where(column == 0, 0.0, -first), axis=1)
        rank = ops.argsort(order, axis=1)
        kept = ops.reshape(ops.where(rank < self.terms, column, 0.0), (outputs, inputs, -1))
        limited = ops.transpose(ops.sum(kept, axis=-1))
        limited = lsb * ops.where(
            limited > most, (most + 1) / 2, limited
        )  # a lone leading digit past the end
        return kernel + ops.stop_gradient(limited - kernel)

    def max(self) -> float:
        """Where QKeras clips the weights behind the quantiser, as for its own ones."""
        return -self.min()

    def min(self) -> float:
        """Smallest value of the type."""
        return self.kind.min_int * self.kind.lsb


def _signed_digits(values: NDArray[np.int64]) -> NDArray[np.float32]:
    """Canonical signed digits with their powers of two (values, most digits), zeros where there are fewer."""
    rows = []
    for value in values.tolist():
        row, place = [], 1
        while value:
            if value % 2:
                digit = 2 - value % 4
                row.append(digit * place)
                value -= digit
            value //= 2
            place *= 2
        rows.append(row)
    table = np.zeros((len(rows), max(map(len, rows))), np.float32)
    for found, row in zip(table, rows, strict=True):
        found[: len(row)] = row
    return table

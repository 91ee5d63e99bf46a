"""Effective bit operations (EBOPs) of a constant matrix, as a quantity that training can lower."""

from __future__ import annotations

from typing import Any

from keras import ops

from zerobias.contract import FixedType

__all__ = ["effective_bits"]


def effective_bits(kernel: Any, kind: str, widths: Any = 1.0) -> Any:
    """Differentiable EBOPs (scalar) of float weights ``kernel`` (..., inputs, outputs) of type ``kind``.

    EBOPs (arXiv:2405.00645) count, for each product, the bits of the weight times those of the variable.
    A weight of n LSBs has ceil(log2(n + 1)) bits without its sign; here log2(n + 1) stands for it, which is
    0 at 0, continuous, and steepest at 0: it drives small weights to exactly zero, where they cost nothing.
    ``widths``: bits of the variable behind each weight, times the places the weight is used at; broadcast
    against ``kernel``. The exact count of the finished network is ``zerobias.hls.estimate``'s.
    """
    lsb = FixedType.parse(kind).lsb
    return ops.sum(widths * ops.log(1.0 + ops.abs(kernel) / lsb)) / ops.log(2.0)

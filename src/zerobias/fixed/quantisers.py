"""QKeras quantisers as fixed-point types and constants.

QKeras rounds half to even (``RND_CONV``) and clips (``SAT``). ``quantized_bits(bits, integer)``
does not count the sign in ``integer``; ``ap_fixed`` does. A quantiser without an exact fixed-point
meaning is refused with the layer's name and the remedy.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from zerobias.contract import FixedType, IntArray
from zerobias.errors import UnsupportedError
from zerobias.fixed.tables import check_alpha, po2_exponents, ternary_threshold

__all__ = ["quantiser_type", "quantiser_values"]


def quantiser_type(layer: str, quantiser: Any) -> FixedType:
    """Fixed-point type with the same values as a QKeras quantiser.

    Raises ``UnsupportedError`` for automatic or non-power-of-two scales, stochastic rounding, mixed
    quantisation noise and any kind of quantiser that is no such type.
    """
    kind = type(quantiser).__name__
    check_deterministic(layer, quantiser)
    if kind == "quantized_tanh":  # with QKeras' hard sigmoid: clip(x, -1, 1)
        return FixedType(
            int(quantiser.bits), 1, True, "RND_CONV", "SAT_SYM" if quantiser.symmetric else "SAT"
        )
    if kind not in ("quantized_bits", "quantized_relu"):
        raise UnsupportedError(
            f"layer {layer}: quantiser {kind} has no exact fixed-point form here; "
            "use quantized_bits(..., alpha=1), quantized_relu(...) or another one of docs/reference/layers.md"
        )
    bits, integer = int(quantiser.bits), int(quantiser.integer)
    if kind == "quantized_relu":
        if quantiser.use_sigmoid or not quantiser.is_quantized_clip:
            raise UnsupportedError(
                f"layer {layer}: quantized_relu with use_sigmoid or relu_upper_bound is not supported; "
                "use quantized_relu(bits, integer)"
            )
        leaky = bool(quantiser.negative_slope)
        return FixedType(bits, integer + leaky, leaky, "RND_CONV", "SAT")
    signed = bool(quantiser.keep_negative)
    if bits - signed < 1:
        raise UnsupportedError(
            f"layer {layer}: {quantiser} is a binary quantiser; use at least {1 + signed} bits "
            "or binary(alpha=1)"
        )
    alpha = quantiser.alpha
    if alpha is not None and (isinstance(alpha, str) or float(alpha) != 1.0):
        raise UnsupportedError(
            f"layer {layer}: alpha={alpha!r} scales the rounded values, which no fixed-point type does; "
            "set alpha=1 and choose the integer bits instead"
        )
    overflow = "SAT_SYM" if quantiser.symmetric and signed else "SAT"
    return FixedType(bits, integer + signed, signed, "RND_CONV", overflow)


def quantiser_values(layer: str, quantiser: Any, values: NDArray[Any]) -> tuple[IntArray, FixedType]:
    """Constants ``values`` (any shape) as the quantiser gives them: integers and their type.

    Raises ``UnsupportedError`` as ``quantiser_type``.
    """
    real = np.asarray(values, dtype=np.float64)
    kind = type(quantiser).__name__
    check_deterministic(layer, quantiser)
    if kind == "binary":
        check_alpha(layer, quantiser)
        if quantiser.use_01:
            raise UnsupportedError(f"layer {layer}: binary weights need use_01=False")
        return np.where(real >= 0, 1, -1).astype(np.int64), FixedType(2, 2)
    if kind == "ternary":
        large = np.abs(real) >= ternary_threshold(layer, quantiser)
        return (np.sign(real) * large).astype(np.int64), FixedType(2, 2)
    if kind == "quantized_po2":
        low, high = po2_exponents(layer, quantiser)
        size = np.maximum(np.abs(real), 2.0 ** (low - 1))
        exponent = np.clip(np.rint(np.log2(size)), low, high).astype(np.int64)
        frac = -int(exponent.min(initial=0))
        integers = np.where(real >= 0, 1, -1) * (1 << (exponent + frac))
        return integers, FixedType(int(exponent.max(initial=0)) + frac + 2, int(exponent.max(initial=0)) + 2)
    declared = quantiser_type(layer, quantiser)
    return declared.quantise(real), declared


def check_deterministic(layer: str, quantiser: Any) -> None:
    """Refuse quantisers that give other values in every run or mix in unquantised ones."""
    if getattr(quantiser, "use_stochastic_rounding", False):
        raise UnsupportedError(
            f"layer {layer}: stochastic rounding gives other values in every run; "
            "set use_stochastic_rounding=False"
        )
    if float(getattr(quantiser, "qnoise_factor", 1.0)) != 1.0:
        raise UnsupportedError(
            f"layer {layer}: qnoise_factor {float(quantiser.qnoise_factor)} mixes in unquantised values; "
            "set it to 1 before the conversion"
        )

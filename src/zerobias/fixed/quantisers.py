"""QKeras quantisers as fixed-point types.

QKeras rounds half to even (``RND_CONV``) and clips (``SAT``). ``quantized_bits(bits, integer)``
does not count the sign in ``integer``; ``ap_fixed`` does. A quantiser without an exact fixed-point
meaning is refused with the layer's name and the remedy.
"""

from __future__ import annotations

from typing import Any

from zerobias.contract import FixedType
from zerobias.errors import UnsupportedError

__all__ = ["quantiser_type"]


def quantiser_type(layer: str, quantiser: Any) -> FixedType:
    """Fixed-point type with the same values as a QKeras quantiser.

    Raises ``UnsupportedError`` for automatic or non-power-of-two scales, stochastic rounding, mixed
    quantisation noise and any kind of quantiser not listed here.
    """
    kind = type(quantiser).__name__
    if kind not in ("quantized_bits", "quantized_relu"):
        raise UnsupportedError(
            f"layer {layer}: quantiser {kind} has no exact fixed-point form here; "
            "use quantized_bits(..., alpha=1) or quantized_relu(...)"
        )
    if quantiser.use_stochastic_rounding:
        raise UnsupportedError(
            f"layer {layer}: stochastic rounding gives other values in every run; "
            "set use_stochastic_rounding=False"
        )
    if float(quantiser.qnoise_factor) != 1.0:
        raise UnsupportedError(
            f"layer {layer}: qnoise_factor {float(quantiser.qnoise_factor)} mixes in unquantised values; "
            "set it to 1 before the conversion"
        )
    bits, integer = int(quantiser.bits), int(quantiser.integer)
    if kind == "quantized_relu":
        if quantiser.use_sigmoid or quantiser.negative_slope or not quantiser.is_quantized_clip:
            raise UnsupportedError(
                f"layer {layer}: quantized_relu with use_sigmoid, negative_slope or relu_upper_bound is not "
                "supported; use quantized_relu(bits, integer)"
            )
        return FixedType(bits, integer, False, "RND_CONV", "SAT")
    signed = bool(quantiser.keep_negative)
    if bits - signed < 1:
        raise UnsupportedError(
            f"layer {layer}: {quantiser} is a binary quantiser; use at least {1 + signed} bits"
        )
    alpha = quantiser.alpha
    if alpha is not None and (isinstance(alpha, str) or float(alpha) != 1.0):
        raise UnsupportedError(
            f"layer {layer}: alpha={alpha!r} scales the rounded values, which no fixed-point type does; "
            "set alpha=1 and choose the integer bits instead"
        )
    overflow = "SAT_SYM" if quantiser.symmetric and signed else "SAT"
    return FixedType(bits, integer + signed, signed, "RND_CONV", overflow)

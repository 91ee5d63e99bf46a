"""QKeras quantisers written as the fixed-point types of the firmware."""

from __future__ import annotations

from typing import Any

from zerobias.contract import FixedType
from zerobias.errors import SpecError

__all__ = ["bits", "largest", "relu"]


def bits(kind: str) -> Any:
    """QKeras quantiser of a signed type, e.g. ``bits("ap_fixed<6,3>")`` for weights.

    The declared rounding and overflow of a constant have no meaning; those of an activation are
    QKeras' own (``RND_CONV``, ``SAT``). Raises ``SpecError`` for an unsigned type.
    """
    import qkeras

    parsed = FixedType.parse(kind)
    if not parsed.signed:
        raise SpecError(f"{kind} is unsigned: weights and linear activations need ap_fixed<W,I>")
    return qkeras.quantized_bits(parsed.width, parsed.integer - 1, keep_negative=1, alpha=1.0)


def relu(kind: str) -> Any:
    """QKeras rectified linear unit with the values of an unsigned type, e.g. ``ap_ufixed<10,6>``.

    Raises ``SpecError`` for a signed type.
    """
    import qkeras

    parsed = FixedType.parse(kind)
    if parsed.signed:
        raise SpecError(f"{kind} is signed: a rectified linear unit needs ap_ufixed<W,I>")
    return qkeras.quantized_relu(parsed.width, parsed.integer)


def largest(kind: str) -> float:
    """Largest value of a type, where a quantiser of it saturates."""
    parsed = FixedType.parse(kind)
    return parsed.max_int * parsed.lsb

"""FixedType against Python's exact rational arithmetic."""

from __future__ import annotations

from fractions import Fraction
from math import floor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zerobias.contract import FixedType
from zerobias.errors import SpecError

TYPES = st.builds(
    FixedType,
    st.integers(1, 20),
    st.integers(-4, 16),
    st.booleans(),
    st.sampled_from(["TRN", "RND", "RND_CONV"]),
    st.sampled_from(["WRAP", "SAT"]),
)


def cast_exactly(value: Fraction, kind: FixedType) -> int:
    """The definition, in rationals: round to the LSB, then limit the range."""
    counts = value * Fraction(2) ** kind.frac
    if kind.rounding == "TRN":
        integer = floor(counts)
    elif kind.rounding == "RND":
        integer = floor(counts + Fraction(1, 2))
    else:
        integer = round(counts)  # Python rounds rationals half to even
    low = -(2 ** (kind.width - 1)) if kind.signed else 0
    if kind.overflow == "SAT":
        return min(max(integer, low), low + 2**kind.width - 1)
    return (integer - low) % 2**kind.width + low


@given(kind=TYPES, value=st.integers(-(2**30), 2**30), frac=st.integers(-4, 20))
def test_cast_is_the_definition(kind: FixedType, value: int, frac: int) -> None:
    found = int(kind.cast(np.array([value]), frac)[0])
    assert found == cast_exactly(Fraction(value) / Fraction(2) ** frac, kind)


@given(kind=TYPES, value=st.integers(-(2**63), 2**63 - 1), drop=st.integers(1, 70))
def test_every_int64_is_rounded_exactly(kind: FixedType, value: int, drop: int) -> None:
    """By more bits than it has, too; ties, and where half an LSB more is beyond int64."""
    halves = value & -(1 << min(drop - 1, 62))
    for one in (value, halves, -(2**63), 2**63 - 1):
        found = int(kind.cast(np.array([one]), kind.frac + drop)[0])
        assert found == cast_exactly(Fraction(one) / Fraction(2) ** (kind.frac + drop), kind)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ap_fixed<18,13>", FixedType(18, 13)),
        ("ap_ufixed<10, 6, AP_RND_CONV, AP_SAT>", FixedType(10, 6, False, "RND_CONV", "SAT")),
        ("ap_uint<10>", FixedType(10, 10, False)),
        ("ap_int<8>", FixedType(8, 8)),
    ],
)
def test_parse(text: str, expected: FixedType) -> None:
    assert FixedType.parse(text) == expected
    assert FixedType.parse(str(expected)) == expected


@pytest.mark.parametrize(
    "text", ["float", "ap_fixed<8>", "ap_fixed<8,4,RND_X>", "ap_fixed<0,0>", "ap_fixed<8,4", ""]
)
def test_parse_refuses(text: str) -> None:
    with pytest.raises(SpecError):
        FixedType.parse(text)


def test_symmetric_saturation_has_no_lowest_value() -> None:
    kind = FixedType(4, 4, True, "TRN", "SAT_SYM")
    assert kind.cast(np.array([-100, -8, 7, 100]), 0).tolist() == [-7, -7, 7, 7]


def test_quantise_rounds_ties_to_even_and_refuses_nan() -> None:
    kind = FixedType(6, 3, True, "RND_CONV", "SAT")
    assert kind.quantise(np.array([0.0625, 0.1875, 100.0, -100.0])).tolist() == [0, 2, 31, -32]
    with pytest.raises(SpecError, match="finite"):
        kind.quantise(np.array([np.nan]))


@pytest.mark.parametrize("rounding", ["TRN", "RND", "RND_CONV"])
def test_rounding_beyond_float64_is_exact(rounding: str) -> None:
    kind = FixedType(60, 60, True, rounding, "SAT")
    values = [2**60 + 8, 2**60 + 24, 2**60 + 9, -(2**60) - 8, -(2**60) - 9, 2**53 + 8, 8, 24]
    found = kind.round(np.array(values), 4)
    assert found.tolist() == [
        cast_exactly(Fraction(v, 16), FixedType(62, 62, True, rounding, "SAT")) for v in values
    ]

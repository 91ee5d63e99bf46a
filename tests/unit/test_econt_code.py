"""Float codes and words of the ECON-T, exhaustively, against code written bit by bit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from zerobias.econt import MODULE_SUM, SUPER_TRIGGER_CELL, TRIGGER_CELL, FloatCode, pack_words, unpack_words
from zerobias.errors import DataError, SpecError

CODES = (TRIGGER_CELL, MODULE_SUM, SUPER_TRIGGER_CELL)


def by_hand(value: int, exponent_bits: int, mantissa_bits: int) -> int:
    """Shift right until the value fits into mantissa and leading one, counting."""
    exponent = 0
    while value >> (mantissa_bits + 1):
        value >>= 1
        exponent += 1
    if value >> mantissa_bits:
        exponent, value = exponent + 1, value - 2**mantissa_bits
    if exponent >= 2**exponent_bits:
        return 2 ** (exponent_bits + mantissa_bits) - 1
    return exponent << mantissa_bits | value


def test_every_code_of_seven_bits_has_the_published_value() -> None:
    codes = np.arange(128, dtype=np.uint8)
    expected = [m if e == 0 else (8 + m) << (e - 1) for e in range(16) for m in range(8)]
    assert TRIGGER_CELL.decode(codes).tolist() == expected
    assert TRIGGER_CELL.largest == expected[-1] == 15 << 14 == 245_760


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("dropped", [0, 1, 3])
def test_codes_rise_and_encode_to_themselves(code: FloatCode, dropped: int) -> None:
    code = FloatCode(code.exponent_bits, code.mantissa_bits, dropped)
    codes = np.arange(2**code.bits)
    values = code.decode(codes)
    assert (np.diff(values) > 0).all()
    assert values[-1] == code.largest
    np.testing.assert_array_equal(code.encode(values), codes)
    # One less than the next code's value is still this code: truncation.
    np.testing.assert_array_equal(code.encode(values[1:] - 1), codes[:-1])


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("dropped", [0, 3])
def test_middle_is_half_a_step_above_the_smallest_value(code: FloatCode, dropped: int) -> None:
    low = FloatCode(code.exponent_bits, code.mantissa_bits, dropped)
    middle = FloatCode(code.exponent_bits, code.mantissa_bits, dropped, middle=True)
    codes = np.arange(2**code.bits)
    values = middle.decode(codes)
    np.testing.assert_array_equal(middle.encode(values), codes)
    assert middle.largest == low.largest
    short = 2 ** (code.mantissa_bits + 1)  # the first codes of exponents 0 and 1: steps of 1
    np.testing.assert_array_equal(values[:short], low.decode(codes[:short]))
    ends = low.decode(codes)
    assert (2 * values[short:-1] == ends[short:-1] + ends[short + 1 :]).all()


def test_every_input_up_to_18_bits_is_truncated_and_saturates() -> None:
    values = np.arange(2**18)
    expected = np.array([by_hand(v, 4, 3) for v in range(2**18)])
    codes = TRIGGER_CELL.encode(values)
    np.testing.assert_array_equal(codes, expected)
    assert codes[245_759] == 126
    assert (codes[245_760:] == 127).all()
    assert TRIGGER_CELL.encode(np.array([2**18, 2**32 - 1, 2**63 - 1])).tolist() == [127] * 3
    lost = values - TRIGGER_CELL.decode(codes)
    step = 1 << np.maximum((codes >> 3).astype(np.int64) - 1, 0)
    assert (lost[:245_760] >= 0).all()
    assert (lost[:245_760] < step[:245_760]).all()
    for dropped in (1, 3, 7):
        np.testing.assert_array_equal(FloatCode(4, 3, dropped).encode(values), expected[values >> dropped])


@given(st.integers(0, 2**63 - 1), st.sampled_from(CODES), st.integers(0, 8))
def test_any_value_is_coded_as_by_hand(value: int, code: FloatCode, dropped: int) -> None:
    code = FloatCode(code.exponent_bits, code.mantissa_bits, dropped)
    expected = by_hand(value >> dropped, code.exponent_bits, code.mantissa_bits)
    assert code.encode(np.array([value])).tolist() == [expected]


@pytest.mark.parametrize("kind", ["uint8", "int8", "uint32", "int64", "uint64"])
def test_every_integer_type_and_shape_is_coded(kind: str) -> None:
    values = np.arange(24, dtype=kind).reshape(2, 3, 4)
    codes = TRIGGER_CELL.encode(values)
    assert codes.shape == (2, 3, 4)
    assert codes.ravel().tolist() == [by_hand(v, 4, 3) for v in range(24)]
    assert TRIGGER_CELL.encode(np.array(5, kind)).shape == ()
    assert TRIGGER_CELL.encode(np.zeros((0, 48), kind)).shape == (0, 48)


def test_what_is_no_code_or_count_is_an_error() -> None:
    with pytest.raises(DataError, match=r"value at \(1, 0\) is -3: it must be from 0 to 9223372036854775807"):
        TRIGGER_CELL.encode(np.array([[1], [-3]]))
    with pytest.raises(DataError, match=r"value at \(0,\) is 9223372036854775808"):
        TRIGGER_CELL.encode(np.array([2**63], np.uint64))
    with pytest.raises(
        DataError, match="value is of type float64: it must hold integers; give the raw counts"
    ):
        TRIGGER_CELL.encode(np.array([1.0]))
    with pytest.raises(DataError, match=r"code at \(2,\) is 128: it must be from 0 to 127"):
        TRIGGER_CELL.decode(np.array([0, 127, 128]))
    for widths in ((0, 3, 0), (6, 3, 0), (4, 0, 0), (4, 9, 0), (4, 3, -1), (4, 3, 16)):
        with pytest.raises(SpecError, match=r"is -?\d+: it must be from \d to \d+; trigger cells have 4"):
            FloatCode(*widths)


# --- words --------------------------------------------------------------------------------------


def test_word_is_header_then_cells_from_the_top() -> None:
    codes = np.arange(48)[None]
    words = pack_words(np.array([9]), codes)
    assert words.dtype == np.uint32
    assert words.shape == (1, 12)
    assert f"{words[0, 0]:032b}" == "1001" + "0000000" + "0000001" + "0000010" + "0000011"
    assert f"{words[0, 11]:032b}" == "1001" + "0101100" + "0101101" + "0101110" + "0101111"


@given(
    arrays(np.uint8, (3, 48), elements=st.integers(0, 127)), arrays(np.uint8, 3, elements=st.integers(0, 15))
)
def test_words_come_back(codes: np.ndarray, header: np.ndarray) -> None:
    words = pack_words(header, codes)
    again, cells = unpack_words(words)
    np.testing.assert_array_equal(again, header)
    np.testing.assert_array_equal(cells, codes)
    np.testing.assert_array_equal(pack_words(again, cells), words)


def test_each_bit_of_a_word_is_its_own() -> None:
    words = pack_words(
        np.zeros(336, int), (np.arange(336)[:, None] // 7 == np.arange(48)) << np.arange(336)[:, None] % 7
    )
    assert words.sum(axis=1).tolist() == [2 ** (21 - 7 * (bit // 7 % 4) + bit % 7) for bit in range(336)]


def test_wrong_words_are_errors() -> None:
    zeros = np.zeros((2, 48), int)
    with pytest.raises(DataError, match=r"shapes \(3,\) and \(2, 48\): they must be .* one header a wafer"):
        pack_words(np.zeros(3, int), zeros)
    with pytest.raises(DataError, match=r"shapes \(2,\) and \(2, 47\)"):
        pack_words(np.zeros(2, int), zeros[:, :47])
    with pytest.raises(DataError, match=r"header at \(1, ?\) is 16: it must be from 0 to 15"):
        pack_words(np.array([0, 16]), zeros)
    with pytest.raises(DataError, match=r"code at \(0, 5\) is 128"):
        pack_words(np.zeros(1, int), 128 * (np.arange(48) == 5)[None])
    with pytest.raises(DataError, match=r"words have shape \(2, 11\): it must be \(events, 12\)"):
        unpack_words(np.zeros((2, 11), int))
    with pytest.raises(DataError, match=r"word at \(0, 0\) is 4294967296"):
        unpack_words(np.full((1, 12), 2**32))
    words = pack_words(np.array([3, 3]), zeros)
    words[1, 4] |= 2**31
    with pytest.raises(DataError, match=r"event 1 has headers \[3, 3, 3, 3, 11, 3.*align the links first"):
        unpack_words(words)

"""Classical ECON-T algorithms: frames that fit, energy that is kept, cells that are the right ones."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from zerobias.econt import (
    BEST_CHOICE_CELLS,
    MODULE_SUM,
    SUPER_TRIGGER_CELL,
    TRIGGER_CELL,
    Decoded,
    FloatCode,
    best_choice,
    frame_bits,
    super_trigger_cells,
    threshold_sum,
    transverse_threshold,
    unpack_words,
)
from zerobias.errors import DataError, SpecError
from zerobias.events.wafer import DISTANCES

charges = arrays(np.uint32, (4, 48), elements=st.integers(0, 300_000))
small = arrays(np.uint32, (4, 48), elements=st.integers(0, 30))


def coded(values: np.ndarray, code: FloatCode = TRIGGER_CELL) -> np.ndarray:
    return code.decode(code.encode(values))


def by_network(values: list[int]) -> list[int]:
    """Cells in descending order: every other line, then the rest, then a merge, pair by pair."""
    lines = list(zip(values, range(48), strict=True))

    def compare(a: int, b: int) -> None:
        if lines[a][0] < lines[b][0]:
            lines[a], lines[b] = lines[b], lines[a]

    def sort(part: list[int]) -> None:
        if len(part) == 1:
            return
        sort(part[0::2])
        sort(part[1::2])
        for at in range(0, len(part) - 1, 2):
            compare(part[at], part[at + 1])
        reach = 32
        while reach > 1:
            for at in range(1, len(part) - reach + 1, 2):
                compare(part[at], part[at + reach - 1])
            reach //= 2

    sort(list(range(48)))
    return [cell for _, cell in lines]


def bits(words: str) -> str:
    return "".join(f"{int(word, 16):032b}" for word in words.split())


# --- the frame ----------------------------------------------------------------------------------


def test_best_choice_sends_the_published_number_of_cells_and_not_one_more_fits() -> None:
    wafer = np.arange(48)[None]
    assert {n: BEST_CHOICE_CELLS[n] for n in (2, 3, 4, 5)} == {2: 4, 3: 6, 4: 9, 5: 14}
    for e_links, cells in BEST_CHOICE_CELLS.items():
        sent = best_choice(wafer, e_links)
        assert (sent.charges > 0).sum() == min(cells, 47)
        assert sent.bits[0] <= frame_bits(e_links) == 32 * e_links
        if cells < 48:
            with pytest.raises(SpecError, match=f"{cells + 1} cells needs .* keep at most {cells}$"):
                best_choice(wafer, e_links, cells=cells + 1)


@pytest.mark.parametrize(
    ("e_links", "bits"),
    [(2, 4 + 8 + 4 * 13), (3, 4 + 8 + 6 * 13), (4, 4 + 8 + 48 + 9 * 7), (5, 4 + 8 + 48 + 14 * 7)],
)
def test_best_choice_counts_header_sum_places_and_codes(e_links: int, bits: int) -> None:
    assert best_choice(np.ones((2, 48), int), e_links).bits.tolist() == [bits, bits]


@pytest.mark.parametrize(
    ("size", "code", "located", "bits", "e_links"),
    [
        (4, None, True, 4 + 12 * (2 + 7), 4),
        (4, SUPER_TRIGGER_CELL, True, 4 + 12 * (2 + 9), 5),
        (4, None, False, 4 + 12 * 7, 3),
        (4, SUPER_TRIGGER_CELL, False, 4 + 12 * 9, 4),
        (16, None, True, 4 + 3 * (4 + 9), 2),
    ],
)
def test_super_trigger_cells_need_the_published_number_of_links(
    size: int, code: FloatCode | None, located: bool, bits: int, e_links: int
) -> None:
    # The public test vectors run each type up to the number of links that holds all of its sums.
    wafer = np.ones((1, 48), int)
    for links in range(e_links, 14):
        assert super_trigger_cells(wafer, links, size=size, code=code, located=located).bits.tolist() == [
            bits
        ]
    with pytest.raises(
        SpecError, match=f"needs {bits} bits: {e_links - 1} e-links carry .* use {e_links} e-links"
    ):
        super_trigger_cells(wafer, e_links - 1, size=size, code=code, located=located)


@settings(max_examples=30)
@given(charges, st.integers(1, 13))
def test_no_frame_is_longer_than_its_links(x: np.ndarray, e_links: int) -> None:
    assert (best_choice(x, e_links).bits <= 32 * e_links).all()
    sent = threshold_sum(x, 150_000, e_links)
    np.testing.assert_array_equal(sent.truncated, sent.bits > 32 * e_links)
    assert not sent.charges[sent.truncated].any()


@pytest.mark.parametrize(
    ("above", "bits"),
    [(0, 16), (1, 32), (2, 16 + 32), (7, 16 + 96), (8, 16 + 112), (14, 16 + 160), (48, 16 + 384)],
)
def test_threshold_frame_grows_in_half_words(above: int, bits: int) -> None:
    # Count, places and codes: 3 + 13 n bits up to 7 cells, 48 + 7 n beyond; padded to 16.
    wafer = (np.arange(48) < above)[None] * 100
    for e_links in range(1, 14):
        sent = threshold_sum(wafer, 100, e_links)
        assert sent.bits.tolist() == [bits]
        assert sent.truncated.tolist() == [bits > 32 * e_links]
        assert (sent.charges > 0).sum() == (above if bits <= 32 * e_links else 0)
        assert sent.total.tolist() == coded(np.array([100 * above]), MODULE_SUM).tolist()


# --- what is decoded ----------------------------------------------------------------------------


@settings(max_examples=30)
@given(small, st.integers(1, 13))
def test_best_choice_keeps_the_largest_codes_and_drops_the_rest(x: np.ndarray, e_links: int) -> None:
    sent = best_choice(x, e_links)
    for wafer, decoded in zip(x, sent.charges, strict=True):
        expected = by_network(wafer.tolist())[: BEST_CHOICE_CELLS[e_links]]
        rest = np.setdiff1d(np.arange(48), expected)
        np.testing.assert_array_equal(decoded[expected], coded(wafer[expected]))
        assert not decoded[rest].any()
        if len(rest):
            assert coded(wafer[rest]).max() <= decoded[expected].min()
    np.testing.assert_array_equal(sent.total, coded(x.sum(axis=1), MODULE_SUM))


def test_one_crossing_of_the_public_test_vectors() -> None:
    # Line 8 of mcDataset in cmantill/econt_test-vectors: testInput, then the outputs of BC_4eTx (of four
    # cells with the lowest kept charge two are kept), BC_8eTx_FullSum (its start) and STC_type0_eTx5.
    words = (
        "a3648934 a1c4c713 a065c480 a244ca91 a1c58593 a006029c a0a30392 a3c4898b a1a146a3 a0460110 a3828c14"
    )
    _, codes = unpack_words(np.array([[int(word, 16) for word in (words + " a246091f").split()]]))
    best, full = bits("73990000 10814a13 6d0e1e46 60e183e0"), bits("743f54f5 51e14bf3")
    sums = bits("7f67cd34 7188ac66 31998ae6 c37970da 71000000")
    # A high-density module drops 3 bits. The chip decodes its inputs to the middle of a code, in the sums
    # of super trigger cells of the shortest steps too.
    code = FloatCode(4, 3, 3)
    seen = FloatCode(4, 3, 3, middle=True).decode(codes)
    middle = np.where(codes >> 3 > 1, seen, seen + 4)

    sent = best_choice(seen, 4, code=code)
    assert (sent.charges[0] > 0).tolist() == [bit == "1" for bit in best[12:60]]
    kept = code.encode(sent.charges[0].astype(int)[sent.charges[0] > 0])
    assert kept.tolist() == [int(best[at : at + 7], 2) for at in range(60, 123, 7)]
    assert best[int(sent.bits[0]) :] == "00000"

    sent = best_choice(seen, 8, code=code)
    assert (sent.charges[0] > 0).tolist() == [bit == "1" for bit in full[12:60]]
    assert sent.total.tolist() == [8 * MODULE_SUM.decode(np.array(int(full[4:12], 2)))]

    # Chip: four inputs in a row. Here: four neighbours.
    groups = np.unique(super_trigger_cells(np.eye(48, dtype=int) * 4, 3, located=False).charges > 0, axis=0)
    members = np.array([np.flatnonzero(group) for group in groups])
    moved = np.zeros((1, 48), int)
    moved[0, members.ravel()] = middle[0]
    found = super_trigger_cells(moved, 5, code=SUPER_TRIGGER_CELL)
    decoded = found.charges[0, members]
    assert decoded.argmax(axis=1).tolist() == [int(sums[at : at + 2], 2) for at in range(4, 28, 2)]
    expected = np.array([int(sums[at : at + 9], 2) for at in range(28, 136, 9)])
    assert decoded.sum(axis=1).tolist() == SUPER_TRIGGER_CELL.decode(expected).tolist()
    assert not int(sums[int(found.bits[0]) :])


@given(charges)
def test_all_cells_arrive_over_thirteen_links_up_to_their_codes(x: np.ndarray) -> None:
    sent = best_choice(x, 13)
    np.testing.assert_array_equal(sent.charges, coded(x))
    inside = x < 245_760
    assert (sent.charges <= x).all()
    assert (sent.charges >= x * 8 / 9)[inside].all()


@given(charges, st.sampled_from([4, 16]), st.booleans())
def test_super_trigger_cells_conserve_energy_up_to_the_code(x: np.ndarray, size: int, located: bool) -> None:
    sent = super_trigger_cells(x, 5, size=size, code=SUPER_TRIGGER_CELL, located=located)
    np.testing.assert_array_equal(sent.charges.sum(axis=1), sent.total)
    whole = x.sum(axis=1)
    assert (sent.total <= whole).all()
    assert (sent.total >= whole * 16 / 17).all()


@pytest.mark.parametrize("size", [4, 16])
def test_super_trigger_cells_are_neighbours_of_one_sensor(size: int) -> None:
    # Charge in one cell is spread over its group.
    group = super_trigger_cells(np.eye(48, dtype=int) * 1024, 5, size=size, located=False).charges > 0
    assert (group.sum(axis=1) == size).all()
    np.testing.assert_array_equal(group, group.T)
    assert len(np.unique(group, axis=0)) == 48 // size
    sensor = np.arange(48) // 16
    for cells in group:
        assert len(set(sensor[cells])) == 1
        side = np.sort(DISTANCES[np.ix_(cells, cells)].ravel())
        # A rhombus of n x n cells: its long diagonal is sqrt(3) (n - 1).
        assert side[-1] == pytest.approx(np.sqrt(3) * (np.sqrt(size) - 1))


@settings(max_examples=30)
@given(charges, st.sampled_from([4, 16]))
def test_sum_goes_to_the_largest_cell_or_is_spread_evenly(x: np.ndarray, size: int) -> None:
    even = super_trigger_cells(x, 5, size=size, located=False)
    placed = super_trigger_cells(x, 5, size=size)
    np.testing.assert_array_equal(even.total, placed.total)
    groups = super_trigger_cells(np.eye(48, dtype=int) * 1024, 5, size=size, located=False).charges > 0
    for cells in np.unique(groups, axis=0):
        members = np.flatnonzero(cells)
        code = TRIGGER_CELL if size == 4 else SUPER_TRIGGER_CELL
        sums = coded(x[:, members].sum(axis=1), code)
        np.testing.assert_array_equal(even.charges[:, members], np.repeat(sums[:, None], size, 1) / size)
        last = size - 1 - np.argmax(x[:, members[::-1]], axis=1)
        np.testing.assert_array_equal(placed.charges[np.arange(4), members[last]], sums)
        np.testing.assert_array_equal(placed.charges[:, members].sum(axis=1), sums)


def test_last_of_equal_cells_gets_the_sum() -> None:
    assert np.flatnonzero(super_trigger_cells(np.full((1, 48), 8), 5).charges)[0] == 5
    assert np.flatnonzero(super_trigger_cells(np.full((1, 48), 8), 5, size=16).charges).tolist() == [
        15,
        31,
        47,
    ]


@settings(max_examples=30)
@given(small, st.integers(0, 31), st.permutations(range(48)))
def test_threshold_keeps_what_reaches_it_wherever_it_is(x: np.ndarray, limit: int, order: list[int]) -> None:
    sent = threshold_sum(x, limit, 13)
    np.testing.assert_array_equal(sent.charges, np.where(x >= limit, coded(x), 0))
    moved = threshold_sum(x[:, order], limit, 13)
    np.testing.assert_array_equal(moved.charges, sent.charges[:, order])
    np.testing.assert_array_equal(moved.bits, sent.bits)


@settings(max_examples=30)
@given(st.permutations(range(48)), st.permutations(range(48)), st.integers(1, 13))
def test_best_choice_follows_a_permutation_of_distinct_cells(
    values: list[int], order: list[int], e_links: int
) -> None:
    wafer = 16 * np.array(values)[None]
    sent = best_choice(wafer, e_links)
    moved = best_choice(wafer[:, order], e_links)
    np.testing.assert_array_equal(moved.charges, sent.charges[:, order])
    np.testing.assert_array_equal(moved.total, sent.total)


METHODS: list[Callable[[np.ndarray], Decoded]] = [
    lambda x: best_choice(x, 2),
    lambda x: super_trigger_cells(x, 4),
    lambda x: super_trigger_cells(x, 2, size=16, located=False),
    lambda x: threshold_sum(x, 20, 2),
]


@pytest.mark.parametrize("method", METHODS)
def test_zero_and_no_wafers(method: Callable[[np.ndarray], Decoded]) -> None:
    sent = method(np.zeros((2, 48), np.uint32))
    assert not sent.charges.any()
    assert sent.total.tolist() == [0, 0]
    none = method(np.zeros((0, 48), np.uint32))
    assert [len(part) for part in (none.charges, none.total, none.bits, none.truncated)] == [0, 0, 0, 0]


@pytest.mark.parametrize("method", METHODS)
def test_wafers_do_not_mix(method: Callable[[np.ndarray], Decoded]) -> None:
    x = np.random.default_rng(5).integers(0, 2000, (5, 48))
    together = method(x)
    for at in range(5):
        np.testing.assert_array_equal(method(x[at : at + 1]).charges[0], together.charges[at])


@pytest.mark.parametrize("method", METHODS)
def test_bad_charges_are_errors(method: Callable[[np.ndarray], Decoded]) -> None:
    with pytest.raises(DataError, match=r"charges have shape \(2, 47\): it must be \(events, 48\)"):
        method(np.zeros((2, 47), int))
    with pytest.raises(DataError, match=r"charge at \(0, 0\) is -1: it must be from 0 to 4294967295"):
        method(np.full((1, 48), -1))
    with pytest.raises(DataError, match="charge is of type float64"):
        method(np.zeros((1, 48)))


def test_bad_settings_are_errors() -> None:
    wafer = np.zeros((2, 48), int)
    for e_links in (0, 14):
        with pytest.raises(SpecError, match=f"e_links is {e_links}: the chip has 1 to 13"):
            best_choice(wafer, e_links)
    for cells in (0, 49):
        with pytest.raises(SpecError, match=f"cells is {cells}: best choice keeps 1 to 48"):
            best_choice(wafer, 13, cells=cells)
    with pytest.raises(SpecError, match="size is 8: super trigger cells sum 4 or 16"):
        super_trigger_cells(wafer, 5, size=8)
    with pytest.raises(DataError, match=r"threshold has shape \(3,\): give one number, or one for each"):
        threshold_sum(wafer, np.zeros(3, int), 5)
    with pytest.raises(DataError, match=r"threshold at \(1,\) is -1"):
        threshold_sum(wafer, np.array([1, -1]), 5)


def test_middle_of_codes_takes_the_bias_off() -> None:
    x = np.random.default_rng(4).integers(0, 20_000, (500, 48))
    for middle, low, high in ((False, 0.95, 0.97), (True, 0.998, 1.002)):
        sent = best_choice(x, 13, code=FloatCode(4, 3, middle=middle))
        assert low < sent.charges.sum() / x.sum() < high
        assert low < sent.total.sum() / x.sum() < high


def test_dropped_bits_are_lost_from_cells_and_sum() -> None:
    wafer = np.full((1, 48), 15)
    sent = best_choice(wafer, 2, code=FloatCode(4, 3, 3))
    assert np.unique(sent.charges).tolist() == [0, 8]
    assert sent.total.tolist() == [88 * 8]  # 720 >> 3 = 90, of which 4 bits stay: 88


def test_threshold_of_each_wafer_is_transverse() -> None:
    eta = np.array([0.0, 2.5, -2.5])
    limit = transverse_threshold(eta, 20.0)
    assert limit.tolist() == [27, 166, 166]
    assert ((limit / np.cosh(eta) >= 27) & ((limit - 1) / np.cosh(eta) < 27)).all()
    wafer = np.full((3, 48), 165)
    sent = threshold_sum(wafer, limit, 13)
    assert sent.bits.tolist() == [400, 16, 16]
    assert transverse_threshold(eta, np.array([20.0, 20.0, 40.0]), mips=1.0).tolist() == [20, 123, 246]

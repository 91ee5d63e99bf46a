"""Level-1 read-out of the simulation against sums by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from zerobias.simulate import load_cards
from zerobias.simulate.generate import Particles
from zerobias.simulate.level1 import PAD, PADDED, digitise, met, region_bits, regions, wrap
from zerobias.simulate.objects import egammas, insert, jets, taus
from zerobias.simulate.overlay import overlay
from zerobias.simulate.towers import COLUMNS, ETA_CENTRES, FIRST_CENTRAL, ROWS, deposit

FLAT = np.array([1.0, 0.0, 1.0])


def counts(*towers: tuple[int, int, int]) -> np.ndarray:
    """Counts of (row, column, value) towers, with margins."""
    out = np.zeros((ROWS, PADDED), np.int32)
    for row, column, value in towers:
        out[row, PAD + column] = value
    wrap(out)
    return out


def table(rows: int) -> np.ndarray:
    return np.zeros((rows, 3), np.int16)


def test_insert_keeps_the_hardest_in_order() -> None:
    objects = table(3)
    for pt in (5, 9, 2, 7, 9):
        insert(objects, pt, pt, pt)
    assert objects[:, 0].tolist() == [9, 9, 7]


def test_margins_repeat_the_other_side() -> None:
    row = counts((40, 0, 5), (40, 71, 7))[40]
    assert row[PAD - 1] == row[PAD + 71] == 7
    assert row[PAD + 72] == row[PAD] == 5


def test_tower_counts_subtract_the_threshold() -> None:
    """A deposit of exactly its threshold is one count, half a GeV more another; ECAL and HCAL add up."""
    towers = np.zeros((ROWS, COLUMNS, 4), np.float32)
    towers[40, 0, 0], towers[40, 1, 0], towers[40, 2, 0] = 0.99, 1.0, 1.5
    towers[40, 2, 2] = 3.0
    towers[40, 3, 0] = towers[40, 3, 2] = 500.0
    towers[0, 5] = [2.0, 0, 1.0, 0]  # forward: one calorimeter
    constants = np.zeros((4, ROWS), np.float32)
    constants[2], constants[3] = 1.0, 2.0
    em, had, total = counts(), counts(), counts()
    digitise(towers, constants, np.zeros(COLUMNS + 1, np.float32), em, had, total)
    assert em[40, PAD : PAD + 4].tolist() == [0, 1, 2, 255]
    assert total[40, PAD : PAD + 4].tolist() == [0, 1, 5, 510]
    assert (em[0, PAD + 5], had[0, PAD + 5], total[0, PAD + 5]) == (0, 3, 3)
    assert total[40, PAD + COLUMNS + 1] == 1


def test_noise_has_the_summed_variance() -> None:
    towers = np.zeros((ROWS, COLUMNS, 4), np.float32)
    towers[..., 0], towers[..., 1] = 50.0, 9.0
    constants = np.zeros((4, ROWS), np.float32)
    constants[0], constants[2:] = 4.0, 0.5
    normals = np.random.default_rng(1).standard_normal(2**18).astype(np.float32)
    em, had, total = counts(), counts(), counts()
    seen = []
    for _ in range(20):
        digitise(towers, constants, normals, em, had, total)
        seen.append(em[FIRST_CENTRAL : FIRST_CENTRAL + 56, PAD : PAD + COLUMNS].copy())
    energy = np.array(seen) / 2 + 0.25  # centre of a count
    assert energy.mean() == pytest.approx(50.0, abs=0.1)
    assert energy.std() == pytest.approx(math.hypot(3.0, 4.0), rel=0.02)


def test_regions_sum_four_by_four_and_saturate() -> None:
    last = FIRST_CENTRAL + 55
    found = counts(
        (FIRST_CENTRAL, 0, 3),
        (FIRST_CENTRAL + 3, 3, 4),
        (last, 71, 511),
        (last - 1, 71, 511),
        (last - 2, 71, 511),
        (0, 10, 200),  # forward calorimeter: no region
    )
    out = np.zeros((18, 14), np.uint16)
    regions(found, out)
    assert out[0, 0] == 7
    assert out[17, 13] == 1023
    assert int(out.sum()) == 1030


@pytest.mark.parametrize(
    ("towers", "ecal", "bits"),
    [
        ([(0, 0, 40), (1, 1, 20)], 60, 3),
        ([(0, 0, 40), (1, 1, 20)], 30, 1),
        ([(0, 0, 40), (2, 1, 20)], 60, 0),
        ([(3, 3, 40), (0, 0, 3)], 40, 3),
        ([(0, 0, 4)], 4, 0),
    ],
)
def test_region_bits(towers: list[tuple[int, int, int]], ecal: int, bits: int) -> None:
    placed = [(FIRST_CENTRAL + 8 + r, 12 + c, value) for r, c, value in towers]
    total = counts(*placed)
    em = counts((placed[0][0], placed[0][1], ecal))
    et = np.zeros((18, 14), np.uint16)
    regions(total, et)
    out = np.full((18, 14), 9, np.uint8)
    region_bits(em, total, et, 8, 0.2, 0.9, out)
    assert out[3, 2] == bits
    assert out.sum() == bits


def test_met_points_away_from_the_energy() -> None:
    out = np.zeros(3, np.int16)
    met(counts((FIRST_CENTRAL + 20, 9, 100)), np.ones(ROWS, np.int64), out)
    angle = (9.5 * 2 * math.pi / 72 + math.pi) % (2 * math.pi)
    assert out.tolist() == [100, 0, int(angle / (2 * math.pi) * 144)]
    met(counts((FIRST_CENTRAL + 20, 9, 100), (FIRST_CENTRAL + 30, 45, 100)), np.ones(ROWS, np.int64), out)
    assert out[0] == 0
    met(counts((FIRST_CENTRAL + 20, 9, 100)), np.full(ROWS, 101), out)
    assert out[0] == 0


def test_jet_is_its_window_less_pileup() -> None:
    row, column = FIRST_CENTRAL + 28, 0
    found = counts(
        (row, column, 60),
        (row + 2, 69, 20),
        (row + 6, column, 7),  # in the strip above: the highest strip is left out
        (row - 6, column, 5),  # counted as pile-up
    )
    out = table(10)
    assert jets(found, 6, 1, FLAT, 60, 2.4, out) == 75
    assert out[0].tolist() == [75, round(ETA_CENTRES[row] / 0.0435), 1]
    assert out[1, 0] == 0


def test_jet_calibration_and_cuts() -> None:
    found = counts((40, 10, 100), (40, 40, 20), (2, 60, 200))
    out = table(10)
    ht = jets(found, 6, 34, np.array([1.0, 1.0, 50.0]), 60, 2.4, out)
    hard, forward = int(100 * (1 + math.exp(-2))), int(200 * (1 + math.exp(-4)))
    assert out[:3, 0].tolist() == [forward, hard, 0]  # 20 (1 + exp(-0.4)) = 33 is dropped
    assert ht == hard  # the forward jet is outside HT


def test_equal_seeds_give_one_jet() -> None:
    out = table(10)
    jets(counts((40, 10, 50), (40, 12, 50), (41, 11, 50)), 6, 1, FLAT, 60, 2.4, out)
    assert out[:2, 0].tolist() == [150, 0]


def test_egamma_needs_little_hadronic_energy() -> None:
    em = counts((40, 20, 40), (40, 21, 10), (41, 20, 6))
    out = table(4)
    egammas(em, counts(), 4, 0.0625, 1.0, out)
    assert out[0].tolist() == [56, round(ETA_CENTRES[40] / 0.0435), 41]
    out[:] = 0
    egammas(em, counts((40, 20, 3)), 4, 0.0625, 1.0, out)  # above 0.0625 x 40
    assert out[0, 0] == 0


def test_taus_are_narrow_and_central() -> None:
    core = [(40, 20, 30), (41, 21, 10), (39, 19, 4)]
    out = table(4)
    taus(counts(*core, (40, 23, 10)), 6, 0.8, 1.5, 2.1, out)
    assert out[0].tolist() == [66, round(ETA_CENTRES[40] / 0.0435), 41]
    out[:] = 0
    taus(counts(*core, (40, 23, 12)), 6, 0.8, 1.5, 2.1, out)  # 44 of 56 is less than 0.8
    assert out[0, 0] == 0
    taus(counts((FIRST_CENTRAL + 1, 20, 50)), 6, 0.8, 1.5, 2.1, out)
    assert out[0, 0] == 0


def test_muons_are_seen_with_their_efficiency_scale_and_resolution() -> None:
    """One 20 GeV muon at eta 0.5, phi 1 in each of 4000 crossings."""
    detector = load_cards()[0].model_copy(update={"muon_tail_fraction": 0.0})
    one = [np.array([v], np.float32) for v in (20.0, 0.5, 1.0, 0.106)]
    pool = deposit(Particles(np.array([0, 1]), np.array([13], np.int32), *one, 1.0), detector, 1)
    number = 4000
    made = overlay(np.zeros(number, int), np.ones(number, int), pool, None, pool, detector, np.arange(number))
    muon = made.objects[:, 5]
    seen = muon[muon[:, 0] > 0]
    assert len(seen) / number == pytest.approx(detector.muon_efficiency, abs=0.02)
    logarithm = np.log((seen[:, 0] - 0.5) / 2 / (20.0 * detector.muon_scale))
    assert np.median(logarithm) == pytest.approx(0, abs=0.02)
    assert logarithm.std() == pytest.approx(detector.muon_resolution, rel=0.05)
    assert set(np.abs(seen[:, 1])) == {round(0.5 / 0.010875)}
    assert abs((seen[:, 1] > 0).mean() - 0.5) < 0.04  # mirrored half of the time
    assert len(set(seen[:, 2])) == 72  # turned by whole towers
    assert not made.objects[:, 6:9].any()

"""Views of events for self-supervised training: what may change in the hardware integers, and what not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from zerobias.contract import Contract, IntArray
from zerobias.errors import SpecError
from zerobias.events import default_sample, read
from zerobias.train import ObjectViews
from zerobias.zoo import find_model

BINS = np.array([144] + 4 * [144] + 4 * [576] + 10 * [144])
GROUPS = [slice(0, 1), slice(1, 5), slice(5, 9), slice(9, 19)]


@pytest.fixture(scope="module")
def contract() -> Contract:
    return find_model("axol1tl").contract


@pytest.fixture(scope="module")
def raw(contract: Contract) -> IntArray:
    return contract.flatten(read(default_sample("objects")).of("zero_bias", "train").collections["objects"])


def views(contract: Contract, **changes: Any) -> ObjectViews:
    return replace(ObjectViews(contract, turns=72, smear=0.0, lose=0.0, soft=20.0), **changes)


def objects(raw: IntArray) -> IntArray:
    return raw.reshape(len(raw), 19, 3)


def test_plain_view_turns_and_mirrors_all_objects_of_an_event_together(
    contract: Contract, raw: IntArray
) -> None:
    before, after = objects(raw), objects(views(contract)(raw, np.random.default_rng(1)))
    present = (before != 0).any(axis=2)
    np.testing.assert_array_equal(after[..., 0], before[..., 0])
    assert not after[~present].any(), "absent objects stay absent"
    turn = (after[..., 2] - before[..., 2]) % BINS / (BINS / 72)
    first = np.argmax(present, axis=1)
    of_event = np.take_along_axis(turn, first[:, None], axis=1)
    np.testing.assert_array_equal(turn[present], np.broadcast_to(of_event, turn.shape)[present])
    assert set(of_event[present.any(axis=1), 0].tolist()) == set(range(72))
    mirrored = (after[..., 1] == -before[..., 1]) | ~present
    same = (after[..., 1] == before[..., 1]) | ~present
    assert (mirrored.all(axis=1) | same.all(axis=1)).all()
    share = mirrored.all(axis=1)[(before[:, 9, 1] != 0)].mean()
    assert abs(share - 0.5) < 0.02


def test_every_view_is_an_event_of_the_hardware(contract: Contract, raw: IntArray) -> None:
    """In range, in the order of pT, absent objects last; jets keep the odd places of trigger towers."""
    ends = np.tile(contract.high, (200, 1))
    ends[1:, 1::3] = contract.low[1::3]  # eta -128, whose mirror image has no integer
    ends[::2] *= 0
    for seed, events in enumerate([raw, ends]):
        found = views(contract, smear=0.5, lose=0.9)(events, np.random.default_rng(seed))
        contract.check(found)
        pt = objects(found)[..., 0]
        assert all((np.diff(pt[:, group], axis=1) <= 0).all() for group in GROUPS)
        absent = pt == 0
        assert not objects(found)[absent].any()
    jets = objects(views(contract)(raw, np.random.default_rng(3)))[:, 9:]
    assert (jets[jets[..., 0] > 0][:, 2] % 2 == 1).all()


def test_pt_is_smeared_by_a_share(contract: Contract, raw: IntArray) -> None:
    found = objects(views(contract, smear=0.1)(raw, np.random.default_rng(4)))
    hard = (objects(raw)[:, 0, 0] > 60) & (objects(raw)[:, 0, 0] < 1000)
    ratio = found[hard, 0, 0] / objects(raw)[hard, 0, 0]
    assert hard.sum() > 1000
    assert abs(ratio.mean() - 1) < 4 * 0.1 / np.sqrt(hard.sum())
    assert abs(ratio.std() / 0.1 - 1) < 0.1
    tiny = views(contract, smear=5.0)(raw, np.random.default_rng(5))
    np.testing.assert_array_equal((tiny != 0).any(axis=1), (raw != 0).any(axis=1))
    np.testing.assert_array_equal(
        (objects(tiny)[..., 0] > 0).sum(axis=1), (objects(raw)[..., 0] > 0).sum(axis=1)
    )


def test_soft_objects_get_lost_by_the_law(contract: Contract) -> None:
    event = np.zeros((40_000, 19, 3), np.int64)
    event[:, 0] = 30, 0, 5
    event[:, 9] = 40, 11, 7
    event[:, 10] = 10, -11, 9
    found = objects(views(contract, lose=0.6)(event.reshape(len(event), 57), np.random.default_rng(6)))
    assert (found[:, 0, 0] == 30).all(), "missing transverse momentum is never lost"
    hard, soft = (np.any(found[:, 9:, 0] == pt, axis=1) for pt in (40, 10))
    for kept, pt in ((hard, 40), (soft, 10)):
        expected = 1 - 0.6 * np.exp(-pt / 20)
        assert abs(kept.mean() - expected) < 4 * np.sqrt(expected * (1 - expected) / len(kept))
    assert (found[soft & ~hard, 9, 0] == 10).all(), "the next object moves up"


def test_views_follow_from_the_generator(contract: Contract, raw: IntArray) -> None:
    make, kept = views(contract, smear=0.1, lose=0.5), raw.copy()
    first, again, other = (make(raw[:500], np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    np.testing.assert_array_equal(raw, kept)


def test_other_contracts_and_turns_are_refused(contract: Contract) -> None:
    with pytest.raises(SpecError, match="group region has fields et and absent value 0: views are made of"):
        views(find_model("cicada").contract)
    with pytest.raises(SpecError, match="turns=7: the 144 bins in phi of group met, counted from 0, do not"):
        views(contract, turns=7)

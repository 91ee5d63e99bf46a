"""Pile-up bins and weights against closed forms; the reweighted figures against pseudo-experiments."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from zerobias.errors import DataError
from zerobias.physics import PhysicsTable, Sample, auc, efficiency, physics_table, pileup_bins, pileup_weights

NPU = st.lists(st.tuples(st.integers(0, 9), st.integers(1, 4)), min_size=1, max_size=30)


def events(pairs: list[tuple[int, int]]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    npu, weight = np.array(pairs).T
    return npu, weight.astype(float)


def test_bins_by_hand() -> None:
    npu = np.array([8, 1, 1, 2, 3, 5, 20])
    weight = np.array([1.0, 1, 1, 1, 1, 1, 0])
    # shares below 1, 2, 3, 5, 8: 0, 2/6, 3/6, 4/6, 5/6; times 3: 0, 1, 1.5, 2, 2.5
    assert pileup_bins(npu, weight, 3) == ((1, 1), (2, 4), (5, 8))
    assert pileup_bins(npu, weight, 1) == ((1, 8),)
    assert pileup_bins(np.array([7, 7]), np.ones(2), 4) == ((7, 7),)
    # a value of much weight takes several bins: shares below 0, 0.8, 0.9
    assert pileup_bins(np.array([4, 5, 6]), np.array([8.0, 1, 1]), 10) == ((4, 4), (5, 5), (6, 6))
    assert pileup_bins(np.arange(10), np.full(10, 0.1), 10) == tuple((n, n) for n in range(10))


@given(background=NPU, bins=st.integers(1, 12))
def test_bins_hold_all_events_in_equal_parts(background: list[tuple[int, int]], bins: int) -> None:
    npu, weight = events(background)
    found = pileup_bins(npu, weight, bins)
    assert (found[0][0], found[-1][1]) == (npu.min(), npu.max())
    assert [low for low, _ in found][1:] == [high + 1 for _, high in found][:-1]
    assert len(found) <= bins
    for low, high in found:  # only the value that opens the next bin can make a bin too full
        rest = weight[(npu >= low) & (npu < npu[(npu >= low) & (npu <= high)].max())].sum()
        assert rest <= weight.sum() / bins * (1 + 1e-6)


def test_weights_by_hand() -> None:
    found = pileup_weights(
        np.array([1, 2, 9, 3]), np.ones(4), np.array([1, 1, 2, 3, 5, 8]), np.ones(6), bins=3
    )
    # bins 1, 2-4, 5-8 hold 2, 2, 2 of 6 background and 1, 2, 0 signal events; nPU 9 is outside;
    # 2/1, 2/2, 2/2 times 4 / (2 + 2)
    assert found.weight.tolist() == [2, 1, 0, 1]
    assert found.background_dropped == pytest.approx(1 / 3)
    assert found.signal_dropped == pytest.approx(1 / 4)
    assert found.effective_events == pytest.approx(16 / 6)


def test_two_poisson_profiles_give_their_ratio() -> None:
    # Signal weight Poisson(40), background weight Poisson(50) at each nPU, one bin an nPU: the factor is
    # the ratio of the two, exp(-10) (50 / 40)^n.
    npu = np.arange(1, 150)
    log_factorial = np.cumsum(np.log(npu))
    signal, background = (np.exp(npu * np.log(mu) - mu - log_factorial) for mu in (40.0, 50.0))
    kept = background > 1e-9  # narrower bins than the rounding of shares are merged
    npu, signal, background = npu[kept], signal[kept], background[kept]
    found = pileup_weights(npu, signal, npu, background, bins=10**10)
    factor = found.weight / signal
    scale = signal.sum() / background.sum()
    assert factor == pytest.approx(np.exp(-10) * 1.25**npu * scale, rel=1e-9)
    assert found.background_dropped == pytest.approx(0, abs=1e-12)
    assert found.signal_dropped == pytest.approx(0, abs=1e-12)


@given(signal=NPU, background=NPU, bins=st.integers(1, 12))
def test_each_bin_gets_the_share_of_the_background(
    signal: list[tuple[int, int]], background: list[tuple[int, int]], bins: int
) -> None:
    (s, ws), (b, wb) = events(signal), events(background)
    inside = (s >= b.min()) & (s <= b.max())
    if not inside.any():
        with pytest.raises(DataError, match="no signal event has a pile-up of"):
            pileup_weights(s, ws, b, wb, bins=bins)
        return
    found = pileup_weights(s, ws, b, wb, bins=bins)
    assert found.weight.sum() == pytest.approx(ws.sum())
    assert found.signal_dropped == pytest.approx(ws[~inside].sum() / ws.sum(), abs=1e-12)
    assert not found.weight[~inside].any()
    dropped = 0.0
    for low, high in pileup_bins(b, wb, bins):
        in_s, in_b = (s >= low) & (s <= high), (b >= low) & (b <= high)
        if not in_s.any():
            dropped += wb[in_b].sum()
            continue
        share = wb[in_b].sum() / wb.sum() / (1 - found.background_dropped)
        assert found.weight[in_s].sum() / ws.sum() == pytest.approx(share)
        assert np.ptp(found.weight[in_s] / ws[in_s]) == pytest.approx(0, abs=1e-9)
    assert found.background_dropped == pytest.approx(dropped / wb.sum(), abs=1e-12)


def test_equal_profiles_change_nothing() -> None:
    npu, weight = np.repeat(np.arange(40, 60), 5), np.tile([1.0, 2, 3, 4, 5], 20)
    found = pileup_weights(npu, weight, npu, 0.01 * weight)
    assert found.weight == pytest.approx(weight)
    assert found.effective_events == pytest.approx(weight.sum() ** 2 / (weight**2).sum())


GOOD = (np.array([50, 51]), np.ones(2))


@pytest.mark.parametrize(
    ("npu", "weight", "message"),
    [
        ([50, -1], [1, 1], "nPU must be integers that are not negative"),
        ([50.5, 51], [1, 1], "nPU must be integers that are not negative"),
        ([50], [1, 1], r"nPU is \(1,\) and the weights are \(2,\): give one weight an event"),
        ([50, 51], [1, np.nan], "weights must be finite and not negative"),
        ([50, 51], [1, -1], "weights must be finite and not negative"),
        ([50, 51], [0, 0], "and their sum positive"),
    ],
)
def test_bad_input_is_refused(npu: list[float], weight: list[float], message: str) -> None:
    bad = np.array(npu), np.array(weight, dtype=float)
    with pytest.raises(DataError, match=message):
        pileup_weights(*bad, *GOOD)  # type: ignore[arg-type]
    with pytest.raises(DataError, match=message):
        pileup_weights(*GOOD, *bad)  # type: ignore[arg-type]


def test_no_common_pileup_is_an_error() -> None:
    with pytest.raises(DataError) as error:
        pileup_weights(np.array([0, 0]), np.ones(2), *GOOD)
    assert str(error.value) == (
        "no signal event has a pile-up of 50 to 51 interactions as the background has: "
        "overlay the signal with that pile-up"
    )


# --- the table ----------------------------------------------------------------------------------


def experiment(rng: np.random.Generator, mu: float, count: int = 400) -> dict[str, NDArray[np.float64]]:
    """Signal at pile-up ``mu``, background at 50, both with scores that grow with pile-up; all weighted."""
    npu_s, npu_b = rng.poisson(mu, count), rng.poisson(50, 2 * count)
    return {
        "s": 0.2 * npu_s + rng.normal(1, 1, count),
        "b": 0.2 * npu_b + rng.normal(0, 1, 2 * count),
        "npu_s": npu_s,
        "npu_b": npu_b,
        "w_s": rng.uniform(0.5, 1.5, count),
        "w_b": rng.uniform(0.5, 1.5, 2 * count),
    }


def table(*made: dict[str, NDArray[np.float64]], replicas: int = 100) -> PhysicsTable:
    names = [f"signal{i}" for i in range(len(made))]
    first = made[0]
    return physics_table(
        background={"model": first["b"]},
        background_weight=first["w_b"],
        background_npu=first["npu_b"].astype(np.int32),
        signals={name: {"model": one["s"]} for name, one in zip(names, made, strict=True)},
        signal_weight={name: one["w_s"] for name, one in zip(names, made, strict=True)},
        signal_npu={name: one["npu_s"].astype(np.int32) for name, one in zip(names, made, strict=True)},
        sample="toy",
        split="test",
        replicas=replicas,
    )


def test_table_holds_both_figures_with_the_weights_of_both_classes() -> None:
    one = experiment(np.random.default_rng(1), 45)
    found = table(one, replicas=20)
    [row], [left] = found.rows, found.reweighting
    background = Sample(one["b"], one["w_b"])
    weights = pileup_weights(
        one["npu_s"].astype(int), one["w_s"], one["npu_b"].astype(int), one["w_b"], bins=10
    )
    plain, matched = Sample(one["s"], one["w_s"]), Sample(one["s"], weights.weight)
    assert row.auc.value == pytest.approx(auc(plain, background), abs=1e-12)
    assert row.efficiency["0.01"].value == pytest.approx(efficiency(plain, background, 0.01), abs=1e-12)
    assert row.auc_reweighted is not None
    assert row.efficiency_reweighted is not None
    assert row.auc_reweighted.value == pytest.approx(auc(matched, background), abs=1e-12)
    assert row.efficiency_reweighted["0.01"].value == pytest.approx(
        efficiency(matched, background, 0.01), abs=1e-12
    )
    assert left.effective_events == pytest.approx(matched.weight.sum() ** 2 / (matched.weight**2).sum())
    assert (left.background_dropped, left.signal_dropped) == (
        weights.background_dropped,
        weights.signal_dropped,
    )


def test_reweighting_undoes_a_difference_in_pileup() -> None:
    found = table(experiment(np.random.default_rng(2), 42, count=20_000), replicas=2).rows[0]
    same = table(experiment(np.random.default_rng(3), 50, count=20_000), replicas=2).rows[0]
    assert found.auc_reweighted is not None
    # Signal and background at equal pile-up: P(N(1, 1) + 0.2 n > N(0, 1) + 0.2 m); within bins of about five
    # nPU the profiles still differ a little, which leaves less than a tenth of the shift.
    shift = same.auc.value - found.auc.value
    assert shift > 0.1
    assert abs(found.auc_reweighted.value - same.auc.value) < 0.1 * shift


def test_reweighted_error_is_the_spread_of_repeated_experiments() -> None:
    rng = np.random.default_rng(4)
    values = []
    for _ in range(300):
        one = experiment(rng, 47)
        weights = pileup_weights(one["npu_s"].astype(int), one["w_s"], one["npu_b"].astype(int), one["w_b"])
        values.append(auc(Sample(one["s"], weights.weight), Sample(one["b"], one["w_b"])))
    errors = []
    for _ in range(5):
        row = table(experiment(rng, 47)).rows[0]
        assert row.auc_reweighted is not None
        errors.append(row.auc_reweighted.error)
    # 300 experiments know the spread to 4 %, five errors of 100 replicas their mean to 3 %.
    assert 0.85 < np.mean(errors) / np.std(values) < 1.18


def test_means_are_over_the_signals() -> None:
    rng = np.random.default_rng(5)
    found = table(experiment(rng, 45), experiment(rng, 52))
    [mean] = found.means
    assert mean.auc.value == pytest.approx(np.mean([row.auc.value for row in found.rows]), abs=1e-12)
    assert mean.auc_reweighted is not None
    assert mean.auc_reweighted.value == pytest.approx(
        np.mean([row.auc_reweighted.value for row in found.rows if row.auc_reweighted]), abs=1e-12
    )
    # the background is common to both signals, the signals are not: between one error and 1 / sqrt 2 of it
    errors = [row.auc.error for row in found.rows]
    assert min(errors) / np.sqrt(2) * 0.8 < mean.auc.error < max(errors)


def test_a_signal_without_pileup_has_no_reweighted_figures() -> None:
    rng = np.random.default_rng(6)
    alone = experiment(rng, 45) | {"npu_s": np.zeros(400)}
    found = table(experiment(rng, 45), alone, replicas=10)
    assert [row.auc_reweighted is None for row in found.rows] == [False, True]
    assert found.rows[1].efficiency_reweighted is None
    assert [row.signal for row in found.reweighting] == ["signal0"]
    assert found.means[0].auc_reweighted is None


def test_a_fault_of_the_signal_is_not_taken_for_missing_overlap() -> None:
    one = experiment(np.random.default_rng(7), 45)
    one["npu_s"][0] = -1
    with pytest.raises(DataError, match="nPU must be integers that are not negative"):
        table(one, replicas=2)

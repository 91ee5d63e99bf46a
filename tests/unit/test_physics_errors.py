"""Errors of the physics table against repeated pseudo-experiments, and who is in which pile-up bin."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from zerobias.physics import PhysicsTable, Sample, auc, efficiency, physics_table, replicate

Array = NDArray[np.float64]


def test_auc_of_two_gaussians() -> None:
    rng = np.random.default_rng(11)
    signal, background = rng.normal(1, 1, 200_000), rng.normal(0, 1, 200_000)
    # P(N(1,1) > N(0,1)) = Phi(1 / sqrt 2); 5 standard errors of about 0.0008
    expected = 0.5 * (1 + math.erf(0.5))
    found = auc(Sample(signal, np.ones(200_000)), Sample(background, np.ones(200_000)))
    assert found == pytest.approx(expected, abs=0.004)


def test_integer_weights_are_repeated_events() -> None:
    rng = np.random.default_rng(12)
    s, b = rng.integers(0, 40, 300), rng.integers(0, 30, 500)
    ws, wb = rng.integers(1, 5, 300), rng.integers(1, 5, 500)
    weighted = Sample(s, ws.astype(float)), Sample(b, wb.astype(float))
    repeated = (
        Sample(np.repeat(s, ws), np.ones(int(ws.sum()))),
        Sample(np.repeat(b, wb), np.ones(int(wb.sum()))),
    )
    assert auc(*weighted) == pytest.approx(auc(*repeated), abs=1e-12)
    for rate in (0.01, 0.1, 0.5):
        assert efficiency(*weighted, rate) == pytest.approx(efficiency(*repeated, rate), abs=1e-12)


def test_replica_is_the_figure_of_the_drawn_events() -> None:
    rng = np.random.default_rng(13)
    s, b, w = rng.integers(0, 20, 80), rng.integers(0, 15, 120), rng.random(120)
    cs, cb = rng.poisson(1.0, (6, 80)), rng.poisson(1.0, (6, 120))
    values, effs = replicate(Sample(s, np.ones(80)), Sample(b, w), (0.05,), cs, cb)
    for r in range(6):
        drawn = np.repeat(s, cs[r]), np.repeat(b, cb[r]), np.repeat(w, cb[r])
        pair = Sample(drawn[0], np.ones(len(drawn[0]))), Sample(drawn[1], drawn[2])
        assert values[r] == pytest.approx(auc(*pair), abs=1e-12)
        assert effs[r, 0] == pytest.approx(efficiency(*pair, 0.05), abs=1e-12)


def draw(rng: np.random.Generator) -> tuple[Array, Array, Array, Array]:
    """Two correlated scores on 250 signal and 500 background events."""
    s, b = rng.normal(1, 1, 250), rng.normal(0, 1, 500)
    return s, b, s + 0.5 * rng.normal(size=250), b + 0.5 * rng.normal(size=500)


def difference(s: Array, b: Array, s2: Array, b2: Array) -> float:
    ws, wb = np.ones(len(s)), np.ones(len(b))
    return auc(Sample(s, ws), Sample(b, wb)) - auc(Sample(s2, ws), Sample(b2, wb))


def table(s: Array, b: Array, s2: Array, b2: Array, *, replicas: int = 300) -> PhysicsTable:
    rng = np.random.default_rng(21)
    return physics_table(
        background={"model": b, "model_float": b2},
        background_weight=np.ones(len(b)),
        background_npu=rng.integers(30, 60, len(b)),
        signals={"one": {"model": s, "model_float": s2}, "two": {"model": s + 1, "model_float": s2 + 1}},
        signal_weight={name: np.ones(len(s)) for name in ("one", "two")},
        signal_npu={name: rng.integers(30, 60, len(s)) for name in ("one", "two")},
        sample="toy",
        split="test",
        replicas=replicas,
    )


def test_paired_error_is_the_spread_of_repeated_experiments() -> None:
    rng = np.random.default_rng(14)
    spread = np.std([difference(*draw(rng)) for _ in range(300)])
    errors = []
    for _ in range(5):
        found = table(*draw(rng)).quantisation
        assert found is not None
        errors.append(found.by_signal["one"].error)
    # 300 experiments know the spread to 4 %, the mean of five errors is known better than that.
    assert 0.8 < np.mean(errors) / spread < 1.25


def test_events_of_one_collision_fluctuate_together() -> None:
    """Each background value stands four times: the spread of experiments with 125 of them, not 500."""
    rng = np.random.default_rng(17)
    s, leader = rng.normal(1, 1, 20_000), np.repeat(np.arange(125), 4)
    ones, npu = (np.ones(20_000), np.ones(500)), (np.full(20_000, 50), np.full(500, 50))

    def experiment() -> Array:
        return np.repeat(rng.normal(0, 1, 125), 4)

    def error(b: Array, leader: NDArray[np.int64] | None) -> float:
        return (
            physics_table(
                background={"model": b},
                background_weight=ones[1],
                background_npu=npu[1],
                background_leader=leader,
                signals={"one": {"model": s}},
                signal_weight={"one": ones[0]},
                signal_npu={"one": npu[0]},
                sample="toy",
                split="test",
                replicas=100,
            )
            .rows[0]
            .auc.error
        )

    spread = np.std([auc(Sample(s, ones[0]), Sample(experiment(), ones[1])) for _ in range(200)])
    pairs = [(error(b, leader), error(b, None)) for b in (experiment() for _ in range(5))]
    together, apart = np.mean(pairs, axis=0) / spread
    assert 0.8 < together < 1.25
    assert apart < 0.6


def test_quantisation_mean_is_over_the_signals() -> None:
    found = table(*draw(np.random.default_rng(15))).quantisation
    assert found is not None
    assert found.mean.value == pytest.approx(np.mean([v.value for v in found.by_signal.values()]), abs=1e-12)


def test_efficiency_error_is_near_the_binomial_one() -> None:
    rng = np.random.default_rng(16)
    found = table(*draw(rng), replicas=400)
    row = next(r for r in found.rows if r.signal == "one" and r.score == "model")
    value = row.efficiency["0.01"]
    binomial = math.sqrt(value.value * (1 - value.value) / 250)
    # The threshold fluctuates too, so the error is not below the binomial one, within 10 % of 400 replicas.
    assert value.error > 0.9 * binomial


def test_pileup_bins_hold_the_events_they_say() -> None:
    rng = np.random.default_rng(17)
    s, b, *_ = draw(rng)
    w_s, w, npu_b, npu_s = (
        rng.random(250),
        rng.random(500),
        rng.integers(20, 80, 500),
        rng.integers(20, 80, 250),
    )
    found = physics_table(
        background={"model": b},
        background_weight=w,
        background_npu=npu_b,
        signals={"one": {"model": s}},
        signal_weight={"one": w_s},
        signal_npu={"one": npu_s},
        sample="toy",
        split="test",
        replicas=20,
    )
    assert found.quantisation is None
    assert (found.pileup[0].low, found.pileup[-1].high) == (npu_b.min(), npu_b.max())
    for row in found.pileup:
        in_s = (npu_s >= row.low) & (npu_s <= row.high)
        in_b = (npu_b >= row.low) & (npu_b <= row.high)
        expected = auc(Sample(s[in_s], w_s[in_s]), Sample(b[in_b], w[in_b]))
        assert row.auc.value == pytest.approx(expected, abs=1e-12)

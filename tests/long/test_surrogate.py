"""The EMD surrogate on the shipped wafers: how right and how fast it is, and whether its gradient helps.

``pytest -m long --log-cli-level=INFO tests/long/test_surrogate.py`` prints the table of the documentation and
says where its picture is.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray

from zerobias.emd import Calibration, Pairs, calibrate, emd, make_pairs, plausible_decodings, sinkhorn
from zerobias.emd.plots import draw
from zerobias.events import checked_sample, read
from zerobias.nn import EmdSurrogate, emd_loss
from zerobias.shelves import shelf
from zerobias.train import SurrogateRecipe, train_surrogate

pytestmark = pytest.mark.long
log = logging.getLogger(__name__)


def shipped_pairs(split: str, wafers: int, pairs: int, seed: int, folder: Path) -> Pairs:
    """Half real-real, half real-decoded, of wafers of all processes drawn at random."""
    events = read(checked_sample(shelf("triggers") / "sample" / "wafers.h5"), ["wafer"]).of(split=split)
    real = np.random.default_rng(seed).permutation(events.collections["wafer"])[:wafers]
    decoded = np.stack([plausible_decodings(real, seed) for seed in (2 * seed, 2 * seed + 1)])
    return make_pairs(real, decoded, folder, pairs=pairs, decoded_share=0.5, seed=seed)


def cpu_seconds(work: Callable[[], Any]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def tell(title: str, found: Calibration) -> None:
    log.info("%s: %d pairs, mean %+.4f, spread %.4f", title, *list(found.total.model_dump().values())[2:])
    for row in found.rows:
        log.info("%4.1f - %3.1f %6d %+.4f %.4f", row.low, row.high, row.pairs, row.mean, row.spread)


def test_surrogate_of_the_shipped_wafers(tmp_path: Path) -> None:
    train = shipped_pairs("train", 15_000, 60_000, 1, tmp_path)
    test = shipped_pairs("test", 5_000, 10_000, 2, tmp_path)

    def report(done: int, total: int) -> None:
        log.info("%d of %d epochs", done, total)

    start = time.process_time()
    trained = train_surrogate(train, SurrogateRecipe(), tmp_path, progress=report)
    log.info("%.0f CPU seconds of training; losses %s", time.process_time() - start, trained.losses)
    first, second = test.first.astype(np.float32), test.second.astype(np.float32)
    predicted = trained.surrogate.predict_on_batch((first, second))
    found = calibrate(predicted, test.emd)
    tell("all held-out pairs", found)
    for title, mine in (("real-decoded", test.decoded), ("real-real", ~test.decoded)):
        tell(title, calibrate(predicted[mine], test.emd[mine]))
    draw(found, predicted, test.emd, "EMD surrogate, simulated wafers, held-out pairs", tmp_path / "emd.png")
    log.info("picture: %s", tmp_path / "emd.png")
    assert abs(found.total.mean) < 0.02
    assert found.total.spread < 0.05
    for row in found.rows:
        if row.pairs >= 200:
            assert abs(row.mean) < 0.05
            assert row.spread < 0.08

    true = test.emd[:1000]
    itself = np.median(sinkhorn(test.first[:1000], test.first[:1000]))
    bias = np.median((sinkhorn(test.first[:1000], test.second[:1000]) / true)[~test.decoded[:1000]]) - 1
    log.info("Sinkhorn: a wafer is %.3f from itself, two wafers %+.3f too far", itself, bias)
    assert itself > 0.3
    assert bias > 0.1

    exact = cpu_seconds(lambda: emd(test.first[:2000], test.second[:2000])) / 2000
    fast = min(
        cpu_seconds(lambda: trained.surrogate.predict_on_batch((first, second))) / len(test) for _ in range(3)
    )
    log.info("CPU time a pair: exact %.1f us, surrogate %.1f us", 1e6 * exact, 1e6 * fast)
    assert exact > 10 * fast

    improved(trained.surrogate, test.first[test.decoded][:50], test.second[test.decoded][:50])


def improved(surrogate: EmdSurrogate, true: NDArray[np.float64], decoded: NDArray[np.float64]) -> None:
    """Descent on the surrogate from decoded images brings them nearer in exact EMD."""
    loss = emd_loss(surrogate)
    target = tf.constant(true, tf.float32)
    logits = tf.Variable(np.log(decoded + 1e-3).astype(np.float32))
    optimizer = tf.keras.optimizers.Adam(0.05)
    before = emd(true, np.asarray(tf.nn.softmax(logits))).mean()
    for _ in range(100):
        with tf.GradientTape() as tape:
            value = tf.reduce_mean(loss(target, tf.nn.softmax(logits)))
        optimizer.apply_gradients([(tape.gradient(value, logits), logits)])
    after = emd(true, np.asarray(tf.nn.softmax(logits))).mean()
    log.info("mean exact EMD of decoded images %.3f, after descent on the surrogate %.3f", before, after)
    assert after < before / 2

"""Tiny network: random weights from the seed stand for training."""

from __future__ import annotations

import keras
import numpy as np
import qkeras

from zerobias.nn import SumOfSquares, bits, relu
from zerobias.train import Trained


def build(spec, quantised=True):
    size, network = 57, spec.network
    inputs = keras.Input((size,), name="scaled")
    x = qkeras.QDense(
        network["hidden"],
        kernel_quantizer=bits("ap_fixed<6,3>"),
        bias_quantizer=bits("ap_fixed<10,7>"),
        name="hidden",
    )(inputs)
    x = qkeras.QActivation(relu("ap_ufixed<10,6>"), name="hidden_relu")(x)
    x = qkeras.QDense(
        network["latent"],
        kernel_quantizer=bits("ap_fixed<6,3>"),
        bias_quantizer=bits("ap_fixed<10,7>"),
        activation=bits("ap_fixed<10,7>"),
        name="mu",
    )(x)
    return keras.Model(inputs, SumOfSquares(wrap=network["wrap"], name="score")(x), name=spec.name)


def train(spec, data):
    model = build(spec)
    rng = np.random.default_rng(spec.seed)
    for layer in model.layers:
        layer.set_weights([rng.normal(0, 0.5, w.shape) for w in layer.get_weights()])
    return Trained(model, model, {"tuning_events": 0 if data is None else len(data.tuning_raw)})

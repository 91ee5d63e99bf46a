"""Tiny encoder of one wafer with four outputs: random weights from the seed stand for training."""

from __future__ import annotations

import keras
import numpy as np
import qkeras

from zerobias.events.wafer import CELLS, MASK_8X8, arrange_8x8
from zerobias.nn import Gather, SumShift, bits, relu
from zerobias.train import Trained

IMAGE = np.where(MASK_8X8, arrange_8x8(np.arange(CELLS)), -1)[..., None]


def build(spec, quantised=True):
    quantisers = {"kernel_quantizer": bits("ap_fixed<4,1>"), "bias_quantizer": bits("ap_fixed<6,2>")}
    inputs = keras.Input((CELLS,), name="charges")
    x = SumShift("ap_ufixed<6,1>", name="normalised")(inputs)
    x = Gather(IMAGE.tolist(), name="image")(x)
    x = qkeras.QConv2D(
        spec.network["filters"],
        3,
        strides=2,
        padding="same",
        activation=relu("ap_ufixed<5,1>"),
        name="conv",
        **quantisers,
    )(x)
    x = keras.layers.Flatten(name="flat")(x)
    latent = relu(spec.network["latent_type"])
    x = qkeras.QDense(spec.network["latent"], activation=latent, name="latent", **quantisers)(x)
    return keras.Model(inputs, x, name=spec.name)


def train(spec, data):
    model = build(spec)
    rng = np.random.default_rng(spec.seed)
    for layer in model.layers:
        layer.set_weights([rng.normal(0.1, 0.4, w.shape) for w in layer.get_weights()])
    return Trained(model, model, {"tuning_events": 0 if data is None else len(data.tuning_raw)})

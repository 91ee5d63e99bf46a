"""A network that knows the Earth Mover's Distance (EMD) of two wafer images: a differentiable loss.

After arXiv:2306.04712: a CNN on two 4 x 4 x 3 images in six channels, symmetric because f(a, b) and f(b, a)
are averaged. Here it sees the excess of a over b and that of b over a, each scaled to unit charge, and gives
the mean distance the excess is moved; the EMD is that times the charge to move. Nothing is lost, as the EMD
depends on the difference of the images alone (see :mod:`zerobias.emd.exact`), and the network need not
learn that the EMD of equal images is 0 and that it grows in proportion to their difference.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import layers, ops

from zerobias.events.wafer import DISTANCES
from zerobias.nn.losses import trigger_cells

__all__ = ["EmdSurrogate", "emd_loss"]

_NEAREST, _FARTHEST = float(DISTANCES[DISTANCES > 0].min()), float(DISTANCES.max())
_EMPTY = 1e-6
"""Charge below which an image counts as empty: it is not scaled up to unit charge."""


class EmdSurrogate(keras.Model):  # type: ignore[misc]
    """Predicts the EMD (n,) in pitches of images (first, second), each as :func:`trigger_cells` takes them.

    ``convolutions`` times [Conv2D with ``filters`` of ``kernel`` x ``kernel``, batch normalisation, ReLU], a
    dense layer of ``units`` with the same, and one output. Charges must not be negative, so let a decoder end
    in a ReLU or sigmoid; images need not have unit charge. The prediction is symmetric, exactly 0 for equal
    images and otherwise between the charge to move times the smallest and times the largest distance of two
    cells, as the EMD itself. Its weights are those of ``network``.
    """

    def __init__(
        self, *, filters: int = 32, kernel: int = 3, convolutions: int = 2, units: int = 64, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        x = inputs = keras.Input((4, 4, 6))
        for number in range(convolutions):
            x = layers.Conv2D(filters, kernel, padding="same", use_bias=False, name=f"conv{number}")(x)
            x = layers.ReLU()(layers.BatchNormalization(name=f"conv{number}_norm")(x))
        x = layers.Dense(units, use_bias=False, name="dense")(layers.Flatten()(x))
        x = layers.ReLU()(layers.BatchNormalization(name="dense_norm")(x))
        x = layers.Dense(1, activation="sigmoid", name="distance")(x)
        outputs = layers.Rescaling(_FARTHEST - _NEAREST, offset=_NEAREST)(x)
        self.network = keras.Model(inputs, outputs, name="network")

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """EMD (n,) of the images (first, second)."""
        first, second = (_unit(trigger_cells(images)) for images in inputs)
        difference = first - second
        excess, lack = ops.relu(difference), ops.relu(-difference)
        moved = ops.sum(excess + lack, axis=-1, keepdims=True) / 2
        excess, lack = (_image(side / ops.maximum(moved, _EMPTY)) for side in (excess, lack))
        there, back = (
            self.network(ops.concatenate(pair, axis=-1), training=training)
            for pair in ((excess, lack), (lack, excess))
        )
        return ops.squeeze(moved * (there + back) / 2, axis=-1)


def emd_loss(surrogate: EmdSurrogate) -> Callable[[Any, Any], Any]:
    """The surrogate as a loss (true, decoded) -> (n,) for training an encoder; it is frozen from now on.

    Its weights are no longer trainable and its batch normalisation uses the statistics it learned.
    """
    surrogate.trainable = False

    def loss(true: Any, decoded: Any) -> Any:
        return surrogate((true, decoded), training=False)

    return loss


def _unit(cells: Any) -> Any:
    return cells / ops.maximum(ops.sum(cells, axis=-1, keepdims=True), _EMPTY)


def _image(cells: Any) -> Any:
    """Layout 4 x 4 x 3, as :func:`zerobias.events.wafer.arrange_4x4x3` makes it."""
    return ops.transpose(ops.reshape(cells, (-1, 3, 4, 4)), (0, 2, 3, 1))

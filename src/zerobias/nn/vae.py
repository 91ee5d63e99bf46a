"""A variational autoencoder whose firmware keeps the mean of the latent vector only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from zerobias.nn.mdmm import Constraint

__all__ = ["VariationalAutoencoder"]


class VariationalAutoencoder(keras.Model):  # type: ignore[misc]
    """Trains ``encoder`` (inputs -> hidden, mu) with a log-variance head and a decoder.

    Loss an event: mean squared error over the features of present objects, plus ``beta`` times the
    Kullback-Leibler divergence of N(mu, sigma) from N(0, 1) (Kingma & Welling, arXiv:1312.6114).
    Data: ((inputs (n, features), mask (n, features)), _, weight (n,)); the mask is 1 where an object
    is present. ``budget`` constrains ``cost``, a quantity of the encoder such as its effective bit
    operations.
    """

    def __init__(
        self,
        encoder: keras.Model,
        decoder: keras.Model,
        beta: float,
        seed: int,
        *,
        budget: Constraint | None = None,
        cost: Callable[[keras.Model], Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.encoder = encoder
        self.decoder = decoder
        self.beta = beta
        self.log_variance = keras.layers.Dense(encoder.output[1].shape[-1], name="log_variance")
        self.budget = budget
        self.cost = cost
        self.noise = keras.random.SeedGenerator(seed)

    def call(self, inputs: Any) -> Any:
        """Loss of each event (n,)."""
        features, mask = inputs
        if self.budget is not None and self.cost is not None:
            self.add_loss(self.budget(self.cost(self.encoder)))
        hidden, mu = self.encoder(features)
        log_variance = ops.clip(self.log_variance(hidden), -10.0, 10.0)
        z = mu + ops.exp(0.5 * log_variance) * keras.random.normal(ops.shape(mu), seed=self.noise)
        error = ops.square(self.decoder(z) - features) * mask
        reconstruction = ops.sum(error, axis=-1) / ops.maximum(ops.sum(mask, axis=-1), 1.0)
        divergence = 0.5 * ops.mean(ops.square(mu) + ops.exp(log_variance) - 1.0 - log_variance, axis=-1)
        return reconstruction + self.beta * divergence

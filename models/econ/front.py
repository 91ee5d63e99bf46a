"""Two distances at once: one held under a limit while the other falls, beside weighted sums of the two.

Every point goes on from the working model. The limits lie between what training on either distance alone
reaches; a weighted sum has no say in where between them it ends, and cannot end where the front is concave.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from zerobias.emd import emd, unit_images
from zerobias.events import EventSet
from zerobias.nn import Maximum
from zerobias.train import TrainingData
from zerobias.zoo import Model, apply_weights, read_weights

PARTS = (0.2, 0.4, 0.6, 0.8)
"""Where the limits lie between the ends; the weights of the sums."""
SMALLEST_SLACK = 0.1
MOST_WAFERS = 3000
Array = NDArray[Any]
Loss = Callable[[Any, Any], Any]
Row = dict[str, Any]


class Limited(keras.Model):
    """An autoencoder and the constraint that its training has to obey."""

    def __init__(self, autoencoder: keras.Model, limit: Maximum) -> None:
        super().__init__()
        self.autoencoder = autoencoder
        self.limit = limit

    @property
    def inputs(self) -> list[Any]:
        return self.autoencoder.inputs

    def build(self, input_shape: Any) -> None:
        """Nothing to do: both parts are built."""

    def call(self, inputs: Any) -> Any:
        return self.autoencoder(inputs)


def study(model: Model, data: TrainingData, events: EventSet) -> list[Row]:
    """Rows (method, part, sample, metric, value, error): EMD in pitches and squared error.

    ``metric``: "emd" (exact) or "squared_error" (images of mean 1), of zero bias of the test split;
    ``part``: of the way from the lowest value of the distance that is held, or the weight of the squared
    error.
    """
    module, plan = model.module, model.module.recipe(model.spec)
    surrogate, named = module.chosen_loss(model.spec, data)
    losses = {"emd": surrogate, "squared_error": module.mean_one(module.squared_error)}
    wafers = events.of("zero_bias", "test")
    wafers = wafers.select(np.arange(min(len(wafers), MOST_WAFERS)))

    def working() -> keras.Model:
        network = module.autoencoder(model.load(), model.spec)
        apply_weights(network.get_layer("decoder"), read_weights(model.weights_path("decoder")))
        return network

    def trained(loss: Loss, plan_name: str, held: Maximum | None = None) -> keras.Model:
        keras.utils.set_random_seed(model.spec.seed)
        network = working()
        fitted = network if held is None else Limited(network, held)
        name = f"{plan_name} {named}"
        module.fit(fitted, model.spec, data, loss, name, plan.quantised_epochs, plan.quantised_learning_rate)
        return network

    def on_tuning(network: keras.Model) -> dict[str, float]:
        decoded = network.predict(
            module.inputs_of(network, data.tuning_inputs, data.tuning_events), verbose=0
        )
        true = unit_images(data.tuning_raw).astype(np.float32)
        return {name: float(ops.mean(loss(true, decoded))) for name, loss in losses.items()}

    alone = {name: trained(loss, f"{name} alone") for name, loss in losses.items()}
    reached = {name: on_tuning(network) for name, network in alone.items()}
    start = on_tuning(working())
    low = {name: reached[name][name] for name in losses}
    span = {name: max(values[name] for values in reached.values()) - low[name] for name in losses}

    def scaled(name: str, true: Any, decoded: Any) -> Any:
        return (losses[name](true, decoded) - low[name]) / span[name]

    def points() -> Iterator[tuple[str, float, keras.Model]]:
        yield "emd alone", 0.0, alone["emd"]
        yield "squared_error alone", 1.0, alone["squared_error"]
        for part in PARTS:

            def weighted(true: Any, decoded: Any, part: float = part) -> Any:
                both = scaled("emd", true, decoded), scaled("squared_error", true, decoded)
                return (1 - part) * both[0] + part * both[1]

            yield "weighted sum", part, trained(weighted, f"weighted {part} {low} {span}")
            for held, free in (("emd", "squared_error"), ("squared_error", "emd")):
                # A limit that holds already must cost nothing: the slack takes up the distance to it.
                room = part - (start[held] - low[held]) / span[held]
                limit = Maximum(part, slack=max(room, SMALLEST_SLACK**2) ** 0.5)

                def limited(
                    true: Any, decoded: Any, held: str = held, free: str = free, limit: Any = limit
                ) -> Any:
                    return scaled(free, true, decoded) + limit(ops.mean(scaled(held, true, decoded)))

                yield f"{held} limited", part, trained(limited, f"{held} {part} {low} {span}", limit)

    return [
        {"method": method, "part": part, "sample": "zero_bias", **row}
        for method, part, network in points()
        for row in figures(network, module, wafers)
    ]


def figures(network: keras.Model, module: Any, wafers: EventSet) -> Iterator[Row]:
    """Mean and its error of both distances, decoded to true."""
    charges = wafers.collections["wafer"]
    inputs = module.inputs_of(network, charges.astype(np.float32), wafers)
    decoded = network.predict(inputs, verbose=0)
    true = unit_images(charges.astype(np.int64)).astype(np.float32)
    squared = ops.convert_to_numpy(module.mean_one(module.squared_error)(true, decoded))
    for metric, values in (("emd", emd(true, decoded)), ("squared_error", squared)):
        error = np.std(values) / np.sqrt(len(values))
        yield {"metric": metric, "value": round(float(values.mean()), 5), "error": round(float(error), 5)}

"""Encoders of four losses against the chip's own algorithms at equal payload: rows of comparison.json."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zerobias.econt import (
    MODULE_SUM,
    SUPER_TRIGGER_CELL,
    TRIGGER_CELL,
    best_choice,
    super_trigger_cells,
    threshold_sum,
    transverse_threshold,
)
from zerobias.econt.compare import compare, in_bins
from zerobias.econt.shapes import occupancy
from zerobias.emd import emd
from zerobias.events import EventSet
from zerobias.events.wafer import CELLS
from zerobias.simulate.hgcal import load_hgcal
from zerobias.train import TrainingData
from zerobias.zoo import Model

# Decoded to the middle of what a code stands for: truncation would bias every sum by some per cent.
CELL, WIDE, SUM = (replace(code, middle=True) for code in (TRIGGER_CELL, SUPER_TRIGGER_CELL, MODULE_SUM))
LOSSES = ("emd", "telescope", "weighted_squared_error", "squared_error")
ELINKS = (2, 3, 4, 5)
MOST_WAFERS = 3000
REPLICAS = 100
Array = NDArray[Any]
Row = dict[str, Any]


def study(model: Model, data: TrainingData, events: EventSet) -> list[Row]:
    """Rows (method, elinks, sample, bin, metric, value, error) of all methods on the test split.

    ``sample`` is a process; ``bin`` is "all" or a third of the wafers by eta or occupancy
    (cells above the transverse threshold). Energies in units of the true ones, lengths in cm, EMD in pitches.
    """
    hgcal = load_hgcal()
    rows: list[Row] = []
    for elinks in ELINKS:
        encoders = list(_encoders(model, data, elinks))
        for process in events.process_names:
            wafers = events.of(process, "test")
            wafers = wafers.select(np.arange(min(len(wafers), MOST_WAFERS)))
            true = wafers.collections["wafer"].astype(np.int64)
            place = wafers.collections["wafer_place"]
            eta = place[:, 4] / 1000
            threshold = transverse_threshold(eta, np.array(hgcal.mip_mean_fc)[place[:, 3]] / hgcal.lsb_fc)
            methods = {
                **{name: decode(wafers) for name, decode in encoders},
                **classical(true, threshold, elinks),
            }
            cells = occupancy(true, threshold)
            for name, decoded in methods.items():
                common = {"method": name, "elinks": elinks, "sample": process}
                rows += [{**common, **row} for row in figures(true, decoded, cells, eta)]
    return rows


def _encoders(
    model: Model, data: TrainingData, elinks: int
) -> Iterator[tuple[str, Callable[[EventSet], Array]]]:
    """Name and decoding, wafers -> charges (n, 48), of an encoder trained with each loss."""
    for loss in LOSSES:
        spec = model.spec.model_copy(
            update={
                "network": {**model.spec.network, "elinks": elinks},
                "training": {**model.spec.training, "loss": loss},
            }
        )
        trained = replace(model, spec=spec).train(data)
        yield f"encoder, {loss}", _decoding(model, trained)


def _decoding(model: Model, trained: Any) -> Callable[[EventSet], Array]:
    def decode(wafers: EventSet) -> Array:
        charges = wafers.collections["wafer"].astype(np.float32)
        latent = trained.quantised.predict(charges, verbose=0)
        decoder = trained.companions["decoder"]
        inputs = model.module.inputs_of(decoder, latent, wafers)
        images = decoder.predict(inputs, verbose=0).astype(np.float64)
        total = SUM.decode(SUM.encode(wafers.collections["wafer"].sum(axis=1, dtype=np.int64)))
        return images / images.sum(axis=1, keepdims=True) * total[:, None]

    return decode


def classical(true: Array, threshold: Array, elinks: int) -> dict[str, Array]:
    """Charges (n, 48) decoded by each of the chip's algorithms that fits the links."""
    found = {
        "best choice": best_choice(true, elinks, code=CELL),
        "threshold sum": threshold_sum(true, threshold, elinks, code=CELL),
        "STC16": super_trigger_cells(true, elinks, size=16, code=WIDE),
    }
    if elinks == 3:
        found["CTC4"] = super_trigger_cells(true, elinks, size=4, code=CELL, located=False)
    if elinks >= 4:
        code = CELL if elinks == 4 else WIDE
        found["STC4"] = super_trigger_cells(true, elinks, size=4, code=code)
    return {name: decoded.charges for name, decoded in found.items()}


def rounded(value: float) -> float:
    """To five digits: errors are larger."""
    return float(f"{value:.5g}")


def thirds(values: Array) -> tuple[float, ...]:
    """Edges of three bins of about as many values each."""
    return tuple(float(v) for v in np.quantile(values, [0, 1 / 3, 2 / 3, 1]))


def figures(true: Array, decoded: Array, cells: Array, eta: Array) -> Iterator[Row]:
    """Rows (bin, metric, value, error) of one method on one sample."""
    # Of a wafer that was decoded to nothing the back end knows no shape: it counts as spread evenly.
    images = np.where(decoded.any(axis=1, keepdims=True), decoded, 1 / CELLS)
    distance = emd(true, images)
    for name, values, edges in (
        ("all", np.zeros(len(true)), (0, 1)),
        ("occupancy", cells, thirds(cells)),
        ("eta", eta, thirds(eta)),
    ):
        bins = compare(true, decoded, values, edges, replicas=REPLICAS)
        for found, mine in zip(bins, in_bins(values, edges), strict=True):
            label = name if name == "all" else f"{name} {found.low:g} to {found.high:g}"
            error = distance[mine].std() / np.sqrt(mine.sum())
            yield {
                "bin": label,
                "metric": "emd",
                "value": rounded(distance[mine].mean()),
                "error": rounded(error),
            }
            for metric, figure in found.figures.items():
                yield {
                    "bin": label,
                    "metric": metric,
                    "value": rounded(figure.value),
                    "error": rounded(figure.error),
                }

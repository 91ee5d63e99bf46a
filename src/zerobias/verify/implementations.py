"""The implementations the gate compares: the quantised network, C simulation, circuit and RTL simulation."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from zerobias.contract import Contract, IntArray, preprocessing_layer
from zerobias.errors import UnsupportedError
from zerobias.fixed import Conv, Dense, Graph, Sum, SumShift
from zerobias.hls import HlsProject, compile_csim, run_csim, suspect, trace_csim
from zerobias.rtl import Circuit, RtlDesign, Simulation, simulate
from zerobias.trees import TreeEnsemble
from zerobias.verify.gate import Implementation, Traced
from zerobias.verify.trees import sklearn_implementation

if TYPE_CHECKING:
    import keras

__all__ = [
    "circuit_implementation",
    "csim_implementation",
    "framework_implementation",
    "keras_implementation",
    "rtl_implementation",
]

_BATCH = 8192
_NOT_AN_INTEGER = -(2**40)
_FLOAT32_BITS = 24


def framework_implementation(
    model: keras.Model | TreeEnsemble, contract: Contract, graph: Graph
) -> Implementation:
    """The quantised network in the framework it was trained in: Keras, or scikit-learn for trees."""
    if isinstance(model, TreeEnsemble):
        return sklearn_implementation(model, contract, graph)
    return keras_implementation(model, contract, graph)


def keras_implementation(model: keras.Model, contract: Contract, graph: Graph) -> Implementation:
    """The quantised Keras model behind the contract's own Keras preprocessing.

    Raises ``UnsupportedError`` naming the layer whose sums float32 cannot hold exactly.
    """
    _check_float32(contract, graph)
    import keras

    raw = keras.Input(model.inputs[0].shape[1:], dtype="int32")
    scaled = keras.layers.Reshape(model.inputs[0].shape[1:])(
        preprocessing_layer(contract)(keras.layers.Reshape((len(contract.features),))(raw))
    )
    whole = keras.Model(raw, model(scaled))
    scaling = keras.Model(raw, scaled)
    nodes = {node.name for node in graph}
    names = {
        layer.name: f"{layer.name}_act" if f"{layer.name}_act" in nodes else layer.name
        for layer in model.layers
        if type(layer).__name__ != "InputLayer"
    }
    layers = keras.Model(model.inputs, {name: model.get_layer(name).output for name in names})

    def score(events: IntArray) -> IntArray:
        shaped = events.reshape(len(events), *model.inputs[0].shape[1:]).astype(np.int32)
        values = np.asarray(whole.predict(shaped, batch_size=_BATCH, verbose=0), dtype=np.float64)
        counts = values.reshape(len(events), *graph.score_shape) * 2.0**graph.output_type.frac
        integer = np.rint(counts)
        return np.where(counts == integer, integer, _NOT_AN_INTEGER).astype(np.int64)

    def trace(events: IntArray) -> Traced:
        shaped = events.reshape(len(events), *model.inputs[0].shape[1:]).astype(np.int32)
        values = np.asarray(scaling.predict(shaped, verbose=0))
        results = layers.predict(values, verbose=0)
        return {"contract": ("contract", values)} | {n: (node, results[n]) for n, node in names.items()}

    return Implementation("keras", score, trace, lambda layer: "")


def csim_implementation(project: HlsProject, contract: Contract, graph: Graph) -> Implementation:
    """The compiled C simulation of a written HLS project."""
    program = compile_csim(project)
    nodes = {node.name for node in graph}

    def trace(raw: IntArray) -> Traced:
        values = trace_csim(project, raw)
        return {
            name: (graph.settled(name), layer)
            for name, layer in values.items()
            if name in nodes or name == "contract"
        }

    return Implementation(
        name="csim",
        score=lambda raw: run_csim(program, raw, graph.score_shape),
        trace=trace,
        suspect=lambda layer: suspect(project, graph, *contract.box, layer),
    )


def circuit_implementation(circuit: Circuit) -> Implementation:
    """A traced circuit in alkaid's interpreter; its layers are shared and cannot be told apart."""
    return Implementation("circuit", circuit.predict, lambda raw: {}, _no_layer)


def rtl_implementation(
    design: RtlDesign, keep: Callable[[Simulation], None] = lambda run: None
) -> Implementation:
    """A written RTL design in cycle-accurate simulation; its layers cannot be told apart.

    ``keep`` gets what each simulation measured. ``score`` raises ``GateError`` when an event is lost or comes
    at another clock than it should.
    """

    def score(raw: IntArray) -> IntArray:
        run = simulate(design, raw)
        keep(run)
        return run.scores

    return Implementation("rtl", score, lambda raw: {}, _no_layer)


def _no_layer(layer: str) -> str:
    return "a circuit's layers share their logic, so no earlier one can be named"


def _check_float32(contract: Contract, graph: Graph) -> None:
    """A float32 sum is exact in any order when the sum of magnitudes stays below 2**24 LSBs."""
    intervals = graph.intervals(*contract.box)
    for node in graph.nodes[1:]:
        x = intervals[node.inputs[0]]
        reach = np.maximum(abs(x.low), abs(x.high))
        if isinstance(node.op, Dense | Conv):
            dense = node.op.dense if isinstance(node.op, Conv) else node.op
            rows = node.op.rows(reach, 0) if isinstance(node.op, Conv) else reach
            frac = dense.frac(x.frac)
            kernel: Any = np.abs(dense.kernel).astype(object)
            bias: Any = np.abs(dense.bias).astype(object)
            magnitude = rows @ (kernel << (frac - x.frac - dense.kernel_type.frac)) + (
                bias << (frac - dense.bias_type.frac)
            )
        elif isinstance(node.op, Sum | SumShift):
            magnitude = reach.sum(axis=-1)
        else:
            result = intervals[node.name]
            magnitude = np.maximum(abs(result.low), abs(result.high))
        bits = int(np.max(magnitude)).bit_length()
        if bits > _FLOAT32_BITS:
            raise UnsupportedError(
                f"layer {node.name}: sums need {bits} bits, float32 holds {_FLOAT32_BITS} exactly; "
                "narrow the layer's types"
            )

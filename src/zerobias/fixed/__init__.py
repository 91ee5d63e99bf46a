"""The integer reference: quantised Keras model -> fixed-point graph, exact values and intervals."""

from zerobias.fixed.frontend import Builder, from_keras, handles
from zerobias.fixed.graph import Graph, Headroom, Node
from zerobias.fixed.ops import Cast, Dense, FixedArray, Input, Interval, Op, Reshape, Square, Sum
from zerobias.fixed.quantisers import quantiser_type

__all__ = [
    "Builder",
    "Cast",
    "Dense",
    "FixedArray",
    "Graph",
    "Headroom",
    "Input",
    "Interval",
    "Node",
    "Op",
    "Reshape",
    "Square",
    "Sum",
    "from_keras",
    "handles",
    "quantiser_type",
]

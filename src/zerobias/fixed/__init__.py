"""The integer reference: quantised Keras model or trees -> fixed-point graph, exact values and intervals."""

from zerobias.fixed import layers
from zerobias.fixed.activations import LeakyRelu, slope_shift
from zerobias.fixed.frontend import from_keras, graph_of, handles
from zerobias.fixed.graph import Builder, Graph, Headroom, Node, shaped
from zerobias.fixed.merge import Add, Concatenate, Dot, Multiply, Subtract
from zerobias.fixed.ops import Cast, Dense, FixedArray, Gather, Input, Interval, Op, Reshape, Square, Sum
from zerobias.fixed.quantisers import quantiser_type
from zerobias.fixed.sumshift import SumShift
from zerobias.fixed.tables import Staircase, Table, staircase
from zerobias.fixed.trees import Trees, from_trees
from zerobias.fixed.weights import Weights, random_weights, weights_of, with_weights
from zerobias.fixed.windows import AveragePool, Conv, MaxPool, Windows

__all__ = [
    "Add",
    "AveragePool",
    "Builder",
    "Cast",
    "Concatenate",
    "Conv",
    "Dense",
    "Dot",
    "FixedArray",
    "Gather",
    "Graph",
    "Headroom",
    "Input",
    "Interval",
    "LeakyRelu",
    "MaxPool",
    "Multiply",
    "Node",
    "Op",
    "Reshape",
    "Square",
    "Staircase",
    "Subtract",
    "Sum",
    "SumShift",
    "Table",
    "Trees",
    "Weights",
    "Windows",
    "from_keras",
    "from_trees",
    "graph_of",
    "handles",
    "layers",
    "quantiser_type",
    "random_weights",
    "shaped",
    "slope_shift",
    "staircase",
    "weights_of",
    "with_weights",
]

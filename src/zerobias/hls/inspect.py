"""What in a written project differs from the fixed-point graph: the suspect behind a red gate."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from zerobias.contract import FixedType, IntArray
from zerobias.errors import SpecError
from zerobias.fixed import Cast, Conv, Dense, Graph, Trees
from zerobias.hls.project import HlsProject
from zerobias.hls.trees import suspect_trees

__all__ = ["suspect"]


def suspect(project: HlsProject, graph: Graph, low: IntArray, high: IntArray, layer: str) -> str:
    """What the project's sources of ``layer`` say otherwise than the graph, or an empty string.

    Weights and biases are read back from the headers; the accumulator type is held against the
    range that inputs in [low, high] can reach. Behind the cast of a layer's result is that layer.
    """
    trees = [node.op for node in graph if isinstance(node.op, Trees)]
    if trees and layer != "contract":
        return suspect_trees(project.path, project.name, project.namespace, trees[0], graph.input.kind)
    nodes = {node.name: node for node in graph}
    while layer in nodes and isinstance(nodes[layer].op, Cast):
        (layer,) = nodes[layer].inputs
    op = nodes[layer].op if layer in nodes else None
    dense = op.dense if isinstance(op, Conv) else op
    if not isinstance(dense, Dense):
        return ""
    firmware = project.path / "firmware"
    source = (firmware / f"{project.name}.cpp").read_text()
    end = rf"\);\s*// {re.escape(layer)}\s*$"
    call = re.search(rf"nnet::\w+<[^>]*(config\d+)>\([^;]*,\s*(w\d+),\s*(b\d+){end}", source, re.MULTILINE)
    if call is None:
        if re.search(rf"::\w+<[^>]*>\([^;]*{end}", source, re.MULTILINE):
            return f"layer {layer} is an adder graph, whose constants cannot be read back"
        return f"layer {layer} is not called in {project.name}.cpp"
    shared = re.search(
        rf"struct {call[1]} [^}}]*strategy = nnet::resource;", (firmware / "parameters.h").read_text()
    )
    for array, want, kind, title in (
        (call[2], dense.kernel, dense.kernel_type, "weight"),
        (call[3], dense.bias, dense.bias_type, "bias"),
    ):
        got = _array(firmware / "weights" / f"{array}.h")
        if shared and got.size == want.size:  # hls4ml stores the weights of shared multipliers transposed
            got = got.reshape(want.shape[::-1]).T.reshape(-1)
        flat = want.reshape(-1) * kind.lsb
        if got.shape != flat.shape:
            return f"layer {layer} has {got.size} {title} values, the model has {flat.size}"
        wrong = np.flatnonzero(got != flat)
        if len(wrong):
            index = tuple(int(i) for i in np.unravel_index(wrong[0], want.shape))
            return (
                f"layer {layer}: {title} {list(index)} is {got[wrong[0]]:g} in the project and "
                f"{flat[wrong[0]]:g} in the model ({len(wrong)} such)"
            )
    declared = re.search(
        rf"typedef (ap_u?fixed<[^>]*>) {re.escape(layer)}_accum_t;", (firmware / "defines.h").read_text()
    )
    if declared is None:
        return ""
    accumulator = _parse(declared[1])
    row = graph.accumulator(layer, accumulator, graph.intervals(low, high)[layer])
    if not row.overflows:
        return ""
    if accumulator.holds(row.low, row.high):
        return f"layer {layer}: accumulator {accumulator} drops fractional bits of the sums"
    return (
        f"layer {layer}: accumulator {accumulator} is too narrow, sums reach "
        f"[{row.low * accumulator.lsb:g}, {row.high * accumulator.lsb:g}]"
    )


def _array(path: Path) -> np.ndarray:
    text = path.read_text()
    match = re.search(r"=\s*\{([^}]*)\}", text)
    return np.array([float(v) for v in match[1].split(",")]) if match else np.zeros(0)


def _parse(text: str) -> FixedType:
    parts = text.split(",")
    if len(parts) == 5:  # hls4ml also writes the number of saturation bits
        text = ",".join(parts[:4]) + ">"
    try:
        return FixedType.parse(text)
    except SpecError:
        return FixedType.parse(",".join(parts[:2]) + ">")

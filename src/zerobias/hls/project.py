"""Write an HLS (Vitis) project by hls4ml or conifer: a plan on disk, no tool is run, two writes are equal."""

from __future__ import annotations

import contextlib
import io
import os
import re
import shutil
import tempfile
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from zerobias.contract import Contract, FixedType, scaling_header
from zerobias.errors import ToolError, UnsupportedError
from zerobias.fixed import Graph, Headroom
from zerobias.hls.templates import fill_template, vivado_files
from zerobias.hls.trees import write_trees
from zerobias.trees import TreeEnsemble

if TYPE_CHECKING:
    import keras

    from zerobias.targets import Target
    from zerobias.zoo import ModelSpec

__all__ = ["HlsLayer", "HlsProject", "hls4ml_model", "hls_tool", "namespace", "write_project"]


_ADDER_GRAPHS = "distributed_arithmetic"
_PRODUCTS = ("Dense", "Conv1D", "Conv2D")
"""Layers that a strategy is for."""


@dataclass(frozen=True)
class HlsLayer:
    """One layer of the HLS design: its class in hls4ml and types (None where it has none).

    ``reuse_factor`` is what hls4ml made of the declared one: with shared multipliers it takes the nearest
    that divides the layer. ``passes`` are the positions of a convolution that go through one after the other.
    ``adder_luts`` is da4ml's count for one position's adder graph.
    """

    name: str
    class_name: str
    result_type: FixedType
    accumulator_type: FixedType | None
    weight_type: FixedType | None
    n_in: int
    n_out: int
    strategy: str | None = None
    reuse_factor: int = 1
    passes: int = 1
    adder_luts: float | None = None


@dataclass(frozen=True)
class HlsProject:
    """A written project: ``path``/firmware holds the C++ sources."""

    path: Path
    name: str
    namespace: str
    layers: tuple[HlsLayer, ...]

    def accumulator_headroom(self, graph: Graph, low: Any, high: Any) -> tuple[Headroom, ...]:
        """One row an accumulator: the range the graph proves against the type hls4ml chose."""
        intervals = graph.intervals(low, high)
        return tuple(
            graph.accumulator(layer.name, layer.accumulator_type, intervals[layer.name])
            for layer in self.layers
            if layer.accumulator_type is not None and layer.name in intervals
        )


def namespace(name: str, version: str) -> str:
    """C++ namespace of a model version, e.g. ``axol1tl_v0_1_0``: two versions can be loaded at once."""
    return f"{name}_v{re.sub(r'[^0-9A-Za-z]', '_', version)}"


def hls_tool(model: keras.Model | TreeEnsemble) -> Literal["hls4ml", "conifer"]:
    """What writes the HLS project of a quantised network, and what that design is called."""
    return "conifer" if isinstance(model, TreeEnsemble) else "hls4ml"


def write_project(
    spec: ModelSpec,
    model: keras.Model | TreeEnsemble,
    graph: Graph,
    contract: Contract,
    target: Target,
    path: Path,
) -> HlsProject:
    """Write the HLS project of a quantised model to the folder ``path``, replacing what was there.

    The score keeps the type that ``graph``, the model's fixed-point graph, declares.

    Raises ``UnsupportedError`` for a layer hls4ml or its handlers do not know, and for settings that the
    tool of this kind of model does not have.
    """
    tool = hls_tool(model)
    if spec.design not in (tool, "rtl"):
        raise UnsupportedError(
            f"model {spec.name}: {tool} writes its HLS project, so there is no design {spec.design!r}: "
            f'set design = "{tool}" or "rtl"'
        )
    write = _write_trees if isinstance(model, TreeEnsemble) else _write_network
    space = namespace(spec.name, spec.version)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as scratch:
        fresh = Path(scratch) / "project"
        input_type, result_type, layers = write(spec, model, graph, contract, target, space, fresh)
        _render(
            fresh,
            {
                "NAME": spec.name,
                "NAMESPACE": space,
                "GUARD": space.upper(),
                "N_FEATURES": str(len(contract.features)),
                "INPUT_T": input_type,
                "RESULT_T": result_type,
                "SCORE_T": str(graph.output_type),
                **_score_port(graph.score_shape),
                "PIPELINE": "DATAFLOW" if _dataflow(spec) else f"PIPELINE II={spec.hls.reuse_factor}",
                "PART": target.part,
                "CLOCK_NS": f"{target.clock_ns:.4f}",
            },
        )
        # Vitis HLS leaves its Verilog in the folder it ran in: the script's argument, or the current one.
        verilog = f"{spec.name}_top_prj/solution1/syn/verilog/*.v"
        sources = f'[lsort [glob [expr {{$argc ? [lindex $argv 0] : "."}}]/{verilog}]]'
        scripts = vivado_files(target, top=f"{spec.name}_top", clock="ap_clk", sources=sources)
        for file, text in scripts.items():
            (fresh / file).write_text(text)
        (fresh / "firmware" / f"{spec.name}_scaling.h").write_text(scaling_header(contract, space))
        if path.exists():
            shutil.rmtree(path)
        os.replace(fresh, path)
    return HlsProject(path, spec.name, space, layers)


_Written = tuple[str, str, tuple[HlsLayer, ...]]
"""Names of the C++ types of inputs and result, and the layers."""


def _write_network(
    spec: ModelSpec,
    model: keras.Model,
    graph: Graph,
    contract: Contract,
    target: Target,
    space: str,
    fresh: Path,
) -> _Written:
    """hls4ml's sources in ``fresh``/firmware."""
    written = fresh.with_name("hls4ml")
    hls_model = hls4ml_model(spec, model, graph, contract, target, space, written)
    shutil.copytree(written / "firmware", fresh / "firmware")
    inputs, outputs = hls_model.get_input_variables(), hls_model.get_output_variables()
    return inputs[0].type.name, outputs[0].type.name, tuple(_layers(hls_model))


def _write_trees(
    spec: ModelSpec,
    model: TreeEnsemble,
    graph: Graph,
    contract: Contract,
    target: Target,
    space: str,
    fresh: Path,
) -> _Written:
    """conifer's sources in ``fresh``/firmware; its sum of the trees is held in the score's type."""
    if spec.hls.strategy != "latency" or spec.hls.reuse_factor != 1:
        raise UnsupportedError(
            f"model {spec.name}: trees are fully unrolled: leave strategy and reuse_factor out of [hls]"
        )
    write_trees(model, contract.network_type, spec.name, space, fresh)
    kind = graph.output_type
    total = HlsLayer("sum", "BDT", kind, kind, None, len(model.root), 1)
    return "input_t", "result_t", (total,)


def hls4ml_model(
    spec: ModelSpec,
    model: keras.Model,
    graph: Graph,
    contract: Contract,
    target: Target,
    space: str,
    out: Path,
) -> Any:
    """hls4ml's own model of a quantised network in C++ namespace ``space``, written to the folder ``out``.

    ``graph``, the model's fixed-point graph, gives the input types of tables.
    """
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        from hls4ml.converters import create_config
        from hls4ml.converters.keras_v3_to_hls import parse_keras_v3_model
        from hls4ml.model import ModelGraph

        from zerobias.hls.functions import separate
        from zerobias.hls.handlers import complete, quantiser_node

        config = create_config(
            output_dir=str(out),
            project_name=spec.name,
            backend="Vitis",
            part=target.part,
            clock_period=round(1e3 / target.clock_mhz, 4),
            io_type=spec.hls.io_type,
            namespace=space,
            write_weights_txt=False,
            write_emulation_constants=True,
        )
        strategy = spec.hls.strategy
        if strategy == _ADDER_GRAPHS and find_spec("da4ml") is None:
            raise ToolError(f"strategy {strategy} needs the package da4ml: run `pip install da4ml==0.6.0`")
        try:
            layers, sources, results, _ = parse_keras_v3_model(
                model, allow_da_fallback=False, allow_v2_fallback=False
            )
        except ValueError as error:
            raise UnsupportedError(f"hls4ml cannot convert the model: {error}") from error
        complete(layers, graph)
        layers = separate(layers, graph)
        config["HLSConfig"] = {
            "Model": {
                "Precision": {"default": "fixed<16,6>"},
                "ReuseFactor": spec.hls.reuse_factor,
                "Strategy": "latency" if strategy == _ADDER_GRAPHS else strategy,
                "PipelineStyle": "dataflow" if _dataflow(spec) else "pipeline",
                "BitExact": True,
            },
            # Only these layers have it: hls4ml refuses the strategy for a whole model with others.
            "LayerName": {
                layer["name"]: {"Strategy": strategy} for layer in layers if layer["class_name"] in _PRODUCTS
            },
        }
        plain = FixedType(
            contract.network_type.width, contract.network_type.integer, contract.network_type.signed
        )
        layers = _type_the_input(layers, sources[0], quantiser_node("input_type", "", "", plain))
        hls_model = ModelGraph.from_layer_list(config, layers, sources, results)
        hls_model.write()
    if strategy == _ADDER_GRAPHS:
        # hls4ml writes da4ml's functions into our namespace, where they do not find what they call.
        generated = out / "firmware" / "nnet_utils" / "nnet_code_gen.h"
        opening = f"namespace {space} {{\n"
        text = generated.read_text()
        generated.write_text(text.replace(opening, f"{opening}\nusing nnet::bit_shift;\n"))
    return hls_model


def _dataflow(spec: ModelSpec) -> bool:
    """Whether layers run side by side, each at its own pace: shared multipliers do not fit one pipeline."""
    return spec.hls.strategy == "resource"


def _type_the_input(layers: list[Any], source: str, node: dict[str, Any]) -> list[Any]:
    """Insert ``node`` (a cast to the contract's network type) between the input and its users.

    The values are of that type already, so the cast changes nothing; hls4ml reads the type from it.
    """
    position = next(i for i, layer in enumerate(layers) if layer["name"] == source)
    tensor = layers[position]["output_keras_tensor_names"][0]
    for layer in layers[position + 1 :]:
        layer["inputs"] = [node["name"] if name == source else name for name in layer["inputs"]]
        names = layer["input_keras_tensor_names"]
        layer["input_keras_tensor_names"] = [f"{tensor}_typed" if n == tensor else n for n in names]
    node |= {
        "inputs": [source],
        "input_keras_tensor_names": [tensor],
        "output_keras_tensor_names": [f"{tensor}_typed"],
    }
    return [*layers[: position + 1], node, *layers[position + 1 :]]


def _score_port(shape: tuple[int, ...]) -> dict[str, str]:
    """C++ of the score, one value or an array: the top function's last parameter and what is done with it."""
    write = ["const int64_t bits = integer({});", "fwrite(&bits, sizeof(bits), 1, output);"]
    if not shape:
        return {
            "N_OUTPUTS": "1",
            "TIMES": "",
            "SCORE_PORT": "&score",
            "SCORE": "score",
            "STORE": "score = result[0];",
            "WRITE": "\n        ".join(write).format("score"),
        }
    size = shape[0]
    store = [
        "#pragma HLS ARRAY_PARTITION variable=score complete dim=0",
        "for (int i = 0; i < {}; i++) {{",
        "    #pragma HLS UNROLL",
        "    score[i] = result[i];",
        "}}",
    ]
    each = ["for (const auto &value : score) {{", *(f"    {line}" for line in write), "}}"]
    return {
        "N_OUTPUTS": str(size),
        "TIMES": f" x {size}",
        "SCORE_PORT": f"score[{size}]",
        "SCORE": f"score[{size}]",
        "STORE": "\n    ".join(store).format(size),
        "WRITE": "\n        ".join(each).format("value"),
    }


def _render(folder: Path, values: Mapping[str, str]) -> None:
    name = values["NAME"]
    for template, target in (
        ("top.h.in", f"firmware/{name}_top.h"),
        ("top.cpp.in", f"firmware/{name}_top.cpp"),
        ("csim.cpp.in", "csim.cpp"),
        ("project.tcl.in", "project.tcl"),
        ("build_hls.tcl.in", "build_hls.tcl"),
    ):
        (folder / target).write_text(fill_template(template, values))


def _layers(hls_model: Any) -> list[HlsLayer]:
    return [
        HlsLayer(
            name=layer.name,
            class_name=layer.class_name,
            result_type=_type(layer.get_output_variable().type.precision),
            accumulator_type=_attribute(layer, "accum_t"),
            weight_type=_attribute(layer, "weight_t"),
            n_in=int(layer.get_attr("n_in") or 0),
            n_out=int(layer.get_attr("n_out") or 0),
            strategy=layer.get_attr("strategy"),
            reuse_factor=int(layer.get_attr("reuse_factor") or 1),
            passes=int(layer.get_attr("n_partitions") or 1),
            adder_luts=layer.get_attr("da_kernel_cost"),
        )
        for layer in hls_model.get_layers()
    ]


def _attribute(layer: Any, key: str) -> FixedType | None:
    value = layer.get_attr(key)
    return None if value is None else _type(value.precision)


def _type(precision: Any) -> FixedType:
    return FixedType(
        int(precision.width),
        int(getattr(precision, "integer", precision.width)),
        bool(precision.signed),
        getattr(getattr(precision, "rounding_mode", None), "name", "TRN"),
        getattr(getattr(precision, "saturation_mode", None), "name", "WRAP"),
    )

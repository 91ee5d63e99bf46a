"""Conversion: quantised Keras model -> hls4ml, or trees -> conifer: Vitis project and its C simulation."""

from zerobias.hls.csim import compile_csim, compiler_version, run_csim, trace_csim
from zerobias.hls.estimate import Estimate, estimate
from zerobias.hls.figures import BANDS, EstimatedFigure, estimated_figures
from zerobias.hls.inspect import suspect
from zerobias.hls.project import HlsLayer, HlsProject, hls4ml_model, hls_tool, namespace, write_project
from zerobias.hls.templates import fill_template, vivado_files

__all__ = [
    "BANDS",
    "Estimate",
    "EstimatedFigure",
    "HlsLayer",
    "HlsProject",
    "compile_csim",
    "compiler_version",
    "estimate",
    "estimated_figures",
    "fill_template",
    "hls4ml_model",
    "hls_tool",
    "namespace",
    "run_csim",
    "suspect",
    "trace_csim",
    "vivado_files",
    "write_project",
]

"""The vendor's tools: Vitis HLS on the hls4ml project, Vivado on either design; none is needed for a build.

A run reads the project of a build folder and leaves its results in ``<build>/vendor/<design>/<tool>``, with a
record of the project they are of. Results of another project are never used.
"""

from zerobias.rtl.vendor.figures import VendorFigure, vendor_rows
from zerobias.rtl.vendor.reports import (
    Csynth,
    Timing,
    Utilization,
    read_csynth,
    read_timing,
    read_utilization,
)
from zerobias.rtl.vendor.run import TOOLS, run_vendor

__all__ = [
    "TOOLS",
    "Csynth",
    "Timing",
    "Utilization",
    "VendorFigure",
    "read_csynth",
    "read_timing",
    "read_utilization",
    "run_vendor",
    "vendor_rows",
]

"""Test vectors: events and scores in the formats of simulators and boards, and captures held against them."""

from zerobias.emulator.vectors.capture import Capture, compare_capture
from zerobias.emulator.vectors.formats import FORMATS, Stream, read_stream
from zerobias.emulator.vectors.layout import Layout, bus_layout, link_layout
from zerobias.emulator.vectors.sides import Field, Side, input_side, output_side
from zerobias.emulator.vectors.write import write_vectors

__all__ = [
    "FORMATS",
    "Capture",
    "Field",
    "Layout",
    "Side",
    "Stream",
    "bus_layout",
    "compare_capture",
    "input_side",
    "link_layout",
    "output_side",
    "read_stream",
    "write_vectors",
]

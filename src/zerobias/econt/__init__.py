"""The HGCAL concentrator ECON-T: its codes and words, its algorithms without a network, and what a
compression does to a wafer."""

from zerobias.econt.classical import (
    BEST_CHOICE_CELLS,
    Decoded,
    best_choice,
    frame_bits,
    super_trigger_cells,
    threshold_sum,
    transverse_threshold,
)
from zerobias.econt.code import MODULE_SUM, SUPER_TRIGGER_CELL, TRIGGER_CELL, FloatCode
from zerobias.econt.words import pack_words, unpack_words

__all__ = [
    "BEST_CHOICE_CELLS",
    "MODULE_SUM",
    "SUPER_TRIGGER_CELL",
    "TRIGGER_CELL",
    "Decoded",
    "FloatCode",
    "best_choice",
    "frame_bits",
    "pack_words",
    "super_trigger_cells",
    "threshold_sum",
    "transverse_threshold",
    "unpack_words",
]

"""The Earth Mover's Distance of wafer images: exact, entropic, and as training targets of a surrogate."""

from zerobias.emd.calibration import Calibration, CalibrationRow, calibrate
from zerobias.emd.chunks import emd_in_chunks
from zerobias.emd.decodings import plausible_decodings
from zerobias.emd.exact import emd, unit_images
from zerobias.emd.pairs import Pairs, make_pairs
from zerobias.emd.sinkhorn import sinkhorn

__all__ = [
    "Calibration",
    "CalibrationRow",
    "Pairs",
    "calibrate",
    "emd",
    "emd_in_chunks",
    "make_pairs",
    "plausible_decodings",
    "sinkhorn",
    "unit_images",
]

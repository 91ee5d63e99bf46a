"""Building blocks of trigger networks: quantisers, score heads, losses, autoencoders, constraints."""

from zerobias.nn.arrange import Gather, SumShift
from zerobias.nn.ebops import effective_bits
from zerobias.nn.heads import SumOfSquares
from zerobias.nn.losses import squared_error, telescope, trigger_cells, weighted_squared_error
from zerobias.nn.mdmm import Bounds, Constraint, Equality, Maximum, Minimum
from zerobias.nn.quantised import bits, largest, relu
from zerobias.nn.surrogate import EmdSurrogate, emd_loss
from zerobias.nn.terms import LimitedTerms
from zerobias.nn.vae import VariationalAutoencoder
from zerobias.nn.vicreg import SelfSupervised, active_dimensions, covariance, vicreg

__all__ = [
    "Bounds",
    "Constraint",
    "EmdSurrogate",
    "Equality",
    "Gather",
    "LimitedTerms",
    "Maximum",
    "Minimum",
    "SelfSupervised",
    "SumOfSquares",
    "SumShift",
    "VariationalAutoencoder",
    "active_dimensions",
    "bits",
    "covariance",
    "effective_bits",
    "emd_loss",
    "largest",
    "relu",
    "squared_error",
    "telescope",
    "trigger_cells",
    "vicreg",
    "weighted_squared_error",
]

"""Building blocks of trigger networks: quantisers, score heads, losses, autoencoders, constraints."""

from zerobias.nn.ebops import effective_bits
from zerobias.nn.heads import SumOfSquares
from zerobias.nn.losses import squared_error, telescope, trigger_cells, weighted_squared_error
from zerobias.nn.mdmm import Bounds, Constraint, Equality, Maximum, Minimum
from zerobias.nn.quantised import bits, relu
from zerobias.nn.surrogate import EmdSurrogate, emd_loss
from zerobias.nn.vae import VariationalAutoencoder

__all__ = [
    "Bounds",
    "Constraint",
    "EmdSurrogate",
    "Equality",
    "Maximum",
    "Minimum",
    "SumOfSquares",
    "VariationalAutoencoder",
    "bits",
    "effective_bits",
    "emd_loss",
    "relu",
    "squared_error",
    "telescope",
    "trigger_cells",
    "weighted_squared_error",
]

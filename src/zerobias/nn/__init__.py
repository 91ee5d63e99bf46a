"""Building blocks of trigger networks: quantisers, score heads, autoencoders, constraints in training."""

from zerobias.nn.arrange import Gather, SumShift
from zerobias.nn.ebops import effective_bits
from zerobias.nn.heads import SumOfSquares
from zerobias.nn.mdmm import Bounds, Constraint, Equality, Maximum, Minimum
from zerobias.nn.quantised import bits, relu
from zerobias.nn.vae import VariationalAutoencoder

__all__ = [
    "Bounds",
    "Constraint",
    "Equality",
    "Gather",
    "Maximum",
    "Minimum",
    "SumOfSquares",
    "SumShift",
    "VariationalAutoencoder",
    "bits",
    "effective_bits",
    "relu",
]

"""Building blocks of trigger networks: quantisers as firmware types, score heads, autoencoders."""

from zerobias.nn.heads import SumOfSquares
from zerobias.nn.quantised import bits, relu
from zerobias.nn.vae import VariationalAutoencoder

__all__ = ["SumOfSquares", "VariationalAutoencoder", "bits", "relu"]

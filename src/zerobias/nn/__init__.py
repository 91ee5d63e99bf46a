"""Building blocks of trigger networks: quantisers as firmware types, score heads, losses."""

from zerobias.nn.heads import SumOfSquares
from zerobias.nn.quantised import bits, relu

__all__ = ["SumOfSquares", "bits", "relu"]

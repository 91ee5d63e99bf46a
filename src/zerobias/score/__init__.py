"""Scoring: fixed-point graph + event files -> exact integer scores, in chunks."""

from zerobias.score.chunks import model_key, score_chunk
from zerobias.score.compiled import CompiledGraph
from zerobias.score.score import FORMAT, Scored, ScoredFile, score_files
from zerobias.score.scorer import Device, Scorer

__all__ = [
    "FORMAT",
    "CompiledGraph",
    "Device",
    "Scored",
    "ScoredFile",
    "Scorer",
    "model_key",
    "score_chunk",
    "score_files",
]

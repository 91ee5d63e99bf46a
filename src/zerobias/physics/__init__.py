"""Physics: scores and weights -> AUC, efficiency at a false-positive rate, tables with errors."""

from zerobias.physics.baselines import baseline_scores
from zerobias.physics.metrics import Figures, Sample, auc, efficiency, figures, replicate
from zerobias.physics.table import PhysicsTable, PileupRow, Quantisation, ScoreRow, physics_table

__all__ = [
    "Figures",
    "PhysicsTable",
    "PileupRow",
    "Quantisation",
    "Sample",
    "ScoreRow",
    "auc",
    "baseline_scores",
    "efficiency",
    "figures",
    "physics_table",
    "replicate",
]

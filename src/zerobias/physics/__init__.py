"""Physics: scores and weights -> AUC, efficiency at a false-positive rate, with pile-up and errors."""

from zerobias.physics.baselines import baseline_scores
from zerobias.physics.loss import AucLoss, LossRow, auc_loss
from zerobias.physics.metrics import Figures, Sample, auc, efficiency, figures, replicate
from zerobias.physics.pileup import PileupWeights, pileup_bins, pileup_weights
from zerobias.physics.table import (
    MeanRow,
    PhysicsTable,
    PileupRow,
    Quantisation,
    ReweightRow,
    ScoreRow,
    physics_table,
)

__all__ = [
    "AucLoss",
    "Figures",
    "LossRow",
    "MeanRow",
    "PhysicsTable",
    "PileupRow",
    "PileupWeights",
    "Quantisation",
    "ReweightRow",
    "Sample",
    "ScoreRow",
    "auc",
    "auc_loss",
    "baseline_scores",
    "efficiency",
    "figures",
    "physics_table",
    "pileup_bins",
    "pileup_weights",
    "replicate",
]

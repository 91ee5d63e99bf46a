"""Physics: scores and weights -> AUC, efficiency at a false-positive rate, with pile-up and errors."""

from zerobias.physics.baselines import baseline_scores
from zerobias.physics.curves import Histogram, RocCurve, ScoreCurves, score_curves
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
    Value,
    physics_table,
)

__all__ = [
    "AucLoss",
    "Figures",
    "Histogram",
    "LossRow",
    "MeanRow",
    "PhysicsTable",
    "PileupRow",
    "PileupWeights",
    "Quantisation",
    "ReweightRow",
    "RocCurve",
    "Sample",
    "ScoreCurves",
    "ScoreRow",
    "Value",
    "auc",
    "auc_loss",
    "baseline_scores",
    "efficiency",
    "figures",
    "physics_table",
    "pileup_bins",
    "pileup_weights",
    "replicate",
    "score_curves",
]

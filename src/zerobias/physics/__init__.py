"""Physics: scores and weights -> AUC, efficiencies, rates and thresholds, menus, with pile-up and errors."""

from zerobias.physics.baselines import baseline_scores
from zerobias.physics.loss import AucLoss, LossRow, auc_loss
from zerobias.physics.metrics import Figures, Sample, auc, efficiency, figures, replicate
from zerobias.physics.pileup import PileupWeights, pileup_bins, pileup_weights
from zerobias.physics.rates import MenuUnit, Point, Rate, Reach, ZeroBias, clopper_pearson, reach
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
    "MenuUnit",
    "PhysicsTable",
    "PileupRow",
    "PileupWeights",
    "Point",
    "Quantisation",
    "Rate",
    "Reach",
    "ReweightRow",
    "Sample",
    "ScoreRow",
    "ZeroBias",
    "auc",
    "auc_loss",
    "baseline_scores",
    "clopper_pearson",
    "efficiency",
    "figures",
    "physics_table",
    "pileup_bins",
    "pileup_weights",
    "reach",
    "replicate",
]

"""Physics: scores and weights -> AUC, efficiencies, rates and thresholds, menus, with pile-up and errors."""

from zerobias.physics.baselines import baseline_scores
from zerobias.physics.bootstrap import Value
from zerobias.physics.curves import Histogram, RocCurve, ScoreCurves, score_curves
from zerobias.physics.loss import AucLoss, LossRow, auc_loss
from zerobias.physics.menu import (
    KINDS,
    Menu,
    ModelSeed,
    ObjectSeed,
    check_pins,
    check_sample,
    check_thresholds,
    load_menu,
    menu_names,
    menu_path,
    object_score,
    rewrite,
)
from zerobias.physics.menu_plots import draw_menu
from zerobias.physics.menu_table import MenuTable, SeedScores, menu_table
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
    "KINDS",
    "AucLoss",
    "Figures",
    "Histogram",
    "LossRow",
    "MeanRow",
    "Menu",
    "MenuTable",
    "MenuUnit",
    "ModelSeed",
    "ObjectSeed",
    "PhysicsTable",
    "PileupRow",
    "PileupWeights",
    "Point",
    "Quantisation",
    "Rate",
    "Reach",
    "ReweightRow",
    "RocCurve",
    "Sample",
    "ScoreCurves",
    "ScoreRow",
    "SeedScores",
    "Value",
    "ZeroBias",
    "auc",
    "auc_loss",
    "baseline_scores",
    "check_pins",
    "check_sample",
    "check_thresholds",
    "clopper_pearson",
    "draw_menu",
    "efficiency",
    "figures",
    "load_menu",
    "menu_names",
    "menu_path",
    "menu_table",
    "object_score",
    "physics_table",
    "pileup_bins",
    "pileup_weights",
    "reach",
    "replicate",
    "rewrite",
    "score_curves",
]

"""Training: model folder + events -> trained weights, reproducible from the seed."""

from zerobias.train.checkpoint import read_checkpoint, write_checkpoint
from zerobias.train.resumable import fit_resumable
from zerobias.train.surrogate import SurrogateRecipe, TrainedSurrogate, train_surrogate
from zerobias.train.train import Trained, TrainingData, reproducible, train, training_data
from zerobias.train.views import ObjectViews

__all__ = [
    "ObjectViews",
    "SurrogateRecipe",
    "Trained",
    "TrainedSurrogate",
    "TrainingData",
    "fit_resumable",
    "read_checkpoint",
    "reproducible",
    "train",
    "train_surrogate",
    "training_data",
    "write_checkpoint",
]

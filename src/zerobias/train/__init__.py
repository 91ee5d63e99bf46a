"""Training: model folder + events -> trained weights, reproducible from the seed."""

from zerobias.train.checkpoint import read_checkpoint, write_checkpoint
from zerobias.train.surrogate import SurrogateRecipe, TrainedSurrogate, train_surrogate
from zerobias.train.train import Trained, TrainingData, train, training_data

__all__ = [
    "SurrogateRecipe",
    "Trained",
    "TrainedSurrogate",
    "TrainingData",
    "read_checkpoint",
    "train",
    "train_surrogate",
    "training_data",
    "write_checkpoint",
]

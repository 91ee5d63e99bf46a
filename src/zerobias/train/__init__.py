"""Training: model folder + events -> trained weights, reproducible from the seed."""

from zerobias.train.checkpoint import read_checkpoint, write_checkpoint
from zerobias.train.train import Trained, TrainingData, train, training_data

__all__ = ["Trained", "TrainingData", "read_checkpoint", "train", "training_data", "write_checkpoint"]

"""Training: model folder + events -> trained weights, reproducible from the seed."""

from zerobias.train.train import Trained, TrainingData, train, training_data

__all__ = ["Trained", "TrainingData", "train", "training_data"]

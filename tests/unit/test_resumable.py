"""What makes a stopped fit go on, and what makes it start anew."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np

from zerobias.train import fit_resumable


def model(activation: str, units: int = 2) -> keras.Model:
    keras.utils.set_random_seed(1)
    inputs = keras.Input((3,))
    made = keras.Model(inputs, keras.layers.Dense(units, activation=activation)(inputs))
    made.compile("sgd", "mse")
    return made


def first_report(folder: Path, network: keras.Model, plan: str = "mse") -> int:
    """Epochs found done."""
    seen: list[int] = []
    x = np.linspace(-1, 1, 48, dtype=np.float32).reshape(16, 3)
    fit_resumable(
        network,
        [x],
        x[:, :2],
        folder,
        epochs=2,
        batch=8,
        seed=1,
        plan=plan,
        progress=lambda d, _: seen.append(d),
    )
    return seen[0]


def test_another_architecture_with_the_same_weights_starts_anew(tmp_path: Path) -> None:
    assert first_report(tmp_path, model("linear")) == 0
    assert first_report(tmp_path, model("linear")) == 2
    assert first_report(tmp_path, model("relu")) == 0
    assert first_report(tmp_path, model("relu"), plan="another loss") == 0

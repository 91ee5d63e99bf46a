"""Settings of every test: quiet TensorFlow, and property tests that draw the same examples each time."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from zerobias.executor import Run
    from zerobias.zoo import Model

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

settings.register_profile("zerobias", deadline=None, derandomize=True, database=None)
settings.load_profile("zerobias")


def _shelf_with(name: str, root: Path) -> Path:
    """The folder ``root`` as a user's models folder that holds a test model with weights."""
    from zerobias.zoo import collect_weights, find_model, write_weights

    shutil.copytree(Path(__file__).parent / "data" / "models" / name, root / name)
    model = find_model(name, root)
    write_weights(
        model.weights_path("quantised"), collect_weights(model.module.train(model.spec, None).quantised)
    )
    return root


@pytest.fixture(scope="session")
def shelf_with_tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's models folder that holds the tiny model with weights."""
    return _shelf_with("tiny", tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="session")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """The tiny encoder of a wafer, with weights: four outputs."""
    from zerobias.zoo import find_model

    return find_model("encoder", _shelf_with("encoder", tmp_path_factory.mktemp("encoders")))


@pytest.fixture(scope="session")
def grove(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """The test trees, with weights."""
    from zerobias.zoo import find_model

    return find_model("grove", _shelf_with("grove", tmp_path_factory.mktemp("groves")))


@pytest.fixture
def tiny(shelf_with_tiny: Path) -> Model:
    """The tiny model, with weights."""
    from zerobias.zoo import find_model

    return find_model("tiny", shelf_with_tiny)


@pytest.fixture(scope="session")
def small_sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tenth of the shipped sample."""
    import numpy as np

    from zerobias.events import default_sample, read, write

    events = read(default_sample())
    path = tmp_path_factory.mktemp("sample") / "small.h5"
    write(path, events.select(np.arange(0, len(events), 10)))
    return path


@pytest.fixture(scope="session")
def here() -> Run:
    """Stands for ``run_chunks``: makes the chunks one after the other, in this process."""
    from zerobias.executor.chunks import make, plan

    def run(
        function: Any,
        specs: Sequence[Any],
        folder: Path,
        *,
        names: Sequence[str] | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> tuple[Path, ...]:
        folder.mkdir(parents=True, exist_ok=True)
        chunks = plan(function, list(specs), folder.absolute(), names)
        for done, chunk in enumerate(chunks, 1):
            make(chunk)
            if progress is not None:
                progress(done, len(chunks))
        return tuple(chunk.path for chunk in chunks)

    return run

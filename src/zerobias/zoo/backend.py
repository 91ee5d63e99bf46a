"""Keras' back end, imported without its noise."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

__all__ = ["load_keras"]


def load_keras(threads: int | None = None) -> None:
    """Import TensorFlow without its start-up messages, which come from C++ and obey no log level.

    ``threads``: a fixed number, so that sums are split alike on every machine.
    """
    if threads is not None:
        os.environ["TF_NUM_INTRAOP_THREADS"] = os.environ["TF_NUM_INTEROP_THREADS"] = str(threads)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
    os.environ["KERAS_BACKEND"] = "tensorflow"
    with _silent_stderr():
        import tensorflow as tf

        if "CUDA_VISIBLE_DEVICES" not in os.environ:  # Keras leaves GPUs alone; JAX may still use them
            with suppress(RuntimeError):  # TensorFlow is in use already
                tf.config.set_visible_devices([], "GPU")
        tf.constant(0)


@contextmanager
def _silent_stderr() -> Iterator[None]:
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with Path(os.devnull).open("w") as null:
            os.dup2(null.fileno(), 2)
            yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)

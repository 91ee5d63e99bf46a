"""The exact EMD of many pairs, in chunks on many processes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zerobias.emd.exact import emd, unit_pairs
from zerobias.executor import Run, run_chunks
from zerobias.files import replacing

__all__ = ["emd_chunk", "emd_in_chunks"]

_PAIRS_PER_CHUNK = 4000


def emd_in_chunks(
    first: NDArray[Any],
    second: NDArray[Any],
    folder: Path,
    *,
    run: Run = run_chunks,
    progress: Callable[[int, int], None] | None = None,
) -> NDArray[np.float64]:
    """:func:`zerobias.emd.emd` by ``run``, the same numbers whatever the workers.

    ``folder`` keeps images and results: a stopped run goes on where it was, and the same images are not
    computed twice. ``progress`` is called with (done, total) chunks.

    Raises ``DataError`` as ``emd`` does, at once, and what ``run`` raises.
    """
    unit_pairs(first, second)
    images = np.stack([first, second]).astype(np.float64)
    if not images.size:
        return np.empty(0)
    digest = hashlib.sha256(images.tobytes()).hexdigest()[:16]
    file = f"images-{digest}.npy"
    with replacing(folder / file) as temporary, temporary.open("wb") as stream:
        np.save(stream, images, allow_pickle=False)
    starts = range(0, images.shape[1], _PAIRS_PER_CHUNK)
    specs = [{"images": file, "start": start, "stop": start + _PAIRS_PER_CHUNK} for start in starts]
    names = [f"emd-{digest}-{number:05d}.npy" for number in range(len(specs))]
    made = run(emd_chunk, specs, folder, names=names, progress=progress)
    return np.concatenate([np.load(path, allow_pickle=False) for path in made])


def emd_chunk(spec: dict[str, Any], path: Path) -> None:
    """Chunk function: EMD of the pairs ``start`` to ``stop`` - 1 of the file ``images``."""
    images = np.load(path.parents[1] / spec["images"], mmap_mode="r", allow_pickle=False)
    first, second = images[:, spec["start"] : spec["stop"]]
    with path.open("wb") as stream:
        np.save(stream, emd(first, second), allow_pickle=False)

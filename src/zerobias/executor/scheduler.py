"""What a user says about where chunks run, as a :data:`Run`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Literal

from zerobias.errors import SpecError
from zerobias.executor.cluster import BatchJob, dask_cluster
from zerobias.executor.run import Run, run_chunks
from zerobias.specs import load_toml

__all__ = ["BatchFile", "runner"]


class BatchFile(BatchJob):
    """A :class:`BatchJob` as a TOML file says it, with the batch ``system`` it is for."""

    system: Literal["slurm", "htcondor"]
    """The batch system."""


@contextmanager
def runner(executor: Literal["local", "dask"], workers: int, scheduler: str | None = None) -> Iterator[Run]:
    """``run_chunks`` on ``workers`` processes of this machine, or by ``dask`` on a ``scheduler``.

    ``scheduler`` is the address of a running Dask scheduler, whose workers are used, or a TOML file
    (``*.toml``) that describes a :class:`BatchFile`, of which ``workers`` jobs are submitted. A cluster that
    is started here serves all runs of the block and is closed at its end.

    Raises ``SpecError`` for a scheduler without ``dask`` or a faulty file, ``ToolError`` without the extra
    ``dask``.
    """
    if scheduler is not None and executor != "dask":
        raise SpecError(f"scheduler {scheduler} needs executor 'dask', not {executor!r}: say both")
    run = partial(run_chunks, executor=executor, workers=workers)
    if executor != "dask":
        yield run
    elif scheduler is None:
        with dask_cluster("local", workers=workers) as cluster:
            yield partial(run, cluster=cluster)
    elif scheduler.endswith(".toml"):
        file = load_toml(Path(scheduler), BatchFile)
        job = BatchJob(**file.model_dump(exclude={"system"}))
        with dask_cluster(file.system, job, workers=workers) as cluster:
            yield partial(run, cluster=cluster)
    else:
        yield partial(run, cluster=scheduler)

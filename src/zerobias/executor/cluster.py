"""Dask clusters: on this machine, or batch jobs of Slurm and HTCondor."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from importlib import import_module
from tempfile import TemporaryDirectory
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from zerobias.errors import SpecError, ToolError
from zerobias.executor.chunks import ATTEMPTS, Chunk, leftovers, lost, make

__all__ = ["BatchJob", "dask_cluster", "run_dask"]

LOOPBACK = "127.0.0.1"
_Size = Annotated[str, Field(pattern=r"^[1-9]\d* ?[KMGT]i?B$")]


class BatchJob(BaseModel):
    """What one batch job asks for."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cores: Annotated[int, Field(ge=1)]
    """Single-threaded workers of a job."""
    memory: _Size
    """Memory of a job, e.g. ``4 GB``."""
    walltime: Annotated[str, Field(pattern=r"^\d{1,3}:[0-5]\d:[0-5]\d$")]
    """``HH:MM:SS``; HTCondor gets it as ``+MaxRuntime``, which CERN's knows."""
    queue: str | None = None
    """Slurm's partition; HTCondor gets it as ``+JobFlavour``, which CERN's knows."""
    disk: _Size = "1 GB"
    """Disk of a job, HTCondor only."""
    job_extra: tuple[str, ...] = ()
    """More lines of the script: options of ``#SBATCH``, or ``name = value``."""
    host: str = LOOPBACK
    """Address of this machine that the batch nodes reach."""


@contextmanager
def dask_cluster(
    kind: Literal["local", "slurm", "htcondor"], job: BatchJob | None = None, *, workers: int = 2
) -> Iterator[Any]:
    """A Dask cluster of ``workers`` processes (local) or batch jobs, closed at the end of the block.

    ``cluster.job_script()`` is the script a batch job is submitted with. The scheduler listens on
    ``job.host`` alone, a local one on 127.0.0.1, without a dashboard.

    Raises ``SpecError`` for another kind or one that does not fit ``job``, ``ToolError`` without the extra
    ``dask``.
    """
    if kind not in ("local", "slurm", "htcondor"):
        raise SpecError(f"cluster kind {kind!r} is unknown: use local, slurm or htcondor")
    if kind != "local" and job is None:
        raise SpecError(f"a {kind} cluster needs a BatchJob: say cores, memory and walltime")
    if kind == "local" and job is not None:
        raise SpecError("a local cluster takes no BatchJob: leave it out, or use slurm or htcondor")
    _require("distributed")  # before the setting: undoing one that precedes the import drops all defaults
    config = _require("dask").config
    # One chunk a thread at a time: a lost worker takes no waiting chunks with it.
    with ExitStack() as stack:
        with config.set({"distributed.scheduler.worker-saturation": 1.0}):
            if job is None:
                scratch = stack.enter_context(TemporaryDirectory(prefix="zerobias-dask-"))
                cluster = _local(workers, scratch)
            else:
                cluster = _batch(kind, job)
        stack.enter_context(cluster)
        if job is not None:
            cluster.scale(jobs=workers)
        yield cluster


def run_dask(chunks: Sequence[Chunk], workers: int, cluster: Any = None) -> Generator[None, None, None]:
    """Make the chunks on ``cluster`` (Dask cluster or address; default: local), yielding after each.

    Raises what a chunk's function raises, and ``ToolError`` for a chunk that lost its worker too often, a
    scheduler that does not answer or goes away, or a missing extra ``dask``.
    """
    distributed = _require("distributed")
    with ExitStack() as stack:
        if cluster is None:
            cluster = stack.enter_context(dask_cluster("local", workers=workers))
        try:
            if isinstance(cluster, str):  # a client of what is no address never ends, nor does the process
                distributed.comm.get_address_host_port(cluster)
            client = stack.enter_context(distributed.Client(cluster, set_as_default=False))
        except (OSError, ValueError) as error:
            raise ToolError(
                f"no Dask scheduler answers at {cluster} ({error}): start it or mend the address"
            ) from error
        futures = client.map(make, chunks, pure=False)
        chunk_of = {future.key: chunk for future, chunk in zip(futures, chunks, strict=True)}
        completed = distributed.as_completed(futures, loop=client.loop)
        del futures  # nothing is worth keeping: the results are files
        for future in completed:
            chunk = chunk_of[future.key]
            if future.status == "error":
                fault = future.exception()
                if isinstance(fault, distributed.KilledWorker):
                    # Dask blames all chunks that were waiting on that worker too: find the one that died.
                    attempts = Counter(name for _, name in leftovers(chunks))
                    raise lost(max(chunks, key=lambda one: attempts[one.path.name]))
                raise fault
            if future.status == "cancelled":
                raise ToolError(f"the Dask scheduler went away before {chunk.path.name} was made: run again")
            yield


def _local(workers: int, scratch: str) -> Any:
    return _require("distributed").LocalCluster(
        n_workers=workers,
        threads_per_worker=1,
        host=LOOPBACK,
        memory_limit=None,
        local_directory=scratch,
        scheduler_kwargs=_scheduler(LOOPBACK),
        silence_logs=logging.CRITICAL,  # a fault of a chunk is raised, not logged
    )


def _batch(kind: str, job: BatchJob) -> Any:
    jobqueue = _require("dask_jobqueue")
    common = {
        "cores": job.cores,
        "processes": job.cores,
        "memory": job.memory,
        "scheduler_options": _scheduler(job.host),
    }
    if kind == "slurm":
        return jobqueue.SLURMCluster(
            queue=job.queue, walltime=job.walltime, job_extra_directives=list(job.job_extra), **common
        )
    hours, minutes, seconds = (int(part) for part in job.walltime.split(":"))
    lines = {"+MaxRuntime": str(3600 * hours + 60 * minutes + seconds)}
    if job.queue is not None:
        lines["+JobFlavour"] = f'"{job.queue}"'
    for line in job.job_extra:
        name, _, value = line.partition("=")
        lines[name.strip()] = value.strip()
    return jobqueue.HTCondorCluster(disk=job.disk, job_extra_directives=lines, **common)


def _scheduler(host: str) -> dict[str, Any]:
    """No dashboard; the port 0 keeps the scheduler's health page off the well-known port of another one."""
    return {
        "host": host,
        "dashboard": False,
        "dashboard_address": f"{host}:0",
        "allowed_failures": ATTEMPTS - 1,
    }


def _require(module: str) -> Any:
    try:
        return import_module(module)
    except ImportError as error:
        raise ToolError(f"the package {module} is not installed: pip install 'zerobias[dask]'") from error

"""Scale-out: a function over chunk specs, one file a chunk, on this machine or a batch system."""

from zerobias.executor.cluster import BatchJob, dask_cluster
from zerobias.executor.run import EXECUTORS, Run, run_chunks
from zerobias.executor.scheduler import BatchFile, runner

__all__ = ["EXECUTORS", "BatchFile", "BatchJob", "Run", "dask_cluster", "run_chunks", "runner"]

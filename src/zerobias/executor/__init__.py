"""Scale-out: a function over chunk specs, one file a chunk, on this machine or a batch system."""

from zerobias.executor.cluster import BatchJob, dask_cluster
from zerobias.executor.run import EXECUTORS, Run, run_chunks

__all__ = ["EXECUTORS", "BatchJob", "Run", "dask_cluster", "run_chunks"]

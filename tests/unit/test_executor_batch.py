"""Job scripts of Slurm and HTCondor, and what a batch job may ask for."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from zerobias.errors import SpecError
from zerobias.executor import BatchJob, dask_cluster


def script(kind: Any, **more: Any) -> list[str]:
    """Lines of the job script of a cluster without jobs."""
    job = BatchJob(cores=4, memory="8 GB", walltime="01:30:00", **more)
    with dask_cluster(kind, job, workers=0) as cluster:
        assert cluster.scheduler_address.startswith("tcp://127.0.0.1:")
        text: str = cluster.job_script()
        assert f"-m distributed.cli.dask_worker {cluster.scheduler_address} " in text
    return text.splitlines()


def test_slurm_script() -> None:
    lines = script("slurm", queue="short", job_extra=("--constraint=avx2",))
    for line in ("-p short", "--cpus-per-task=4", "--mem=8G", "-t 01:30:00", "--constraint=avx2"):
        assert f"#SBATCH {line}" in lines
    # four workers of one thread each in 8 GB: 2 GB is 1.86 GiB
    assert "--nthreads 1 --memory-limit 1.86GiB --nworkers 4 " in lines[-1]


def test_htcondor_script() -> None:
    lines = script("htcondor", queue="longlunch", disk="3 GB", job_extra=('+AccountingGroup = "cms"',))
    for line in (
        "RequestCpus = MY.DaskWorkerCores",
        "RequestMemory = floor(MY.DaskWorkerMemory / 1048576)",
        "RequestDisk = floor(MY.DaskWorkerDisk / 1024)",
        "MY.DaskWorkerCores = 4",
        "MY.DaskWorkerMemory = 8000000000",
        "MY.DaskWorkerDisk = 3000000000",
        "+MaxRuntime = 5400",
        '+JobFlavour = "longlunch"',
        '+AccountingGroup = "cms"',
        "Queue",
    ):
        assert line in lines
    [arguments] = [line for line in lines if line.startswith("Arguments")]
    assert "--nthreads 1 --memory-limit 1.86GiB --nworkers 4 " in arguments


def test_scripts_without_options() -> None:
    assert not [line for line in script("slurm") if line.startswith("#SBATCH -p")]
    assert not [line for line in script("htcondor") if "JobFlavour" in line]


@pytest.mark.parametrize(
    "wrong", [{"cores": 0}, {"memory": "8"}, {"walltime": "90"}, {"disk": "-1 GB"}, {"partition": "short"}]
)
def test_bad_batch_jobs(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        BatchJob(**({"cores": 1, "memory": "1 GB", "walltime": "01:00:00"} | wrong))


@pytest.mark.parametrize(
    ("kind", "job", "message"),
    [
        ("pbs", None, "cluster kind 'pbs' is unknown: use local, slurm or htcondor"),
        ("slurm", None, "a slurm cluster needs a BatchJob: say cores, memory and walltime"),
        (
            "local",
            BatchJob(cores=1, memory="1 GB", walltime="01:00:00"),
            "a local cluster takes no BatchJob: leave it out, or use slurm or htcondor",
        ),
    ],
)
def test_bad_clusters(kind: Any, job: BatchJob | None, message: str) -> None:
    with pytest.raises(SpecError) as error, dask_cluster(kind, job):
        pass
    assert str(error.value) == message

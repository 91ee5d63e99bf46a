"""Chunks: the same files whatever runs them, whole files only, finished ones kept, lost workers replaced."""

from __future__ import annotations

import hashlib
import json
import logging
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import dask
import distributed
import pytest

import zerobias
from zerobias.errors import DataError, SpecError, ToolError
from zerobias.executor import BatchJob, dask_cluster, run_chunks
from zerobias.executor.chunks import Chunk, make

DATA = Path(__file__).parents[1] / "data"
EXECUTORS = pytest.mark.parametrize("kind", ["local", "dask"])


@pytest.fixture
def functions(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The chunk functions, importable here and in the workers."""
    monkeypatch.syspath_prepend(str(DATA))
    import chunk_functions

    return chunk_functions


def specs(count: int = 6, **more: Any) -> list[dict[str, Any]]:
    return [{"seed": seed, "size": 1000 + seed, **more} for seed in range(count)]


def expected(count: int = 6) -> dict[str, bytes]:
    """File names and contents, made without the engine."""
    return {f"chunk-{seed:05d}": random.Random(seed).randbytes(1000 + seed) for seed in range(count)}


def contents(folder: Path) -> dict[str, bytes]:
    """Everything in a folder but the manifests."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix != ".json"}


def calls(folder: Path) -> dict[int, int]:
    return {int(path.name): len(path.read_text().splitlines()) for path in folder.iterdir()}


@pytest.mark.parametrize(("kind", "workers"), [("local", 1), ("local", 3), ("dask", 2)])
def test_every_executor_gives_the_serial_files(
    functions: Any, tmp_path: Path, kind: Any, workers: int
) -> None:
    seen: list[tuple[int, int]] = []
    paths = run_chunks(
        functions.draw,
        specs(),
        tmp_path / "out",
        executor=kind,
        workers=workers,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert [path.name for path in paths] == list(expected())
    assert contents(tmp_path / "out") == expected()
    assert seen == [(done, 6) for done in range(7)]


def test_manifest_says_what_the_file_is(functions: Any, tmp_path: Path) -> None:
    run_chunks(functions.draw, specs(1), tmp_path)
    assert json.loads((tmp_path / "chunk-00000.json").read_text()) == {
        "function": "chunk_functions:draw",
        "sha256": hashlib.sha256(random.Random(0).randbytes(1000)).hexdigest(),
        "spec": {"seed": 0, "size": 1000},
        "version": zerobias.__version__,
    }


def test_resume_makes_only_what_is_missing_damaged_or_changed(functions: Any, tmp_path: Path) -> None:
    out, log = tmp_path / "out", tmp_path / "calls"
    log.mkdir()
    wanted = specs(calls=str(log))
    run_chunks(functions.draw, wanted[:4], out)
    assert calls(log) == dict.fromkeys(range(4), 1)
    run_chunks(functions.draw, wanted, out)
    assert calls(log) == dict.fromkeys(range(6), 1)
    (out / "chunk-00001").write_bytes(b"damaged")
    (out / "chunk-00002").unlink()
    (out / "chunk-00003.json").unlink()
    (out / "chunk-00004.json").write_bytes(b"\xff{")
    stray = out / ".chunk-00005.abc.tmp"
    stray.mkdir()
    seen: list[int] = []
    run_chunks(functions.draw, wanted, out, progress=lambda done, total: seen.append(done))
    assert calls(log) == {0: 1, 1: 2, 2: 2, 3: 2, 4: 2, 5: 1}
    assert contents(out) == expected()
    assert seen == [2, 3, 4, 5, 6]
    run_chunks(functions.draw, [*wanted[:5], wanted[5] | {"size": 1}], out)
    assert calls(log)[5] == 2
    assert contents(out) == expected() | {"chunk-00005": random.Random(5).randbytes(1)}


def test_another_function_or_version_starts_again(functions: Any, tmp_path: Path) -> None:
    log = tmp_path / "calls"
    log.mkdir()
    wanted = specs(1, calls=str(log), victim=None, marker=str(tmp_path / "marker"))
    run_chunks(functions.draw, wanted, tmp_path / "out")
    run_chunks(functions.killed_once, wanted, tmp_path / "out")
    assert calls(log) == {0: 2}
    manifest = tmp_path / "out" / "chunk-00000.json"
    manifest.write_text(manifest.read_text().replace(zerobias.__version__, "0.0.9"))
    run_chunks(functions.killed_once, wanted, tmp_path / "out")
    assert calls(log) == {0: 3}


def test_a_worker_of_another_version_is_refused(functions: Any, tmp_path: Path) -> None:
    chunk = Chunk("chunk_functions:draw", specs(1)[0], tmp_path / "chunk-00000", version="99")
    with pytest.raises(ToolError) as error:
        make(chunk)
    assert str(error.value) == (
        f"a worker has zerobias {zerobias.__version__}, the run was started with 99: "
        "give both the same environment"
    )


def test_a_finished_chunk_is_not_made_again_by_a_worker(functions: Any, tmp_path: Path) -> None:
    # Dask asks again for everything that a lost worker had finished.
    chunk = Chunk("chunk_functions:draw", specs(1, calls=str(tmp_path))[0], tmp_path / "out" / "chunk-00000")
    chunk.path.parent.mkdir()
    make(chunk)
    make(chunk)
    assert (tmp_path / "0").read_text() == "called\n"


def test_the_manifest_comes_after_the_file(
    functions: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved: list[str] = []

    def replace(source: Path, target: Path) -> None:
        moved.append(target.name)
        if target.suffix == ".json":
            raise OSError("power cut")
        source.rename(target)

    chunk = Chunk("chunk_functions:draw", specs(1)[0], tmp_path / "chunk-00000")
    monkeypatch.setattr("zerobias.executor.chunks.os.replace", replace)
    with pytest.raises(OSError, match="power cut"):
        make(chunk)
    assert moved == ["chunk-00000", "chunk-00000.json"]
    assert not chunk.is_done()
    assert [path.name for path in tmp_path.iterdir()] == ["chunk-00000"]


@EXECUTORS
def test_a_killed_worker_changes_nothing(functions: Any, tmp_path: Path, kind: Any) -> None:
    marker, log = tmp_path / "marker", tmp_path / "calls"
    log.mkdir()
    wanted = specs(victim=3, marker=str(marker), calls=str(log))
    paths = run_chunks(functions.killed_once, wanted, tmp_path / "out", executor=kind, workers=2)
    assert marker.exists(), "the worker was killed"
    assert [path.name for path in paths] == list(expected())
    assert contents(tmp_path / "out") == expected()
    assert calls(log) == dict.fromkeys(range(6), 1), "nothing else was made twice"


@EXECUTORS
def test_a_chunk_that_kills_every_worker_is_named(functions: Any, tmp_path: Path, kind: Any) -> None:
    with pytest.raises(ToolError) as error:
        run_chunks(functions.killed_always, specs(3, victim=1), tmp_path, executor=kind)
    assert str(error.value) == (
        'chunk-00001 lost its worker too often (spec {"seed": 1, "size": 1001, "victim": 1}): the process '
        "was killed or crashed, often for want of memory; make the chunks smaller or use fewer workers, then "
        "run again: finished chunks are kept"
    )
    made = contents(tmp_path)
    assert set(made) <= {"chunk-00000", "chunk-00002"}
    assert made.items() <= expected().items()


@EXECUTORS
def test_an_error_of_the_function_comes_through(functions: Any, tmp_path: Path, kind: Any) -> None:
    with pytest.raises(DataError, match=r"^seed 0 is not allowed: take another$"):
        run_chunks(functions.refuse, specs(1), tmp_path, executor=kind)
    assert contents(tmp_path) == {}


def test_a_function_that_writes_nothing_is_refused(functions: Any, tmp_path: Path) -> None:
    with pytest.raises(DataError) as error:
        run_chunks(functions.nothing, specs(1), tmp_path)
    assert str(error.value) == (
        "chunk_functions:nothing wrote no file for chunk-00000: it must write the path it is given"
    )


@EXECUTORS
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_ctrl_c_or_kill_leaves_whole_files_only(tmp_path: Path, kind: str, number: int) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import chunk_functions, pathlib, signal, sys\n"
        "from zerobias.executor import run_chunks\n"
        "if __name__ == '__main__':\n"
        "    signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job ignores it\n"
        "    specs = [{'seed': seed, 'size': 1000 + seed} for seed in range(3)]\n"
        f"    run_chunks(chunk_functions.slow, specs, pathlib.Path(sys.argv[1]), executor={kind!r})\n"
    )
    out = tmp_path / "out"
    path = os.pathsep.join([str(DATA), *sys.path])
    with subprocess.Popen(
        [sys.executable, str(script), str(out)],
        env=os.environ | {"PYTHONPATH": path},
        start_new_session=True,  # the signal goes to the workers too, as from a terminal
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        deadline = time.monotonic() + 120
        while not (out / "chunk-00000.json").exists() or len(list(out.glob(".*/chunk-0000[12]"))) < 2:
            assert process.poll() is None, process.stderr and process.stderr.read()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        if number == signal.SIGINT:
            os.killpg(process.pid, number)
        else:
            process.send_signal(number)
        # Returns when the last worker has closed its standard error, long before they would be done.
        _, errors = process.communicate(timeout=120)
    assert process.returncode == -number
    if number == signal.SIGINT:
        assert errors.rstrip().endswith("KeyboardInterrupt")
        assert contents(out) == expected(1)
    assert (out / "chunk-00000").read_bytes() == expected(1)["chunk-00000"]
    assert {path.name for path in out.glob("chunk-*")} == {"chunk-00000", "chunk-00000.json"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"executor": "ray"}, "executor 'ray' is unknown: use local or dask"),
        ({"workers": 0}, "workers is 0: at least one worker is needed"),
        ({"cluster": "tcp://x:1"}, "executor 'local' takes no cluster: use executor 'dask'"),
    ],
)
def test_bad_arguments(functions: Any, tmp_path: Path, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError) as error:
        run_chunks(functions.draw, specs(1), tmp_path / "out", **arguments)
    assert str(error.value) == message
    assert not (tmp_path / "out").exists()


def test_named_chunks_share_a_folder(functions: Any, tmp_path: Path) -> None:
    run_chunks(functions.draw, specs(2), tmp_path, names=["a.bin", "b.bin"])
    strays = [tmp_path / f".{name}.xyz.tmp" for name in ("a.bin", "c.bin")]  # of this run, of another one
    for stray in strays:
        stray.mkdir()
    paths = run_chunks(functions.draw, specs(3)[1:], tmp_path, names=["b.bin", "a.bin"])
    assert [path.exists() for path in strays] == [False, True]
    strays[1].rmdir()
    assert paths == (tmp_path / "b.bin", tmp_path / "a.bin")
    assert contents(tmp_path) == dict(
        zip(["b.bin", "a.bin"], list(expected(3).values())[1:], strict=True)  # another spec: made again
    )


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["a"], "1 names for 2 chunks: give one each"),
        (["a", "a"], "chunk name 'a': each is one file's own name and starts with no dot"),
        (["a", "../b"], "chunk name '../b': each is one file's own name and starts with no dot"),
        (["a", ".b"], "chunk name '.b': each is one file's own name and starts with no dot"),
        (["a", ""], "chunk name '': each is one file's own name and starts with no dot"),
    ],
)
def test_bad_names(functions: Any, tmp_path: Path, names: list[str], message: str) -> None:
    with pytest.raises(SpecError) as error:
        run_chunks(functions.draw, specs(2), tmp_path, names=names)
    assert str(error.value) == message


def test_a_folder_takes_one_run_at_a_time(functions: Any, tmp_path: Path) -> None:
    faults: list[str] = []

    def second(done: int, total: int) -> None:
        with pytest.raises(ToolError) as error:
            run_chunks(functions.draw, specs(1), tmp_path, names=["other"])
        faults.append(str(error.value))

    run_chunks(functions.draw, specs(1), tmp_path, progress=second)
    assert set(faults) == {f"another run works in {tmp_path}: wait until it ends or take another folder"}
    assert contents(tmp_path) == expected(1)
    run_chunks(functions.draw, specs(1), tmp_path, names=["other"])
    assert contents(tmp_path) == expected(1) | {"other": expected(1)["chunk-00000"]}


def test_workers_have_ended_when_the_run_returns(functions: Any, tmp_path: Path) -> None:
    before = multiprocessing.active_children()
    run_chunks(functions.draw, specs(3), tmp_path, workers=2)
    assert set(multiprocessing.active_children()) <= set(before)


def test_a_worker_killed_while_it_waits_is_replaced(functions: Any, tmp_path: Path) -> None:
    killed: list[int] = []

    def kill(done: int, total: int) -> None:
        for worker in multiprocessing.active_children():
            assert worker.pid
            os.kill(worker.pid, signal.SIGKILL)
            worker.join()
            killed.append(worker.pid)
            time.sleep(0.2)  # until the pool has seen it

    run_chunks(functions.draw, specs(3), tmp_path, workers=1, progress=kill)
    assert len(killed) == 3
    assert contents(tmp_path) == expected(3)


@pytest.mark.parametrize("spec", [{"a": (1, 2)}, {1: 2}, {"a": float("nan")}, {"a": {3}}, Path("x")])
def test_specs_are_plain_json(functions: Any, tmp_path: Path, spec: Any) -> None:
    with pytest.raises(SpecError, match="the spec of chunk 1 does not survive JSON"):
        run_chunks(functions.draw, [{"seed": 0}, spec], tmp_path)


def test_functions_are_importable(functions: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def inner(spec: Any, path: Path) -> None:
        raise AssertionError

    with pytest.raises(SpecError) as error:
        run_chunks(inner, [], tmp_path)
    assert str(error.value) == (
        f"workers cannot import the chunk function {__name__}:test_functions_are_importable.<locals>.inner: "
        "define it at the top level of a module"
    )
    monkeypatch.setattr(functions.draw, "__module__", "__main__")
    with pytest.raises(SpecError, match="cannot import the chunk function __main__:draw"):
        run_chunks(functions.draw, [], tmp_path)


# --- Dask ---------------------------------------------------------------------------------------


def test_a_chunk_that_waits_behind_a_killer_is_not_named(functions: Any, tmp_path: Path) -> None:
    with distributed.LocalCluster(
        n_workers=1,
        threads_per_worker=1,
        dashboard_address=":0",
        scheduler_kwargs={"allowed_failures": 0},
        silence_logs=logging.CRITICAL,
    ) as cluster:
        for _ in range(4):  # Dask gives up both chunks, in an order that changes from run to run
            with pytest.raises(ToolError, match=r"^chunk-00000 lost its worker too often"):
                run_chunks(
                    functions.killed_always, specs(2, victim=0), tmp_path, executor="dask", cluster=cluster
                )


def test_a_running_cluster_serves_several_runs(functions: Any, tmp_path: Path) -> None:
    with dask_cluster("local", workers=1) as cluster:
        assert cluster.scheduler_address.startswith("tcp://127.0.0.1:")
        run_chunks(functions.draw, specs(2), tmp_path / "a", executor="dask", cluster=cluster)
        run_chunks(
            functions.draw, specs(2), tmp_path / "b", executor="dask", cluster=cluster.scheduler_address
        )
    assert contents(tmp_path / "a") == contents(tmp_path / "b") == expected(2)


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:9", "carrier-pigeon://somewhere"])
def test_no_scheduler_at_the_address(functions: Any, tmp_path: Path, address: str) -> None:
    with (
        dask.config.set({"distributed.comm.timeouts.connect": "200ms"}),
        pytest.raises(ToolError, match=rf"^no Dask scheduler answers at {address} \(.*mend the address$"),
    ):
        run_chunks(functions.draw, specs(1), tmp_path, executor="dask", cluster=address)


def test_a_process_ends_although_its_scheduler_is_no_address(tmp_path: Path) -> None:
    script = (
        "import chunk_functions, pathlib, sys\n"
        "from zerobias.executor import run_chunks\n"
        "out = pathlib.Path(sys.argv[1])\n"
        "run_chunks(chunk_functions.draw, [{}], out, executor='dask', cluster='nowhere')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(DATA), *sys.path])},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "no Dask scheduler answers at nowhere (missing port number" in done.stderr


def test_a_scheduler_that_goes_away(tmp_path: Path) -> None:
    # In its own process: Dask's client complains on standard error about the lost connection.
    script = tmp_path / "script.py"
    script.write_text(
        "import chunk_functions, pathlib, sys\n"
        "from zerobias.executor import dask_cluster, run_chunks\n"
        "if __name__ == '__main__':\n"
        "    specs = [{'seed': seed, 'size': 1000 + seed} for seed in range(2)]\n"
        "    with dask_cluster('local') as cluster:\n"
        "        try:\n"
        "            run_chunks(\n"
        "                chunk_functions.slow, specs, pathlib.Path(sys.argv[1]),\n"
        "                executor='dask', cluster=cluster.scheduler_address,\n"
        "                progress=lambda done, total: done and cluster.close(),\n"
        "            )\n"
        "        except Exception as error:\n"
        "            print(type(error).__name__, error)\n"
    )
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path / "out")],
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(DATA), *sys.path])},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert done.stdout == "ToolError the Dask scheduler went away before chunk-00001 was made: run again\n"
    assert contents(tmp_path / "out") == expected(1)


def test_without_the_extra(functions: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ToolError) as error:
        run_chunks(functions.draw, specs(1), tmp_path, executor="dask")
    assert str(error.value) == "the package distributed is not installed: pip install 'zerobias[dask]'"


def test_a_batch_job_makes_the_chunks(
    functions: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stand-ins for Slurm's commands run the job script on this machine, and end it."""
    for name, text in {
        "sbatch": f'cp "$1" {tmp_path}/job\nsetsid bash {tmp_path}/job >{tmp_path}/log 2>&1 &\necho job $!\n',
        "scancel": f'echo "$1" >>{tmp_path}/cancelled\nkill -- "-$1"\n',
    }.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(DATA), *sys.path]))
    job = BatchJob(cores=1, memory="1 GB", walltime="00:10:00")
    with dask_cluster("slurm", job, workers=1) as cluster:
        run_chunks(functions.draw, specs(3), tmp_path / "out", executor="dask", cluster=cluster)
    assert contents(tmp_path / "out") == expected(3)
    assert "#SBATCH -t 00:10:00" in (tmp_path / "job").read_text()
    assert len((tmp_path / "cancelled").read_text().split()) == 1

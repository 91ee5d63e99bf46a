"""The sample in chunks: the same bytes whoever makes them; finished ones kept, lost workers replaced."""

from __future__ import annotations

import json
import math
import multiprocessing
import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import distributed
import numpy as np
import pytest
from typer.testing import CliRunner

from zerobias.cli.app import app
from zerobias.errors import DataError, SpecError
from zerobias.events import SHAPES, read
from zerobias.executor import BatchJob, Run, dask_cluster, run_chunks, runner
from zerobias.shelves import shelf
from zerobias.simulate import load_cards, make_pool, simulate_to_file, stages
from zerobias.simulate.pool import chunk_path, generate_chunk, plan_pool
from zerobias.simulate.spec import ProcessCard
from zerobias.simulate.stages import make_deposits

CARD = load_cards()[1]
STAGES = ("generate", "deposits", "muons", "overlay")


SMALL = """
description = "small"
tune = "monash"
sigma_inelastic_mb = 78.6
pileup_mean = 20.0
pileup_sigma = 3.0
natural = 40
muon_min = 1
muon = [10]
signal = 8
seed = 3
[tunes]
monash = ["Tune:pp = 14"]
[[slice]]
name = "inelastic"
settings = ["SoftQCD:inelastic = on"]
pthat_max = 20.0
pool = 60
[[slice]]
name = "hard"
settings = ["HardQCD:all = on", "PhaseSpace:pTHatMin = 80", "PartonLevel:MPI = off"]
pool = 40
forced = 20
"""


@pytest.fixture(scope="module")
def cards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cards")
    (folder / "processes").mkdir()
    (folder / "zero_bias.toml").write_text(SMALL)
    (folder / "detector.toml").write_bytes((shelf("triggers") / "detector.toml").read_bytes())
    suep = (shelf("triggers") / "processes" / "suep.toml").read_text()
    (folder / "processes" / "suep.toml").write_text(
        suep.replace("settings = [", 'settings = [\n    "PartonLevel:MPI = off",')
    )
    return folder


@pytest.fixture(scope="module", autouse=True)
def _few_trials() -> Iterator[None]:
    """Muon probabilities good to a few per cent are enough here, and quick."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stages, "_TRIALS", 20_000)
        yield


@pytest.fixture(scope="module")
def made(cards: Path, here: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sample, made in this process without workers, and its pool."""
    folder = tmp_path_factory.mktemp("made")
    simulate_to_file(folder / "serial.h5", cards=cards, run=here, pool=folder / "pool")
    return folder


def copied(made: Path, folder: Path, *kinds: str) -> Path:
    """A copy of the files of a pool whose names start with one of ``kinds``."""
    folder.mkdir()
    for path in (made / "pool").iterdir():
        if path.name.startswith(kinds):
            shutil.copy(path, folder)
    return folder


def test_sample_holds_what_the_cards_say(made: Path) -> None:
    events = read(made / "serial.h5")
    assert {name: len(events.of(name)) for name in events.process_names} == {"zero_bias": 70, "suep": 8}
    for split in ("train", "tuning", "test"):
        assert events.of("zero_bias", split).weight.sum() == pytest.approx(1.0, abs=1e-12)
    assert set(events.collections) == set(SHAPES) - {"wafer", "wafer_place", "wafer_energy"}
    assert events.collections["objects"][:, 9, 0].max() > 20


def test_another_seed_has_other_collisions(made: Path, cards: Path) -> None:
    _, card, processes = load_cards(cards)
    own, other = (plan_pool(made / "pool", card, processes, seed) for seed in (card.seed, 4))
    assert all(chunk_path(own.folder, chunk).is_file() for chunk in own.chunks)
    assert not any(chunk_path(other.folder, chunk).is_file() for chunk in other.chunks)
    seeds = [chunk.seed for chunk in (*own.chunks, *other.chunks)]
    assert len(set(seeds)) == len(seeds) == 6


def test_killed_workers_change_nothing(
    made: Path, cards: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Of two processes one is killed after the first file of collisions, both after the first crossings."""
    killed = []

    def kill(step: str, done: int, total: int) -> None:
        if (step, done) in {("generate", 1), ("overlay", 1)}:
            workers = multiprocessing.active_children()
            assert len(workers) == 2
            for worker in workers[: 1 if step == "generate" else 2]:
                assert worker.pid
                os.kill(worker.pid, signal.SIGKILL)
                killed.append(worker.pid)

    pool = copied(made, tmp_path / "pool", "multiparton")
    simulate_to_file(
        tmp_path / "two.h5", cards=cards, run=partial(run_chunks, workers=2), pool=pool, progress=kill
    )
    assert len(set(killed)) == 3
    assert "lost its worker and starts again" in caplog.text
    assert (tmp_path / "two.h5").read_bytes() == (made / "serial.h5").read_bytes()
    assert contents(pool) == {
        name: file for name, file in contents(made / "pool").items() if name in contents(pool)
    }


def test_a_killed_dask_worker_changes_nothing(made: Path, cards: Path, tmp_path: Path) -> None:
    killed = []
    pool = copied(made, tmp_path / "pool", "multiparton", "inelastic", "hard", "suep", "deposits", "muons")
    with dask_cluster("local", workers=2) as cluster:

        def kill(step: str, done: int, total: int) -> None:
            if (step, done) == ("overlay", 1):
                with distributed.Client(cluster, set_as_default=False) as client:
                    killed.extend(client.run(os.getpid).values())
                os.kill(killed[0], signal.SIGKILL)

        run = partial(run_chunks, executor="dask", cluster=cluster)
        simulate_to_file(tmp_path / "dask.h5", cards=cards, run=run, pool=pool, progress=kill)
    assert len(killed) == 2
    assert (tmp_path / "dask.h5").read_bytes() == (made / "serial.h5").read_bytes()


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_second_run_makes_only_what_is_missing(made: Path, cards: Path, here: Run, tmp_path: Path) -> None:
    pool = copied(made, tmp_path / "pool", "")
    lost = sorted(pool.glob("crossings-*.npz"))
    lost[0].unlink()
    lost[1].write_bytes(b"half")
    before = {path: path.stat().st_mtime_ns for path in pool.iterdir()}
    seen: list[tuple[str, int, int]] = []
    simulate_to_file(
        tmp_path / "again.h5",
        cards=cards,
        run=partial(run_chunks, workers=1),
        pool=pool,
        progress=lambda *step: seen.append(step),
    )
    count = len(lost)
    assert [step for step, _, _ in seen[:4]] == list(STAGES)
    assert all(done == total for _, done, total in seen[:3])
    assert seen[3:] == [("overlay", count - left, count) for left in (2, 1, 0)]
    assert (tmp_path / "again.h5").read_bytes() == (made / "serial.h5").read_bytes()
    changed = {path for path in pool.iterdir() if path.stat().st_mtime_ns != before.get(path)}
    assert {path.name.partition("-")[0] for path in changed} == {"crossings", "simulation"}
    assert len([path for path in changed if path.suffix == ".npz"]) == 2


def test_other_constants_of_the_detector_need_no_new_collisions(
    made: Path, cards: Path, here: Run, tmp_path: Path
) -> None:
    pool = copied(made, tmp_path / "pool", "multiparton", "inelastic", "hard", "suep", "deposits")
    detector, card, processes = load_cards(cards)
    planned = plan_pool(pool, card, processes, card.seed)
    before = {path.name for path in pool.iterdir()}
    make_deposits(planned, planned.strata(card), detector, run=here)
    assert len({path.name for path in pool.iterdir()} - before) == 1  # what belongs together, again
    other = detector.model_copy(update={"individual_et": 2.0})
    make_deposits(planned, planned.strata(card), other, run=here)
    new = {path.name for path in pool.iterdir() if path.suffix == ".npz"} - before
    assert len(new) == 3
    assert all(name.startswith("deposits") for name in new)


def test_pool_grows_and_names_damage(made: Path, cards: Path, here: Run, tmp_path: Path) -> None:
    _, card, processes = load_cards(cards)
    folder = copied(made, tmp_path / "pool", "multiparton", "inelastic", "hard", "suep")
    pool = make_pool(folder, card, processes, run=here)
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    large = card.model_copy(update={"slice": (card.slice[0], card.slice[1].model_copy(update={"pool": 45}))})
    grown = make_pool(folder, large, run=here)
    assert grown.slices[0] == pool.slices[0]
    assert all(path.stat().st_mtime_ns == time for path, time in before.items())
    assert len(list(folder.iterdir())) == len(before) + 2  # a file and its manifest
    first = pool.slices[0][0]
    assert len(pool.particles(first)) == first.events == 60
    path = chunk_path(folder, first)
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(DataError, match=r"inelastic-0000-.*\.npz cannot be read as a pool chunk"):
        pool.particles(first)


# --- the command line ---------------------------------------------------------------------------


def command(*words: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["simulate", *(str(word) for word in words)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.stdout, result.stderr


def test_the_command_uses_the_pool(
    made: Path, cards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zerobias.simulate.spec.shelf", lambda name: cards)
    output, words = tmp_path / "out.h5", ("--workers", 1, "--pool", made / "pool", "--json")
    code, out, err = command("--output", output, "--executor", "local", *words)
    assert code == 0, err
    assert json.loads(out) == {"path": str(output), "events": {"zero_bias": 70, "suep": 8}}
    assert output.read_bytes() == (made / "serial.h5").read_bytes()


JOB = 'system = "slurm"\ncores = 4\nmemory = "8 GB"\nwalltime = "02:00:00"\n'


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--scheduler", "tcp://10.0.0.1:8786"], "scheduler tcp://10.0.0.1:8786 without --pool"),
        (["--scheduler", "tcp://x:1", "--pool", "pool"], "needs executor 'dask', not 'local': say both"),
        (["--scheduler", "no.toml", "--pool", "pool", "--executor", "dask"], "no.toml cannot be read"),
    ],
)
@pytest.mark.parametrize("kind", [[], ["wafers"]])
def test_bad_schedulers(words: list[str], message: str, kind: list[str], tmp_path: Path) -> None:
    code, out, err = command(*kind, "--output", tmp_path / "x.h5", *words)
    assert (code, out) == (2, "")
    assert message in " ".join(err.split())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (JOB.replace("slurm", "lsf"), "system: Input should be 'slurm' or 'htcondor' (given: 'lsf')"),
        (JOB.replace("cores", "core"), "unknown key 'core'; did you mean 'cores'?"),
        (JOB.replace('"8 GB"', '"plenty"'), "memory: String should match pattern"),
        (JOB.replace("system", "#"), "system: Field required"),
    ],
)
def test_bad_batch_files(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "job.toml").write_text(text)
    with pytest.raises(SpecError) as error, runner("dask", 2, str(tmp_path / "job.toml")):
        pass
    assert message in str(error.value)


def test_a_batch_file_is_a_cluster_of_jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    @contextmanager
    def cluster(*arguments: Any, **more: Any) -> Any:
        asked.append((arguments, more))
        yield "the cluster"

    monkeypatch.setattr("zerobias.executor.scheduler.dask_cluster", cluster)
    (tmp_path / "job.toml").write_text(JOB + 'host = "10.0.0.1"\njob_extra = ["--constraint=avx2"]\n')
    with runner("dask", 10, str(tmp_path / "job.toml")) as run:
        assert isinstance(run, partial)
        assert (run.keywords["executor"], run.keywords["cluster"]) == ("dask", "the cluster")
    job = BatchJob(
        cores=4, memory="8 GB", walltime="02:00:00", host="10.0.0.1", job_extra=("--constraint=avx2",)
    )
    assert asked == [(("slurm", job), {"workers": 10})]


@pytest.mark.long
@pytest.mark.parametrize("process", load_cards()[2], ids=lambda p: p.name)
def test_every_process_card_runs(
    process: ProcessCard, here: Run, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.getbasetemp() / "pool"
    pool = plan_pool(folder, CARD.model_copy(update={"signal": 5}), (process,), 1)
    if not folder.is_dir():
        soft = CARD.slice[0].model_copy(update={"pool": 1})
        make_pool(folder, CARD.model_copy(update={"slice": (soft,)}), run=here)
    (chunk,) = pool.signals[0]
    spec = json.loads(json.dumps(asdict(chunk)))
    here(generate_chunk, [spec], folder, names=[chunk_path(folder, chunk).name])
    particles = pool.particles(chunk)
    assert len(particles) == 5
    assert np.isfinite(particles.pt).all()
    assert particles.pt.sum() / 5 > 50
    assert math.isfinite(particles.sigma_mb)


@pytest.mark.long
@pytest.mark.parametrize("tune", sorted(CARD.tunes))
def test_every_tune_runs(tune: str, here: Run, tmp_path: Path) -> None:
    soft = CARD.slice[0].model_copy(update={"pool": 20})
    card = CARD.model_copy(update={"tune": tune, "slice": (soft,)})
    pool = make_pool(tmp_path, card, run=here)
    assert len(pool.particles(pool.chunks[0])) == 20

"""Scores of event files: the integer reference's, whoever makes them, and a file that says what it holds."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import runpy
import shutil
import signal
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import distributed
import h5py
import numpy as np
import pytest
from typer.testing import CliRunner

from zerobias.cli.app import app
from zerobias.cli.build import reference
from zerobias.errors import DataError
from zerobias.events import EventSet, checked_sample, file_digest, read, write
from zerobias.executor import Run, dask_cluster, run_chunks
from zerobias.fixed import shaped
from zerobias.score import FORMAT, chunks, score_files
from zerobias.score import score as module
from zerobias.zoo import Model, digest, find_model, read_weights, write_weights

FILES = SimpleNamespace(**runpy.run_path(str(Path(__file__).parents[1] / "data" / "event_files.py")))
STEP = 40


@pytest.fixture(autouse=True)
def _short_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_EVENTS", STEP)


@pytest.fixture(scope="session")
def events(small_sample: Path) -> EventSet:
    """150 events of every process."""
    whole = read(small_sample, ["objects"])
    return whole.select(np.unique(np.linspace(0, len(whole) - 1, 150).astype(int)))


@pytest.fixture
def sample(events: EventSet, tmp_path: Path) -> Path:
    path = tmp_path / "events.h5"
    write(path, events)
    return path


@pytest.fixture(scope="session")
def expected(shelf_with_tiny: Path, events: EventSet) -> np.ndarray:
    """Scores of all events in one go."""
    model = find_model("tiny", shelf_with_tiny)
    graph = reference(model)[1]
    raw = model.contract.flatten(events.collections["objects"])
    return graph.evaluate(shaped(model.contract, graph, raw))


def columns(path: Path) -> dict[str, np.ndarray]:
    with h5py.File(path) as file:
        return {name: file[name][:] for name in file}


def attributes(path: Path) -> dict[str, Any]:
    with h5py.File(path) as file:
        return dict(file.attrs)


def test_scores_are_those_of_the_reference(
    tiny: Model, sample: Path, events: EventSet, expected: np.ndarray, here: Run, tmp_path: Path
) -> None:
    output = tmp_path / "scores.h5"
    seen: list[tuple[int, int]] = []
    made = score_files(tiny, [sample], output, run=here, progress=lambda *done: seen.append(done))
    assert seen[-1] == (4, 4)
    found = columns(output)
    assert len(set(expected.tolist())) > 20
    np.testing.assert_array_equal(found["score"], expected)
    np.testing.assert_array_equal(found["row"], np.arange(150))
    assert not found["file"].any()
    for name in ("weight", "npu", "process", "split"):
        np.testing.assert_array_equal(found[name], getattr(events, name))
    assert made.process_names == events.process_names
    weights = read_weights(tiny.weights_path("quantised"))
    contract = json.dumps(tiny.spec.contract.model_dump(mode="json"), sort_keys=True).encode()
    assert attributes(output) == {
        "format": FORMAT,
        "model": "tiny@1.2.3",
        "weights": digest(weights),
        "contract": hashlib.sha256(contract).hexdigest(),
        "score_type": str(reference(tiny)[1].output_type),
        "process_names": json.dumps(events.process_names),
        "files": json.dumps(
            [{"name": "events.h5", "sha256": file_digest(sample), "events": 150, "layout": "zerobias HDF5"}]
        ),
    }
    assert checked_sample(output) == output
    assert not output.with_name("scores.h5.chunks").exists()


def test_several_files_and_their_processes(
    tiny: Model, events: EventSet, expected: np.ndarray, here: Run, tmp_path: Path
) -> None:
    """Two files that number the same processes differently."""
    last = len(events.process_names) - 1
    keep = (events.process == 0) | (events.process == last)
    part = events.select(keep)
    other = EventSet(
        part.collections,
        part.weight,
        part.npu,
        np.where(part.process == last, 1, 0).astype(np.uint8),
        part.split,
        ("zero_bias", events.process_names[last]),
        {},
    )
    write(tmp_path / "b.h5", other)
    write(tmp_path / "a.h5", events)
    made = score_files(tiny, [tmp_path / "b.h5", tmp_path / "a.h5"], tmp_path / "out.h5", run=here)
    assert [file.events for file in made.files] == [len(other), 150]
    found = columns(tmp_path / "out.h5")
    first = len(other)
    np.testing.assert_array_equal(found["score"], np.concatenate([expected[keep], expected]))
    np.testing.assert_array_equal(found["file"], np.repeat([0, 1], [first, 150]))
    np.testing.assert_array_equal(found["row"], np.concatenate([np.arange(first), np.arange(150)]))
    names = np.array(made.process_names)[found["process"]]
    given = np.array(events.process_names)[events.process]
    np.testing.assert_array_equal(names, np.concatenate([given[keep], given]))
    assert set(made.process_names) == set(events.process_names)


def test_a_foreign_file_has_no_weights(tiny: Model, here: Run, tmp_path: Path) -> None:
    path = FILES.cmsl1t(tmp_path / "zero_bias", 60)
    made = score_files(tiny, [path], tmp_path / "out.h5", run=here)
    assert set(columns(tmp_path / "out.h5")) == {"score", "file", "row", "npu"}
    assert made.files[0].layout != "zerobias HDF5"
    graph = reference(tiny)[1]
    raw = tiny.contract.flatten(read(path, ["objects"]).collections["objects"])
    np.testing.assert_array_equal(
        columns(tmp_path / "out.h5")["score"], graph.evaluate(shaped(tiny.contract, graph, raw))
    )


def test_killed_workers_change_nothing_and_a_second_run_resumes(
    tiny: Model, sample: Path, here: Run, tmp_path: Path
) -> None:
    score_files(tiny, [sample], tmp_path / "serial.h5", run=here)
    killed: list[int] = []

    def kill(done: int, total: int) -> None:
        if done == 1:
            worker = multiprocessing.active_children()[0]
            assert worker.pid
            os.kill(worker.pid, signal.SIGKILL)
            killed.append(worker.pid)

    folder = tmp_path / "chunks"
    run = partial(run_chunks, workers=2)
    score_files(tiny, [sample], tmp_path / "two.h5", folder=folder, run=run, progress=kill)
    assert len(killed) == 1
    assert (tmp_path / "two.h5").read_bytes() == (tmp_path / "serial.h5").read_bytes()
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert len(before) == 2 * 4 + 1  # file and manifest of each, and where to score
    sorted(folder.glob("*.npz"))[0].unlink()
    score_files(tiny, [sample], tmp_path / "again.h5", folder=folder, run=here)
    assert (tmp_path / "again.h5").read_bytes() == (tmp_path / "serial.h5").read_bytes()
    changed = [p for p in folder.glob("*.npz") if p.stat().st_mtime_ns != before[p.name]]
    assert len(changed) == 1


@pytest.mark.long
def test_a_killed_dask_worker_changes_nothing(tiny: Model, sample: Path, here: Run, tmp_path: Path) -> None:
    score_files(tiny, [sample], tmp_path / "serial.h5", run=here)
    killed: list[int] = []
    with dask_cluster("local", workers=1) as cluster:  # the second worker is the one started instead

        def kill(done: int, total: int) -> None:
            if done == 1:
                with distributed.Client(cluster, set_as_default=False) as client:
                    killed.extend(client.run(os.getpid).values())
                os.kill(killed[0], signal.SIGKILL)

        run = partial(run_chunks, executor="dask", cluster=cluster)
        score_files(tiny, [sample], tmp_path / "dask.h5", run=run, progress=kill)
    assert killed
    assert (tmp_path / "dask.h5").read_bytes() == (tmp_path / "serial.h5").read_bytes()


def test_a_stopped_run_goes_on(tiny: Model, sample: Path, here: Run, tmp_path: Path) -> None:
    output = tmp_path / "scores.h5"

    def stop(done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        score_files(tiny, [sample], output, run=here, progress=stop)
    assert not output.exists()
    folder = output.with_name("scores.h5.chunks")
    kept = {path: path.stat().st_mtime_ns for path in folder.glob("*.npz")}
    assert len(kept) == 2
    mine = folder / "mine.txt"
    mine.touch()
    score_files(tiny, [sample], output, folder=folder, run=here)
    assert kept == {path: path.stat().st_mtime_ns for path in kept}
    score_files(tiny, [sample], output, run=here)
    assert list(folder.iterdir()) == [mine]


def test_other_weights_are_other_chunks(
    shelf_with_tiny: Path, sample: Path, here: Run, tmp_path: Path
) -> None:
    shutil.copytree(shelf_with_tiny, tmp_path / "models")
    model = find_model("tiny", tmp_path / "models")
    score_files(model, [sample], tmp_path / "a.h5", folder=tmp_path / "chunks", run=here)
    weights = model.weights_path("quantised")
    arrays = read_weights(weights)
    arrays["mu/bias"] = arrays["mu/bias"] + np.float32(0.125)
    write_weights(weights, arrays)
    score_files(model, [sample], tmp_path / "b.h5", folder=tmp_path / "chunks", run=here)
    assert (columns(tmp_path / "a.h5")["score"] != columns(tmp_path / "b.h5")["score"]).any()
    assert attributes(tmp_path / "a.h5")["weights"] != attributes(tmp_path / "b.h5")["weights"]


def test_other_events_are_other_chunks(
    tiny: Model, sample: Path, events: EventSet, here: Run, tmp_path: Path
) -> None:
    for name in ("a", "b"):
        score_files(tiny, [sample], tmp_path / f"{name}.h5", folder=tmp_path / "chunks", run=here)
        write(sample, events.select(np.arange(len(events))[::-1]))
    found = [columns(tmp_path / f"{name}.h5")["score"] for name in ("a", "b")]
    np.testing.assert_array_equal(found[0], found[1][::-1])


def test_other_code_makes_other_chunks(tiny: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    key = chunks.model_key(tiny)
    monkeypatch.setattr(chunks, "tree_digest", lambda *given: "of other code")
    assert chunks.model_key(tiny) != key


def test_a_model_that_changes_during_the_run(
    shelf_with_tiny: Path, sample: Path, here: Run, tmp_path: Path
) -> None:
    shutil.copytree(shelf_with_tiny, tmp_path / "models")
    model = find_model("tiny", tmp_path / "models")

    def run(function: Any, specs: Any, folder: Path, **more: Any) -> Any:
        with (model.folder / "model.py").open("a") as code:
            code.write("# mended\n")
        return here(function, specs, folder, **more)

    with pytest.raises(DataError, match=r"^model tiny in .* is not the one the run started with: run again$"):
        score_files(model, [sample], tmp_path / "a.h5", run=run)


def test_a_value_outside_the_contract_is_named(
    shelf_with_tiny: Path, events: EventSet, here: Run, tmp_path: Path
) -> None:
    """MET of event 60, in the second chunk, is above what the model declares."""
    shutil.copytree(shelf_with_tiny, tmp_path / "models")
    declared = tmp_path / "models" / "tiny" / "model.toml"
    declared.write_text(declared.read_text().replace("width = 12,", "width = 12, maximum = 5,", 1))
    raw = events.collections["objects"].copy()
    raw[:, 0, 0] = 5
    raw[60, 0, 0] = 6
    path = tmp_path / "bad.h5"
    write(path, replace(events, collections={"objects": raw}))
    with pytest.raises(DataError) as error:
        score_files(find_model("tiny", tmp_path / "models"), [path], tmp_path / "out.h5", run=here)
    assert str(error.value) == (
        f"{path}: event 20, feature met.pt: raw value 6 is outside [0, 5]; 1 such values in all, "
        "counted from 40"
    )


def nothing(tmp_path: Path, sample: Path) -> list[Path]:
    return [tmp_path / "nothing.h5"]


def damaged(tmp_path: Path, sample: Path) -> list[Path]:
    sample.write_bytes(sample.read_bytes()[:3000])
    return [sample]


def the_output(tmp_path: Path, sample: Path) -> list[Path]:
    (tmp_path / "out.h5").symlink_to(sample)
    return [sample]


def no_collection(tmp_path: Path, sample: Path) -> list[Path]:
    return [FILES.hdf5(tmp_path / "regions", {"CaloRegions": FILES.regions(3)})]


def empty(tmp_path: Path, sample: Path) -> list[Path]:
    return [FILES.cmsl1t(tmp_path / "empty", 0)]


def twice(tmp_path: Path, sample: Path) -> list[Path]:
    return [sample, sample.parent / "." / sample.name]


def mixed(tmp_path: Path, sample: Path) -> list[Path]:
    return [sample, FILES.cmsl1t(tmp_path / "zero_bias", 5)]


def scores(tmp_path: Path, sample: Path) -> list[Path]:
    with h5py.File(tmp_path / "scores.h5", "w", libver="earliest") as file:
        file.attrs["format"] = FORMAT
        file["score"] = np.zeros(3, np.int64)
    return [tmp_path / "scores.h5"]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (nothing, "nothing.h5"),
        (damaged, "events.h5"),
        (the_output, "out.h5 is one of the event files: give the scores a file of their own"),
        (no_collection, "lacks objects; it holds regions"),
        (empty, "holds no events: take a file with events"),
        (twice, "events.h5 is given twice: name each file once"),
        (mixed, "has none: score them into two files"),
        (scores, f"format is '{FORMAT}', this reader knows"),
    ],
)
def test_bad_files(
    files: Callable[[Path, Path], list[Path]],
    message: str,
    shelf_with_tiny: Path,
    sample: Path,
    tmp_path: Path,
) -> None:
    words = ["score", "tiny", *files(tmp_path, sample), "--models", shelf_with_tiny]
    result = CliRunner().invoke(app, [str(w) for w in (*words, "--output", tmp_path / "out.h5")])
    assert (result.exit_code, result.stdout) == (2, "")
    errors = " ".join(result.stderr.split())
    assert "error: " in errors
    assert message in errors
    assert not (tmp_path / "out.h5").is_file() or (tmp_path / "out.h5").is_symlink()


def test_a_folder_as_output(tiny: Model, sample: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"is a folder: name the file of scores$"):
        score_files(tiny, [sample], tmp_path)


def test_a_full_disk(tiny: Model, sample: Path, here: Run, tmp_path: Path) -> None:
    """HDF5 alone would end the process in a crash."""
    (tmp_path / f".out.h5.{os.getpid()}.tmp").symlink_to("/dev/full")
    with pytest.raises(OSError, match=r"No space left on device: .*/.out.h5."):
        score_files(tiny, [sample], tmp_path / "out.h5", run=here)
    assert not list(tmp_path.glob("*out.h5*[!s]"))
    score_files(tiny, [sample], tmp_path / "out.h5", run=here)


def test_no_weights(shelf_with_tiny: Path, sample: Path, tmp_path: Path) -> None:
    shutil.copytree(shelf_with_tiny, tmp_path / "models")
    model = find_model("tiny", tmp_path / "models")
    model.weights_path("quantised").unlink()
    with pytest.raises(DataError, match="no weights at"):
        score_files(model, [sample], tmp_path / "out.h5")


def test_the_device_is_told_to_workers_and_changes_no_chunk(
    tiny: Model, sample: Path, here: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    made = chunks.Scorer
    monkeypatch.setattr(chunks, "Scorer", lambda *given: asked.append(given[2]) or made(*given[:2], "cpu"))
    chunks._scorer.cache_clear()
    folder = tmp_path / "chunks"
    for device in ("gpu", "cpu"):
        score_files(tiny, [sample], tmp_path / f"{device}.h5", folder=folder, device=device, run=here)
    chunks._scorer.cache_clear()
    assert asked == ["gpu"]
    assert (tmp_path / "gpu.h5").read_bytes() == (tmp_path / "cpu.h5").read_bytes()


def test_no_gpu(
    shelf_with_tiny: Path, sample: Path, here: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In this process, not in a worker that has to load Keras."""

    def make(*given: Any, **more: Any) -> Any:
        return score_files(*given, **more | {"run": here})

    monkeypatch.setattr("zerobias.score.score_files", make)
    chunks._scorer.cache_clear()
    words = ["score", "tiny", sample, "--models", shelf_with_tiny, "--output", tmp_path / "out.h5"]
    result = CliRunner().invoke(app, [str(w) for w in (*words, "--device", "gpu")])
    assert (result.exit_code, result.stdout) == (2, "")
    assert "sees no GPU: install its CUDA plugin" in " ".join(result.stderr.split())
    assert not (tmp_path / "out.h5").exists()


def test_the_command(tiny: Model, shelf_with_tiny: Path, sample: Path, here: Run, tmp_path: Path) -> None:
    """Its chunks are there already, so that no worker loads Keras."""
    score_files(tiny, [sample], tmp_path / "serial.h5", folder=tmp_path / "chunks", run=here)
    words = ["score", "tiny", sample, "--models", shelf_with_tiny, "--output", tmp_path / "out.h5"]
    more = ["--chunks", tmp_path / "chunks", "--executor", "local", "--workers", 1, "--json"]
    result = CliRunner().invoke(app, [str(w) for w in (*words, *more)])
    assert result.exit_code == 0, result.stderr
    document = json.loads(result.stdout)
    assert (document["model"], document["events"]) == ("tiny@1.2.3", 150)
    assert document["files"][0]["sha256"] == file_digest(sample)
    assert document["score_type"] == attributes(tmp_path / "out.h5")["score_type"]
    assert (tmp_path / "out.h5").read_bytes() == (tmp_path / "serial.h5").read_bytes()

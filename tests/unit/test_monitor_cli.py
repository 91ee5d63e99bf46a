"""``zerobias monitor`` as a user meets it: disagreements, files of any layout, releases, exit codes."""

from __future__ import annotations

import json
import runpy
import shutil
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

import zerobias.cli.monitor as command
from zerobias.cli.app import app
from zerobias.cli.build import reference as network_and_graph
from zerobias.errors import DataError
from zerobias.events import EventSet, read, write
from zerobias.events.layouts import open_source
from zerobias.monitor import Recorded, Twin, make_reference, monitor
from zerobias.score import Scorer
from zerobias.zoo import Model, find_model

FILES = SimpleNamespace(**runpy.run_path(str(Path(__file__).parents[1] / "data" / "event_files.py")))
FRAC = 2.0**-4


@pytest.fixture(scope="module")
def model(shelf_with_tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Model:
    """A shelf of its own, since a test adds a release."""
    root = tmp_path_factory.mktemp("monitored")
    shutil.copytree(shelf_with_tiny, root, dirs_exist_ok=True)
    return find_model("tiny", root)


@pytest.fixture(scope="module")
def scorer(model: Model) -> Scorer:
    made = Scorer(model.contract, network_and_graph(model)[1])
    made._ways.clear()
    return made


@pytest.fixture(autouse=True)
def _one_scorer(scorer: Scorer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "_scorer", lambda model: scorer)


@pytest.fixture(scope="module")
def events(small_sample: Path) -> EventSet:
    """600 events of every process."""
    whole = read(small_sample, ["objects"])
    return whole.select(np.unique(np.linspace(0, len(whole) - 1, 600).astype(int)))


@pytest.fixture
def here(events: EventSet, tmp_path: Path) -> Path:
    path = tmp_path / "here.h5"
    write(path, events)
    return path


@pytest.fixture(scope="module")
def exact(scorer: Scorer, events: EventSet) -> np.ndarray:
    found = scorer.score(events.collections["objects"])
    assert scorer.graph.output_type.lsb == FRAC
    return found


def changed(events: EventSet, path: Path, change: Callable[[np.ndarray], object]) -> Path:
    objects = events.collections["objects"].copy()
    change(objects)
    write(path, replace(events, collections={"objects": objects}))
    return path


def run(*words: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.stdout, " ".join(result.stderr.split())


# --- the same inputs, another score --------------------------------------------------------------


def stored(form: str, path: Path, score: np.ndarray) -> str:
    """Recorded scores in a file of each form; what the option is given."""
    if form == "hdf5":
        FILES.hdf5(path, {"score": score})
    elif form == "npz":
        np.savez(path.with_suffix(".npz"), score=score)
        return str(path.with_suffix(".npz"))
    else:
        path.write_text("\n".join(map(str, score.tolist())))
    return str(path)


@pytest.mark.parametrize("form", ["hdf5", "npz", "text"])
@pytest.mark.parametrize("unit", [1, FRAC])
def test_other_score_of_the_same_inputs(
    form: str, unit: float, here: Path, scorer: Scorer, exact: np.ndarray, tmp_path: Path
) -> None:
    recorded = exact * unit if unit != 1 else exact.copy()
    right = monitor("tiny", scorer, None, [here], recorded=stored(form, tmp_path / "right", recorded))
    assert right.flags == ()
    assert right.scores is not None
    assert (right.scores.compared, right.scores.differing) == (len(exact), 0)
    recorded[[7, 40]] += unit
    found = monitor("tiny", scorer, None, [here], recorded=stored(form, tmp_path / "wrong", recorded))
    (flag,) = found.flags
    assert flag.kind == "same inputs, other score"
    assert found.scores is not None
    first = found.scores.first
    assert first is not None
    assert (found.scores.differing, first.file, first.event) == (2, "here.h5", 7)
    assert (first.recorded, first.exact) == (exact[7] * unit + unit, exact[7] * unit)


def test_scores_over_several_files_and_chunks(
    events: EventSet, scorer: Scorer, exact: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zerobias.monitor.reference.parts.__defaults__", (64,))
    paths = [tmp_path / "a.h5", tmp_path / "b.h5"]
    write(paths[0], events.select(slice(0, 250)))
    write(paths[1], events.select(slice(250, None)))
    wrong = exact.copy()
    wrong[399] += 1
    given = stored("hdf5", tmp_path / "scores", wrong)
    found = monitor("tiny", scorer, None, paths, recorded=given).scores
    assert found is not None
    assert found.first is not None
    assert (found.compared, found.first.file, found.first.event) == (len(exact), "b.h5", 149)


def test_a_score_that_is_no_number_is_another_score(
    here: Path, scorer: Scorer, exact: np.ndarray, tmp_path: Path
) -> None:
    recorded = exact * FRAC
    recorded[3] = np.nan
    found = monitor("tiny", scorer, None, [here], recorded=stored("hdf5", tmp_path / "s", recorded)).scores
    assert found is not None
    assert found.first is not None
    assert (found.differing, found.first.event, found.first.recorded) == (1, 3, None)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (lambda path, score: stored("hdf5", path, score[:-1]), "holds 599 scores for 600 events"),
        (lambda path, score: stored("text", path, score[:-1]), "holds 599 scores for 600 events"),
        (lambda path, score: str(FILES.hdf5(path, {"other": score})), "has no dataset 'score'"),
        (lambda path, score: stored("hdf5", path, np.stack([score, score], 1)), "2 recorded values an event"),
        (lambda path, score: "GTScore", "GTScore is neither a file of scores nor a column of"),
    ],
)
def test_scores_that_do_not_fit(
    given: Callable[[Path, np.ndarray], str],
    message: str,
    model: Model,
    here: Path,
    exact: np.ndarray,
    tmp_path: Path,
) -> None:
    words = "monitor", "tiny", here, "--no-drift", "--recorded", given(tmp_path / "scores", exact)
    code, out, err = run(*words, "--models", model.folder.parent)
    assert (code, out) == (2, "")
    assert message in err


# --- other inputs --------------------------------------------------------------------------------


def halved(objects: np.ndarray) -> None:
    objects[:, 9:19, 0] >>= 1


def truncated(objects: np.ndarray) -> None:
    objects[:, 1:5, 0] &= ~1


def one_jet(objects: np.ndarray) -> None:
    objects[12, 9, 0] += 1


@pytest.mark.parametrize(
    ("change", "features", "rule"),
    [
        (halved, [f"jet{n}.pt" for n in range(1, 11)], "the other file holds half"),
        (truncated, [f"egamma{n}.pt" for n in range(1, 5)], "the other file lost the lowest bit"),
        (one_jet, ["jet1.pt"], None),
    ],
)
def test_other_inputs_alone(
    change: Callable[[np.ndarray], None],
    features: list[str],
    rule: str | None,
    here: Path,
    events: EventSet,
    scorer: Scorer,
    exact: np.ndarray,
    tmp_path: Path,
) -> None:
    """The recorded scores are right for the inputs beside them; the emulator was given others."""
    there = changed(events, tmp_path / "there.h5", change)
    given = stored("hdf5", tmp_path / "scores", exact)
    found = monitor("tiny", scorer, None, [here], recorded=given, against=[there])
    (flag,) = found.flags
    assert flag.kind == "other inputs"
    one, before, after = found.inputs, events.collections["objects"], read(there).collections["objects"]
    assert one is not None
    assert {row.name for row in one.features} <= set(features)
    differ = (before != after).any(axis=(1, 2))
    moved = scorer.score(after) != exact
    assert (one.matched_by, one.compared, one.differing) == ("order", 600, differ.sum())
    assert one.other_score == (differ & moved).sum()
    assert one.recorded_fits == {"these inputs": differ.sum(), "the other inputs": 0, "neither": 0}
    assert one.features[0].rule == rule
    assert one.first is not None
    assert one.first.event == np.flatnonzero(differ)[0]
    assert (one.first.here, one.first.there) != (one.first.there, one.first.here)
    assert found.scores is not None
    assert (found.scores.compared, found.scores.differing) == (600 - differ.sum(), 0)


def test_both_kinds_are_told_apart(
    here: Path, events: EventSet, scorer: Scorer, exact: np.ndarray, tmp_path: Path
) -> None:
    """Event 12 has another input, for which the recorded score is right; event 30 has another score alone."""
    there = changed(events, tmp_path / "there.h5", lambda objects: objects[12].fill(0))
    recorded = exact.copy()
    recorded[12] = scorer.score(read(there).collections["objects"])[12]
    assert recorded[12] != exact[12]
    recorded[30] += 1
    given = stored("hdf5", tmp_path / "scores", recorded)
    found = monitor("tiny", scorer, None, [here], recorded=given, against=[there])
    assert [flag.kind for flag in found.flags] == ["same inputs, other score", "other inputs"]
    assert found.scores is not None
    assert found.inputs is not None
    assert (found.scores.compared, found.scores.differing) == (599, 1)
    assert found.inputs.recorded_fits == {"these inputs": 0, "the other inputs": 1, "neither": 0}
    assert found.inputs.other_score == 0
    without = monitor("tiny", scorer, None, [here], against=[there]).inputs
    assert without is not None
    assert (without.other_score, without.recorded_fits) == (1, None)


def test_the_same_file_against_itself(here: Path, scorer: Scorer) -> None:
    found = monitor("tiny", scorer, None, [here], against=[here])
    assert found.flags == ()
    assert found.inputs is not None
    assert (found.inputs.compared, found.inputs.differing, found.inputs.features) == (600, 0, ())


def parquet(path: Path, objects: np.ndarray, **columns: np.ndarray) -> Path:
    """A file of the cmsl1t layout that holds these objects, all as present, and further columns."""
    table: dict[str, Any] = {"MET_Et": objects[:, 0, 0], "MET_phi": objects[:, 0, 2]}
    kinds = {
        "egammas_eg": (1, 5, ("IEt", "IEta", "IPhi")),
        "muons_muon": (5, 9, ("IEt", "IEtaAtVtx", "IPhiAtVtx")),
        "jets_jet": (9, 19, ("IEt", "IEta", "IPhi")),
    }
    for prefix, (low, high, names) in kinds.items():
        for at, name in enumerate(names):
            table[prefix + name] = objects[:, low:high, at].tolist()
    pq.write_table(pa.table({**table, **columns}), path)
    return path


def test_crossings_are_matched_by_run_lumi_and_event(
    events: EventSet, model: Model, scorer: Scorer, exact: np.ndarray, tmp_path: Path
) -> None:
    """The other file has another order, lacks some crossings and has others; scores are a column."""
    objects = events.collections["objects"]
    keys = {
        "run": np.repeat([1, 2], 300),
        "lumi": np.repeat(np.arange(60), 10),
        "event": np.tile(np.arange(10), 60),
    }
    here = parquet(tmp_path / "here.parquet", objects, **keys, axo=exact * FRAC)
    order = np.random.default_rng(1).permutation(600)[:500]
    other = objects[order].copy()
    at = int(np.flatnonzero(order == 77)[0])
    other[at, 0, 0] += 3
    moved = {name: values[order].copy() for name, values in keys.items()}
    moved["run"][order == 5] = 3
    assert 5 in order
    there = parquet(tmp_path / "there.parquet", other, **moved)
    found = monitor("tiny", scorer, None, [here], recorded="axo", against=[there])
    one = found.inputs
    assert one is not None
    assert (one.matched_by, one.compared) == ("run, lumi, event", 499)
    assert (one.only_here, one.only_there, one.differing) == (101, 1, 1)
    assert one.first is not None
    assert (one.first.event, one.first.other_event, one.first.feature) == (77, at, "met.pt")
    assert (one.first.there - one.first.here) == 3
    assert found.scores is not None
    assert (found.scores.compared, found.scores.differing) == (599, 0)
    twice = parquet(tmp_path / "twice.parquet", objects, run=keys["run"], event=keys["event"])
    with pytest.raises(DataError, match=r"here\.parquet: run, event = 1, 0 is there twice"):
        Twin(here, twice, model.contract)
    strange = parquet(tmp_path / "strange.parquet", objects, **{**keys, "run": keys["run"] + 7})
    with pytest.raises(DataError, match=r"no event of .*here\.parquet is in .*strange\.parquet"):
        Twin(here, strange, model.contract)
    floats = parquet(tmp_path / "floats.parquet", objects, **{**keys, "run": keys["run"] * 0.5})
    with pytest.raises(DataError, match=r"floats\.parquet: run is of type float64"):
        Twin(here, floats, model.contract)


def test_files_that_cannot_be_matched(
    here: Path,
    events: EventSet,
    model: Model,
    scorer: Scorer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write(tmp_path / "short.h5", events.select(slice(0, 500)))
    with pytest.raises(
        DataError, match=r"has 600 events and .* 500, and not both have run and event numbers"
    ):
        Twin(here, tmp_path / "short.h5", model.contract)
    with pytest.raises(DataError, match="2 files stand against 1: give one for each event file"):
        monitor("tiny", scorer, None, [here], against=[here, here])
    with pytest.raises(DataError, match="nothing to compare: look for drift, or give recorded scores"):
        monitor("tiny", scorer, None, [here])
    monkeypatch.setattr("zerobias.monitor.recorded._SPAN", 10)
    with (
        closing(Twin(here, here, model.contract)) as twin,
        pytest.raises(DataError, match="in quite another order: sort one like the other"),
    ):
        twin.read(np.array([0, 599]))


# --- further columns of every layout --------------------------------------------------------------


def branches(events: int) -> dict[str, Any]:
    return {"modelInput": FILES.regions(events).astype("f4"), "mine": np.arange(events)}


@pytest.mark.parametrize(
    "make",
    [
        lambda path: FILES.hdf5(path, {"CaloRegions": FILES.regions(9), "mine": np.arange(9)}),
        lambda path: FILES.hdf5(
            path, {"CaloRegions": FILES.regions(9), "mine": np.arange(9)}, chunks=True, compression="gzip"
        ),
        lambda path: FILES.hdf5(path, {"Particles": np.zeros((9, 19, 4)), "mine": np.arange(9)}),
        lambda path: FILES.tree(path, branches(9), "l1CaloSummaryTree/L1CaloSummaryTree"),
        lambda path: FILES.tree(
            path, {f"CALQ{n}": np.zeros(9, "i4") for n in range(48)} | {"mine": np.arange(9)}, "wafers"
        ),
        lambda path: parquet(path, np.zeros((9, 19, 3), int), mine=np.arange(9)),
    ],
)
def test_further_columns_of_a_file(make: Callable[[Path], Path], tmp_path: Path) -> None:
    with closing(open_source(make(tmp_path / "file"))) as source:
        assert "mine" in source.further()
        for start, stop in ((0, 4), (4, 9), (2, 5), (0, 9)):
            np.testing.assert_array_equal(source.numbers("mine", start, stop), np.arange(start, stop))


def test_columns_of_our_own_and_of_nano_files(here: Path, events: EventSet, tmp_path: Path) -> None:
    with closing(open_source(here)) as source:
        np.testing.assert_array_equal(source.numbers("weight", 5, 9), events.weight[5:9])
    with closing(open_source(FILES.l1nano(tmp_path / "nano.root", 6))) as source:
        np.testing.assert_array_equal(source.numbers("run", 1, 5), np.ones(4))
        with pytest.raises(DataError, match="has a varying number of values an event"):
            source.numbers("L1EG_hwPt", 0, 6)


def test_columns_that_are_not_one_row_an_event(tmp_path: Path) -> None:
    path = FILES.hdf5(tmp_path / "a.h5", {"CaloRegions": FILES.regions(9), "mine": np.arange(8)})
    with (
        closing(open_source(path)) as source,
        pytest.raises(DataError, match=r"a\.h5: mine has 8 rows of int64: 9 rows of numbers are needed"),
    ):
        source.numbers("mine", 0, 4)
    lists = parquet(tmp_path / "b", np.zeros((2, 19, 3), int), mine=pa.array([[1], [1, 2]]))
    with (
        closing(open_source(lists)) as source,
        pytest.raises(DataError, match="mine of event 1 has 2 values; an event has one"),
    ):
        source.numbers("mine", 0, 2)
    csv = tmp_path / "wafers.csv"
    csv.write_text("\n".join([",".join(f"CALQ_{n}" for n in range(48)), ",".join(["0"] * 48)]) + "\n")
    with closing(open_source(csv)) as source:
        assert source.further() == ()
        with pytest.raises(DataError, match="has no further columns"):
            source.numbers("mine", 0, 1)
    with pytest.raises(DataError, match="mine is neither a file of scores nor a column"):
        Recorded("mine", [csv], [1])


# --- the command ---------------------------------------------------------------------------------


def test_a_working_model_and_its_release(
    model: Model, scorer: Scorer, small_sample: Path, tmp_path: Path
) -> None:
    shelf = model.folder.parent
    output = tmp_path / "out" / "report.json"
    words = "--models", shelf, "--output", output
    code, out, err = run("monitor", "tiny", small_sample, *words, "--sample", small_sample, "--json")
    assert code == 0, err
    document = json.loads(out)
    assert document == json.loads(output.read_text())
    assert (document["flags"], document["drift"]["pileup"]) == ([], "same")
    assert document["reference"]["sample"] == small_sample.name
    release = model.releases / "1.2.3"
    shutil.copytree(model.folder, release, ignore=shutil.ignore_patterns("releases", "__pycache__"))
    code, out, err = run("monitor", "tiny@1.2.3", small_sample, *words)
    assert (code, out) == (2, "")
    assert "reference.npz is no reference of a release" in err
    (release / "reference.npz").write_bytes(make_reference(model, scorer, small_sample).content())
    events = read(small_sample, ["objects", "leader"])
    moved = events.collections["objects"].copy()
    moved[:, 1, 0] //= 2
    write(tmp_path / "new.h5", replace(events, collections={**events.collections, "objects": moved}))
    code, out, err = run("monitor", "tiny@1.2.3", tmp_path / "new.h5", *words)
    assert code == 3
    assert "egamma1.pt" in out
    assert "% in the reference (chance" in out
    assert err.split("error: ")[1].startswith("input, egamma1.pt: ")
    code, out, err = run("monitor", "tiny@1.2.3", small_sample, *words)
    assert code == 0
    assert "nothing is flagged" in out


def test_other_pileup_is_said(model: Model, events: EventSet, small_sample: Path, tmp_path: Path) -> None:
    whole = read(small_sample, ["objects", "leader"])
    write(tmp_path / "low.h5", whole.select(whole.npu < 45))
    words = "monitor", "tiny", tmp_path / "low.h5", "--models", model.folder.parent, "--sample", small_sample
    code, out, err = run(*words)
    assert code == 0, err
    said = " ".join(out.split())
    assert "pile-up differs (nPU" in said
    assert "so all is compared at the reference's" in said


def test_both_disagreements_are_shown(
    model: Model, here: Path, events: EventSet, exact: np.ndarray, tmp_path: Path
) -> None:
    there = changed(events, tmp_path / "there.h5", halved)
    given = stored("hdf5", tmp_path / "scores", exact + (np.arange(600) == 599))
    words = "monitor", "tiny", here, "--models", model.folder.parent, "--no-drift", "--recorded", given
    code, out, err = run(*words)
    said = " ".join(out.split())
    assert code == 3
    assert "recorded scores: 1 of 600 are not the exact ones" in said
    assert "same inputs, other score" in said
    code, out, err = run(*words, "--against", there)
    said = " ".join(out.split())
    assert code == 3
    assert "crossings differ, matched by order; 0 only here, 0 only there" in said
    assert "the other file holds half" in said
    assert err.split("error: ")[1].startswith("other inputs, jet")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("missing.h5",), "no event file missing.h5"),
        (("here.h5", "--significance", "0"), "significance: Input should be greater than 0"),
        (("here.h5", "--min-shift", "-1"), "shift: Input should be greater than or equal to 0"),
        (("here.h5", "--against", "missing.h5"), "no event file missing.h5"),
        (("here.h5", "--no-drift"), "nothing to compare"),
    ],
)
def test_bad_input_is_one_sentence(
    words: tuple[str, ...],
    message: str,
    model: Model,
    here: Path,
    small_sample: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(here.parent)
    code, out, err = run("monitor", "tiny", *words, "--models", model.folder.parent, "--sample", small_sample)
    assert (code, out) == (2, "")
    assert message in err


def test_a_release_carries_the_reference(model: Model, scorer: Scorer, small_sample: Path) -> None:
    content = command.reference_bytes(model, small_sample)
    assert content == make_reference(model, scorer, small_sample).content()

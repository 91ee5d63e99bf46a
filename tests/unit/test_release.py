"""Releases: what is written, what is refused, and that a release is a model that never changes."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import zerobias.cli.build as build
import zerobias.cli.release as command
import zerobias.release.repository as repository
import zerobias.release.write as writing
from zerobias.cli.app import app
from zerobias.emulator import Package, write_emulator
from zerobias.errors import DataError, GateError, InputError, SpecError, ToolError
from zerobias.files import document_digest, tree_digest
from zerobias.fixed import from_keras, shaped
from zerobias.monitor import REFERENCE, Reference
from zerobias.release import (
    check_files,
    check_release,
    claim_version,
    clean_commit,
    read_release,
    write_index,
    write_release,
)
from zerobias.release.repository import tracked_files
from zerobias.report import Agreement, Report, assemble
from zerobias.score.chunks import model_key
from zerobias.targets import load_target
from zerobias.verify import Golden, extreme_events, write_golden
from zerobias.zoo import Model, find_model, model_names, read_weights, released_versions, write_weights

MADE_WITH = {"zerobias": "0.1.0", "hls4ml": "1.3.0"}


def git(folder: Path, *words: str) -> str:
    identity = "-c", "user.name=Test", "-c", "user.email=test@example.org"
    done = subprocess.run(
        ["git", "-C", str(folder), *identity, *words], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def report(mismatches: int = 0, digest: str = "f" * 64) -> Report:
    return assemble(
        model="tiny",
        version="1.2.3",
        target=load_target("ugt"),
        deployed="hls4ml",
        digest=digest,
        settings={},
        agreement=Agreement(
            events=10,
            extremes=90,
            implementations=("reference", "csim"),
            mismatches={"reference": 0, "csim": mismatches},
        ),
        disagreements=("csim differs in layer dense1",) if mismatches else (),
        hardware=(),
        headroom=(),
        physics=None,
    )


@dataclass(frozen=True)
class Shelf:
    """A models folder in a git repository of its own, with the tiny model and its written package."""

    root: Path
    package: Package

    @property
    def model(self) -> Model:
        return find_model("tiny", self.root)

    def release(self, **changes: Any) -> Path:
        """The release of the present version."""
        model, package = self.model, self.package
        if model.spec.version != "1.2.3":
            package = packaged(model, self.root.parent / f"package-{model.spec.version}")
        write_release(model, changes.get("report", report()), package, clean_commit(self.root), MADE_WITH)
        return model.releases / model.spec.version

    def commit(self) -> None:
        git(self.root, "add", "-A")
        git(self.root, "commit", "-qm", "change")


def packaged(model: Model, path: Path) -> Package:
    golden = np.load(model.folder / "golden" / "golden.npz")
    network = model.load()
    graph = from_keras(network, model.contract)
    return write_emulator(
        model, network, graph, golden["raw"].astype(np.int64), golden["score"].astype(np.int64), path
    )


@pytest.fixture(scope="module")
def committed(shelf_with_tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    """The models folder, committed, beside a written package."""
    root = tmp_path_factory.mktemp("release") / "models"
    shutil.copytree(shelf_with_tiny, root, ignore=shutil.ignore_patterns("__pycache__"))
    model = find_model("tiny", root)
    graph = from_keras(model.load(), model.contract)
    raw = extreme_events(model.contract, corners=5, random=20)[-25:]
    write_golden(
        root / "tiny" / "golden" / "golden.npz",
        Golden(raw, graph.evaluate(shaped(model.contract, graph, raw))),
    )
    (root / ".gitignore").write_text("__pycache__/\n")
    git(root, "init", "-q")
    git(root, "add", "-A")
    git(root, "commit", "-qm", "first")
    return Shelf(root, packaged(model, root.parent / "package"))


@pytest.fixture
def shelf(committed: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shelf:
    """A private copy of ``committed``; the engine is none that is checked out."""
    shutil.copytree(committed.root.parent, tmp_path, dirs_exist_ok=True)
    monkeypatch.setattr(repository, "_engine", lambda: tmp_path)
    return Shelf(tmp_path / "models", replace(committed.package, path=tmp_path / "package"))


def test_what_a_release_holds(shelf: Shelf) -> None:
    for name in (
        "tiny_v1p2p3.so",
        "notes.txt",
        "lib64/tiny_v1p2p3.json",
    ):  # built, dropped and installed there
        (shelf.package.path / name).parent.mkdir(exist_ok=True)
        (shelf.package.path / name).write_text("none of the source")
    folder = shelf.release()
    record = read_release(folder)
    assert record.commit == git(shelf.root, "rev-parse", "HEAD")
    for name in ("model.toml", "model.py", "weights/quantised.npz", "golden/golden.npz"):
        assert (folder / name).read_bytes() == (shelf.model.folder / name).read_bytes()
    assert json.loads((folder / "report.json").read_text())["verdict"] == "pass-on-estimates"
    sources = {path.relative_to(folder / "emulator").parts[0] for path in (folder / "emulator").rglob("*")}
    assert {"Makefile", "firmware", "include", "tiny_v1p2p3.cpp", "tiny_v1p2p3.json"} <= sources
    assert not sources & {"golden", "ap_types", "tiny_v1p2p3.so", "notes.txt", "lib64"}
    assert record.digests["emulator"] == shelf.package.digest
    assert record.digests["firmware"] == "f" * 64
    assert set(record.files) == {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and path.name != "release.json"
    }
    assert [path.name for path in shelf.model.releases.iterdir()] == ["1.2.3"]


def test_release_is_a_model_with_the_same_scores_and_digest(shelf: Shelf, tmp_path: Path) -> None:
    """The working model goes on; the release, built anew, is what it was."""
    folder = shelf.release()
    record = read_release(folder)
    weights = read_weights(shelf.model.weights_path("quantised"))
    weights["mu/bias"] = weights["mu/bias"] + 0.125
    write_weights(shelf.model.weights_path("quantised"), weights)
    toml = shelf.model.folder / "model.toml"
    toml.write_text(toml.read_text().replace("1.2.3", "1.3.0"))
    old = find_model("tiny@1.2.3", shelf.root)
    assert (old.label, old.build_name, old.spec.version) == ("tiny@1.2.3", "tiny@1.2.3", "1.2.3")
    assert old.on("xcvu9p").build_name == "tiny@1.2.3@xcvu9p"
    again = packaged(old, tmp_path / "again")
    assert check_release(folder, report(), again, MADE_WITH) == record
    golden = np.load(folder / "golden" / "golden.npz")
    graph = from_keras(old.load(), old.contract)
    raw = golden["raw"].astype(np.int64)
    np.testing.assert_array_equal(graph.evaluate(shaped(old.contract, graph, raw)), golden["score"])
    new = from_keras(shelf.model.load(), old.contract)
    assert (new.evaluate(shaped(old.contract, graph, raw)) != golden["score"]).any()


def test_two_models_of_one_name_have_modules_of_their_own(shelf: Shelf) -> None:
    shelf.release()
    (shelf.model.folder / "model.py").write_text("def build(*a, **b): ...\ndef train(*a): ...\nNEW = 1\n")
    old, new = find_model("tiny@1.2.3", shelf.root).module, shelf.model.module
    assert (hasattr(old, "NEW"), hasattr(new, "NEW"), old.__name__ == new.__name__) == (False, True, False)


def test_releasing_does_not_change_the_working_model(shelf: Shelf) -> None:
    before = model_key(shelf.model)
    shelf.release()
    assert model_key(shelf.model) == before
    assert "tiny@1.2.3" not in model_names(shelf.root)


def test_used_version_is_refused(shelf: Shelf) -> None:
    folder = shelf.release()
    before = tree_digest(folder)
    shelf.commit()
    toml = shelf.model.folder / "model.toml"
    message = f"tiny 1.2.3 is released already and never changes: raise version in {toml}"
    for attempt in (shelf.release, lambda: claim_version(shelf.model)):
        with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
            attempt()
    assert tree_digest(folder) == before
    toml.write_text(toml.read_text().replace("1.2.3", "1.10.0"))
    shelf.commit()
    shelf.release()
    assert released_versions(shelf.model.folder) == ("1.2.3", "1.10.0")
    assert "releases" not in {
        path.parts[0] for path in map(Path, read_release(shelf.model.releases / "1.10.0").files)
    }


def test_red_gate_is_refused(shelf: Shelf) -> None:
    with pytest.raises(GateError, match=r"^tiny 1\.2\.3 is not released: csim differs in layer dense1$"):
        shelf.release(report=report(mismatches=1))
    assert not shelf.model.releases.exists()


@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()])
def test_interrupted_release_leaves_nothing(
    shelf: Shelf, error: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object) -> None:
        raise error

    monkeypatch.setattr(writing, "write_report", fail)
    with pytest.raises(type(error)):
        shelf.release()
    assert not shelf.model.releases.exists()
    assert git(shelf.root, "status", "--porcelain") == ""


def test_killed_release_is_cleared_away(shelf: Shelf) -> None:
    left = shelf.model.releases / ".1.2.3.abcd" / "release"
    left.mkdir(parents=True)
    (left / "model.toml").write_text("half of it")
    with pytest.raises(InputError, match="not committed"):
        clean_commit(shelf.root)
    claim_version(shelf.model)
    assert clean_commit(shelf.root) == git(shelf.root, "rev-parse", "HEAD")


# --- the repository -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda root: (root / "tiny" / "model.py").write_text("# changed\n"), "tiny/model.py;"),
        (lambda root: (root / "notes.txt").write_text("new"), "notes.txt;"),
        (lambda root: (root / "tiny" / "model.toml").unlink(), "tiny/model.toml;"),
        (lambda root: [(root / name).touch() for name in "ab"], "a and 1 more;"),
    ],
)
def test_dirty_tree_is_refused(shelf: Shelf, change: Callable[[Path], object], named: str) -> None:
    assert re.fullmatch("[0-9a-f]{40}", clean_commit(shelf.root / "tiny"))
    change(shelf.root)
    message = f"{shelf.root} has changes that are not committed: {named} commit or remove them"
    with pytest.raises(InputError, match=re.escape(message)):
        clean_commit(shelf.root / "tiny")


def test_dirty_engine_is_refused(shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = tmp_path / "engine"
    engine.mkdir()
    (engine / "__init__.py").write_text("")
    git(engine, "init", "-q")
    git(engine, "add", "-A")
    git(engine, "commit", "-qm", "engine")
    monkeypatch.setattr(repository, "_engine", lambda: engine)
    assert clean_commit(shelf.root) == git(shelf.root, "rev-parse", "HEAD")
    (engine / "__init__.py").write_text("changed = True\n")
    with pytest.raises(InputError, match=r"engine has changes that are not committed: __init__\.py"):
        clean_commit(shelf.root)


def test_no_repository_no_commit_and_no_git(
    shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(
        InputError, match="is in no git repository that git reads: a release is made from a commit"
    ):
        clean_commit(tmp_path)
    empty = tmp_path / "empty"
    empty.mkdir()
    git(empty, "init", "-q")
    with pytest.raises(InputError, match="has no commit: a release is made from one"):
        clean_commit(empty)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolError, match="git was not found"):
        clean_commit(shelf.root)


def test_repository_that_git_cannot_read_is_not_clean(shelf: Shelf) -> None:
    (shelf.root / ".git" / "index").write_bytes(b"damaged")
    with pytest.raises(InputError, match=r"git cannot read .*models: mend what `git -C .* status` says"):
        clean_commit(shelf.root)
    with pytest.raises(InputError, match=r"git cannot read .*tiny: mend what `git -C .* ls-files` says"):
        tracked_files(shelf.root / "tiny")


@pytest.mark.parametrize("name", ["weights/quantised.npz", "golden/golden.npz"])
def test_file_that_git_ignores_is_missed(name: str, shelf: Shelf) -> None:
    (shelf.root / ".gitignore").write_text(f"__pycache__/\n{Path(name).name}\n")
    git(shelf.root, "rm", "-q", "--cached", f"tiny/{name}")
    shelf.commit()
    with pytest.raises(InputError, match=f"git does not know .*/tiny/{name}: a release holds it"):
        shelf.release()
    assert not shelf.model.releases.exists()


def test_library_of_another_model_is_refused(shelf: Shelf) -> None:
    other = shelf.root / "other" / "releases" / "1.2.3" / "emulator" / "tiny_v1p2p3.json"
    other.parent.mkdir(parents=True)
    other.write_text("{}")
    shelf.commit()
    with pytest.raises(
        InputError, match=r"tiny_v1p2p3\.so is the library of .*other/releases/1\.2\.3 already"
    ):
        shelf.release()


# --- what is held against a release -------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: (f / "weights" / "quantised.npz").write_bytes(b"other"), "quantised.npz has changed;"),
        (lambda f: (f / "emulator" / "Makefile").unlink(), "emulator/Makefile is missing;"),
        (lambda f: (f / "weights" / "float.npz").write_bytes(b"new"), "weights/float.npz is new;"),
    ],
)
def test_changed_files_are_found(shelf: Shelf, change: Callable[[Path], object], message: str) -> None:
    folder = shelf.release()
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__" / "model.pyc").write_bytes(b"")
    assert check_files(folder) == read_release(folder)
    change(folder)
    with pytest.raises(GateError, match=re.escape(message)):
        check_files(folder)


def test_other_build_is_found(shelf: Shelf) -> None:
    folder = shelf.release()
    commit = git(shelf.root, "rev-parse", "HEAD")[:12]
    other = report(digest="0" * 64)
    with pytest.raises(GateError, match=f"differs from its release in firmware; check out {commit}"):
        check_release(folder, other, shelf.package, MADE_WITH)
    with pytest.raises(GateError, match=r"in firmware: hls4ml 1\.3\.0 then, 1\.4\.0 now; check out"):
        check_release(folder, other, shelf.package, MADE_WITH | {"hls4ml": "1.4.0"})
    with pytest.raises(GateError, match="differs from its release in emulator;"):
        check_release(folder, report(), replace(shelf.package, digest="0" * 64), MADE_WITH)


@pytest.mark.parametrize("change", [{"digests": {}}, {"digest": "0" * 64}, {"more": 1}])
def test_damaged_record(change: dict[str, Any], shelf: Shelf) -> None:
    path = shelf.release() / "release.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(DataError, match=r"release\.json is no record of a release: restore it from git"):
        check_files(path.parent)


def test_part_without_a_digest_is_found(shelf: Shelf) -> None:
    path = shelf.release() / "release.json"
    digests = {"weights": read_release(path.parent).digests["weights"]}
    more = {"digests": digests, "digest": document_digest(digests)}
    path.write_text(json.dumps(json.loads(path.read_text()) | more))
    with pytest.raises(GateError, match="differs from its release in contract, emulator, firmware, golden;"):
        check_release(path.parent, report(), shelf.package, MADE_WITH)


@pytest.mark.parametrize("text", [None, "", "{}", "[]"])
def test_damaged_sidecar_of_a_release(text: str | None, shelf: Shelf) -> None:
    path = shelf.release() / "emulator" / "tiny_v1p2p3.json"
    path.unlink() if text is None else path.write_text(text)
    with pytest.raises(
        DataError, match=r"1\.2\.3/emulator holds no sidecar of a library: restore it from git"
    ):
        write_index(shelf.root)


def test_index_is_that_of_the_releases(shelf: Shelf) -> None:
    index = write_index(shelf.root)
    assert json.loads(index.read_text()) == {"emulators": []}
    index.unlink()
    shelf.release()
    (row,) = json.loads(write_index(shelf.root).read_text())["emulators"]
    sidecar = json.loads(shelf.package.sidecar.read_text())
    assert (row["model"], row["version"], row["library"]) == ("tiny", "1.2.3", "tiny_v1p2p3")
    assert row["digests"]["emulator"] == sidecar["digest"]
    assert (row["result"], row["thresholds"]) == (sidecar["result"], sidecar["thresholds"])
    assert (row["input"]["type"], len(row["input"]["features"])) == ("ap_fixed<18,13>", 57)
    assert (shelf.root / row["path"] / "tiny_v1p2p3.json").is_file()


# --- names --------------------------------------------------------------------------------------


def test_unknown_release_lists_the_known(shelf: Shelf) -> None:
    for known in ("none", "1.2.3"):
        for version in ("1.2.4", "", "1.2", "../1.2.3", "1.2.3/..", ".1.2.3"):
            with pytest.raises(SpecError, match=f"has no release .*: released are {re.escape(known)}"):
                find_model(f"tiny@{version}", shelf.root)
        if known == "none":
            shelf.release()


def test_release_in_the_wrong_folder(shelf: Shelf) -> None:
    folder = shelf.release()
    folder.rename(folder.with_name("1.2.4"))
    with pytest.raises(SpecError, match=r"version 1\.2\.3 differs from its folder 1\.2\.4"):
        find_model("tiny@1.2.4", shelf.root)


def test_models_folder_called_releases_holds_working_models(shelf: Shelf) -> None:
    shelf.root.rename(shelf.root.with_name("releases"))
    assert not find_model("tiny", shelf.root.with_name("releases")).released


# --- the command --------------------------------------------------------------------------------


def run(*words: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.stdout, " ".join(result.stderr.split())


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command without compilers (tests/long has the whole): no C simulation, a package not built."""

    def firmware(model: Model, root: Path, step: object, *, sample: Path | None) -> build.Build:
        return build.Build(root, report(), True)

    monkeypatch.setattr(build, "build_firmware", firmware)
    monkeypatch.setattr(command, "packaged", partial(command.packaged, write_only=True))


def test_command(shelf: Shelf, quick: None, small_sample: Path, tmp_path: Path) -> None:
    words = "--models", shelf.root, "--build", tmp_path / "build", "--sample", small_sample
    code, out, _ = run("release", "tiny", *words, "--json")
    assert code == 0
    made = json.loads(out)
    assert made["path"] == str(shelf.root / "tiny" / "releases" / "1.2.3")
    assert made["index"] == str(shelf.root / "emulators.json")
    reference = Path(made["path"]) / REFERENCE
    assert Reference.read(reference, find_model("tiny@1.2.3", shelf.root)).about.sample == small_sample.name
    code, out, _ = run("release", "tiny@1.2.3", *words, "--json")
    assert (code, json.loads(out)) == (0, made)
    whole = reference.read_bytes()
    reference.write_bytes(whole + b" ")
    with pytest.raises(GateError, match=r"reference\.npz has changed; a release never changes"):
        check_files(reference.parent)
    reference.write_bytes(whole)
    code, out, err = run("release", "tiny", *words)
    assert (code, out) == (2, "")
    assert "tiny 1.2.3 is released already" in err
    toml = shelf.model.folder / "model.toml"
    toml.write_text(toml.read_text().replace("1.2.3", "1.2.4"))
    code, out, err = run("release", "tiny", *words)
    assert (code, out) == (2, "")
    assert "has changes that are not committed" in err
    code, out, _ = run("models", "--models", shelf.root, "--json")
    assert [row["releases"] for row in json.loads(out) if row["name"] == "tiny"] == [["1.2.3"]]


def test_command_with_a_red_gate(
    shelf: Shelf, quick: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    red = build.Build(tmp_path, report(mismatches=1), True)
    monkeypatch.setattr(build, "build_firmware", lambda *args, **more: red)
    code, out, err = run("release", "tiny", "--models", shelf.root, "--build", tmp_path / "build")
    assert (code, out) == (3, "")
    assert "tiny 1.2.3 is not fit for release: csim differs in layer dense1" in err
    assert not shelf.model.releases.exists()


def test_damaged_release_is_refused_before_the_build(
    shelf: Shelf, quick: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (shelf.release() / "emulator" / "tiny_v1p2p3.json").unlink()
    toml = shelf.model.folder / "model.toml"
    toml.write_text(toml.read_text().replace("1.2.3", "1.2.4"))
    shelf.commit()
    monkeypatch.setattr(build, "build_firmware", lambda *args, **more: pytest.fail("it was built"))
    code, out, err = run("release", "tiny", "--models", shelf.root, "--build", tmp_path / "build")
    assert (code, out) == (2, "")
    assert "holds no sidecar of a library: restore it from git" in " ".join(err.split())
    assert released_versions(shelf.model.folder) == ("1.2.3",)


def test_commit_during_the_build_is_found(
    shelf: Shelf, quick: None, small_sample: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def firmware(*args: object, **more: object) -> build.Build:
        (shelf.root / "notes.txt").write_text("meanwhile")
        shelf.commit()
        return build.Build(tmp_path, report(), True)

    monkeypatch.setattr(build, "build_firmware", firmware)
    words = "--models", shelf.root, "--build", tmp_path / "build", "--sample", small_sample
    code, _, err = run("release", "tiny", *words)
    assert code == 2
    assert "another commit was checked out" in err
    assert not shelf.model.releases.exists()


def test_verbs_that_write_refuse_a_release(shelf: Shelf) -> None:
    folder = shelf.release()
    for verb, *words in (
        ("golden",),
        ("train",),
        ("fit-contract",),
        ("study", "front"),
        ("import-weights", "x.npz"),
    ):
        code, out, err = run(verb, "tiny@1.2.3", *words, "--models", shelf.root)
        assert (code, out) == (2, "")
        assert "tiny@1.2.3 is a release, which never changes: name the working model, tiny" in err
    check_files(folder)

"""The command line as a user meets it: exit codes, one sentence an error, one JSON document."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from zerobias.cli.app import app
from zerobias.zoo import find_model, read_weights


@pytest.fixture
def folder(shelf_with_tiny: Path, tmp_path: Path) -> Path:
    shutil.copytree(shelf_with_tiny, tmp_path / "models")
    return tmp_path / "models"


def run(*words: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, [str(w) for w in words])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.stdout, result.stderr


def test_no_command_shows_the_stages_in_order() -> None:
    words = (run()[1] + run()[2]).replace("│", " ").splitlines()
    first = [line.split()[0] for line in words if line.split()]
    stages = ["simulate", "contract", "train", "firmware", "golden", "pareto", "auc-loss"]
    assert [word for word in first if word in stages] == stages


def test_doctor_json_is_one_document() -> None:
    code, out, _ = run("doctor", "--json")
    document = json.loads(out)
    assert code == (0 if document["ok"] else 2)
    assert {"tensorflow", "hls4ml", "qkeras", "g++"} <= {f["name"] for f in document["findings"]}


def test_models_lists_a_users_folder(folder: Path) -> None:
    code, out, _ = run("models", "--models", folder, "--json")
    assert code == 0
    assert {"name": "tiny", "version": "1.2.3", "target": "ugt", "releases": []} in json.loads(out)


@pytest.mark.parametrize("command", ["firmware", "train", "golden", "contract", "fit-contract"])
@pytest.mark.parametrize("name", ["nothing", "../x", ""])
def test_unknown_model(command: str, name: str) -> None:
    code, out, err = run(command, "--", name)
    assert (code, out) == (2, "")
    assert err.startswith(f"error: no model named {name!r}: known are ")
    assert len(err.strip().splitlines()) == 1


def test_broken_toml_is_one_sentence(folder: Path) -> None:
    (folder / "tiny" / "model.toml").write_text("name = ")
    code, _, err = run("contract", "tiny", "--models", folder)
    assert code == 2
    assert "is not valid TOML" in err
    assert "Traceback" not in err


def test_contract_table(folder: Path) -> None:
    code, out, _ = run("contract", "tiny", "--models", folder)
    assert code == 0
    assert "jet10.phi" in out


def test_damaged_sample(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "events.h5").write_bytes(b"not HDF5")
    code, _, err = run("golden", "tiny", "--models", folder, "--sample", tmp_path / "events.h5")
    assert code == 2
    assert "cannot be read as an event file" in err


def test_import_weights_rounds_and_replaces(folder: Path, tmp_path: Path) -> None:
    before = read_weights(find_model("tiny", folder).weights_path("quantised"))
    arrays = {key: value + np.float32(0.01) for key, value in before.items()}
    arrays["mu/bias"] = np.array([1.06, -0.13], dtype=np.float32)
    np.savez(tmp_path / "trained.npz", **arrays)
    code, out, _ = run("import-weights", "tiny", tmp_path / "trained.npz", "--models", folder, "--json")
    assert code == 0
    assert json.loads(out)["rounded"] > 2
    after = read_weights(find_model("tiny", folder).weights_path("quantised"))
    assert after["mu/bias"].tolist() == [1.0, -0.125]  # LSB 1/8
    np.testing.assert_array_equal(after["hidden/kernel"], before["hidden/kernel"])


def test_import_weights_of_the_wrong_shape_changes_nothing(folder: Path, tmp_path: Path) -> None:
    path = find_model("tiny", folder).weights_path("quantised")
    before = path.read_bytes()
    np.savez(tmp_path / "bad.npz", **{**read_weights(path), "mu/bias": np.zeros(5)})
    code, _, err = run("import-weights", "tiny", tmp_path / "bad.npz", "--models", folder)
    assert code == 2
    assert "mu/bias has shape (5,)" in err
    assert path.read_bytes() == before


def test_import_weights_with_a_contract(folder: Path, tmp_path: Path) -> None:
    model = find_model("tiny", folder)
    weights, table = (
        model.weights_path("quantised"),
        Path(__file__).parents[1] / "data" / "axol1tl_v4_contract.toml",
    )
    shutil.copy(weights, tmp_path / "published.npz")
    words = "import-weights", "tiny", tmp_path / "published.npz", "--models", folder, "--contract"
    assert run(*words, table)[0] == 0
    changed = find_model("tiny", folder)
    assert str(changed.contract.offset_type) == "ap_fixed<10,10>"
    assert changed.spec.network == model.spec.network
    before = (folder / "tiny" / "model.toml").read_bytes()
    (tmp_path / "bad.toml").write_text(table.read_text().replace("ap_fixed<18,13>", "ap_fixed<12,8>"))
    code, _, err = run(*words, tmp_path / "bad.toml")
    assert code == 2
    assert "do not fit" in err
    assert (folder / "tiny" / "model.toml").read_bytes() == before


def test_fit_contract_freezes_what_it_fits(folder: Path) -> None:
    path = folder / "tiny" / "model.toml"
    text = path.read_text()
    code, _, _ = run("fit-contract", "tiny", "--models", folder)
    assert code == 0
    assert path.read_text() != text
    fitted = find_model("tiny", folder).contract
    assert (fitted.offset != 0).sum() > 20
    run("fit-contract", "tiny", "--models", folder)
    assert (find_model("tiny", folder).contract.offset == fitted.offset).all()
    assert path.read_text().count("\n") == text.count("\n")


def test_golden_says_what_changed(folder: Path) -> None:
    assert "new file" in json.loads(run("golden", "tiny", "--models", folder, "--json")[1])["change"]
    assert json.loads(run("golden", "tiny", "--models", folder, "--json")[1])["change"] == "nothing changed"
    path = find_model("tiny", folder).weights_path("quantised")
    arrays = read_weights(path)
    arrays["mu/bias"][0] += 0.125
    np.savez(path, **arrays)
    change = json.loads(run("golden", "tiny", "--models", folder, "--json")[1])["change"]
    assert "scores changed, by up to" in change


@pytest.mark.parametrize("target", ["vu9p", "", "--help", "../ugt"])
def test_unknown_target(target: str) -> None:
    code, out, err = run("firmware", f"--target={target}", "axol1tl")
    assert (code, out) == (2, "")
    assert err == f"error: no target named {target!r}: known are ctp7, econ-t, ugt, xcvu13p, xcvu9p\n"


@pytest.mark.long
def test_two_targets_build_side_by_side(folder: Path, tmp_path: Path, small_sample: Path) -> None:
    words = "firmware", "tiny", "--models", folder, "--build", tmp_path, "--sample", small_sample, "--json"
    own, other = (json.loads(run(*words, *more)[1]) for more in ((), ("--target", "xcvu9p")))
    assert (own["target"], other["target"]) == ("ugt", "xcvu9p")
    assert {path.parent.name for path in tmp_path.glob("*/report.json")} == {"tiny", "tiny@xcvu9p"}
    for name, clock, part in (("tiny", "4.1667", "xc7vx690t"), ("tiny@xcvu9p", "5.0000", "xcvu9p")):
        project = tmp_path / name / "hls"
        assert f"set clock_period {clock}\n" in (project / "project.tcl").read_text()
        assert f'set part "{part}' in (project / "project.tcl").read_text()
        assert f"-top tiny_top -part {part}" in (project / "build_vivado.tcl").read_text()
        assert f"-period {clock} [get_ports ap_clk]" in (project / "clock.xdc").read_text()
        assert not any("@" in script.read_text() for script in project.glob("*.tcl"))
    budgets = [{row["metric"]: row["budget"] for row in report["hardware"]} for report in (own, other)]
    assert [found["latency"] for found in budgets] == [40.0, 80.0]
    assert [found["dsp"] for found in budgets] == [0.0, None]
    assert run(*words[:-1])[1].splitlines()[-1].startswith("unchanged: ")


def test_red_gate_exits_with_3(folder: Path, tmp_path: Path) -> None:
    toml = folder / "tiny" / "model.toml"
    toml.write_text(toml.read_text().replace("latency_ns = 40.0", "latency_ns = 1.0"))
    code, out, err = run("firmware", "tiny", "--models", folder, "--build", tmp_path / "build", "--json")
    assert code == 3
    document = json.loads(out)
    assert document["verdict"] == "fail"
    assert document["agreement"]["mismatches"] == {"reference": 0, "keras": 0, "csim": 0}
    assert err.strip().splitlines()[-1].startswith("error: latency of the hls4ml design is ")
    assert "the budget is 1" in err

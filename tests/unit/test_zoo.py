"""Models shelf and weights: discovery, and every way a folder can be wrong."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from zerobias.errors import DataError, SpecError
from zerobias.targets import load_target
from zerobias.zoo import (
    Model,
    apply_weights,
    collect_weights,
    digest,
    find_model,
    model_names,
    read_weights,
    write_weights,
)


@pytest.fixture
def folder(shelf_with_tiny: Path, tmp_path: Path) -> Path:
    """A private copy of the shelf with the tiny model."""
    shutil.copytree(shelf_with_tiny, tmp_path / "models")
    return tmp_path / "models"


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_discovery_is_registration(folder: Path) -> None:
    assert "tiny" in model_names(folder)
    assert "tiny" not in model_names()
    shutil.copytree(folder / "tiny", folder / "mine")
    edit(folder / "mine" / "model.toml", 'name = "tiny"', 'name = "mine"')
    assert find_model("mine", folder).spec.title == find_model("tiny", folder).spec.title


@pytest.mark.parametrize("name", ["nothing", "../tiny", "/etc", "", "Tiny", "tiny/", "$(date)"])
def test_unknown_names_list_the_known(folder: Path, name: str) -> None:
    with pytest.raises(SpecError, match=r"known are .*tiny"):
        find_model(name, folder)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('name = "tiny"', "name = tiny", "not valid TOML"),
        ('title = "', 'titel = "x"\ntitle = "', "unknown key 'titel'; did you mean 'title'"),
        ("reuse_factor = 1", "reuse = 1", "unknown key 'hls.reuse'; did you mean 'reuse_factor'"),
        ("reuse_factor = 1", "reuse_factor = 0", "hls.reuse_factor: .*greater than or equal to 1"),
        (
            'strategy = "latency"\nreuse_factor = 1',
            'strategy = "distributed_arithmetic"\nreuse_factor = 2',
            "hls: distributed_arithmetic is fully unrolled: reuse_factor must be 1",
        ),
        ('strategy = "latency"', 'strategy = "fast"', "hls.strategy: .*latency"),
        ('title = "', 'design = "vhdl"\ntitle = "', "design: .*'hls4ml', 'conifer' or 'rtl'"),
        ('version = "1.2.3"', 'version = "1.2"', "version: "),
        ('version = "1.2.3"', 'version = "1.02.3"', "version: "),
        ('version = "1.2.3"', 'version = "1.2.٣"', "version: "),
        ('name = "tiny"', 'name = "other"', "differs from its folder"),
        (
            'raw_type = "ap_fixed<18,13>"',
            'raw_type = "fixed18"',
            "contract.raw_type: 'fixed18' is not a fixed-point",
        ),
        ("width = 12", "widht = 12", r"unknown key 'contract.group.0.fields.0.widht'; did you mean 'width'"),
    ],
)
def test_broken_spec(folder: Path, old: str, new: str, message: str) -> None:
    edit(folder / "tiny" / "model.toml", old, new)
    with pytest.raises(SpecError, match=message) as caught:
        find_model("tiny", folder)
    assert "\n" not in str(caught.value) or "TOML" in message


def test_a_model_may_not_loosen_its_target(folder: Path) -> None:
    edit(folder / "tiny" / "model.toml", "latency_ns = 40.0", "latency_ns = 60.0")
    model = find_model("tiny", folder)
    with pytest.raises(SpecError, match="may only tighten"):
        _ = model.target


def test_either_design_may_be_deployed(folder: Path) -> None:
    assert find_model("tiny", folder).spec.design == "hls4ml"
    edit(folder / "tiny" / "model.toml", 'title = "', 'design = "rtl"\ntitle = "')
    assert find_model("tiny", folder).spec.design == "rtl"


def test_own_ceiling_tightens(tiny: Model) -> None:
    assert tiny.target.ceilings.latency_ns == 40.0


def test_another_target_has_its_own_ceilings_and_build_folder(tiny: Model) -> None:
    other = tiny.on("ctp7")
    assert (tiny.build_name, other.build_name) == ("tiny", "tiny@ctp7")
    assert other.target == load_target("ctp7")  # 40 ns were a share of the uGT
    assert tiny.target.name == "ugt"
    for own in (tiny.on("ugt"), other.on("ugt")):
        assert (own.build_name, own.target) == ("tiny", tiny.target)


@pytest.mark.parametrize("name", ["vu9p", "", "../targets/ugt", "ugt.toml", "UGT"])
def test_unknown_target_lists_the_known(tiny: Model, name: str) -> None:
    with pytest.raises(SpecError, match=f"no target named '{name}': known are ctp7, econ-t, ugt"):
        tiny.on(name)


def test_missing_model_py(folder: Path) -> None:
    (folder / "tiny" / "model.py").unlink()
    with pytest.raises(SpecError, match=r"model\.py is missing"):
        find_model("tiny", folder).load()


def test_model_py_without_train(folder: Path) -> None:
    (folder / "tiny" / "model.py").write_text("def build(spec, quantised=True):\n    return None\n")
    with pytest.raises(SpecError, match=r"does not define train\(\)"):
        find_model("tiny", folder).load()


def test_weights_come_back_and_give_the_same_bytes(tiny: Model, tmp_path: Path) -> None:
    arrays = read_weights(tiny.weights_path("quantised"))
    network = tiny.load()
    collected = collect_weights(network)
    assert digest(collected) == digest(arrays)
    write_weights(tmp_path / "a.npz", collected)
    write_weights(tmp_path / "b.npz", dict(reversed(collected.items())))
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_digest_sees_one_bit(tiny: Model) -> None:
    arrays = read_weights(tiny.weights_path("quantised"))
    other = {key: value.copy() for key, value in arrays.items()}
    other["mu/bias"][0] += 0.125
    assert digest(other) != digest(arrays)


def test_missing_weights_say_what_to_do(folder: Path) -> None:
    (folder / "tiny" / "weights" / "quantised.npz").unlink()
    with pytest.raises(DataError, match="make train"):
        find_model("tiny", folder).load()


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 not a zip", None])
def test_damaged_weights(folder: Path, damage: bytes | None) -> None:
    path = folder / "tiny" / "weights" / "quantised.npz"
    path.write_bytes(path.read_bytes()[:-200] if damage is None else damage)
    with pytest.raises(DataError, match="cannot be read"):
        find_model("tiny", folder).load()


def test_pickled_objects_are_never_loaded(tmp_path: Path) -> None:
    np.savez(tmp_path / "evil.npz", weights=np.array([{"a": 1}], dtype=object))
    with pytest.raises(DataError, match="cannot be read"):
        read_weights(tmp_path / "evil.npz")


def test_weights_that_are_not_finite(tmp_path: Path) -> None:
    np.savez(tmp_path / "nan.npz", weights=np.array([np.nan]))
    with pytest.raises(DataError, match="numeric and finite"):
        read_weights(tmp_path / "nan.npz")


def test_arrays_must_fit_the_network(tiny: Model) -> None:
    network = tiny.load()
    arrays = collect_weights(network)
    with pytest.raises(DataError, match="lack mu/bias"):
        apply_weights(network, {k: v for k, v in arrays.items() if k != "mu/bias"})
    with pytest.raises(DataError, match="hold unknown extra/kernel"):
        apply_weights(network, arrays | {"extra/kernel": np.zeros(3)})
    with pytest.raises(DataError, match=r"mu/bias has shape \(3,\)"):
        apply_weights(network, arrays | {"mu/bias": np.zeros(3)})

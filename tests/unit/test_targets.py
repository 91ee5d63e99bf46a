"""Targets and specification files: what they hold and how a wrong one is told."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel, ConfigDict

from zerobias.errors import SpecError
from zerobias.specs import load_toml
from zerobias.targets import load_target, target_names


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid")
    width: int = 1


class Outer(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: str
    part: tuple[Inner, ...] = ()
    one: Inner | None = None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name = ", r"not valid TOML: Invalid value"),
        ("part = []", r"name: Field required$"),
        ('name = "a"\nnaem = 1', r"unknown key 'naem'; did you mean 'name'\?$"),
        ('name = "a"\n[[part]]\nwidht = 2', r"unknown key 'part.0.widht'; did you mean 'width'\?$"),
        ('name = "a"\n[one]\nx = 2', r"unknown key 'one.x'; did you mean 'width'\?$"),
        (
            'name = "a"\n[[part]]\nwidth = "wide"',
            r"part.0.width: Input should be a valid integer.*\(given: 'wide'\)$",
        ),
    ],
)
def test_messages(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "spec.toml"
    path.write_text(text)
    with pytest.raises(SpecError, match=message) as caught:
        load_toml(path, Outer)
    assert str(caught.value).startswith(str(path))


def test_missing_and_binary_files(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="cannot be read: No such file"):
        load_toml(tmp_path / "none.toml", Outer)
    (tmp_path / "bin.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SpecError, match="not valid TOML"):
        load_toml(tmp_path / "bin.toml", Outer)


def test_shipped_targets() -> None:
    assert {"ugt", "ctp7"} <= set(target_names())
    ugt = load_target("ugt")
    assert ugt.part.startswith("xc7vx690t")
    assert (ugt.clock_mhz, ugt.ceilings.latency_ns, ugt.ceilings.ii_bx, ugt.ceilings.lut_percent) == (
        240,
        50,
        1,
        5,
    )
    assert ugt.clocks_per_bx == pytest.approx(6)
    assert ugt.capacity is not None
    assert ugt.capacity.lut == 433_200


@pytest.mark.parametrize(
    ("name", "part", "clock_mhz", "capacity"),
    [
        ("ugt", "xc7vx690t", 240, (433_200, 866_400, 3_600, 1_470)),
        ("ctp7", "xc7vx690t", 160, (433_200, 866_400, 3_600, 1_470)),
        ("xcvu9p", "xcvu9p-", 200, (1_182_240, 2_364_480, 6_840, 2_160)),
        ("xcvu13p", "xcvu13p-", 360, (1_728_000, 3_456_000, 12_288, 2_688)),
    ],
)
def test_chips_of_the_targets(name: str, part: str, clock_mhz: float, capacity: tuple[int, ...]) -> None:
    target = load_target(name)
    assert target.part.startswith(part)
    assert target.clock_mhz == clock_mhz
    assert target.capacity is not None
    assert tuple(target.capacity.model_dump().values()) == capacity


@pytest.mark.parametrize("name", target_names())
def test_every_target_limits_latency_interval_and_logic(name: str) -> None:
    target = load_target(name)
    assert None not in (target.ceilings.latency_ns, target.ceilings.ii_bx)
    assert (target.ceilings.lut_percent is None) == (target.capacity is None)
    assert "own ceiling" in load_target(name).source  # which figures are nobody else's


def test_unknown_target_lists_the_known() -> None:
    with pytest.raises(
        SpecError, match=r"no target named 'vu9p': known are ctp7, econ-t, ugt, xcvu13p, xcvu9p$"
    ):
        load_target("vu9p")


def test_a_ceiling_may_only_be_tightened() -> None:
    ugt = load_target("ugt")
    assert ugt.tightened({"latency_ns": 25}).ceilings.latency_ns == 25
    assert ugt.tightened({"ff_percent": 10}).ceilings.ff_percent == 10
    with pytest.raises(SpecError, match=r"latency_ns = 51 loosens target ugt \(50\).*at most 50"):
        ugt.tightened({"latency_ns": 51})
    with pytest.raises(SpecError, match="ceiling 'power' is unknown"):
        ugt.tightened({"power": 1})


def test_an_asic_has_no_capacity_to_share() -> None:
    econ = load_target("econ-t")
    assert econ.capacity is None
    assert (econ.clock_ns, econ.tightened({"latency_ns": 75}).ceilings.latency_ns) == (25, 75)
    for share in ({"lut_percent": 5}, {"dsp_percent": 0}):
        with pytest.raises(SpecError, match=f"ceiling {min(share)} is a share of a capacity: declare one"):
            econ.tightened(share)

"""A model folder's declaration, ``model.toml``."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from zerobias.contract import ContractSpec, TypeField
from zerobias.zoo.links import LinksSpec

__all__ = ["EmulatorSpec", "HlsSettings", "ModelSpec", "RangeSpec", "SearchSpec", "TargetSpec"]


class _Spec(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TargetSpec(_Spec):
    """The target the model is built for."""

    name: str
    """A target of ``firmware/targets``, the board it is deployed on."""
    ceilings: dict[str, float] = {}
    """Ceilings by name, as in the target's ``[ceilings]``; they may only tighten the target's own."""


class HlsSettings(_Spec):
    """hls4ml settings: they are part of the report."""

    strategy: Literal["latency", "resource", "distributed_arithmetic"] = "latency"
    """hls4ml's way to make products: ``distributed_arithmetic`` writes them as adder graphs."""
    reuse_factor: int = Field(default=1, ge=1)
    """Clocks between two accepted events; 1 with ``distributed_arithmetic``."""
    io_type: Literal["io_parallel"] = "io_parallel"
    """All inputs of an event come in the same clock."""

    @model_validator(mode="after")
    def _adder_graphs_are_unrolled(self) -> Self:
        if self.strategy == "distributed_arithmetic" and self.reuse_factor != 1:
            raise ValueError("distributed_arithmetic is fully unrolled: reuse_factor must be 1")
        return self


class EmulatorSpec(_Spec):
    """The library for CMSSW, and what it gives."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)

    name: str = Field(default="", pattern=r"^([A-Za-z][A-Za-z0-9_]*)?$")
    """The library is called ``<name>_v<version>.so``; empty: the model's name."""
    latent: str = ""
    """A layer whose values come with the score, as a pair; empty: the score alone."""
    score_type: TypeField | None = None
    """Type under which CMSSW reads the score, of the same width and integer bits (only how a value got
    there may differ); none: the score's own."""


class RangeSpec(_Spec):
    """An interval of numbers."""

    low: float
    """Lower end; above 0 with ``log``."""
    high: float
    """Upper end."""
    log: bool = False
    """Whether draws are even in the logarithm."""

    @model_validator(mode="after")
    def _ordered(self) -> RangeSpec:
        if not self.low < self.high or (self.log and self.low <= 0):
            raise ValueError("low must be below high, and above 0 with log = true")
        return self


class SearchSpec(_Spec):
    """What ``zerobias pareto`` may change: values by their place, e.g. ``"network.latent" = [4, 8]``.

    A place is ``network`` or ``training``, a key of that table and, inside an array, an index from 0.
    """

    choices: dict[str, tuple[Any, ...]] = {}
    """Place -> the values to choose from."""
    ranges: dict[str, RangeSpec] = {}
    """Place -> an interval of numbers."""


class ModelSpec(_Spec):
    """``model.toml``: contract, target, hls4ml settings, score, links, training, search space and seeds."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    """The folder's name."""
    version: str = Field(pattern=r"^(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*)){2}$")
    """Version ``X.Y.Z`` of the working model, numbers without leading zeros."""
    title: str
    """What it is, in one line."""
    design: Literal["hls4ml", "conifer", "rtl"] = "hls4ml"
    """The deployed design: its rows decide the report's verdict. Of trees ``conifer`` or ``rtl``."""
    seed: int = Field(default=1, ge=0)
    """Seed of the training."""
    menu_scale: int | None = Field(default=None, gt=0)
    """A trigger menu's threshold counts ``menu_scale`` x score; none: the score's integer."""
    target: TargetSpec
    """The board."""
    hls: HlsSettings = HlsSettings()
    """hls4ml's settings."""
    emulator: EmulatorSpec = EmulatorSpec()
    """The library for CMSSW."""
    links: LinksSpec = LinksSpec()
    """Where inputs and scores lie on the board's links."""
    contract: ContractSpec
    """The input contract; the last table of the file."""
    network: dict[str, Any] = {}
    """Whatever the folder's ``model.py`` builds from, and checks."""
    training: dict[str, Any] = {}
    """Whatever the folder's ``model.py`` trains by, and checks."""
    search: SearchSpec = SearchSpec()
    """What ``zerobias pareto`` may change."""

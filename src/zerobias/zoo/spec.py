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
    """The target the model is built for; ``ceilings`` may only tighten the target's own."""

    name: str
    ceilings: dict[str, float] = {}


class HlsSettings(_Spec):
    """hls4ml settings: they are part of the report."""

    strategy: Literal["latency", "resource", "distributed_arithmetic"] = "latency"
    reuse_factor: int = Field(default=1, ge=1)
    io_type: Literal["io_parallel"] = "io_parallel"

    @model_validator(mode="after")
    def _adder_graphs_are_unrolled(self) -> Self:
        if self.strategy == "distributed_arithmetic" and self.reuse_factor != 1:
            raise ValueError("distributed_arithmetic is fully unrolled: reuse_factor must be 1")
        return self


class EmulatorSpec(_Spec):
    """The library for CMSSW: ``<name>_v<version>.so`` (default: the model's name), and what it gives.

    With ``latent``, a layer's name, the result is the pair of that layer's values and the score; without, the
    score alone. ``score_type`` is the type under which CMSSW reads the score: of the same width and integer
    bits, because only how a value got there may differ (default: the score's own type).
    """

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)

    name: str = Field(default="", pattern=r"^([A-Za-z][A-Za-z0-9_]*)?$")
    latent: str = ""
    score_type: TypeField | None = None


class RangeSpec(_Spec):
    """Numbers from ``low`` to ``high``; ``log``: even in their logarithm."""

    low: float
    high: float
    log: bool = False

    @model_validator(mode="after")
    def _ordered(self) -> RangeSpec:
        if not self.low < self.high or (self.log and self.low <= 0):
            raise ValueError("low must be below high, and above 0 with log = true")
        return self


class SearchSpec(_Spec):
    """What ``zerobias pareto`` may change: values by their place, e.g. ``"network.latent" = [4, 8]``.

    A place is ``network`` or ``training``, a key of that table and, inside an array, an index from 0. Each of
    ``choices`` lists whole values; each of ``ranges`` gives the ends of an interval of numbers.
    """

    choices: dict[str, tuple[Any, ...]] = {}
    ranges: dict[str, RangeSpec] = {}


class ModelSpec(_Spec):
    """``model.toml``: contract, target, hls4ml settings, score, links, training, search space and seeds.

    ``network`` and ``training`` belong to the folder's ``model.py``, which checks their keys. A menu's
    threshold counts ``menu_scale`` x score (default: the score's integer).
    """

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    version: str = Field(pattern=r"^\d+\.\d+\.\d+$")
    title: str
    design: Literal["hls4ml", "rtl"] = "hls4ml"
    seed: int = Field(default=1, ge=0)
    menu_scale: int | None = Field(default=None, gt=0)
    target: TargetSpec
    hls: HlsSettings = HlsSettings()
    emulator: EmulatorSpec = EmulatorSpec()
    links: LinksSpec = LinksSpec()
    contract: ContractSpec
    network: dict[str, Any] = {}
    training: dict[str, Any] = {}
    search: SearchSpec = SearchSpec()

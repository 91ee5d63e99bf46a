"""The typed report of one build: verdicts follow from its numbers, nobody sets them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, model_validator

from zerobias.physics import PhysicsTable
from zerobias.targets import Target

__all__ = ["Agreement", "HardwareRow", "HeadroomRow", "Report", "assemble", "budgeted"]

Metric = Literal["latency", "ii", "lut", "ff", "dsp", "bram"]
Source = Literal["reference", "csim", "rtl-sim", "yosys", "estimate", "csynth", "vivado"]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Agreement(_Part):
    """Events compared and how many differ, by implementation."""

    events: int
    extremes: int
    implementations: tuple[str, ...]
    mismatches: dict[str, int]


class HardwareRow(_Part):
    """One figure of one design. ``budget`` None: no ceiling; ``ok`` None: not known."""

    design: Literal["hls4ml", "rtl"]
    metric: Metric
    value: float | None
    unit: str
    budget: float | None
    source: Source
    method: str
    ok: bool | None


class HeadroomRow(_Part):
    """Range a node needs, in real values, against its type."""

    node: str
    type: str
    minimum: float
    maximum: float
    bits_used: int
    bits_available: int | None
    overflows: bool


class Report(_Part):
    """Everything a build found out, as written to ``report.json``."""

    model: str
    version: str
    target: str
    digest: str
    settings: dict[str, Any]
    agreement: Agreement
    hardware: tuple[HardwareRow, ...]
    headroom: tuple[HeadroomRow, ...]
    physics: PhysicsTable | None
    verdict: Literal["pass", "pass-on-estimates", "fail"]
    causes: tuple[str, ...]

    @model_validator(mode="after")
    def _verdict_follows(self) -> Self:
        implied = _verdict(self.agreement, self.hardware, self.headroom, self.causes)
        if self.verdict != implied:
            raise ValueError(f"verdict {self.verdict!r} contradicts the numbers, which imply {implied!r}")
        return self


def budgeted(
    target: Target,
    design: Literal["hls4ml", "rtl"],
    metric: Metric,
    value: float | None,
    source: Source,
    method: str,
) -> HardwareRow:
    """A row with its unit, the target's ceiling in that unit and whether it is kept.

    ``value`` is in ns (latency), bunch crossings (ii) or counts (the resources).
    """
    ceilings, capacity = target.ceilings, target.capacity

    def share(percent: float | None, total: int) -> float | None:
        return None if percent is None else percent / 100 * total

    unit, budget = {
        "latency": ("ns", ceilings.latency_ns),
        "ii": ("BX", ceilings.ii_bx),
        "lut": ("LUT", share(ceilings.lut_percent, capacity.lut)),
        "ff": ("FF", share(ceilings.ff_percent, capacity.ff)),
        "dsp": ("DSP", share(ceilings.dsp_percent, capacity.dsp)),
        "bram": ("BRAM36", share(ceilings.bram_percent, capacity.bram36)),
    }[metric]
    # Clocks times a period such as 1/240 us carry a rounding error: 30 clocks are 125.00000000000001 ns.
    ok = None if value is None or budget is None else value <= budget or math.isclose(value, budget)
    return HardwareRow(
        design=design,
        metric=metric,
        value=value,
        unit=unit,
        budget=budget,
        source=source,
        method=method,
        ok=ok,
    )


def assemble(
    *,
    model: str,
    version: str,
    target: str,
    digest: str,
    settings: dict[str, Any],
    agreement: Agreement,
    disagreements: tuple[str, ...],
    hardware: tuple[HardwareRow, ...],
    headroom: tuple[HeadroomRow, ...],
    physics: PhysicsTable | None,
) -> Report:
    """The report with its verdict.

    ``fail`` when an implementation differs, a node can overflow or a budget is exceeded;
    ``pass-on-estimates`` when a budgeted figure is an estimate or unknown; else ``pass``.
    """
    causes = [*disagreements, *_uncompared(agreement)]
    if any(agreement.mismatches.values()) and not disagreements:
        worst = max(agreement.mismatches, key=lambda name: agreement.mismatches[name])
        causes.append(
            f"{worst} differs from the integer reference on {agreement.mismatches[worst]} events; "
            "compare layer by layer, or rebuild from the released weights"
        )
    causes += [
        f"node {row.node} ({row.type}) can overflow: values reach [{row.minimum:g}, {row.maximum:g}]; "
        "widen its type or let it saturate"
        for row in headroom
        if row.overflows
    ]
    causes += [
        f"{row.metric} of the {row.design} design is {row.value:g} {row.unit} ({row.source}), "
        f"the budget is {row.budget:g}; {_WAYS_OUT[row.metric]}"
        for row in hardware
        if row.ok is False
    ]
    return Report(
        model=model,
        version=version,
        target=target,
        digest=digest,
        settings=settings,
        agreement=agreement,
        hardware=hardware,
        headroom=headroom,
        physics=physics,
        verdict=_verdict(agreement, hardware, headroom, causes),
        causes=tuple(causes),
    )


def _uncompared(agreement: Agreement) -> list[str]:
    """Sentences on what was never compared: agreement over nothing proves nothing."""
    others = [name for name in agreement.implementations if name != "reference"]
    causes = []
    if not others:
        causes.append("no implementation was compared with the integer reference; run the C simulation")
    if agreement.events + agreement.extremes == 0:
        causes.append("agreement was checked on 0 events; give a sample with a test split")
    causes += [
        f"{name} has no mismatch count; compare it with the integer reference, or leave it out"
        for name in others
        if name not in agreement.mismatches
    ]
    return causes


def _verdict(
    agreement: Agreement,
    hardware: tuple[HardwareRow, ...],
    headroom: tuple[HeadroomRow, ...],
    causes: Sequence[str],
) -> Literal["pass", "pass-on-estimates", "fail"]:
    """The verdict that the parts of a report imply."""
    if (
        causes
        or _uncompared(agreement)
        or any(agreement.mismatches.values())
        or any(row.overflows for row in headroom)
        or any(row.ok is False for row in hardware)
    ):
        return "fail"
    budgets = [row for row in hardware if row.budget is not None]
    if not budgets or any(row.source == "estimate" or row.value is None for row in budgets):
        return "pass-on-estimates"
    return "pass"


_WAYS_OUT: dict[str, str] = {
    "latency": "use fewer or narrower layers, or a target with a faster clock",
    "ii": "lower the reuse factor, or accept fewer events",
    "lut": "prune or narrow the weights, or raise the reuse factor",
    "ff": "use fewer pipeline stages, or narrow the layers",
    "dsp": "narrow the products to at most 10 bits, or allow DSPs in the target",
    "bram": "keep the weights in logic, or allow BRAM in the target",
}

"""The typed report of one build: verdicts follow from its numbers, nobody sets them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, model_validator

from zerobias.physics import PhysicsTable, ScoreCurves
from zerobias.targets import Target

__all__ = [
    "Agreement",
    "Design",
    "HardwareRow",
    "HeadroomRow",
    "Metric",
    "Report",
    "assemble",
    "budgeted",
    "clocks_text",
]

Design = Literal["hls4ml", "conifer", "rtl", "rtl-ports"]
"""A circuit: the HLS project's, named after its tool, or the RTL; ``rtl-ports``: with weights as ports."""
Metric = Literal["latency", "ii", "clock", "gates", "lut", "ff", "dsp", "bram"]
"""A figure of a circuit."""
Source = Literal["reference", "csim", "rtl-sim", "yosys", "estimate", "csynth", "vivado"]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Agreement(_Part):
    """Events compared and how many differ, by implementation."""

    events: int
    """Events of the sample's test split that were compared."""
    extremes: int
    """Events at the extremes of the input box, and random ones in it."""
    implementations: tuple[str, ...]
    """What was compared, the reference first."""
    mismatches: dict[str, int]
    """Implementation -> events that differ from the reference."""


class HardwareRow(_Part):
    """One figure of one design."""

    design: Design
    """The circuit the figure is of; ``rtl-ports`` is the RTL with weights as ports."""
    metric: Metric
    """What it is; ``clock`` is the shortest period the design reaches."""
    value: float | None
    """The figure in ``unit``; null: not known."""
    unit: str
    """Unit of value and budget."""
    budget: float | None
    """The target's limit; null: none."""
    source: Source
    """Where the figure is from."""
    method: str
    """How it was found, in one line."""
    ok: bool | None
    """Whether the limit is kept; null: not known, or no limit."""
    band: tuple[float, float] | None = None
    """An estimator's declared error band: factors of ``value`` between which the measurement is expected."""
    note: str = ""
    """The value in clocks and bunch crossings or MHz, or as a share of the chip; empty: neither."""

    @model_validator(mode="after")
    def _band_of_an_estimate(self) -> Self:
        if self.band is not None and not (self.source == "estimate" and 0 <= self.band[0] <= self.band[1]):
            raise ValueError(f"band {self.band}: only an estimate has one, from low to high")
        return self

    @property
    def measured(self) -> bool:
        """Whether this is a known figure that is no estimate."""
        return self.value is not None and self.source != "estimate"

    def expects(self, measurement: float) -> bool:
        """Whether ``measurement`` of the same figure lies in the declared band.

        Raises ``ValueError`` for a row without value or band: it expects nothing in particular.
        """
        if self.value is None or self.band is None:
            raise ValueError(f"{self.metric} of the {self.design} design declares no band")
        low, high = (factor * self.value for factor in self.band)
        return low <= measurement <= high


class HeadroomRow(_Part):
    """Range a node needs, in real values, against its type."""

    node: str
    """Node of the fixed-point graph."""
    type: str
    """Its type."""
    minimum: float
    """Smallest value it can take."""
    maximum: float
    """Largest value it can take."""
    bits_used: int
    """Bits that range needs."""
    bits_available: int | None
    """Bits of the type; null: the node has none of its own."""
    overflows: bool
    """Whether the type wraps and cannot hold the range."""


class Report(_Part):
    """Everything a build found out, as written to ``report.json``."""

    model: str
    """The model's name."""
    title: str = ""
    """Its title."""
    version: str
    """Its version."""
    target: str
    """The board it was built for."""
    deployed: Design
    """The design whose rows decide."""
    budgets: tuple[Metric, ...]
    """Metrics that the target limits."""
    digest: str
    """SHA-256 over the weights and every source written."""
    settings: dict[str, Any]
    """Strategy, reuse factor, io type, part, clock, sample with its SHA-256, versions of tools."""
    agreement: Agreement
    """Whether all implementations gave the same integers."""
    hardware: tuple[HardwareRow, ...]
    """Latency, initiation interval, clock and resources of each design."""
    headroom: tuple[HeadroomRow, ...]
    """Range of every node."""
    physics: PhysicsTable | None
    """AUC and efficiencies; null: the sample has no signals, or the score several values."""
    curves: ScoreCurves | None = None
    """Distribution and ROC curve of the score on the same events; null without physics."""
    verdict: Literal["pass", "pass-on-estimates", "fail"]
    """``pass``: every budget is kept by a measurement; ``pass-on-estimates``: one has none; ``fail``."""
    causes: tuple[str, ...]
    """One sentence for each reason of ``fail``."""

    @model_validator(mode="after")
    def _verdict_follows(self) -> Self:
        implied = _verdict(
            self.deployed, self.budgets, self.agreement, self.hardware, self.headroom, self.causes
        )
        if self.verdict != implied:
            raise ValueError(f"verdict {self.verdict!r} contradicts the numbers, which imply {implied!r}")
        return self

    @property
    def unmeasured(self) -> tuple[Metric, ...]:
        """Metrics with a ceiling of which the deployed design has no measurement."""
        return _unmeasured(self.deployed, self.budgets, self.hardware)


def budgeted(
    target: Target,
    design: Design,
    metric: Metric,
    value: float | None,
    source: Source,
    method: str,
    band: tuple[float, float] | None = None,
) -> HardwareRow:
    """A row with its unit, the target's limit in that unit and whether it is kept.

    ``value`` is in ns (latency, clock), bunch crossings (ii) or counts (the resources); the limit of the
    clock is the target's period, that of the others a ceiling.
    """
    budget = target.clock_ns if metric == "clock" else _ceilings(target)[metric]
    # Clocks times a period such as 1/240 us carry a rounding error: 30 clocks are 125.00000000000001 ns.
    ok = None if value is None or budget is None else value <= budget or math.isclose(value, budget)
    return HardwareRow(
        design=design,
        metric=metric,
        value=value,
        unit=_UNITS[metric],
        budget=budget,
        source=source,
        method=method,
        ok=ok,
        band=band,
        note="" if value is None else _note(target, metric, value),
    )


def clocks_text(count: float) -> str:
    """``count`` to the next whole clock, in words."""
    return "1 clock" if round(count) == 1 else f"{count:.0f} clocks"


def _note(target: Target, metric: Metric, value: float) -> str:
    """``value`` in the target's other units."""
    if metric == "latency":
        return f"{clocks_text(value / target.clock_ns)}, {value / target.bx_ns:.2f} BX"
    if metric == "ii":
        return clocks_text(value * target.clocks_per_bx)
    if metric == "clock":
        return f"{1e3 / value:.0f} MHz"
    if target.capacity is None or metric == "gates":
        return ""
    total = getattr(target.capacity, "bram36" if metric == "bram" else metric)
    return f"{100 * value / total:.2f} % of the chip"


def _ceilings(target: Target) -> dict[Metric, float | None]:
    """The target's ceilings in the units of the rows; None where it has none."""
    ceilings, capacity = target.ceilings, target.capacity

    def share(percent: float | None, resource: str) -> float | None:
        if percent is None or capacity is None:
            return None
        return percent / 100 * int(getattr(capacity, resource))

    return {
        "latency": ceilings.latency_ns,
        "ii": ceilings.ii_bx,
        "gates": None,
        "lut": share(ceilings.lut_percent, "lut"),
        "ff": share(ceilings.ff_percent, "ff"),
        "dsp": share(ceilings.dsp_percent, "dsp"),
        "bram": share(ceilings.bram_percent, "bram36"),
    }


def assemble(
    *,
    model: str,
    title: str = "",
    version: str,
    target: Target,
    deployed: Design,
    digest: str,
    settings: dict[str, Any],
    agreement: Agreement,
    disagreements: tuple[str, ...],
    hardware: tuple[HardwareRow, ...],
    headroom: tuple[HeadroomRow, ...],
    physics: PhysicsTable | None,
    curves: ScoreCurves | None = None,
) -> Report:
    """The report with its verdict.

    ``fail`` when an implementation differs, a node can overflow or the design ``deployed`` exceeds a limit;
    ``pass`` when every ceiling of ``target`` is kept by a measurement of that design; else
    ``pass-on-estimates``. Rows of the other design are shown, they decide nothing.
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
        for row in _exceeded(deployed, hardware)
    ]
    budgets = tuple(metric for metric, ceiling in _ceilings(target).items() if ceiling is not None)
    return Report(
        model=model,
        title=title,
        version=version,
        target=target.name,
        deployed=deployed,
        budgets=budgets,
        digest=digest,
        settings=settings,
        agreement=agreement,
        hardware=hardware,
        headroom=headroom,
        physics=physics,
        curves=curves,
        verdict=_verdict(deployed, budgets, agreement, hardware, headroom, causes),
        causes=tuple(causes),
    )


def _unmeasured(
    deployed: Design, budgets: Sequence[Metric], hardware: Sequence[HardwareRow]
) -> tuple[Metric, ...]:
    """Those of ``budgets`` of which the deployed design has no measurement."""
    measured = {row.metric for row in hardware if row.design == deployed and row.measured}
    return tuple(metric for metric in budgets if metric not in measured)


def _exceeded(deployed: Design, hardware: Sequence[HardwareRow]) -> list[HardwareRow]:
    """Rows that break a limit: measurements of the deployed design, or estimates where it has none."""
    return [
        row
        for row in hardware
        if row.design == deployed
        and row.ok is False
        and (row.measured or _unmeasured(deployed, [row.metric], hardware))
    ]


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
    deployed: Design,
    budgets: Sequence[Metric],
    agreement: Agreement,
    hardware: Sequence[HardwareRow],
    headroom: Sequence[HeadroomRow],
    causes: Sequence[str],
) -> Literal["pass", "pass-on-estimates", "fail"]:
    """The verdict that the parts of a report imply."""
    if (
        causes
        or _uncompared(agreement)
        or any(agreement.mismatches.values())
        or any(row.overflows for row in headroom)
        or _exceeded(deployed, hardware)
    ):
        return "fail"
    if not budgets or _unmeasured(deployed, budgets, hardware):
        return "pass-on-estimates"
    return "pass"


_UNITS: dict[Metric, str] = {
    "latency": "ns",
    "ii": "BX",
    "clock": "ns",
    "gates": "NAND2",
    "lut": "LUT",
    "ff": "FF",
    "dsp": "DSP",
    "bram": "BRAM36",
}

_WAYS_OUT: dict[Metric, str] = {
    "latency": "use fewer or narrower layers, or a target with a faster clock",
    "ii": "lower the reuse factor, or accept fewer events",
    "clock": "cut the pipeline into more stages, or choose a target with a slower clock",
    "gates": "prune or narrow the weights",
    "lut": "prune or narrow the weights, or raise the reuse factor",
    "ff": "use fewer pipeline stages, or narrow the layers",
    "dsp": "narrow the products to at most 10 bits, or allow DSPs in the target",
    "bram": "keep the weights in logic, or allow BRAM in the target",
}

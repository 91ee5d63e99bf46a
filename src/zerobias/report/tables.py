"""The report's tables as text, for the page."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from zerobias.physics import PhysicsTable, ScoreCurves, ScoreRow, Value
from zerobias.report.model import Agreement, Report
from zerobias.report.text import FEW, plain, plus_minus, rates_of, shown_rows

__all__ = [
    "Table",
    "agreement_table",
    "curve_tables",
    "detail_tables",
    "means_table",
    "pileup_table",
    "provenance_tables",
    "signals_table",
]


@dataclass(frozen=True)
class Table:
    """Caption, column heads and rows of cells; ``words``: columns of text, which are not aligned right."""

    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    words: tuple[int, ...] = (0,)


def agreement_table(agreement: Agreement) -> Table:
    """Events compared and events that differ."""
    total = agreement.events + agreement.extremes
    rows = []
    for name in agreement.implementations:
        wrong = agreement.mismatches.get(name)
        equal = ("not compared", "-") if wrong is None else (f"{total - wrong:,} of {total:,}", f"{wrong:,}")
        result = "exact" if wrong == 0 else "DIFFERS" if wrong else "NOT COMPARED"
        rows.append((name, *equal, "defines the integers" if name == "reference" else result))
    caption = (
        f"Implementations against the integer reference, on {agreement.events:,} events of the test split "
        f"and {agreement.extremes:,} extremes of the input box; agreement is equality of integers"
    )
    return Table(caption, ("implementation", "equal events", "differ", "result"), tuple(rows), (0, 3))


def means_table(physics: PhysicsTable) -> Table:
    """Mean AUC of every score."""
    return Table(
        "Mean AUC over the signals",
        ("score", "AUC", "AUC with zero-bias pile-up"),
        tuple((row.score, plus_minus(row.auc, 4), _maybe(row.auc_reweighted, 4)) for row in physics.means),
    )


def signals_table(physics: PhysicsTable) -> Table:
    """For each signal the network and the best cut."""
    whole = _score_table(physics, shown_rows(physics), "Each signal: the network and the cut of highest AUC")
    return replace(whole, head=whole.head[:-2], rows=tuple(row[:-2] for row in whole.rows))


def pileup_table(physics: PhysicsTable) -> Table:
    """AUC of the network in intervals of pile-up."""
    bins = sorted({(row.low, row.high) for row in physics.pileup})
    found = {(row.signal, row.low, row.high): row.auc for row in physics.pileup}
    return Table(
        "AUC of the network versus pile-up (nPU of signal and zero bias)",
        ("signal", *(f"nPU {low} to {high}" for low, high in bins)),
        tuple(
            (signal, *(_maybe(found.get((signal, *each)), 4) for each in bins))
            for signal in dict.fromkeys(row.signal for row in physics.pileup)
        ),
    )


def detail_tables(physics: PhysicsTable) -> Iterator[Table]:
    """Everything else of the physics table."""
    yield _score_table(physics, physics.rows, "Every score on every signal")
    rates = rates_of(physics)
    yield Table(
        "The same with the signal's pile-up reweighted to that of zero bias",
        ("signal", "score", "AUC", *(f"efficiency at {rate}" for rate in rates)),
        tuple(
            (
                row.signal,
                row.score,
                _maybe(row.auc_reweighted, 4),
                *(_maybe((row.efficiency_reweighted or {}).get(rate), 4) for rate in rates),
            )
            for row in physics.rows
        ),
        (0, 1),
    )
    yield Table(
        "What the pile-up reweighting leaves out, and the effective events left",
        ("signal", "zero bias left out", "signal left out", "effective events"),
        tuple(
            (
                row.signal,
                f"{100 * row.background_dropped:.2f} %",
                f"{100 * row.signal_dropped:.2f} %",
                f"{row.effective_events:,.1f}",
            )
            for row in physics.reweighting
        ),
    )
    if physics.quantisation is not None:
        yield Table(
            "AUC of the quantised minus the float network (paired bootstrap)",
            ("signal", "difference"),
            (
                ("mean", _signed(physics.quantisation.mean)),
                *((name, _signed(value)) for name, value in sorted(physics.quantisation.by_signal.items())),
            ),
        )


def curve_tables(curves: ScoreCurves) -> Iterator[Table]:
    """The points that the plots draw."""
    histogram, roc = curves.histogram, curves.roc
    names = sorted(histogram.signals)
    yield Table(
        "Score distribution: share of the events in each bin of the raw integer score",
        ("from", "below", "zero bias", *names),
        tuple(
            (f"{low:,}", f"{high:,}", *(f"{share:.4g}" for share in shares))
            for low, high, *shares in zip(
                histogram.edges[:-1],
                histogram.edges[1:],
                histogram.background,
                *(histogram.signals[name] for name in names),
                strict=True,
            )
        ),
        (),
    )
    yield Table(
        "ROC: share of the events with score ≥ threshold (raw integer)",
        ("threshold", "zero bias", "effective zero-bias events", *names),
        tuple(
            (f"{threshold:,}", f"{share:.4g}", f"{above:,.1f}", *(f"{one:.4g}" for one in efficiencies))
            for threshold, share, above, *efficiencies in zip(
                roc.thresholds,
                roc.background,
                roc.background_above,
                *(roc.signals[name] for name in names),
                strict=True,
            )
        ),
        (),
    )


def provenance_tables(report: Report) -> Iterator[Table]:
    """What was built from what, with which tools."""
    facts = [
        ("model", report.model),
        ("version", report.version),
        ("target", report.target),
        ("deployed design", report.deployed),
        ("metrics with a ceiling", ", ".join(report.budgets) or "none"),
        ("digest, SHA-256", report.digest),
    ]
    if report.physics is not None:
        physics = report.physics
        facts.append(("physics", f"{physics.split} split of {physics.sample}"))
        facts.append(("bootstrap replicas", f"{physics.replicas}"))
    settings = {key: value for key, value in report.settings.items() if key != "tools"}
    facts += list(_flat(settings))
    yield Table("What was built", ("fact", "value"), tuple(facts), (0, 1))
    tools = tuple(_flat(report.settings.get("tools", {})))
    if tools:
        yield Table("Versions of tools", ("tool", "version"), tools, (0, 1))


def _score_table(physics: PhysicsTable, rows: Iterable[ScoreRow], caption: str) -> Table:
    rates = rates_of(physics)
    heads = [part for rate in rates for part in (f"efficiency at {rate}", "zero bias above it")]
    cells = []
    for row in rows:
        figures = []
        for rate in rates:
            above = row.background_above[rate]
            mark = " †" if above < FEW else ""
            figures += [f"{plus_minus(row.efficiency[rate], 4)}{mark}", f"{above:,.1f}"]
        events = (f"{row.signal_events:,}", f"{row.background_events:,}")
        cells.append((row.signal, row.score, plus_minus(row.auc, 4), *figures, *events))
    return Table(
        caption,
        ("signal", "score", "AUC", *heads, "signal events", "zero-bias events"),
        tuple(cells),
        (0, 1),
    )


def _maybe(value: Value | None, digits: int) -> str:
    return "-" if value is None else plus_minus(value, digits)


def _signed(value: Value) -> str:
    return f"{value.value:+.4f} ± {value.error:.4f}"


def _flat(settings: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, str]]:
    """Keys joined by spaces, in their order in ``report.json``, and values as text."""
    for key, value in sorted(settings.items()):
        name = f"{before}{key.replace('_mhz', ', MHz').replace('_', ' ')}"
        if isinstance(value, Mapping):
            yield from _flat(value, f"{name} ")
        else:
            yield name, plain(value)

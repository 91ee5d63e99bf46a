"""The report for the terminal."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from zerobias.physics import PhysicsTable, ScoreRow
from zerobias.report.model import HardwareRow, Report
from zerobias.targets import Target

__all__ = ["render"]

_MARKS = {True: Text("ok", style="green"), False: Text("over", style="bold red"), None: Text("-")}


def render(report: Report, target: Target) -> RenderableType:
    """Compact tables: agreement, hardware, headroom, physics, verdict."""
    parts: list[RenderableType] = [
        Text.assemble(
            (f"{report.model} {report.version}", "bold"),
            f"  target {report.target} ({target.part}, {target.clock_mhz:g} MHz)  digest {report.digest[:8]}",
        ),
        _agreement(report),
        _hardware(report, target),
        _headroom(report),
    ]
    if report.physics is not None:
        parts += [_physics(report.physics), _pileup(report.physics), _means(report.physics)]
        if report.physics.quantisation is not None:
            mean = report.physics.quantisation.mean
            parts.append(
                Text(
                    f"quantised minus float AUC, mean over the signals: {mean.value:+.4f} ± {mean.error:.4f} "
                    "(paired bootstrap)"
                )
            )
    style = "bold red" if report.verdict == "fail" else "bold green"
    estimates = report.verdict == "pass-on-estimates" and report.unmeasured
    note = f" (not measured: {', '.join(report.unmeasured)})" if estimates else ""
    parts.append(Text.assemble("verdict: ", (report.verdict, style), note))
    parts += [Text(f"  {cause}", style="red") for cause in report.causes]
    return Group(*parts)


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="dim")
    for index, column in enumerate(columns):
        table.add_column(column, justify="left" if index == 0 else "right", no_wrap=True)
    return table


def _agreement(report: Report) -> Text:
    total = report.agreement.events + report.agreement.extremes
    lines = []
    for name in report.agreement.implementations:
        if name == "reference":
            continue
        wrong = report.agreement.mismatches.get(name, 0)
        exact = "exact" if wrong == 0 else "DIFFERS"
        lines.append(f"{name} {exact}, {total - wrong:,} of {total:,} events equal to the integer reference")
    style = "red" if any(report.agreement.mismatches.values()) else "green"
    return Text.assemble("agreement: ", ("\n           ".join(lines), style))


def _hardware(report: Report, target: Target) -> Table:
    table = _table(
        f"hardware; the {report.deployed} design is deployed",
        "design",
        "metric",
        "value",
        "",
        "budget",
        "",
        "source",
    )
    for row in report.hardware:
        value = "unknown" if row.value is None else f"{row.value:,.4g} {row.unit}"
        if row.value is not None and row.metric in ("gates", "lut", "ff", "dsp", "bram"):
            value = f"{row.value:,.0f} {row.unit}"
        budget = "none" if row.budget is None else f"{row.budget:,.6g} {row.unit}"
        source = f"≈ {row.source}" if row.source == "estimate" else row.source
        if row.band is not None:
            source += f" ×{row.band[0]:g}-{row.band[1]:g}"
        table.add_row(
            row.design,
            row.metric,
            value,
            _note(row, target),
            budget,
            _MARKS[row.ok],
            source,
            style=None if row.design == report.deployed else "dim",
        )
    return table


def _note(row: HardwareRow, target: Target) -> str:
    if row.value is None:
        return ""
    if row.metric == "latency":
        return f"{row.value / target.clock_ns:.0f} clocks, {row.value / target.bx_ns:.2f} BX"
    if row.metric == "ii":
        return f"{row.value * target.clocks_per_bx:.0f} clocks"
    if row.metric == "clock":
        return f"{1e3 / row.value:.0f} MHz"
    if target.capacity is None:
        return ""
    total = {
        "lut": target.capacity.lut,
        "ff": target.capacity.ff,
        "dsp": target.capacity.dsp,
        "bram": target.capacity.bram36,
    }[row.metric]
    return f"{100 * row.value / total:.2f} % of the chip"


def _headroom(report: Report) -> Table:
    table = _table(
        "headroom over the contract's input box", "node", "type", "minimum", "maximum", "bits", "of", ""
    )
    table.columns[1].no_wrap, table.columns[1].overflow = False, "fold"
    for row in report.headroom:
        available = "free" if row.bits_available is None else str(row.bits_available)
        note = Text("")
        if row.overflows:
            note = Text("OVERFLOWS", style="bold red")
        elif row.bits_available is not None and row.bits_used > row.bits_available:
            note = Text("saturates")
        table.add_row(
            row.node,
            row.type,
            f"{row.minimum:,.6g}",
            f"{row.maximum:,.6g}",
            str(row.bits_used),
            available,
            note,
        )
    return table


def _physics(physics: PhysicsTable) -> Table:
    rates = sorted(physics.rows[0].efficiency, key=float, reverse=True) if physics.rows else []
    columns = [part for rate in rates for part in (f"eff. at {rate}", "bkg")]
    table = _table(
        f"physics on the {physics.split} split of {physics.sample} ({physics.replicas} bootstrap replicas): "
        "the model and the best cut; report.json has all",
        "signal",
        "score",
        "AUC",
        *columns,
    )
    last = ""
    for row in _shown(physics):
        cells = []
        for rate in rates:
            value = row.efficiency[rate]
            cells += [f"{value.value:.3f} ± {value.error:.3f}", f"{row.background_above[rate]:.0f}"]
        signal = row.signal if row.signal != last else ""
        table.add_row(
            signal,
            row.score,
            f"{row.auc.value:.4f} ± {row.auc.error:.4f}",
            *cells,
            style="bold" if signal else None,
        )
        last = row.signal
    return table


def _shown(physics: PhysicsTable) -> list[ScoreRow]:
    """For each signal the network's row, then that of the cut with the highest AUC."""
    shown = []
    for signal in dict.fromkeys(row.signal for row in physics.rows):
        rows = [row for row in physics.rows if row.signal == signal]
        cuts = [row for row in rows if not row.score.startswith("model")]
        shown += [row for row in rows if row.score == "model"]
        shown += [max(cuts, key=lambda row: row.auc.value)] if cuts else []
    return shown


def _pileup(physics: PhysicsTable) -> Table:
    bins = sorted({(row.low, row.high) for row in physics.pileup})
    table = _table("AUC of the model versus pile-up", "signal", *(f"nPU {low}-{high}" for low, high in bins))
    for signal in dict.fromkeys(row.signal for row in physics.pileup):
        found = {(r.low, r.high): r.auc for r in physics.pileup if r.signal == signal}
        table.add_row(
            signal,
            *(f"{found[b].value:.3f} ± {found[b].error:.3f}" if b in found else "-" for b in bins),
        )
    return table


def _means(physics: PhysicsTable) -> Group:
    table = _table("mean AUC over the signals", "score", "AUC", "with zero-bias pile-up")
    for row in physics.means:
        other = row.auc_reweighted
        table.add_row(
            row.score,
            f"{row.auc.value:.4f} ± {row.auc.error:.4f}",
            f"{other.value:.4f} ± {other.error:.4f}" if other else "-",
        )
    signals = {row.signal for row in physics.rows}
    note = f"{len(physics.reweighting)} of {len(signals)} signals reweighted in nPU"
    if physics.reweighting:
        dropped = max(row.background_dropped for row in physics.reweighting)
        outside = max(row.signal_dropped for row in physics.reweighting)
        note += f"; left out: at most {100 * dropped:.1f} % of zero bias, {100 * outside:.1f} % of a signal"
    return Group(table, Text(note))

"""Rows of a report from the estimate of an HLS project."""

from __future__ import annotations

from zerobias.hls import Estimate, estimated_figures
from zerobias.report.model import Design, HardwareRow, budgeted
from zerobias.targets import Target
from zerobias.zoo import HlsSettings

__all__ = ["estimated_rows"]


def estimated_rows(
    found: Estimate, target: Target, settings: HlsSettings, design: Design = "hls4ml"
) -> tuple[HardwareRow, ...]:
    """The figures of an estimate of a project written with ``settings``, against the target's ceilings."""
    return tuple(
        budgeted(target, design, metric, value, "estimate", method, band)
        for metric, value, method, band in estimated_figures(found, target, settings)
    )

"""Rows of a report from the estimate of an hls4ml project."""

from __future__ import annotations

from zerobias.hls import Estimate, estimated_figures
from zerobias.report.model import HardwareRow, budgeted
from zerobias.targets import Target
from zerobias.zoo import HlsSettings

__all__ = ["estimated_rows"]


def estimated_rows(found: Estimate, target: Target, settings: HlsSettings) -> tuple[HardwareRow, ...]:
    """The figures of an estimate of a project written with ``settings``, against the target's ceilings."""
    return tuple(
        budgeted(target, "hls4ml", metric, value, "estimate", method, band)
        for metric, value, method, band in estimated_figures(found, target, settings)
    )

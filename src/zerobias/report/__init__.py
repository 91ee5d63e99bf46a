"""Report: verdict, measurements, ceilings and physics as one typed document."""

from zerobias.report.estimates import estimated_rows
from zerobias.report.files import read_report, write_report
from zerobias.report.html import page, write_page
from zerobias.report.model import (
    Agreement,
    Design,
    HardwareRow,
    HeadroomRow,
    Metric,
    Report,
    assemble,
    budgeted,
    clocks_text,
)
from zerobias.report.render import hardware_table, render

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
    "estimated_rows",
    "hardware_table",
    "page",
    "read_report",
    "render",
    "write_page",
    "write_report",
]

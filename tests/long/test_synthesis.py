"""The shipped models through synthesis and gate-level simulation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from zerobias.fixed import graph_of
from zerobias.rtl import check_gates, close_timing, read_netlist, trace
from zerobias.verify import read_golden
from zerobias.zoo import find_model

pytestmark = pytest.mark.long


@pytest.mark.parametrize(
    ("name", "latency_ns", "lut_percent"), [("axol1tl", 50.0, 2.5), ("cicada", 75.0, 4.0)]
)
def test_model(name: str, latency_ns: float, lut_percent: float, tmp_path: Path) -> None:
    """One cut of the model: fast, small, equal to the reference, and within the limits of time and memory."""
    model = find_model(name)
    circuit = trace(model.contract, graph_of(model.load(), model.contract))
    (attempt,) = close_timing(circuit, model.target, tmp_path, name=name, tries=1)
    assert attempt.latency_ns is not None
    assert attempt.latency_ns <= latency_ns
    assert attempt.synthesis.seconds < 600
    assert attempt.synthesis.peak_gb < 8
    assert attempt.resources.lut_high <= lut_percent / 100 * model.target.capacity.lut
    assert (attempt.resources.dsp, attempt.resources.bram36) == (0, 0)
    golden = read_golden(model.folder / "golden" / "golden.npz")
    pick = np.unique(
        np.r_[np.arange(0, len(golden.raw), 10), np.arange(len(golden.raw) - 100, len(golden.raw))]
    )
    check_gates(read_netlist(attempt.synthesis.netlist), attempt.design, golden.raw[pick], golden.score[pick])

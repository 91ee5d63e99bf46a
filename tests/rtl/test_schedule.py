"""Where the pipeline is cut, with arrival times worked out by hand from the figures of test_netlists.py."""

from __future__ import annotations

import pytest
from alkaid.trace import trace as collect
from alkaid.trace.fixed_variable import FVariable
from alkaid.types import CombLogic

from zerobias.rtl.arcs import cell_library, read_arcs
from zerobias.rtl.pipeline import Cut, stages_of
from zerobias.rtl.schedule import schedule
from zerobias.rtl.wires import HARDWARE

ONE_ADDER_PS = 303 + 300 + 238 + 528 + 222
"""Register, net, LUT, S1 to the carry out of four bits, carry in to the fifth bit of a 4-bit sum."""


def inputs(count: int) -> list[FVariable]:
    return [FVariable(0.0, 15.0, 1.0, hwconf=HARDWARE) for _ in range(count)]


def logic_of(wires: list[FVariable], result: FVariable) -> CombLogic:
    return collect(wires, [result], optimize=False)


def cut(logic: CombLogic, stage_ps: float) -> Cut:
    return schedule(logic, stage_ps, read_arcs(cell_library()))


def test_the_time_of_one_addition() -> None:
    a, b = inputs(2)
    places = cut(logic_of([a, b], a + b), ONE_ADDER_PS)
    assert stages_of(places) == 1
    assert max(ready for _, ready in places) == pytest.approx(ONE_ADDER_PS / 1e3)


def test_a_second_addition_that_is_late_begins_a_stage() -> None:
    a, b, c = inputs(3)
    logic = logic_of([a, b, c], (a + b) + c)
    assert stages_of(cut(logic, ONE_ADDER_PS + 300)) == 2
    assert stages_of(cut(logic, 3 * ONE_ADDER_PS)) == 1


def test_a_second_addition_starts_on_the_low_bits_of_the_first() -> None:
    a, b, c = inputs(3)
    places = cut(logic_of([a, b, c], (a + b) + c), 3 * ONE_ADDER_PS)
    # Two whole chains one after the other would take the second register's time less.
    assert max(ready for _, ready in places) < (2 * ONE_ADDER_PS - 303) / 1e3


def test_an_operation_too_slow_for_any_stage_has_one_of_its_own() -> None:
    a, b, c = inputs(3)
    assert stages_of(cut(logic_of([a, b, c], (a + b) + c), 1.0)) == 2


def test_operations_come_after_their_operands() -> None:
    a, b, c, d = inputs(4)
    total = (a + b).quantize(False, 2, 0, "WRAP", "TRN") + (c - d)
    logic = logic_of([a, b, c, d], total)
    places = cut(logic, 2000.0)
    for op, place in zip(logic.ops, places, strict=True):
        assert all(places[source] <= place for source in op.input_ids)

"""Validation, range check and fit of the input contract."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from zerobias.contract import Contract, ContractSpec, fit_contract
from zerobias.errors import DataError, SpecError

TABLE = Path(__file__).parents[1] / "data" / "axol1tl_v4_contract.toml"


def v4(**changes: Any) -> ContractSpec:
    return ContractSpec.model_validate(tomllib.loads(TABLE.read_text())["contract"] | changes)


def test_v4_half_gev_offsets_act_as_integers() -> None:
    contract = Contract(v4())
    names = [f.name for f in contract.features]
    assert len(names) == 57
    assert contract.offset[names.index("jet3.pt")] == 17
    assert contract.offset[names.index("egamma2.pt")] == 4
    assert names[:4] == ["met.pt", "met.eta", "met.phi", "egamma1.pt"]


def test_half_gev_survives() -> None:
    contract = Contract(v4(network_type="ap_fixed<14,6,RND_CONV,SAT>"))
    event = np.zeros((2, 57), dtype=np.int64)
    event[:, 3] = [14, 15]  # 7.0 and 7.5 GeV, offset 7, shift 2
    assert contract.scale(event)[:, 3].tolist() == [0, 2**8 // 8]


def test_known_value_by_hand() -> None:
    # MET 100 counts = 50 GeV, offset 18, shift 3: 32 / 8 = 4.0, LSB 1/4.
    event = np.zeros((1, 57), dtype=np.int64)
    event[0, 0] = 100
    assert Contract(v4()).scale(event)[0, 0] == 16


def test_range_check_names_event_and_feature() -> None:
    events = np.zeros((3, 19, 3), dtype=np.int16)
    events[2, 9, 2] = 144
    with pytest.raises(DataError, match=r"event 2, feature jet1.phi: raw value 144 is outside \[0, 143\]"):
        Contract(v4()).flatten(events)


def test_large_unsigned_values_do_not_wrap_into_the_range() -> None:
    events = np.zeros((1, 19, 3), dtype=np.uint64)
    events[0, 9, 1] = 2**64 - 1  # as int64: eta -1, which is allowed
    with pytest.raises(DataError, match=r"feature jet1.eta: raw value 18446744073709551615 is outside"):
        Contract(v4()).flatten(events)


@pytest.mark.parametrize("bad", [np.zeros((3, 56), dtype=int), np.zeros((3, 19, 3)), np.zeros(57, dtype=int)])
def test_shape_and_type_are_checked(bad: np.ndarray) -> None:
    with pytest.raises(DataError, match="integers"):
        Contract(v4()).flatten(bad)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"raw_type": "ap_fixed<12,8>"}, "do not fit"),
        ({"raw_type": "ap_fixed<13,13>"}, "do not fit"),
        ({"raw_type": "ap_fixed<18,13,RND,SAT>"}, "plain"),
        ({"network_type": "ap_fixed<30,6>"}, "24 bits"),
        ({"offset_type": "ap_fixed<50,9>"}, "36 fractional bits beyond .*, at most 34 are exact"),
    ],
)
def test_types_that_lose_information_are_refused(change: dict[str, str], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        Contract(v4(**change))


@pytest.mark.parametrize(
    ("field", "message"),
    [
        ({"step": 0.3}, "power of two"),
        ({"maximum": 600}, "does not fit"),
        ({"minimum": 3}, "absent value 0"),
        ({"offset": [1, 2, 3]}, "needs 1 or 2"),
    ],
)
def test_broken_fields_are_refused(field: dict[str, Any], message: str) -> None:
    base = {"name": "pt", "width": 9, "lsb": 0.5, "unit": "GeV", "step": 0.5}
    group = [{"name": "jet", "count": 2, "fields": [base | field]}]
    with pytest.raises(ValidationError, match=message):
        v4(group=group)


def test_fit_finds_weighted_median_and_spread() -> None:
    rng = np.random.default_rng(3)
    events = np.zeros((4000, 19, 3), dtype=np.int64)
    events[:, 0, 0] = np.clip(np.rint(rng.normal(80, 12, 4000)), 0, 4095)  # IQR 16.2 counts = 8.1 GeV
    events[:, 1, 0] = np.where(rng.random(4000) < 0.4, 21, 0)  # present in 40 %, always 10.5 GeV
    events[:, 5, 0] = 7
    events[:, 9:, 0] = 60
    weight = np.ones(4000)
    spec = fit_contract(v4(offset_type="ap_fixed<10,9>"), events, weight)
    met, egamma = spec.group[0].fields[0], spec.group[1].fields[0]
    assert met.offset == (40.0,)
    assert met.shift == (3,)
    assert egamma.offset[0] == 10.5
    assert egamma.offset[3] == 10.5  # absent objects take over the fit before
    weight[events[:, 0, 0] < 80] = 1e-9
    assert fit_contract(v4(), events, weight).group[0].fields[0].offset[0] > 43
    Contract(spec)


def test_fit_needs_entries() -> None:
    events = np.zeros((500, 19, 3), dtype=np.int64)
    events[:, 0, 0] = 20
    with pytest.raises(DataError, match="egamma: only 0 events"):
        fit_contract(v4(), events, np.ones(500))

"""Extreme events: those of every size reach what uniform ones miss, and change nothing before them."""

from __future__ import annotations

import numpy as np

from zerobias.contract import Contract, ContractSpec
from zerobias.verify import extreme_events


def contract_of(count: int, **field: object) -> Contract:
    field = {"name": "x", "width": 18, "lsb": 1, "unit": "ADC"} | field
    spec = {
        "collection": "wafer",
        "raw_type": "ap_fixed<20,20>",
        "offset_type": "ap_fixed<2,2>",
        "network_type": "ap_fixed<20,20>",
        "group": [{"name": "cell", "count": count, "fields": [field]}],
    }
    return Contract(ContractSpec.model_validate(spec))


def test_events_of_every_size() -> None:
    contract = contract_of(48)
    uniform = extreme_events(contract, corners=0, random=3000)
    every = extreme_events(contract, corners=0, random=3000, sizes=3000)
    np.testing.assert_array_equal(every[: len(uniform)], uniform)
    contract.check(every)
    sized = every[len(uniform) :]
    assert {int(total).bit_length() for total in sized.sum(axis=1)} >= set(range(23))
    assert sized.max() > 2**17
    assert {int(total).bit_length() for total in uniform[-3000:].sum(axis=1)} <= {22, 23, 24}


def test_signed_and_fixed_features() -> None:
    signed = extreme_events(contract_of(3, width=6, signed=True), corners=0, random=0, sizes=500)[-500:]
    assert (signed.min(), signed.max()) == (-32, 31)
    fixed = contract_of(2, minimum=0, maximum=0)
    assert not extreme_events(fixed, corners=5, random=5, sizes=5).any()

"""One declaration, four readings: Keras, reference, C++ and the definition agree on every value."""

from __future__ import annotations

import subprocess
import tomllib
from fractions import Fraction
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from zerobias.contract import (
    Contract,
    ContractSpec,
    FixedType,
    IntArray,
    markdown_table,
    preprocessing_layer,
    scaling_header,
)
from zerobias.hls.csim import ap_types
from zerobias.zoo import find_model, model_names

DATA = Path(__file__).parents[1] / "data"


def one_feature(**changes: Any) -> ContractSpec:
    """A contract with two objects of one field, unusual on purpose."""
    field = {"name": "pt", "width": 9, "lsb": 0.5, "unit": "GeV", "step": 0.5} | changes.pop("field", {})
    base = {
        "collection": "objects",
        "raw_type": "ap_fixed<18,13>",
        "offset_type": "ap_fixed<10,9>",
        "network_type": "ap_fixed<8,6,RND_CONV,SAT>",
        "group": [{"name": "jet", "count": 2, "fields": [field]}],
    }
    return ContractSpec.model_validate(base | changes)


CONTRACTS = {name: (lambda name=name: find_model(name).contract) for name in model_names()} | {
    "axol1tl_v4": lambda: Contract(
        ContractSpec.model_validate(
            tomllib.loads((DATA / "axol1tl_v4_contract.toml").read_text())["contract"]
        )
    ),
    "half_gev": lambda: Contract(one_feature(field={"offset": [4.5, 0.5], "shift": [-1, 0]})),
    "left_shift_wraps": lambda: Contract(
        one_feature(raw_type="ap_fixed<12,9>", field={"offset": [-3.5, 3.5], "shift": [-3, -4]})
    ),
    "floor_below_lsb": lambda: Contract(one_feature(field={"offset": [0.5, 7.5], "shift": [7, 9]})),
    "fine_offset": lambda: Contract(
        one_feature(offset_type="ap_fixed<18,9>", field={"offset": [0.333, 1.777], "shift": [1, -2]})
    ),
    "wrapping_network_type": lambda: Contract(
        one_feature(network_type="ap_ufixed<7,5,RND,WRAP>", field={"offset": [3, 9], "shift": [0, 1]})
    ),
    "regions": lambda: Contract(
        one_feature(
            raw_type="ap_uint<10>",
            network_type="ap_uint<10>",
            field={"width": 10, "step": 1.0, "offset": [0], "shift": [0]},
        )
    ),
}


@pytest.fixture(params=CONTRACTS)
def contract(request: pytest.FixtureRequest) -> Contract:
    return CONTRACTS[request.param]()


def scaled_exactly(contract: Contract, index: int, raw: int) -> int:
    """The definition in rationals, for one feature and one raw value."""

    def cast(value: Fraction, kind: FixedType) -> int:
        counts = value * Fraction(2) ** kind.frac
        if kind.rounding == "RND_CONV":
            integer = round(counts)
        else:
            integer = (counts + Fraction(kind.rounding == "RND", 2)).__floor__()
        low = -(2 ** (kind.width - 1)) if kind.signed else 0
        if kind.overflow == "SAT":
            return min(max(integer, low), low + 2**kind.width - 1)
        return (integer - low) % 2**kind.width + low

    feature = contract.features[index]
    wide = contract.raw_type
    lsb = Fraction(1, 2**wide.frac)
    held = cast(Fraction(feature.offset), contract.offset_type) * Fraction(1, 2**contract.offset_type.frac)
    difference = cast(raw * Fraction(2) ** feature.step_log2 - held, wide) * lsb
    shifted = cast(difference / Fraction(2) ** feature.shift, wide) * lsb
    return cast(shifted, contract.network_type)


def tried(contract: Contract) -> IntArray:
    """Raw events that hold every value of every feature; of wider fields 4096 values, with both ends."""
    every = contract.every_value()
    return every[np.unique(np.linspace(0, len(every) - 1, min(len(every), 4096)).round().astype(int))]


KNOWN: dict[tuple[Any, ...], list[int]] = {}


def defined(contract: Contract) -> np.ndarray:
    """What the definition makes of :func:`tried`; features that are scaled alike are computed once."""
    raw, columns = tried(contract), []
    types = contract.raw_type, contract.offset_type, contract.network_type
    for index, f in enumerate(contract.features):
        alike = types, f.offset, f.shift, f.step_log2, raw[:, index].tobytes()
        if alike not in KNOWN:
            KNOWN[alike] = [scaled_exactly(contract, index, int(value)) for value in raw[:, index]]
        columns.append(KNOWN[alike])
    return np.array(columns).T


def test_reference_is_the_definition(contract: Contract) -> None:
    np.testing.assert_array_equal(contract.scale(tried(contract)), defined(contract))


def test_keras_is_the_reference(contract: Contract) -> None:
    every = tried(contract)
    inputs = keras.Input((len(contract.features),), dtype="int32")
    model = keras.Model(inputs, preprocessing_layer(contract)(inputs))
    values = model.predict(every.astype(np.int32), verbose=0).astype(np.float64)
    np.testing.assert_array_equal(values, contract.scale(every) * contract.network_type.lsb)


def run_cpp(contract: Contract, header: str, folder: Path) -> np.ndarray:
    """Network input in LSBs from the generated header, compiled, for every raw value."""
    count = len(contract.features)
    (folder / "scaling.h").write_text(header)
    (folder / "main.cpp").write_text(
        f"""#include "scaling.h"
#include <cstdio>
int main() {{
    int hw[{count}];
    m::contract::raw_t x[{count}];
    m::contract::scaled_t y[{count}];
    while (fread(hw, sizeof(int), {count}, stdin) == {count}) {{
        m::contract::load_raw(hw, x);
        m::contract::scale_input(x, y);
        for (int i = 0; i < {count}; i++) printf("%.10f ", y[i].to_double());
    }}
}}
"""
    )
    subprocess.run(
        ["g++", "-std=c++17", "-w", "-isystem", str(ap_types()), "main.cpp", "-o", "main"],
        cwd=folder,
        check=True,
    )
    every = tried(contract)
    done = subprocess.run(
        [str(folder / "main")], input=every.astype("<i4").tobytes(), capture_output=True, check=True
    )
    values = np.array(done.stdout.split(), dtype=np.float64).reshape(every.shape)
    return values / contract.network_type.lsb


def test_cpp_is_the_reference(contract: Contract, tmp_path: Path) -> None:
    found = run_cpp(contract, scaling_header(contract, "m"), tmp_path)
    np.testing.assert_array_equal(found, contract.scale(tried(contract)))


@pytest.mark.parametrize("change", [("3.5", "4.0"), ("shift[2] = {-3, -4}", "shift[2] = {-3, -3}")])
def test_cpp_with_a_changed_constant_differs(change: tuple[str, str], tmp_path: Path) -> None:
    contract = CONTRACTS["left_shift_wraps"]()
    header = scaling_header(contract, "m")
    assert change[0] in header
    found = run_cpp(contract, header.replace(*change), tmp_path)
    assert (found != contract.scale(tried(contract))).any()


def test_table_names_every_feature(contract: Contract) -> None:
    table = markdown_table(contract)
    assert all(f"| {feature.name} |" in table for feature in contract.features)


def test_box_is_what_every_value_reaches(contract: Contract) -> None:
    low, high = contract.box
    reached = defined(contract)
    np.testing.assert_array_equal(low, reached.min(axis=0))
    np.testing.assert_array_equal(high, reached.max(axis=0))

"""The contract as a C++ header for HLS and for emulators, and as a table for people."""

from __future__ import annotations

from zerobias.contract.contract import Contract

__all__ = ["markdown_table", "scaling_header"]


def scaling_header(contract: Contract, namespace: str) -> str:
    """C++ header with ``load_raw`` and ``scale_input``, in ``namespace::contract``.

    Equal to ``Contract.scale``; needs ``ap_fixed.h`` only. ``load_raw`` takes hardware integers,
    ``scale_input`` the unscaled vector in ``raw_t`` that the Global Trigger's interface hands over.
    """
    count, width = len(contract.features), contract.raw_type.width
    shifts = ", ".join(str(v) for v in contract.shift)
    offsets = ", ".join(repr(float(v) * contract.offset_type.lsb) for v in contract.offset)
    bits = ", ".join(str(int(contract.raw_type.frac + v)) for v in contract.step_log2)
    guard = f"{namespace.upper()}_SCALING_H_"
    return f"""// Written by zerobias from the input contract; do not edit.
#ifndef {guard}
#define {guard}

#include "ap_fixed.h"
#include "ap_int.h"

namespace {namespace} {{
namespace contract {{

static const int n_features = {count};
typedef {contract.raw_type} raw_t;
typedef {contract.offset_type} offset_t;
typedef {contract.network_type} scaled_t;

// Hardware integers to the unscaled input vector.
inline void load_raw(const int hw[{count}], raw_t x[{count}]) {{
    static const int left[{count}] = {{{bits}}};
    for (int i = 0; i < {count}; i++) {{
        x[i].range({width - 1}, 0) = ap_int<{width}>(ap_int<64>(hw[i]) << left[i]);
    }}
}}

// Unscaled input vector to the network's input.
inline void scale_input(const raw_t x[{count}], scaled_t y[{count}]) {{
    #pragma HLS INLINE
    static const offset_t offset[{count}] = {{{offsets}}};
    static const int shift[{count}] = {{{shifts}}};
    for (int i = 0; i < {count}; i++) {{
        #pragma HLS UNROLL
        raw_t difference = x[i] - offset[i];
        raw_t shifted = shift[i] >= 0 ? raw_t(difference >> shift[i]) : raw_t(difference << -shift[i]);
        y[i] = shifted;
    }}
}}

}} // namespace contract
}} // namespace {namespace}

#endif
"""


def markdown_table(contract: Contract) -> str:
    """The contract as a Markdown table, one row a feature."""
    lines = [
        f"Input vector `{contract.raw_type}`, offsets `{contract.offset_type}`, "
        f"network input `{contract.network_type}`.",
        "",
        "| feature | raw integer | LSB | x per count | offset declared / held | shift | network input |",
        "|---|---|---|---|---|---|---|",
    ]
    low, high = contract.box
    for index, feature in enumerate(contract.features):
        held = float(contract.offset[index]) * contract.offset_type.lsb
        lsb = contract.network_type.lsb
        lines.append(
            f"| {feature.name} | {feature.low} … {feature.high} | {feature.lsb:g} {feature.unit} "
            f"| {2.0**feature.step_log2:g} | {feature.offset:g} / {held:g} | {feature.shift} "
            f"| {low[index] * lsb:g} … {high[index] * lsb:g} |"
        )
    return "\n".join(lines) + "\n"

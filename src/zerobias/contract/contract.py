"""The input contract: declared features and their one exact meaning.

The arithmetic is that of the Level-1 trigger's own scaling of AXOL1TL inputs: a subtraction stored
back in the raw type, a power-of-two shift within that type, a cast to the network's input type.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zerobias.contract.fixedtype import IntArray
from zerobias.contract.spec import ContractSpec
from zerobias.errors import DataError, SpecError

__all__ = ["Contract", "Feature"]


_FLOAT64_BITS = 52  # of a raw value, so that its difference with an offset is exact too


@dataclass(frozen=True)
class Feature:
    """One entry of the input vector; ``low`` and ``high`` bound its raw integer."""

    name: str
    low: int
    high: int
    step_log2: int
    lsb: float
    unit: str
    absent: int
    offset: float
    shift: int


class Contract:
    """A validated :class:`ContractSpec` and what follows from it.

    Raises ``SpecError`` when a declared raw value, offset or type cannot be held exactly.
    """

    def __init__(self, spec: ContractSpec) -> None:
        self.spec = spec
        self.raw_type = spec.raw_type
        self.offset_type = spec.offset_type
        self.network_type = spec.network_type
        self.features = tuple(_features(spec))
        if (spec.raw_type.rounding, spec.raw_type.overflow) != ("TRN", "WRAP"):
            raise SpecError(f"raw_type {spec.raw_type}: the raw vector is plain, write ap_fixed<W,I>")
        if spec.raw_type.width > 48:
            raise SpecError(f"raw_type {spec.raw_type}: at most 48 bits are exact in Keras")
        beyond = max(spec.offset_type.frac - spec.raw_type.frac, 0)
        if spec.raw_type.width + beyond > _FLOAT64_BITS:
            raise SpecError(
                f"offset_type {spec.offset_type}: {beyond} fractional bits beyond {spec.raw_type}, at most "
                f"{_FLOAT64_BITS - spec.raw_type.width} are exact in Keras; take fewer"
            )
        if spec.network_type.width > 24:
            raise SpecError(
                f"network_type {spec.network_type}: at most 24 bits are exact in a float32 network"
            )
        for feature in self.features:
            bits = spec.raw_type.frac + feature.step_log2
            if bits < 0 or not spec.raw_type.holds(feature.low << bits, feature.high << bits):
                raise SpecError(
                    f"feature {feature.name}: raw values [{feature.low}, {feature.high}] times step "
                    f"{2.0**feature.step_log2} do not fit {spec.raw_type}; widen raw_type or mend the step"
                )
            if not -spec.raw_type.width < feature.shift < spec.raw_type.width:
                raise SpecError(f"feature {feature.name}: shift {feature.shift} exceeds {spec.raw_type}")

    @cached_property
    def low(self) -> IntArray:
        """Smallest raw integer of each feature, shape (features,)."""
        return np.array([f.low for f in self.features], dtype=np.int64)

    @cached_property
    def high(self) -> IntArray:
        """Largest raw integer of each feature, shape (features,)."""
        return np.array([f.high for f in self.features], dtype=np.int64)

    @cached_property
    def step_log2(self) -> IntArray:
        """log2 of the worth of one raw count, shape (features,)."""
        return np.array([f.step_log2 for f in self.features], dtype=np.int64)

    @cached_property
    def offset(self) -> IntArray:
        """Offsets as the hardware holds them, integers in LSBs of ``offset_type``."""
        return self.offset_type.quantise(np.array([f.offset for f in self.features], dtype=np.float64))

    @cached_property
    def shift(self) -> IntArray:
        """Right shift of each feature (negative = left), shape (features,)."""
        return np.array([f.shift for f in self.features], dtype=np.int64)

    def flatten(self, collection: NDArray[Any]) -> IntArray:
        """Event array (events, ...) -> raw integers (events, features), C order.

        Raises ``DataError`` when the shape does not fit or a value is out of its declared range.
        """
        count = len(self.features)
        raw = np.asarray(collection)
        if raw.dtype.kind not in "iu" or raw.ndim < 2 or int(np.prod(raw.shape[1:])) != count:
            raise DataError(
                f"collection {self.spec.collection!r} has shape {raw.shape} and type {raw.dtype}: "
                f"the contract needs (events, {count}) integers"
            )
        flat = raw.reshape(len(raw), count)
        self.check(flat)
        return flat.astype(np.int64)

    def check(self, raw: NDArray[Any]) -> None:
        """Raise ``DataError`` naming the first event and feature of ``raw`` (events, features), integers of
        any type, out of the declared range."""
        bad = (raw < self.low) | (raw > self.high)
        if bad.any():
            event, index = (int(v) for v in np.argwhere(bad)[0])
            feature = self.features[index]
            raise DataError(
                f"event {event}, feature {feature.name}: raw value {int(raw[event, index])} is outside "
                f"[{feature.low}, {feature.high}]; {int(bad.sum())} such values in all"
            )

    def scale(self, raw: IntArray) -> IntArray:
        """Raw integers (events, features) -> network input in LSBs of ``network_type``, same shape."""
        return self._scale(raw, np.arange(len(self.features)))

    def _scale(self, raw: IntArray, columns: IntArray) -> IntArray:
        """``scale`` of the features ``columns`` alone."""
        frac = max(self.raw_type.frac, self.offset_type.frac)
        x = raw << (self.step_log2[columns] + frac)
        offset = self.offset[columns] << (frac - self.offset_type.frac)
        difference = self.raw_type.cast(x - offset, frac)
        shift = self.shift[columns]
        shifted = np.where(
            shift >= 0, difference >> np.maximum(shift, 0), difference << np.maximum(-shift, 0)
        )
        return self.network_type.cast(self.raw_type.wrap(shifted), self.raw_type.frac)

    @cached_property
    def box(self) -> tuple[IntArray, IntArray]:
        """Exact smallest and largest network input of each feature, over every allowed raw value."""
        keys = np.stack([self.offset, self.shift, self.step_log2, self.low, self.high])
        _, distinct, which = np.unique(keys, axis=1, return_index=True, return_inverse=True)
        scaled = self._scale(self.every_value()[:, distinct], distinct)
        return scaled.min(axis=0)[which], scaled.max(axis=0)[which]

    def every_value(self) -> IntArray:
        """Raw events that together hold every allowed value of every feature, (values, features)."""
        longest = int((self.high - self.low).max()) + 1
        values: IntArray = np.minimum(self.low + np.arange(longest, dtype=np.int64)[:, None], self.high)
        return values


def _features(spec: ContractSpec) -> list[Feature]:
    features = []
    for group in spec.group:
        for number in range(group.count):
            for field in group.fields:
                label = f"{group.name}{number + 1}" if group.count > 1 else group.name
                features.append(
                    Feature(
                        name=f"{label}.{field.name}",
                        low=field.low,
                        high=field.high,
                        step_log2=round(np.log2(field.step)),
                        lsb=field.lsb,
                        unit=field.unit,
                        absent=group.absent,
                        offset=field.offset[number if len(field.offset) > 1 else 0],
                        shift=field.shift[number if len(field.shift) > 1 else 0],
                    )
                )
    return features

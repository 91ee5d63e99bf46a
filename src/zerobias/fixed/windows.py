"""Sliding windows over the spatial axes of an event: convolution and pooling on integers.

Arrays are (events, *spatial, channels) for values and (*spatial, channels) for intervals; every
function takes the number of ``lead`` axes before the spatial ones (1 or 0).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zerobias.contract import IntArray
from zerobias.fixed.ops import Dense, FixedArray, Interval, Op

__all__ = ["AveragePool", "Conv", "MaxPool", "Windows", "depthwise_kernel"]

_Array = NDArray[Any]


@dataclass(frozen=True)
class Windows:
    """Shape of the windows: ``size``, ``strides`` and ``padding`` (before, after) of each spatial axis."""

    size: tuple[int, ...]
    strides: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]

    @classmethod
    def of(
        cls, spatial: tuple[int, ...], size: tuple[int, ...], strides: tuple[int, ...], padding: str
    ) -> Windows:
        """Windows over ``spatial`` with Keras' ``padding``: ``"valid"`` or ``"same"``."""
        pads = []
        for length, k, s in zip(spatial, size, strides, strict=True):
            total = max((-(-length // s) - 1) * s + k - length, 0) if padding == "same" else 0
            pads.append((total // 2, total - total // 2))
        return cls(size, strides, tuple(pads))

    def view(self, x: _Array, lead: int) -> _Array:
        """(lead, *spatial, channels) -> (lead, *positions, *size, channels); zero where padded."""
        axes = tuple(range(lead, lead + len(self.size)))
        padded = x
        if self.padded:
            pads = [(0, 0)] * lead + list(self.padding) + [(0, 0)]
            # Not numpy.pad, which puts int64 zeros between the arbitrary-size integers of an interval.
            padded = np.zeros([n + sum(pad) for n, pad in zip(x.shape, pads, strict=True)], dtype=x.dtype)
            padded[tuple(slice(pad[0], pad[0] + n) for n, pad in zip(x.shape, pads, strict=True))] = x
        view = np.lib.stride_tricks.sliding_window_view(padded, self.size, axes)
        steps = (slice(None),) * lead + tuple(slice(None, None, s) for s in self.strides)
        return np.moveaxis(view[steps], lead + len(self.size), -1)

    def flat(self, x: _Array, lead: int) -> _Array:
        """As ``view``, with the window's axes in one: (lead, *positions, prod(size), channels)."""
        view = self.view(x, lead)
        return view.reshape(*view.shape[: lead + len(self.size)], -1, view.shape[-1])

    @property
    def padded(self) -> bool:
        """Whether any window reaches beyond the event."""
        return any(pad != (0, 0) for pad in self.padding)


@dataclass(frozen=True, eq=False)
class Conv(Op):
    """Convolution: ``dense`` (size x channels, filters) at every window, without loss."""

    dense: Dense
    windows: Windows

    def rows(self, x: _Array, lead: int) -> _Array:
        """What the dense layer sees at each position: (lead, *positions, size x channels)."""
        flat = self.windows.flat(x, lead)
        return flat.reshape(*flat.shape[:-2], -1)

    def evaluate(self, *inputs: FixedArray) -> FixedArray:
        return self.dense.evaluate(FixedArray(self.rows(inputs[0].value, 1), inputs[0].frac))

    def interval(self, *inputs: Interval) -> Interval:
        x = inputs[0]
        return self.dense.interval(Interval(self.rows(x.low, 0), self.rows(x.high, 0), x.frac, x.zeros))


@dataclass(frozen=True)
class MaxPool(Op):
    """Largest value of each window and channel."""

    windows: Windows

    def evaluate(self, *inputs: FixedArray) -> FixedArray:
        x = inputs[0]
        return FixedArray(self.windows.flat(x.value, 1).max(axis=-2), x.frac)

    def interval(self, *inputs: Interval) -> Interval:
        x = inputs[0]
        low, high = (self.windows.flat(bound, 0).max(axis=-2) for bound in (x.low, x.high))
        return Interval(low, high, x.frac, x.zeros)


@dataclass(frozen=True)
class AveragePool(Op):
    """Mean over full windows of 2**n values: exact, with n more fractional bits."""

    windows: Windows

    def _bits(self) -> int:
        return int(np.prod(self.windows.size)).bit_length() - 1

    def evaluate(self, *inputs: FixedArray) -> FixedArray:
        x = inputs[0]
        return FixedArray(self.windows.flat(x.value, 1).sum(axis=-2), x.frac + self._bits())

    def interval(self, *inputs: Interval) -> Interval:
        x = inputs[0]
        low, high = (self.windows.flat(bound, 0).sum(axis=-2) for bound in (x.low, x.high))
        return Interval(low, high, x.frac + self._bits(), x.zeros)


def depthwise_kernel(kernel: IntArray) -> IntArray:
    """Kernel (*size, channels, multiplier) that acts on each channel alone, as one of a full convolution.

    Returns (prod(size) x channels, channels x multiplier) with zeros between different channels.
    """
    *size, channels, multiplier = kernel.shape
    wide = np.zeros((int(np.prod(size)), channels, channels, multiplier), dtype=np.int64)
    index = np.arange(channels)
    wide[:, index, index] = kernel.reshape(-1, channels, multiplier)
    return wide.reshape(-1, channels * multiplier)

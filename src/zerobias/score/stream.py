"""Events in host memory -> scores in host memory through a device of JAX, several chunks in flight.

Needs JAX and NumPy alone: ``tools/gpu_check.py`` runs this file on machines without zerobias.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray

__all__ = ["Stream"]

_CHUNK_BYTES, _CPU_CHUNK_BYTES = 1 << 25, 1 << 18  # a processor keeps them in its cache
_IN_FLIGHT = 8
_LEAST = 1024


class Stream:
    """Sends chunks of events to a device and fetches their scores.

    ``function``: raw integers (events, features) of type ``kind`` -> scores (events, ...) and whether all
    values are admitted. It is compiled once a number of events; these are powers of two.

    Each of ``in_flight`` threads takes its chunk through copy, computation and copy back, so that those of
    different chunks overlap.
    """

    def __init__(
        self,
        function: Callable[[Any], Any],
        features: int,
        kind: np.dtype[Any],
        device: Any,
        in_flight: int = _IN_FLIGHT,
        chunk_bytes: int | None = None,
    ) -> None:
        self._function, self._features, self._kind, self._device = function, features, kind, device
        self._in_flight = in_flight
        usual = _CPU_CHUNK_BYTES if device.platform == "cpu" else _CHUNK_BYTES
        most = (chunk_bytes or usual) // (features * kind.itemsize)
        self._most = max(1 << max(most, 1).bit_length() - 1, _LEAST)
        self._compiled: dict[int, Any] = {}

    def compiled(self, events: int) -> Any:
        """The function for so many events on the device."""
        if events not in self._compiled:
            place = jax.sharding.SingleDeviceSharding(self._device)
            with jax.enable_x64(True):
                shape = jax.ShapeDtypeStruct((events, self._features), self._kind, sharding=place)
                self._compiled[events] = jax.jit(self._function).lower(shape).compile()
        return self._compiled[events]

    def score(self, raw: NDArray[Any], scores: NDArray[Any]) -> bool:
        """Fill ``scores`` with those of ``raw``, one or more events; return whether all are admitted."""
        step = min(max(1 << (len(raw) - 1).bit_length(), _LEAST), self._most)
        function = self.compiled(step)

        def part(start: int) -> bool:
            some = raw[start : start + step]
            place = scores[start : start + step]
            if len(some) < step:  # fill the last chunk with its first event
                some = np.concatenate([some, np.broadcast_to(some[0], (step - len(some), self._features))])
            with jax.enable_x64(True):
                found, admitted = function(jax.device_put(some, self._device))
                place[:] = np.asarray(found)[: len(place)]
                return bool(admitted)

        with ThreadPoolExecutor(self._in_flight) as pool:
            return all(list(pool.map(part, range(0, len(raw), step))))

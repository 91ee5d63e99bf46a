"""Every error zerobias raises on purpose.

::

    ZerobiasError
    ├── InputError            exit code 2: the user can mend it
    │   ├── SpecError         a TOML file (model, target, menu, detector) is wrong
    │   ├── DataError         an event file, weight file or golden file is wrong
    │   ├── UnsupportedError  a layer or quantiser without an exact fixed-point meaning
    │   └── ToolError         a compiler or optional package is missing or failed
    └── GateError             exit code 3: an agreement gate or a budget is red

A message states the value, the rule it breaks and the remedy, in one sentence or two.
"""

from __future__ import annotations

__all__ = [
    "DataError",
    "GateError",
    "InputError",
    "SpecError",
    "ToolError",
    "UnsupportedError",
    "ZerobiasError",
]


class ZerobiasError(Exception):
    """Base of the tree; never raised itself."""

    exit_code = 1


class InputError(ZerobiasError):
    """Something the user gave is wrong and can be mended by the user."""

    exit_code = 2


class SpecError(InputError):
    """A specification file breaks its schema."""


class DataError(InputError):
    """A data file is missing, damaged or out of the declared range."""


class UnsupportedError(InputError):
    """A layer or quantiser has no exact fixed-point meaning here."""


class ToolError(InputError):
    """An external program or optional package is missing, or it failed."""


class GateError(ZerobiasError):
    """An agreement gate or a budget is red."""

    exit_code = 3

"""zerobias: quantised neural networks from zero-bias data to trigger firmware, with proof.

The stages are modules, in the order the data flows: see ``docs/explanation/architecture.md``.
"""

from __future__ import annotations

__all__ = ["__version__"]

__version__ = "0.1.0"

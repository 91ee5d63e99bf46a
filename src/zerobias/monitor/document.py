"""Base of what a monitor writes and reads as JSON."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

__all__ = ["Document"]


class Document(BaseModel):
    """Part of a JSON document: its keys are all known, and it does not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)

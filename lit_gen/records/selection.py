"""How the scored checkpoint was chosen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Selection:
    """How the scored checkpoint was chosen.

    Attributes:
        rule: The rule in words: `last`, or `best val/bpd of 12`.
        checkpoint: File name of the checkpoint.
        step: Number of batches trained when it was saved.
        metric: The quantity watched; None if the last checkpoint was taken.
        value: That quantity at the chosen checkpoint.
        last_value: The same at the end of training, so that the gain from choosing can be seen.
        checkpoint_sha256: sha256 (hex) of the checkpoint's file; None in records of earlier versions.
        extra: Keys of the file that this version does not know, with their values.
    """

    rule: str
    checkpoint: str
    step: int
    metric: str | None = None
    value: float | None = None
    last_value: float | None = None
    checkpoint_sha256: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict, hash=False)

"""Where something ran: recorded beside the scores, and no part of any protocol."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Environment:
    """Where a run trained, or where a score was taken. It is part of no hash.

    Attributes:
        versions: Version of each library that matters, `python` included.
        machine: The machine in words.
        accelerator: `cpu`, or the accelerator's name.
        world_size: Number of processes that shared the work.
        extra: Keys of the file that this version does not know, with their values.
    """

    versions: Mapping[str, str]
    machine: str
    accelerator: str
    world_size: int
    extra: Mapping[str, Any] = field(default_factory=dict, hash=False)

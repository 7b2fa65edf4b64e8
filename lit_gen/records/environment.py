"""Where something ran: recorded beside the scores, and no part of any protocol."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Environment:
    """Where a run trained, or where a score was taken. Never hashed.

    Attributes:
        versions: Version of each library that matters, `python` included.
        machine: The machine in words.
        accelerator: `cpu`, or the accelerator's name.
        world_size: Processes that shared the work.
    """

    versions: Mapping[str, str]
    machine: str
    accelerator: str
    world_size: int

"""How the scored checkpoint was chosen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lit_gen.records.validation import Validation


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
        candidates: Number of checkpoints among which this one was chosen; None in records of earlier versions, and if
            nothing was watched.
        higher_is_better: Whether a higher `value` is better.
        sweep: Id of the sweep of which the run is one trial; None outside a sweep.
        validations: The candidates along the training, at most 200 evenly spread ones of them.
        extra: Keys of the file that this version does not know, with their values.

    Raises:
        ValueError: The number of candidates is below one.
    """

    rule: str
    checkpoint: str
    step: int
    metric: str | None = None
    value: float | None = None
    last_value: float | None = None
    checkpoint_sha256: str | None = None
    candidates: int | None = None
    higher_is_better: bool = False
    sweep: str | None = None
    validations: Sequence[Validation] = ()
    extra: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        if self.candidates is not None and self.candidates < 1:
            raise ValueError(f"selection.candidates must be at least 1, got {self.candidates}")

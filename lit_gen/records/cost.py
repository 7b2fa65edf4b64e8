"""What a run cost."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What a run cost. None: not measured.

    Attributes:
        parameters: Number of trainable parameters of the whole model; None for another program's samples.
        examples_seen: Number of training examples shown, repetitions counted.
        train_seconds: Wall time of training, scoring left out.
        peak_memory_bytes: Peak memory of the training process (of the accelerator where there is one).
        examples_per_second: Training examples a second, over the whole training.
        seconds_per_1000_samples: Time to draw 1,000 samples.
        function_evaluations_per_sample: Number of network passes for one sample.
        flops_per_training_example: Floating-point operations of a training step, forwards and backwards, for each of
            its examples: those of matrix products, convolutions and attention, a multiplication and an addition being
            two.
        flops_per_sample: The same of drawing one sample.
        extra: Keys of the file that this version does not know, with their values.

    Raises:
        ValueError: A number is negative or not finite.
    """

    parameters: int | None
    examples_seen: int | None = None
    train_seconds: float | None = None
    peak_memory_bytes: int | None = None
    examples_per_second: float | None = None
    seconds_per_1000_samples: float | None = None
    function_evaluations_per_sample: int | None = None
    flops_per_training_example: int | None = None
    flops_per_sample: int | None = None
    extra: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        for f in dataclasses.fields(self):
            value = None if f.name == "extra" else getattr(self, f.name)
            if value is not None and not 0 <= value < math.inf:
                raise ValueError(f"cost.{f.name} must be finite and not negative, got {value}")

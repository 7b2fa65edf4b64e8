"""Several sampling options for one checkpoint: all combinations of samplers, steps, guidance and the like."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

from lit_gen.contract import GenerativeModule, SamplingOptions


@dataclass(frozen=True)
class Variants:
    """Values of sampling options to combine; an empty field keeps the model's own.

    Attributes:
        sampler: Names of samplers.
        steps: Numbers of steps.
        guidance: Scales of guidance.
        temperature: Temperatures.
        truncation: Largest latents of a GAN.
    """

    sampler: tuple[str, ...] = ()
    steps: tuple[int, ...] = ()
    guidance: tuple[float, ...] = ()
    temperature: tuple[float, ...] = ()
    truncation: tuple[float, ...] = ()

    @property
    def asked(self) -> dict[str, tuple[Any, ...]]:
        """The fields that are not empty."""
        return {name: values for name, values in vars(self).items() if values}


def sampling_variants(model: GenerativeModule, variants: Variants) -> list[SamplingOptions]:
    """Sampling options of the model for all combinations of values; an empty list if there are none.

    Raises:
        UserError: If the model has no such option or sampler, or does not support a combination.
    """
    asked = variants.asked
    distinct = [dict.fromkeys(values) for values in asked.values()]
    combinations = [dict(zip(asked, values, strict=True)) for values in itertools.product(*distinct)] if asked else []
    return [model.sampling_with(**combination) for combination in combinations]

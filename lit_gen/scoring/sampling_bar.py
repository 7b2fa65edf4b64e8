"""Progress of sampling for scores, which may take hours for several samplers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import lightning as L

from lit_gen.screen.bars import LogLines, open_bar

SETTINGS = ("steps", "guidance", "temperature", "truncation", "eta")
"""Settings of a sampler that are shown beside its name, where it has them."""


class SamplingBar:
    """A bar over the samples of all samplings, which names the current one; hidden where the Trainer shows no bar.

    Args:
        trainer: The Trainer.
        num_samplings: Number of samplings.
        num_samples: Number of samples of each.
    """

    def __init__(self, trainer: L.Trainer, num_samplings: int, num_samples: int) -> None:
        shown: Any = trainer.progress_bar_callback
        self.num_samplings, self._number = num_samplings, 0
        self._bar = open_bar(
            "sampling",
            num_samplings * num_samples,
            "samples",
            shown=shown is not None and trainer.is_global_zero,
            interval=getattr(shown, "interval", None),
        )

    def __enter__(self) -> SamplingBar:
        return self

    def __exit__(self, *args: object) -> None:
        self._bar.close()

    def start(self, sampler: Mapping[str, Any]) -> None:
        """Names the sampling that begins.

        Args:
            sampler: The sampler's name and settings.
        """
        if self._number and isinstance(self._bar, LogLines):
            self._bar.write()  # of the sampling that has ended
        self._number += 1
        self._bar.set_description(f"sampling {self._number}/{self.num_samplings}: {describe(sampler)}")

    def update(self, count: int) -> None:
        """Adds samples."""
        if self._bar.update(count):
            self._bar.set_postfix({})


def describe(sampler: Mapping[str, Any]) -> str:
    """Name and settings of a sampler in words.

    >>> describe({"name": "ddim", "steps": 50, "eta": 0.0, "function_evaluations": 50, "guidance": 2.0})
    'ddim, steps 50, guidance 2, eta 0'
    """
    values = {name: sampler[name] for name in SETTINGS if name in sampler}
    texts = {name: f"{value:g}" if isinstance(value, float) else str(value) for name, value in values.items()}
    return ", ".join([str(sampler["name"]), *(f"{name} {text}" for name, text in texts.items())])

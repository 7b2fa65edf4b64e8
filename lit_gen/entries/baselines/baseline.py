"""Base class of the baselines that are fitted by counting, without gradients."""

from __future__ import annotations

import abc
from typing import ClassVar

from torch import Tensor
from typing_extensions import override

from lit_gen.entries.entry import Entry


class Baseline(Entry, abc.ABC):
    """A distribution of simple form, fitted to the training split.

    Attributes:
        name: What it is, as the row's label.
        modalities: Modalities for which it makes sense.
    """

    name: ClassVar[str]
    modalities: ClassVar[tuple[str, ...]] = ("image", "audio", "text")

    @abc.abstractmethod
    def fit(self, x: Tensor) -> None:
        """Fits the distribution to training examples, uint8 ``[N, *shape]``.

        Raises:
            UserError: If it cannot be fitted to such data.
        """

    @property
    def row(self) -> str:
        """Label of the row: the name, with what belongs to it."""
        return self.name

    @override
    def sampler_settings(self) -> dict[str, str | int | float | bool]:
        return {"name": self.row}

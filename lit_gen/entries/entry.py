"""Base class of what is scored but not trained by lit_gen."""

from __future__ import annotations

from typing import Any, NoReturn

import torch
from torch import Tensor
from typing_extensions import override

from lit_gen.contract import Batch, GenerativeModule
from lit_gen.errors import UserError
from lit_gen.noise import Noise


class Entry(GenerativeModule):
    """A source of samples or likelihoods that lit_gen did not train and whose arithmetic it does not know.

    A subclass implements :meth:`draw`, or :meth:`generate`, and sets :attr:`most_samples` to 0 if it has none.

    Args:
        shape: Shape of one example; linked from the data.
        num_levels: Number of values; linked from the data.
    """

    def configure_optimizers(self) -> NoReturn:
        """Raises, since an entry is not trained.

        Raises:
            UserError: Always.
        """
        raise UserError(f"{type(self).__name__} cannot be trained; score it with lit-gen evaluate")

    def training_step(self, batch: Batch, batch_idx: int) -> Any:
        """Raises, since an entry is not trained.

        Raises:
            UserError: Always.
        """
        self.configure_optimizers()

    def generate(self, noise: Noise, label: Tensor | None = None) -> Tensor:
        """Raises, unless a subclass draws its samples from noise.

        Raises:
            UserError: Always.
        """
        raise UserError(f"{type(self).__name__} has no samples")

    @override
    def samples_in_float32(self) -> bool:
        return True  # the Trainer's precision has no part in them

    @override
    def likelihood_in_float32(self, estimator: str | None = None) -> bool:
        return True

    @property
    def entry_notes(self) -> dict[str, Any]:
        """Facts for the notes of the record."""
        return {}

    def _integers(self, x: Any, n: int) -> Tensor:
        """Validates samples that somebody else's code returned.

        Raises:
            UserError: If they are not n examples of integers of the data's shape and values.
        """
        x, name = torch.as_tensor(x), type(self).__name__
        if tuple(x.shape) != (n, *self.shape):
            raise UserError(f"{name}: samples have shape {tuple(x.shape)}, and {n} examples have {(n, *self.shape)}")
        if x.is_floating_point() or x.is_complex():
            raise UserError(f"{name}: samples are {x.dtype}; return integers from 0 to {self.num_levels - 1}")
        least, most = (int(value) for value in x.aminmax()) if x.numel() else (0, 0)
        if least < 0 or most >= self.num_levels:
            raise UserError(f"{name}: a sample has the value {least if least < 0 else most}, outside 0 to"
                            f" {self.num_levels - 1}, the data's values")
        return x.to(torch.uint8)

"""A model: every dimension independent of the others."""

from __future__ import annotations

import torch
from lightning.pytorch.cli import OptimizerCallable
from torch import Tensor, nn

from lit_gen.contract import Batch, GenerativeModule
from lit_gen.likelihood import Likelihood, categorical_log_prob
from lit_gen.noise import Noise
from lit_gen.optim import AdamW, parameter_groups


class PixelMarginals(GenerativeModule):
    """Each dimension has a distribution of its own over the values: the likelihood that any other model has to beat.

    Args:
        shape: Shape of one example; linked from the data.
        num_levels: Number of values of the data; linked from the data.
        optimizer: Optimizer of the logits.
    """

    estimators = ("sum",)

    def __init__(self, shape: tuple[int, ...], num_levels: int, optimizer: OptimizerCallable = AdamW) -> None:
        super().__init__(shape, num_levels)
        self.logits = nn.Parameter(torch.zeros(num_levels, *shape))
        self.optimizer = optimizer

    def training_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        """The mean negative log-likelihood in nats."""
        return {"loss": self._nats(batch[0]).mean()}

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Builds the optimizer that the user chose."""
        return self.optimizer(parameter_groups(self))

    def nll(self, x: Tensor, noise: Noise, estimator: str | None = None, draws: int = 1) -> Likelihood:
        """The exact negative log-likelihood in nats."""
        self.check_estimator(estimator)
        return Likelihood(self._nats(x), "exact", "sum")

    def generate(self, noise: Noise, label: Tensor | None = None) -> Tensor:
        """Draws each dimension by inverting its cumulative distribution."""
        self.count_evaluations(len(noise))
        below = self.logits.softmax(0).cumsum(0)[:-1]
        uniform = noise.uniform(*self.shape)
        return (uniform[:, None] >= below[None]).sum(1).to(torch.uint8)

    def _nats(self, x: Tensor) -> Tensor:
        return -categorical_log_prob(self.logits.expand(len(x), *self.logits.shape), x)

"""Base class of autoregressive models: exact likelihoods by the chain rule, and ancestral sampling."""

from __future__ import annotations

import abc
import math
from typing import ClassVar

import torch
from lightning.pytorch.cli import OptimizerCallable
from torch import Tensor, nn
from typing_extensions import override

from lit_gen.contract import Batch, GenerativeModule, Tempered
from lit_gen.errors import UserError
from lit_gen.families.autoregressive.conditionals import Conditionals, Naive, draw
from lit_gen.likelihood import Likelihood, categorical_log_prob
from lit_gen.noise import Noise
from lit_gen.optim import parameter_groups

_LOGITS_AT_ONCE = 1 << 24


class Autoregressive(GenerativeModule, abc.ABC):
    """``P(x) = prod_i P(x_i | x_<i)`` over integers: the chain rule, so that the likelihood is exact.

    A subclass implements :meth:`logits`, all conditionals of a given x in parallel, and overrides
    :meth:`conditionals` if it supports faster incremental decoding. The order is raster order: rows of an image from
    the top, the channels of a pixel together; time in audio and text.

    Args:
        shape: Shape of one example; linked from the data.
        num_levels: Number of values of the data; linked from the data.
        num_classes: Number of label classes; 0 means unconditional. The likelihood is that of x, averaged over all
            classes with equal probabilities, which takes one pass per class.
        temperature: Divisor of the logits of every conditional when sampling; part of the protocol of sample scores.
        optimizer: Optimizer of all parameters; :class:`~lit_gen.optim.Muon` updates :meth:`hidden_weights` only.
    """

    estimators: ClassVar[tuple[str, ...]] = ("chain-rule",)
    sampling: Tempered

    order: Tensor
    """Positions in the flattened example in the model's order, int64 ``[D]``."""

    def __init__(
        self,
        shape: tuple[int, ...],
        num_levels: int,
        *,
        num_classes: int,
        temperature: float,
        optimizer: OptimizerCallable,
    ) -> None:
        super().__init__(shape, num_levels)
        if num_classes < 0:
            raise UserError(f"{type(self).__name__}: num_classes={num_classes} must not be negative")
        self.num_dims = math.prod(self.shape)
        self.num_classes, self.sampling = num_classes, Tempered(temperature)
        self.optimizer = optimizer
        self.register_buffer("order", reading_order(self.shape), persistent=False)

    @abc.abstractmethod
    def logits(self, x: Tensor, label: Tensor | None = None) -> Tensor:
        """Logits of all conditionals: ``[B, num_levels, *shape]`` for integers x ``[B, *shape]``.

        Those of a dimension depend only on the dimensions before it in the order, and on the label, int64 ``[B]``.
        """

    def conditionals(self, batch_size: int, label: Tensor | None = None) -> Conditionals:
        """Conditionals for incremental decoding; a full forward pass per dimension unless a subclass overrides it."""
        return self.naive_conditionals(batch_size, label)

    def naive_conditionals(self, batch_size: int, label: Tensor | None = None) -> Conditionals:
        """Conditionals by a full forward pass for each dimension."""
        return Naive(
            lambda x: self.logits(x.unflatten(1, self.shape), label).flatten(2), self.order, batch_size
        )

    # -------------------------------------------------------------- likelihood

    def log_prob(self, x: Tensor, label: Tensor | None = None) -> Tensor:
        """Log P(x), or log P(x | label) if a label is given: nats, ``[B]``."""
        return categorical_log_prob(self.logits(x, label).float(), x)

    def nll(self, x: Tensor, noise: Noise, estimator: str | None = None, draws: int = 1) -> Likelihood:
        """The exact negative log-likelihood by the chain rule; uses no random draws.

        Raises:
            UserError: If the estimator is unknown.
        """
        self.check_estimator(estimator)
        if not self.num_classes:
            return Likelihood(-self.log_prob(x), "exact", self.estimators[0])
        labels = [torch.full((len(x),), c, device=x.device) for c in range(self.num_classes)]
        each = torch.stack([self.log_prob(x, label) for label in labels])
        return Likelihood(math.log(self.num_classes) - each.logsumexp(0), "exact", self.estimators[0])

    # -------------------------------------------------------------- training

    def on_fit_start(self) -> None:
        """Validates the labels."""
        self.check_labels()

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """The loss: negative log-likelihood in nats per example."""
        x, label, _ = batch
        return -self.log_prob(x, label if self.num_classes else None).mean()

    def hidden_weights(self) -> list[nn.Parameter]:
        """Weights ``[outputs, ...]`` between hidden layers, for Muon; empty if a subclass does not support it."""
        return []

    def decays(self, parameter: nn.Parameter) -> bool:
        """Whether weight decay applies to the parameter."""
        return True

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Builds the optimizer of all parameters."""
        hidden = self.hidden_weights()
        gains = [p for p in self.parameters() if not self.decays(p)]
        return self.optimizer(parameter_groups(self, hidden=hidden, no_decay=gains))

    # -------------------------------------------------------------- samples

    def sampler_settings(self) -> dict[str, str | int | float | bool]:
        """The temperature, and whether samples are class-conditional."""
        settings: dict[str, str | int | float | bool] = {"name": "ancestral", "temperature": self.sampling.temperature}
        return {**settings, "class_conditional": True} if self.num_classes else settings

    @override
    def samples_in_float32(self) -> bool:
        return True

    def generate(self, noise: Noise, label: Tensor | None = None) -> Tensor:
        """Ancestral sampling: draws each dimension from its conditional given the previous ones."""
        nothing = torch.zeros(len(noise), *self.shape, dtype=torch.uint8, device=self.device)
        return self.complete(nothing, 0, noise, label)

    def first(self, count: int) -> Tensor:
        """Mask of the first ``count`` dimensions in the order: bool ``[*shape]``."""
        first = torch.zeros(self.num_dims, dtype=torch.bool, device=self.device)
        first[self.order[:count]] = True
        return first.view(self.shape)

    @torch.no_grad()
    def complete(self, x: Tensor, num_given: int, noise: Noise, label: Tensor | None = None) -> Tensor:
        """Keeps the first dimensions of x in the order, and samples the others: uint8 ``[B, *shape]``.

        Args:
            x: Integers ``[B, *shape]``.
            num_given: Number of dimensions to keep.
            noise: Source of randomness, with B rows.
            label: Classes int64 ``[B]``; if None, a class-conditional model samples them from their posterior given
                the first dimensions.
        """
        if self.num_classes and label is None:
            label = draw(self.class_logits(x, num_given), noise.uniform(), 1.0)
        u = noise.uniform(self.num_dims)
        conditionals = self.conditionals(len(x), label)
        return self.fill(conditionals, self.order, u, x.flatten(1), num_given).unflatten(1, self.shape)

    @torch.no_grad()
    def class_logits(self, x: Tensor, num_given: int) -> Tensor:
        """``log P(x_given | c)`` for all classes: nats, float32 ``[B, num_classes]``.

        Args:
            x: Integers ``[B, *shape]``.
            num_given: Number of dimensions in the order to condition on.
        """
        logits = torch.zeros(len(x), self.num_classes, device=x.device)
        if not num_given:
            return logits
        given, block = self.first(num_given), max(_LOGITS_AT_ONCE // (self.num_dims * self.num_levels), 1)
        with torch.autocast(x.device.type, enabled=False):
            for c in range(self.num_classes):
                for rows, some in zip(x.split(block), logits.split(block), strict=True):
                    each = self.logits(rows, torch.full((len(rows),), c, device=x.device)).float().log_softmax(1)
                    own = each.gather(1, rows[:, None].long())[:, 0]
                    some[:, c] = torch.where(given, own, 0.0).flatten(1).sum(1)
        return logits

    @torch.no_grad()
    def fill(self, conditionals: Conditionals, order: Tensor, u: Tensor, x: Tensor, num_given: int) -> Tensor:
        """Samples the dimensions of x ``[B, D]`` after the first ``num_given`` in the order: uint8 ``[B, D]``.

        Args:
            conditionals: Conditionals in that order.
            order: Positions of the dimensions, ``[D]``.
            u: Uniform draws on [0, 1), ``[B, D]``: column i is for the i-th dimension in the order.
            x: Integers ``[B, D]``.
            num_given: Number of dimensions to keep.
        """
        out, value = x.clone(), None
        for i, position in enumerate(order.tolist()):
            self.count_evaluations(len(out))
            logits = self._next_logits(conditionals, value)
            value = out[:, position].long() if i < num_given else draw(logits, u[:, i], self.sampling.temperature)
            out[:, position] = value.to(torch.uint8)
        return out

    def _next_logits(self, conditionals: Conditionals, value: Tensor | None) -> Tensor:
        """Logits of the next dimension, ``[B, num_levels]``.

        Computed in float32 whatever the precision of training: caches hold their weights in float32, and a full pass in
        bfloat16 would give other samples.
        """
        with torch.autocast(self.device.type, enabled=False):
            return conditionals.next(value).float()


def reading_order(shape: tuple[int, ...]) -> Tensor:
    """Flat indices of the dimensions of ``[C, H, W]``, pixel by pixel; of any other shape, in memory order.

    >>> reading_order((2, 1, 3)).tolist()
    [0, 3, 1, 4, 2, 5]
    """
    positions = torch.arange(math.prod(shape))
    return positions.view(shape).permute(1, 2, 0).flatten() if len(shape) == 3 else positions

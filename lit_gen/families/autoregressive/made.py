"""MADE: all conditionals in one pass of a masked fully connected net."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from lightning.pytorch.cli import OptimizerCallable
from torch import Tensor
from typing_extensions import override

from lit_gen.contract import Batch
from lit_gen.errors import UserError
from lit_gen.families.autoregressive.autoregressive import Autoregressive
from lit_gen.families.autoregressive.conditionals import Conditionals, Naive
from lit_gen.likelihood import Likelihood, categorical_log_prob
from lit_gen.nets import MaskedAutoencoder, OneByOne
from lit_gen.nets.mlp import Activation
from lit_gen.noise import Noise
from lit_gen.optim import AdamW
from lit_gen.quantization import to_unit


class MADE(Autoregressive):
    """Masked autoencoder for distribution estimation, over one order of the dimensions or over several.

    Without hidden layers it is the fully visible sigmoid belief net, a logistic regression for each dimension. A
    conditional over L levels is a softmax of L - 1 numbers and a zero, which for binary data is the sigmoid.

    With ``num_orders`` the net is trained on one order after the other, batch by batch (section 4.2), and the model is
    the mixture of all of them with equal weights (section 4.3): probabilities are averaged over orders for whole
    examples, so that they still sum to one, which averaged logits would not. A sample draws its order first. The
    connections between hidden units stay the same for all orders.

    Args:
        shape: Of one example; linked from the data.
        num_levels: Of the data; linked from the data.
        hidden_sizes: Widths of the hidden layers; 8,000 in the paper's best net of one layer for binary MNIST.
        num_orders: The first is that of reading, the others are drawn by ``order_seed``.
        order_seed: Draws the orders.
        activation: Between the layers.
        temperature: Divisor of the logits of every conditional when sampling.
        optimizer: Optimizer of all parameters.

    References:
        Germain, Gregor, Murray, Larochelle: MADE: Masked Autoencoder for Distribution Estimation, 2015,
        arXiv:1502.03509. Frey, Hinton, Dayan: Does the wake-sleep algorithm produce good density estimators?, 1996,
        for the net without hidden layers.
    """

    orders: Tensor

    def __init__(
        self,
        shape: tuple[int, ...],
        num_levels: int,
        hidden_sizes: Sequence[int] = (64,),
        num_orders: int = 1,
        order_seed: int = 0,
        activation: Activation = "relu",
        temperature: float = 1.0,
        optimizer: OptimizerCallable = AdamW,
    ) -> None:
        super().__init__(
            shape, num_levels, num_classes=0, temperature=temperature, optimizer=optimizer
        )
        if num_orders < 1:
            raise UserError(f"model.num_orders is {num_orders}; give 1 for the reading order alone, or more")
        self.num_orders = num_orders
        self.net = MaskedAutoencoder(self.num_dims, num_levels - 1, hidden_sizes, activation)
        generator = torch.Generator().manual_seed(order_seed)
        drawn = [torch.randperm(self.num_dims, generator=generator) for _ in range(num_orders - 1)]
        self.register_buffer("orders", torch.stack([self.order, *drawn]), persistent=False)

    # -------------------------------------------------------------- density

    def logits_in(self, order: Tensor, x: Tensor) -> Tensor:
        """Of the conditionals in one order: ``[B, num_levels, D]`` for levels ``[B, D]``."""
        return F.pad(self.net(to_unit(x, self.num_levels), order), (0, 0, 1, 0))

    @override
    def logits(self, x: Tensor, label: Tensor | None = None) -> Tensor:
        """In the reading order."""
        return self.logits_in(self.orders[0], x.flatten(1)).unflatten(2, self.shape)

    def log_prob_in(self, order: Tensor, x: Tensor) -> Tensor:
        """Log P(x) in one order: nats, ``[B]``."""
        flat = x.flatten(1)
        return categorical_log_prob(self.logits_in(order, flat).float(), flat)

    def nll(self, x: Tensor, noise: Noise, estimator: str | None = None, draws: int = 1) -> Likelihood:
        """Exact: of the mixture over all orders.

        Raises:
            UserError: Any estimator but ``chain-rule``.
        """
        self.check_estimator(estimator)
        each = torch.stack([self.log_prob_in(order, x) for order in self.orders])
        name = self.estimators[0] + (f"-{self.num_orders}-orders" if self.num_orders > 1 else "")
        return Likelihood(math.log(self.num_orders) - each.logsumexp(0), "exact", name)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Nats an example, in the order whose turn it is."""
        return -self.log_prob_in(self.orders[self.global_step % self.num_orders], batch[0]).mean()

    # -------------------------------------------------------------- samples

    @override
    def conditionals(self, batch_size: int, label: Tensor | None = None) -> Conditionals:
        """In the reading order."""
        return _Cached(self, batch_size, self.orders[0])

    @override
    def naive_conditionals(self, batch_size: int, label: Tensor | None = None) -> Conditionals:
        """In the reading order."""
        return self._naive(batch_size, self.orders[0])

    def _naive(self, batch_size: int, order: Tensor) -> Conditionals:
        return Naive(lambda x: self.logits_in(order, x), order, batch_size)

    def generate(self, noise: Noise, label: Tensor | None = None) -> Tensor:
        """Dimension by dimension; each sample in an order that it draws."""
        if self.num_orders == 1:
            return super().generate(noise, label)
        which = (noise.uniform() * self.num_orders).long()
        u = noise.uniform(self.num_dims)
        out = torch.empty(len(noise), self.num_dims, dtype=torch.uint8, device=self.device)
        for k in which.unique().tolist():
            rows = which == k
            order = self.orders[k]
            out[rows] = self.fill(_Cached(self, int(rows.sum()), order), order, u[rows], out[rows], 0)
        return out.unflatten(1, self.shape)

    def complete(self, x: Tensor, num_given: int, noise: Noise, label: Tensor | None = None) -> Tensor:
        """See :class:`Autoregressive`.

        Raises:
            UserError: Of several orders, most do not start with what is given.
        """
        if self.num_orders > 1:
            raise UserError(f"a MADE of {self.num_orders} orders cannot complete an example; one of num_orders=1 can")
        return super().complete(x, num_given, noise, label)


class _Cached(Conditionals):
    """Each hidden unit once."""

    def __init__(self, model: MADE, batch_size: int, order: Tensor) -> None:
        self.one_by_one, self.num_levels = OneByOne(model.net, batch_size, order), model.num_levels

    def next(self, value: Tensor | None) -> Tensor:
        if value is not None:
            self.one_by_one.put(to_unit(value, self.num_levels))
        return F.pad(self.one_by_one.parameters(), (0, 0, 1, 0)).T

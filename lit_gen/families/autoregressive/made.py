"""MADE: all conditionals in one pass of a masked fully connected network."""

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
from lit_gen.nets import IncrementalAutoencoder, MaskedAutoencoder
from lit_gen.nets.mlp import Activation
from lit_gen.noise import Noise
from lit_gen.optim import AdamW
from lit_gen.quantization import to_unit


class MADE(Autoregressive):
    """Masked autoencoder for distribution estimation, over one or several orders of the dimensions.

    Without hidden layers it is the fully visible sigmoid belief network, a logistic regression for each dimension. A
    conditional over L values is a softmax of L - 1 logits and a zero, which for binary data is the sigmoid.

    With ``num_orders`` the network is trained on the orders cyclically, one per batch (section 4.2), and the model is
    their mixture with equal weights (section 4.3): probabilities of whole examples are averaged over orders, so that
    they still sum to one, unlike averaged logits. Sampling first draws an order. The connections between hidden
    units are the same for all orders.

    Args:
        shape: Shape of one example; linked from the data.
        num_levels: Number of values of the data; linked from the data.
        hidden_sizes: Widths of the hidden layers; 8,000 in the paper's best one-layer network for binary MNIST.
        num_orders: Number of orders; the first is the raster order, the others are random.
        order_seed: Seed of the random orders.
        activation: Nonlinearity between the layers.
        temperature: Divisor of the logits of every conditional when sampling.
        optimizer: Optimizer of all parameters.

    References:
        Germain, Gregor, Murray, Larochelle: MADE: Masked Autoencoder for Distribution Estimation, 2015,
        arXiv:1502.03509. Frey, Hinton, Dayan: Does the wake-sleep algorithm produce good density estimators?, 1996,
        for the network without hidden layers.
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
            raise UserError(f"MADE: num_orders={num_orders} must be at least 1 (the raster order only)")
        self.num_orders = num_orders
        self.net = MaskedAutoencoder(self.num_dims, num_levels - 1, hidden_sizes, activation)
        generator = torch.Generator().manual_seed(order_seed)
        drawn = [torch.randperm(self.num_dims, generator=generator) for _ in range(num_orders - 1)]
        self.register_buffer("orders", torch.stack([self.order, *drawn]), persistent=False)

    # -------------------------------------------------------------- density

    def logits_in(self, order: Tensor, x: Tensor) -> Tensor:
        """Logits of the conditionals in the given order: ``[B, num_levels, D]`` for integers ``[B, D]``."""
        return F.pad(self.net(to_unit(x, self.num_levels), order), (0, 0, 1, 0))

    @override
    def logits(self, x: Tensor, label: Tensor | None = None) -> Tensor:
        """Logits of the conditionals in the raster order."""
        return self.logits_in(self.orders[0], x.flatten(1)).unflatten(2, self.shape)

    def log_prob_in(self, order: Tensor, x: Tensor) -> Tensor:
        """Log P(x) under the given order: nats, ``[B]``."""
        flat = x.flatten(1)
        return categorical_log_prob(self.logits_in(order, flat).float(), flat)

    def nll(self, x: Tensor, noise: Noise, estimator: str | None = None, draws: int = 1) -> Likelihood:
        """The exact negative log-likelihood of the mixture over all orders.

        Raises:
            UserError: If the estimator is not ``chain-rule``.
        """
        self.check_estimator(estimator)
        each = torch.stack([self.log_prob_in(order, x) for order in self.orders])
        name = self.estimators[0] + (f"-{self.num_orders}-orders" if self.num_orders > 1 else "")
        return Likelihood(math.log(self.num_orders) - each.logsumexp(0), "exact", name)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """The loss in nats per example, in the order of this batch."""
        return -self.log_prob_in(self.orders[self.global_step % self.num_orders], batch[0]).mean()

    # -------------------------------------------------------------- samples

    @override
    def conditionals(self, batch_size: int, label: Tensor | None = None) -> Conditionals:
        """Conditionals in the raster order, with cached activations."""
        return _Cached(self, batch_size, self.orders[0])

    @override
    def naive_conditionals(self, batch_size: int, label: Tensor | None = None) -> Conditionals:
        """Conditionals in the raster order, by full passes."""
        return self._naive(batch_size, self.orders[0])

    def _naive(self, batch_size: int, order: Tensor) -> Conditionals:
        return Naive(lambda x: self.logits_in(order, x), order, batch_size)

    def generate(self, noise: Noise, label: Tensor | None = None) -> Tensor:
        """Ancestral sampling, with a random order for each sample."""
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

    @override
    def complete(self, x: Tensor, num_given: int, noise: Noise, label: Tensor | None = None) -> Tensor:
        # Of several orders, most do not start with the given dimensions.
        if self.num_orders > 1:
            raise UserError(f"MADE: num_orders={self.num_orders} cannot complete an example; num_orders=1 can")
        return super().complete(x, num_given, noise, label)


class _Cached(Conditionals):
    """Conditionals that compute each hidden unit once."""

    def __init__(self, model: MADE, batch_size: int, order: Tensor) -> None:
        self.incremental, self.num_levels = IncrementalAutoencoder(model.net, batch_size, order), model.num_levels

    def next(self, value: Tensor | None) -> Tensor:
        if value is not None:
            self.incremental.update(to_unit(value, self.num_levels))
        return F.pad(self.incremental.parameters(), (0, 0, 1, 0)).T

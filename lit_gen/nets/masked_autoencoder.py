"""Masked autoencoders: fully connected networks whose i-th outputs depend only on the inputs before i."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from lit_gen.errors import UserError
from lit_gen.nets.mlp import Activation, activation_module

_ROW_BLOCKS = 4


class _Staircase(torch.autograd.Function):
    """``x W' + b`` for a block-triangular W, without computing products with its zeros.

    ``steps`` contains ``(a, b, m, n)``: rows a to b use all columns before m, some of those before n, and none after.
    Implemented as one operation, because the gradients of many slices of W would each be as large as W.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, mask: Tensor, steps: list[tuple[int, int, int, int]]
    ) -> Tensor:
        """Maps ``[B, inputs]`` to ``[B, outputs]``."""
        edges = [weight[a:b, m:n] * mask[a:b, m:n] for a, b, m, n in steps]
        out = x.new_empty(len(x), len(weight))
        for (a, b, m, n), edge in zip(steps, edges, strict=True):
            torch.addmm(bias[a:b], x[:, m:n], edge.T, out=out[:, a:b])
            if m:
                out[:, a:b].addmm_(x[:, :m], weight[a:b, :m].T)
        ctx.save_for_backward(x, weight, mask, *edges)
        ctx.steps = steps
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        """Gradients of x, the weights and the bias."""
        (g,) = gradients
        x, weight, mask, *edges = ctx.saved_tensors
        g_x, g_weight = x.new_zeros(x.shape), torch.empty_like(weight)
        for (a, b, m, n), edge in zip(ctx.steps, edges, strict=True):
            rows = g[:, a:b]
            g_x[:, m:n].addmm_(rows, edge)
            g_x[:, :m].addmm_(rows, weight[a:b, :m])
            torch.mm(rows.T, x[:, :n], out=g_weight[a:b, :n])
            g_weight[a:b, m:n].mul_(mask[a:b, m:n])
            g_weight[a:b, n:].zero_()
        return g_x, g_weight, g.sum(0), None, None


class MaskedLinear(nn.Module):
    """A masked linear layer whose units are connected to a prefix of its inputs, of increasing length.

    Inputs and outputs are sorted by degree, so that the mask is block-triangular. Rows are computed in a few blocks,
    each of which reads only the columns connected to any of its rows: about half of the products are skipped.

    Args:
        degrees_in: Sorted degrees of the inputs.
        degrees_out: Sorted degrees of the outputs.
        strict: Whether outputs are connected to inputs of smaller degree only, or also of equal degree.
    """

    mask: Tensor

    def __init__(self, degrees_in: Tensor, degrees_out: Tensor, strict: bool) -> None:
        super().__init__()
        plain = nn.Linear(len(degrees_in), len(degrees_out))
        seen = torch.searchsorted(degrees_in, degrees_out, right=not strict)
        mask = torch.arange(len(degrees_in)) < seen[:, None]
        self.register_buffer("mask", mask.float(), persistent=False)
        self.weight, self.bias = plain.weight, plain.bias
        rows = [len(degrees_out) * i // _ROW_BLOCKS for i in range(_ROW_BLOCKS + 1)]
        self.steps = [(a, b, int(seen[a]), int(seen[b - 1])) for a, b in pairwise(rows) if b > a]

    def arranged(self, inputs: Tensor | None = None, outputs: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Weights and biases for inputs and outputs in another order, with the mask permuted accordingly."""
        weight: Tensor = self.weight
        bias: Tensor = self.bias
        if inputs is not None:
            weight = weight.index_select(1, inputs)
        if outputs is not None:
            weight, bias = weight.index_select(0, outputs), bias.index_select(0, outputs)
        return weight, bias

    def forward(self, x: Tensor, inputs: Tensor | None = None, outputs: Tensor | None = None) -> Tensor:
        """Maps ``[B, inputs]`` to ``[B, outputs]``, both in the order given to :meth:`arranged`."""
        device = x.device.type
        dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else x.dtype
        x, weight, bias, mask = (t.to(dtype) for t in (x, *self.arranged(inputs, outputs), self.mask))
        return _Staircase.apply(x, weight, bias, mask, self.steps)


def _spread(size: int, last: int) -> Tensor:
    """Sorted degrees, evenly spread from 0 to last, inclusive; a single one is 0."""
    return torch.linspace(0, last, size).round().long()


class MaskedAutoencoder(nn.Module):
    """Computes ``num_parameters`` outputs per dimension of x ``[B, D]``, which depend only on the previous dimensions.

    The default is the natural order. Hidden degrees are spread evenly over 0..D-2, inclusive: in a layer of at least
    D - 1 units, every dimension has units that are connected to all previous ones; in narrower layers, some have
    fewer connections.

    Args:
        num_dims: Number of dimensions D.
        num_parameters: Number of outputs per dimension.
        hidden_sizes: Widths of the hidden layers; empty for a linear network.
        activation: Nonlinearity between the layers.

    References:
        Germain, Gregor, Murray, Larochelle: MADE, 2015, arXiv:1502.03509, equations 8 to 14; section 4.2 for orders.
    """

    def __init__(
        self, num_dims: int, num_parameters: int, hidden_sizes: Sequence[int], activation: Activation = "relu"
    ) -> None:
        super().__init__()
        if num_dims < 2 or min(hidden_sizes, default=1) < 1:
            raise UserError(
                f"MADE needs at least 2 dimensions and hidden layers of 1 or more, not {num_dims} and"
                f" {list(hidden_sizes)}"
            )
        self.num_dims, self.num_parameters = num_dims, num_parameters
        degrees = [torch.arange(num_dims)]
        degrees += [_spread(size, num_dims - 2) for size in hidden_sizes]
        layers = [MaskedLinear(a, b, strict=False) for a, b in pairwise(degrees)]
        layers.append(MaskedLinear(degrees[-1], torch.arange(num_dims).repeat_interleave(num_parameters), strict=True))
        self.layers = nn.ModuleList(layers)
        self.activation = activation_module(activation)
        # Number of units of each layer with a degree of at most i, which are known after x[i].
        self.known = [torch.searchsorted(d, torch.arange(num_dims), right=True).tolist() for d in degrees]
        nn.init.zeros_(layers[-1].weight)
        nn.init.zeros_(layers[-1].bias)

    def arrangement(self, order: Tensor | None) -> list[tuple[Tensor | None, Tensor | None]]:
        """Inputs and outputs of each layer in the given order of the dimensions ``[D]``."""
        where: list[tuple[Tensor | None, Tensor | None]] = [(None, None)] * len(self.layers)
        if order is not None:
            rows = order[:, None] * self.num_parameters + torch.arange(self.num_parameters, device=order.device)
            where[-1] = (None, rows.flatten())
            where[0] = (order, where[0][1])
        return where

    def forward(self, x: Tensor, order: Tensor | None = None) -> Tensor:
        """Maps ``[B, D]`` to ``[B, num_parameters, D]``.

        Args:
            x: The dimensions, in the natural order.
            order: Indices of the first, second ... dimension: int64 ``[D]``; None for the natural order.
        """
        h = x if order is None else x.index_select(1, order)
        where = self.arrangement(order)
        for layer, (inputs, outputs) in zip(self.layers[:-1], where[:-1], strict=True):
            h = self.activation(layer(h, inputs, outputs))
        out = self.layers[-1](h, *where[-1]).unflatten(1, (self.num_dims, self.num_parameters)).transpose(1, 2)
        return out if order is None else out.index_select(2, order.argsort())

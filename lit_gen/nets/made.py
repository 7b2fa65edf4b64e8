"""Masked autoencoders: fully connected nets whose i-th outputs see only the inputs before i."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from lit_gen.errors import UserError
from lit_gen.nets.mlp import Activation, activation_module

_ROW_BLOCKS = 4


class _Staircase(torch.autograd.Function):
    """``x W' + b`` for a W that is zero to the right of a staircase, without forming what is zero.

    ``steps`` holds ``(a, b, m, n)``: rows a to b see all columns before m, some of those before n, and none after.
    One operation, because the gradients of many slices of W would each be as large as W.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, mask: Tensor, steps: list[tuple[int, int, int, int]]
    ) -> Tensor:
        """``[B, inputs]`` to ``[B, outputs]``."""
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
    """A linear layer whose units see a prefix of its inputs, the longer the later they stand.

    Both sides are sorted by degree, so that the mask is a staircase. Rows are computed in a few blocks, each of
    which reads only the columns that any of its rows sees: about half of the products are never formed.

    Args:
        degrees_in: Sorted degrees of the inputs.
        degrees_out: Sorted degrees of the outputs.
        strict: An output sees the inputs of smaller degree; if not, of smaller or the same degree.
    """

    mask: Tensor

    def __init__(self, degrees_in: Tensor, degrees_out: Tensor, strict: bool) -> None:
        super().__init__()
        plain = nn.Linear(len(degrees_in), len(degrees_out))
        seen = torch.searchsorted(degrees_in, degrees_out, right=not strict)
        mask = torch.arange(len(degrees_in)) < seen[:, None]
        self.register_buffer("mask", mask.float(), persistent=False)
        self.weight = nn.Parameter(plain.weight.detach() * mask)
        self.bias = plain.bias
        rows = [len(degrees_out) * i // _ROW_BLOCKS for i in range(_ROW_BLOCKS + 1)]
        self.steps = [(a, b, int(seen[a]), int(seen[b - 1])) for a, b in pairwise(rows) if b > a]

    def masked_weight(self) -> Tensor:
        """The weights, zero where an output must not see."""
        return self.weight * self.mask

    def forward(self, x: Tensor) -> Tensor:
        """``[B, inputs]`` to ``[B, outputs]``."""
        device = x.device.type
        dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else x.dtype
        x, weight, bias, mask = (t.to(dtype) for t in (x, self.weight, self.bias, self.mask))
        return _Staircase.apply(x, weight, bias, mask, self.steps)


def _spread(size: int, last: int) -> Tensor:
    """So many sorted degrees from 0 to last, both included; a single one is 0."""
    return torch.linspace(0, last, size).round().long()


class MADE(nn.Module):
    """From x ``[B, D]`` to ``num_parameters`` numbers for each dimension, those of i from ``x[:i]`` alone.

    The order is the natural one. Hidden degrees are spread evenly over 0..D-2, both ends included: in a layer of
    D - 1 units or more every dimension has some that see all before it; in a narrower one, some see less.

    Args:
        num_dims: D.
        num_parameters: Outputs a dimension.
        hidden_sizes: Widths of the hidden layers.
        activation: Between the layers.

    References:
        Germain, Gregor, Murray, Larochelle: MADE, 2015, arXiv:1502.03509, equations 8 to 14.
    """

    def __init__(
        self, num_dims: int, num_parameters: int, hidden_sizes: Sequence[int], activation: Activation = "relu"
    ) -> None:
        super().__init__()
        if num_dims < 2 or min(hidden_sizes, default=0) < 1:
            raise UserError(f"MADE needs at least 2 dimensions and one hidden layer, not {num_dims}, {hidden_sizes}")
        self.num_dims, self.num_parameters = num_dims, num_parameters
        degrees = [torch.arange(num_dims)]
        degrees += [_spread(size, num_dims - 2) for size in hidden_sizes]
        layers = [MaskedLinear(a, b, strict=False) for a, b in pairwise(degrees)]
        layers.append(MaskedLinear(degrees[-1], torch.arange(num_dims).repeat_interleave(num_parameters), strict=True))
        self.layers = nn.ModuleList(layers)
        self.activation = activation_module(activation)
        # How many units of each hidden layer have a degree of at most i: what may be known after x[i].
        self._known = [torch.searchsorted(d, torch.arange(num_dims), right=True).tolist() for d in degrees[1:]]
        nn.init.zeros_(layers[-1].weight)
        nn.init.zeros_(layers[-1].bias)

    def forward(self, x: Tensor) -> Tensor:
        """``[B, D]`` to ``[B, num_parameters, D]``."""
        for layer in self.layers[:-1]:
            x = self.activation(layer(x))
        return self.layers[-1](x).unflatten(1, (self.num_dims, self.num_parameters)).transpose(1, 2)

    @torch.no_grad()
    def in_order(self, batch_size: int, value: Callable[[int, Tensor], Tensor]) -> Tensor:
        """Fills x one dimension after the other, each hidden unit being computed once, when it can be.

        The whole costs as many products as one forward pass, where calling that for each dimension costs D times
        as many.

        Args:
            batch_size: B.
            value: From i and its parameters ``[num_parameters, B]`` to ``x[:, i]``.

        Returns:
            ``[B, D]``.
        """
        weights = [layer.masked_weight() for layer in self.layers]  # type: ignore[operator]
        biases = [layer.bias[:, None] for layer in self.layers]  # type: ignore[index]
        x = weights[0].new_zeros(self.num_dims, batch_size)  # units first, so that what is known is contiguous
        hidden = [weight.new_zeros(len(weight), batch_size) for weight in weights[:-1]]
        k = self.num_parameters
        for i in range(self.num_dims):
            seen = 0 if i == 0 else self._known[-1][i - 1]
            rows = slice(i * k, (i + 1) * k)
            x[i] = value(i, torch.addmm(biases[-1][rows], weights[-1][rows, :seen], hidden[-1][:seen]))
            below, num_below = x, i + 1
            for weight, bias, units, known in zip(weights, biases, hidden, self._known, strict=False):
                new = slice(known[i - 1] if i else 0, known[i])
                if new.stop > new.start:
                    h = torch.addmm(bias[new], weight[new, :num_below], below[:num_below])
                    units[new] = self.activation(h)
                below, num_below = units, known[i]
        return x.T.contiguous()

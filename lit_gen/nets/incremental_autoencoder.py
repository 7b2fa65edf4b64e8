"""Incremental evaluation of a masked autoencoder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from lit_gen.nets.masked_autoencoder import MaskedAutoencoder

_BLOCK = 64  # dimensions whose sums over all previous ones are computed together


class IncrementalAutoencoder:
    """Incremental evaluation of a masked autoencoder, dimension by dimension, computing each hidden unit once.

    All steps together take as many multiplications as one forward pass, instead of D passes. For a block of
    dimensions, the contributions of all previous ones are one matrix product; each step then adds the contributions
    within the block. These products are so small that slicing takes longer than multiplying: all views are made in
    advance, and a bias is the weight of an additional first unit that is always 1.

    Args:
        net: The masked autoencoder.
        batch_size: Number of examples B.
        order: Order of the dimensions, as in ``MaskedAutoencoder.forward``.

    Attributes:
        x: The dimensions in the given order, ``[D, B]``.
        columns: Views of them, set by ``put``, or directly before :meth:`advance`.
    """

    def __init__(self, net: MaskedAutoencoder, batch_size: int, order: Tensor | None = None) -> None:
        self.net, self.filled = net, 0
        weights = []
        for layer, where in zip(net.layers, net.arrangement(order), strict=True):
            weight, bias = layer.arranged(*where)  # type: ignore[operator]
            weights.append(torch.cat([bias[:, None], weight * layer.mask], 1).detach())
        # Units first, so that known values are contiguous. Unknown values and their weights are 0.
        units = [weight.new_zeros(weight.shape[1], batch_size) for weight in weights]
        for each in units:
            each[0] = 1.0
        self.x = units[0][1:]
        self.columns = self.x.unbind()
        # Number of units of each layer that can be computed after each dimension.
        new = [[after - before for before, after in pairwise([0, *known])] for known in net.known]
        k = net.num_parameters
        outputs = units[0].new_empty(net.num_dims * k, batch_size)
        before = [[0, *known[:-1]] for known in net.known]
        self.layers = [
            _Layer(weights[n], units[n], new[n + 1], before[n], net.known[n], units[n + 1][1:])
            for n in range(len(weights) - 1)
        ]
        self.layers.append(_Layer(weights[-1], units[-1], [k] * net.num_dims, before[-1], before[-1], outputs))
        self.hidden, self.outputs = [layer.steps for layer in self.layers[:-1]], self.layers[-1].steps
        self.activation = _in_place(net.activation)

    def parameters(self) -> Tensor:
        """Parameters of the next dimension, ``[num_parameters, B]``; they may be overwritten."""
        if self.filled % _BLOCK == 0:
            for layer in self.layers:
                layer.begin(self.filled // _BLOCK)
        weight, units, out = self.outputs[self.filled]
        return out.addmm_(weight, units)

    def update(self, value: Tensor) -> None:
        """Sets the next dimension ``[B]``."""
        self.columns[self.filled].copy_(value)
        self.advance()

    def advance(self) -> None:
        """Computes the hidden units whose inputs are complete, after the next of ``columns`` was set."""
        for steps in self.hidden:
            weight, units, out = steps[self.filled]
            if len(out):
                self.activation(out.addmm_(weight, units))
        self.filled += 1


class _Layer:
    """Views for the products of one layer.

    Args:
        weight: Weights ``[rows, 1 + inputs]``.
        units: Inputs ``[1 + inputs, B]``.
        new: Number of rows of each dimension.
        before: Number of inputs known before each dimension, non-decreasing.
        seen: Number of inputs connected to the rows of each dimension.
        out: Outputs ``[rows, B]``.

    Attributes:
        steps: For each dimension, its rows' weights of the block's new inputs, these inputs, and the sums.
    """

    def __init__(
        self,
        weight: Tensor,
        units: Tensor,
        new: Sequence[int],
        before: Sequence[int],
        seen: Sequence[int],
        out: Tensor,
    ) -> None:
        self.blocks: list[tuple[Tensor, Tensor, Tensor]] = []
        self.steps: list[tuple[Tensor, Tensor, Tensor]] = []
        row = 0
        for first in range(0, len(new), _BLOCK):
            sizes = list(new[first : first + _BLOCK])
            rows = slice(row, row + sum(sizes))
            row = rows.stop
            begin, end = 1 + before[first], 1 + seen[first + len(sizes) - 1]
            self.blocks.append((weight[rows, :begin], units[:begin], out[rows]))
            inside = units[begin:end]
            parts, sums = weight[rows, begin:end].split(sizes), out[rows].split(sizes)
            self.steps += [(part, inside, to) for part, to in zip(parts, sums, strict=True)]

    def begin(self, block: int) -> None:
        """Adds up the contributions of inputs before a block to its rows."""
        weight, units, out = self.blocks[block]
        torch.mm(weight, units, out=out)


def _in_place(activation: nn.Module) -> Callable[[Tensor], Tensor]:
    """The in-place version of an activation."""
    return torch.relu_ if isinstance(activation, nn.ReLU) else lambda x: x.copy_(activation(x))


@torch.no_grad()
def fill_in_order(net: MaskedAutoencoder, batch_size: int, value: Callable[[int, Tensor], Tensor]) -> Tensor:
    """Fills x incrementally in the natural order of its dimensions.

    Args:
        net: Network whose parameters of dimension i depend on the dimensions before it.
        batch_size: Number of examples B.
        value: Function from i and its parameters ``[num_parameters, B]``, which it may overwrite, to ``x[:, i]``.

    Returns:
        The filled x, ``[B, D]``.
    """
    incremental = IncrementalAutoencoder(net, batch_size)
    for i in range(net.num_dims):
        incremental.update(value(i, incremental.parameters()))
    return incremental.x.T.contiguous()

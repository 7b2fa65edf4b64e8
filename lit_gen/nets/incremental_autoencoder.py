"""A masked autoencoder asked for one dimension after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from lit_gen.nets.masked_autoencoder import MaskedAutoencoder

_BLOCK = 64  # dimensions whose sums over all before them are taken together


class OneByOne:
    """The outputs of a masked autoencoder for one dimension after the other, each hidden unit computed once.

    The whole costs as many products as one forward pass, where calling that for each dimension costs D times as many.
    For a block of dimensions, what they take from those before it is one product; then each adds what is new in the
    block. These products are so small that cutting their operands costs more than they do: all views are made at the
    start, and a bias is the weight of a first unit that is always 1.

    Args:
        net: The masked autoencoder.
        batch_size: Number of examples B.
        order: See :meth:`MaskedAutoencoder.forward`.

    Attributes:
        x: The dimensions in the order, ``[D, B]``.
        columns: Each of them, to be filled by :meth:`put`, or by hand before :meth:`advance`.
    """

    def __init__(self, net: MaskedAutoencoder, batch_size: int, order: Tensor | None = None) -> None:
        self.net, self.filled = net, 0
        weights = []
        for layer, where in zip(net.layers, net.arrangement(order), strict=True):
            weight, bias = layer.arranged(*where)  # type: ignore[operator]
            weights.append(torch.cat([bias[:, None], weight * layer.mask], 1).detach())
        # Units first, so that what is known is contiguous. What is not yet known is 0, and its weights are.
        units = [weight.new_zeros(weight.shape[1], batch_size) for weight in weights]
        for each in units:
            each[0] = 1.0
        self.x = units[0][1:]
        self.columns = self.x.unbind()
        # How many units of each layer are new with a dimension.
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
        """Of the next dimension, ``[num_parameters, B]``; they may be overwritten."""
        if self.filled % _BLOCK == 0:
            for layer in self.layers:
                layer.begin(self.filled // _BLOCK)
        weight, units, out = self.outputs[self.filled]
        return out.addmm_(weight, units)

    def put(self, value: Tensor) -> None:
        """Fills the next dimension ``[B]``."""
        self.columns[self.filled].copy_(value)
        self.advance()

    def advance(self) -> None:
        """The next of ``columns`` is filled: computes the units that now see all they may."""
        for steps in self.hidden:
            weight, units, out = steps[self.filled]
            if len(out):
                self.activation(out.addmm_(weight, units))
        self.filled += 1


class _Layer:
    """Views for the products of one layer.

    Args:
        weight: ``[rows, 1 + inputs]``.
        units: ``[1 + inputs, B]``.
        new: How many rows each dimension has.
        before: How many of the inputs are known before a dimension, never fewer than before the last.
        seen: How many of them its rows see.
        out: ``[rows, B]``.

    Attributes:
        steps: For each dimension its rows' weights of the inputs that are new in its block, these inputs, and the sums.
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
        """Sums up what a block's rows take from before it."""
        weight, units, out = self.blocks[block]
        torch.mm(weight, units, out=out)


def _in_place(activation: nn.Module) -> Callable[[Tensor], Tensor]:
    """The same, over its argument."""
    return torch.relu_ if isinstance(activation, nn.ReLU) else lambda x: x.copy_(activation(x))

"""A masked autoencoder asked for one dimension after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from lit_gen.nets.made import MaskedAutoencoder

_AT_ONCE = 128  # units that a product takes more or less; fewer need more views, more read zeros


class OneByOne:
    """The outputs of a masked autoencoder for one dimension after the other, each hidden unit computed once.

    The whole costs as many products as one forward pass, where calling that for each dimension costs D times as many.
    The products are so small that cutting their operands costs more than they do: all views are made at the start, and
    a bias is the weight of a first unit that is always 1.

    Args:
        net: The masked autoencoder.
        batch_size: B.
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
        # How many units of each layer are new with a dimension, and how many see it or those before it.
        new = [[after - before for before, after in pairwise([0, *known])] for known in net.known]
        self.hidden = [
            _steps(weights[n], units[n], new[n + 1], net.known[n], units[n + 1][1:]) for n in range(len(weights) - 1)
        ]
        k = net.num_parameters
        outputs = units[0].new_empty(net.num_dims * k, batch_size)
        self.outputs = _steps(weights[-1], units[-1], [k] * net.num_dims, [0, *net.known[-1]], outputs)
        self.activation = _in_place(net.activation)

    def parameters(self) -> Tensor:
        """Of the next dimension, ``[num_parameters, B]``; they may be overwritten."""
        step = self.outputs[self.filled]
        assert step is not None
        weight, units, out = step
        return torch.mm(weight, units, out=out)

    def put(self, value: Tensor) -> None:
        """Fills the next dimension ``[B]``."""
        self.columns[self.filled].copy_(value)
        self.advance()

    def advance(self) -> None:
        """The next of ``columns`` is filled: computes the units that now see all they may."""
        for steps in self.hidden:
            if step := steps[self.filled]:
                weight, units, out = step
                self.activation(torch.mm(weight, units, out=out))
        self.filled += 1


_Step = tuple[Tensor, Tensor, Tensor] | None


def _steps(weight: Tensor, units: Tensor, new: Sequence[int], known: Sequence[int], out: Tensor) -> list[_Step]:
    """For each dimension the rows of weights, the units they see, and where their product goes; None for no rows.

    Args:
        weight: ``[rows, 1 + inputs]``.
        units: ``[1 + inputs, B]``.
        new: How many rows each dimension has.
        known: How many of the inputs they may see, never fewer than the dimension before.
        out: ``[rows, B]``.
    """
    steps: list[_Step] = []
    outs, row = out.split(list(new)), 0
    while len(steps) < len(new):
        first = len(steps)
        seen = min(-(-(1 + known[first]) // _AT_ONCE) * _AT_ONCE, len(units))
        last = first
        while last < len(new) and 1 + known[last] <= seen:
            last += 1
        sizes = list(new[first:last])
        parts = weight[row : row + sum(sizes), :seen].split(sizes)
        row += sum(sizes)
        prefix = units[:seen]
        steps += [
            (part, prefix, to) if size else None
            for part, to, size in zip(parts, outs[first:last], sizes, strict=True)
        ]
    return steps


def _in_place(activation: nn.Module) -> Callable[[Tensor], Tensor]:
    """The same, over its argument."""
    return torch.relu_ if isinstance(activation, nn.ReLU) else lambda x: x.copy_(activation(x))

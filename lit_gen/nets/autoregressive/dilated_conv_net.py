"""WaveNet's network: gated dilated causal convolutions, and queues for incremental decoding."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lit_gen.errors import UserError
from lit_gen.nets.gates import tanh_gate


class DilatedConvNet(nn.Module):
    """Logits for each position of symbols ``[B, T]``, which depend on ``x[:, :i]`` only.

    Figure 4 of the paper: a causal convolution of the one-hot input, residual layers of dilation 1, 2, 4 ..., and a
    head ReLU-1x1-ReLU-1x1 on the sum of the skip connections. All kernels have two taps. The start is padded with
    zeros, which represent no symbol.

    Sums are computed in another order than in the figure, with the same result: a convolution with two taps is two
    products, one of them shifted in time, and the layers' 1x1 convolutions to the skip sum are one product on all
    gates at once. Internally, time is the first dimension, so that shifted tensors are contiguous.

    Args:
        num_symbols: Number of symbols L, of the input and of the output.
        num_blocks: Number of repetitions of the dilations.
        layers_per_block: Number n of dilations 1, 2 ... ``2^(n-1)`` in a block; 10 in the paper.
        channels: Number of channels of the residual stream and of each gate.
        skip_channels: Number of channels of the skip sum and of the head.
        num_classes: Number of label classes for global conditioning; 0 means unconditional.

    Attributes:
        receptive_field: Number of previous symbols that a position depends on.

    Raises:
        UserError: If the sizes are invalid.

    References:
        van den Oord et al.: WaveNet, 2016, arXiv:1609.03499, section 2, equation 2, figure 4.
    """

    def __init__(
        self,
        num_symbols: int,
        num_blocks: int,
        layers_per_block: int,
        channels: int,
        skip_channels: int,
        num_classes: int = 0,
    ) -> None:
        super().__init__()
        if min(num_symbols, num_blocks, layers_per_block, channels, skip_channels) < 1:
            raise UserError(
                f"WaveNet: num_blocks={num_blocks}, layers_per_block={layers_per_block}, channels={channels} and "
                f"skip_channels={skip_channels} must be positive"
            )
        self.channels = channels
        dilations = [2**i for _ in range(num_blocks) for i in range(layers_per_block)]
        self.receptive_field = 2 + sum(dilations)
        # Products of one-hot vectors and a matrix: looks up rows. One table for each tap of the first convolution.
        self.last_symbol = nn.Embedding(num_symbols, channels)
        self.symbol_before = nn.Embedding(num_symbols, channels)
        self.layers = nn.ModuleList([GatedLayer(channels, d) for d in dilations])
        # 1x1 convolutions of the residual connections: the last layer has none. They have no bias, because the next
        # convolution has one.
        self.carries = nn.ModuleList([_alive(nn.Linear(channels, channels, bias=False)) for _ in dilations[1:]])
        self.classes = nn.Embedding(num_classes, len(dilations) * 2 * channels) if num_classes else None
        self.skip = nn.Linear(len(dilations) * channels, skip_channels)
        self.hidden = nn.Linear(skip_channels, skip_channels)
        self.out = nn.Linear(skip_channels, num_symbols)

    def conditioning(self, label: Tensor | None) -> Tensor | None:
        """Contribution of the class, label int64 ``[B]``, to the gates: ``[layers, B, 2 channels]``.

        Raises:
            ValueError: If there are classes, but no label.
        """
        if self.classes is None:
            return None
        if label is None:
            raise ValueError("the WaveNet has classes, but no label was given")
        return self.classes(label).unflatten(1, (len(self.layers), -1)).transpose(0, 1)

    def head(self, gates: Tensor) -> Tensor:
        """Logits ``[..., L]`` from the gates of all layers, ``[..., layers * channels]``."""
        return self.out(F.relu(self.hidden(F.relu(self.skip(gates)))))

    def forward(self, x: Tensor, label: Tensor | None = None) -> Tensor:
        """Logits ``[B, T, L]`` of symbols int64 ``[B, T]``; label int64 ``[B]``. Their memory layout is time first."""
        x = x.T
        h = moved(self.last_symbol(x), 1) + moved(self.symbol_before(x), 2)
        conditioning = self.conditioning(label)
        gates: list[Tensor] = []
        for i, layer in enumerate(self.layers):
            if i:
                h = h + self.carries[i - 1](gates[-1])
            gates.append(layer(h, None if conditioning is None else conditioning[i]))
        return self.head(torch.cat(gates, 2)).transpose(0, 1)


def moved(h: Tensor, steps: int) -> Tensor:
    """Shifts ``[T, B, C]`` by a number of steps, padding with zeros."""
    return F.pad(h, (0, 0, 0, 0, steps, 0))[: len(h)]


def _alive(layer: nn.Linear, gain: float = 1.0) -> nn.Linear:
    """Initializes with unit gain: torch's default would lose nine tenths of distant inputs in each layer."""
    nn.init.normal_(layer.weight, std=gain * layer.in_features**-0.5)
    return layer


class GatedLayer(nn.Module):
    """``tanh(W_f * h + V_f c) sigmoid(W_g * h + V_g c)``, equations 2 and 3: ``*`` has two taps, d steps apart.

    Args:
        channels: Number of channels of the input and of the gate.
        dilation: Distance d of the taps.

    References:
        van den Oord et al. 2016, arXiv:1609.03499, equations 2 and 3.
    """

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.dilation = dilation
        gain = nn.init.calculate_gain("tanh") / 2**0.5
        self.now = _alive(nn.Linear(channels, 2 * channels), gain)
        self.past = _alive(nn.Linear(channels, 2 * channels, bias=False), gain)

    def forward(self, h: Tensor, conditioning: Tensor | None = None) -> Tensor:
        """Maps ``[T, B, C]`` to the gate ``[T, B, C]``; conditioning ``[B, 2 C]``."""
        both = self.now(h)
        both[self.dilation :] += self.past(h[: max(len(h) - self.dilation, 0)])
        if conditioning is not None:
            both = both + conditioning
        return tanh_gate(both, 2)


class WaveNetQueues:
    """Incremental decoding: each layer keeps as many of its last inputs as its dilation.

    A call computes one position of the network, whatever its receptive field. The layers' inputs one dilation ago
    are known before the call: they are multiplied for all layers at once. Weights are read on construction: do not
    use queues after a training step.

    Args:
        net: The network.
        batch_size: Number of examples B.
        length: Number of positions to decode; longer queues would never be read.
        label: Classes int64 ``[B]``.

    Raises:
        UserError: If more positions are requested than ``length``.

    References:
        Paine et al.: Fast WaveNet Generation Algorithm, 2016, arXiv:1611.09482, section 3.
    """

    @torch.no_grad()
    def __init__(self, net: DilatedConvNet, batch_size: int, length: int, label: Tensor | None = None) -> None:
        self.net, self.length, self.asked = net, length, 0
        weight = net.out.weight
        layers = [layer for layer in net.layers if isinstance(layer, GatedLayer)]
        self.now = [layer.now.weight.T for layer in layers]
        self.carry = [carry.weight.T for carry in net.carries if isinstance(carry, nn.Linear)]
        self.past = torch.stack([layer.past.weight.T for layer in layers])
        self.bias = torch.stack([layer.now.bias for layer in layers])[:, None]
        conditioning = net.conditioning(label)
        if conditioning is not None:
            self.bias = self.bias + conditioning
        # All queues are in one tensor, each as a ring buffer.
        sizes = torch.tensor([min(layer.dilation, length) for layer in layers], device=weight.device)
        self.sizes, self.starts = sizes, sizes.cumsum(0) - sizes
        self.rings = weight.new_zeros(int(sizes.sum()), batch_size, net.channels)
        self.inputs = weight.new_zeros(len(layers), batch_size, net.channels)
        self.gates = weight.new_zeros(batch_size, len(layers), net.channels)
        self.before: Tensor | None = None

    @torch.no_grad()
    def next(self, symbol: Tensor | None) -> Tensor:
        """Logits ``[B, L]`` of the next position, given the previous symbols int64 ``[B]``; None in the first call."""
        if self.asked == self.length:
            raise UserError(f"WaveNet: its queues are for {self.length} positions only")
        net, channels = self.net, self.net.channels
        slots = self.starts + self.asked % self.sizes
        self.asked += 1
        self._read(symbol)
        past = torch.baddbmm(self.bias, self.rings.index_select(0, slots), self.past)
        for i, now in enumerate(self.now):
            both = torch.addmm(past[i], self.inputs[i], now)
            gate = torch.tanh(both[:, :channels]).mul_(torch.sigmoid(both[:, channels:]))
            self.gates[:, i] = gate
            if i < len(self.carry):
                torch.addmm(self.inputs[i], gate, self.carry[i], out=self.inputs[i + 1])
        self.rings.index_copy_(0, slots, self.inputs)
        return net.head(self.gates.flatten(1))

    def _read(self, symbol: Tensor | None) -> None:
        """The first convolution, of the last symbol and the one before, if there are any."""
        h = self.inputs[0].zero_()
        if symbol is not None:
            h += self.net.last_symbol(symbol)
        if self.before is not None:
            h += self.net.symbol_before(self.before)
        self.before = symbol

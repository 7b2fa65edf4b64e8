"""A causal transformer: for each position of a sequence, numbers that depend on what stands before it."""

from __future__ import annotations

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lit_gen.errors import UserError

Positions = Literal["learned", "rotary"]


class CausalTransformer(nn.Module):
    """From symbols ``[B, T]`` to ``num_symbols`` numbers for each position, those of i from ``x[:, :i]`` alone.

    The input is moved on by one: a start symbol stands before the first, and the last is never read. Where there
    are classes, the class stands in the start's place. Blocks are normalized at their entrance, as in GPT-2, and
    there is a last norm after them. Norms have gains and no biases, and no matrix has a bias. Input and output
    embeddings are apart.

    Args:
        num_symbols: L, of the input and of the output.
        length: T, the longest sequence.
        width: Width of the residual stream.
        num_blocks: Attention and a two-layer perceptron four times as wide, each.
        num_heads: Of the attention; width is a multiple.
        positions: ``learned``: a vector for each position is added to the input. ``rotary``: queries and keys are
            turned by angles in proportion to their position, so that attention knows distances alone.
        dropout: Rate, on the input and on what each half of a block adds.
        num_classes: Number of label classes; 0 means unconditional.

    Raises:
        UserError: Sizes that cannot be.

    References:
        Vaswani et al.: Attention Is All You Need, 2017, arXiv:1706.03762, section 3.
        Radford et al.: Language Models are Unsupervised Multitask Learners, 2019 (GPT-2), section 2.3.
        Su et al.: RoFormer, 2021, arXiv:2104.09864, equation 34.
    """

    def __init__(
        self,
        num_symbols: int,
        length: int,
        width: int,
        num_blocks: int,
        num_heads: int,
        positions: Positions = "learned",
        dropout: float = 0.0,
        num_classes: int = 0,
    ) -> None:
        super().__init__()
        if min(num_symbols, length, width, num_blocks, num_heads) < 1 or width % num_heads:
            raise UserError(f"transformer: width {width} must be a multiple of num_heads {num_heads}, all positive")
        if positions == "rotary" and width // num_heads % 2:
            raise UserError(f"transformer: rotary positions need heads of even width, not {width // num_heads}")
        self.length, self.num_classes = length, num_classes
        self.symbols = nn.Embedding(num_symbols, width)
        self.start = nn.Embedding(max(num_classes, 1), width)
        self.positions = nn.Parameter(torch.empty(length, width)) if positions == "learned" else None
        self.rotary = Rotary(length, width // num_heads) if positions == "rotary" else None
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.ModuleList([TransformerBlock(width, num_heads, dropout) for _ in range(num_blocks)])
        self.norm = nn.LayerNorm(width, bias=False)
        self.head = nn.Linear(width, num_symbols, bias=False)
        self._start_small()

    @torch.no_grad()
    def _start_small(self) -> None:
        """GPT-2's start: the residual stream's variance must not grow with the number of blocks."""
        for parameter in self.parameters():
            if parameter.ndim == 2:
                parameter.normal_(0.0, 0.02)
        for name, parameter in self.named_parameters():
            if name.endswith(("out.weight", "contract.weight")):
                parameter.div_(math.sqrt(2 * len(self.blocks)))

    def first(self, batch_size: int, label: Tensor | None = None) -> Tensor:
        """What stands before the first symbol, ``[B, width]``: the class, label int64 ``[B]``, where there are some.

        Raises:
            ValueError: There are classes, and no label.
        """
        if label is None and self.num_classes:
            raise ValueError("the transformer has classes, and was given no label")
        if label is None or not self.num_classes:
            label = torch.zeros(batch_size, dtype=torch.long, device=self.start.weight.device)
        return self.start(label)

    def forward(self, x: Tensor, label: Tensor | None = None) -> Tensor:
        """Logits ``[B, T, L]`` of symbols int64 ``[B, T]``; label int64 ``[B]``."""
        h = torch.cat([self.first(len(x), label)[:, None], self.symbols(x[:, :-1])], 1)
        if self.positions is not None:
            h = h + self.positions[: x.shape[1]]
        h = self.dropout(h)
        turns = None if self.rotary is None else self.rotary.turns(0, x.shape[1])
        for block in self.blocks:
            h = block(h, turns)
        return self.head(self.norm(h))


class TransformerBlock(nn.Module):
    """``h + attention(norm(h))``, then ``h + perceptron(norm(h))``; queries see their own position and those before.

    Args:
        width: Width of the residual stream.
        num_heads: Of the attention.
        dropout: Rate on what is added.
    """

    def __init__(self, width: int, num_heads: int, dropout: float) -> None:
        super().__init__()
        self.num_heads, self.dropout = num_heads, dropout
        self.norm_attention = nn.LayerNorm(width, bias=False)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.norm_mlp = nn.LayerNorm(width, bias=False)
        self.expand = nn.Linear(width, 4 * width, bias=False)
        self.contract = nn.Linear(4 * width, width, bias=False)

    def forward(self, h: Tensor, turns: Tensor | None = None) -> Tensor:
        """``[B, T, width]`` to the same.

        Args:
            h: The residual stream.
            turns: Of :meth:`Rotary.turns`; None where positions are in the stream.
        """
        heads = self.qkv(self.norm_attention(h)).unflatten(2, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
        q, k, v = heads if turns is None else (*rotate(heads[:2], turns), heads[2])
        seen = F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2)
        h = h + F.dropout(self.out(seen), self.dropout, self.training)
        more = self.contract(F.gelu(self.expand(self.norm_mlp(h))))
        return h + F.dropout(more, self.dropout, self.training)


class KeyValueCache:
    """One position after the other: the keys and values of all before it are kept, so that a call costs one query.

    Room for the whole sequence is laid out at the start, and nothing is joined or moved afterwards. Weights are read
    at the start: a cache does not outlive a training step.

    Args:
        net: In eval mode.
        batch_size: Number of examples B.
        label: int64 ``[B]``.

    Raises:
        UserError: One position more than the net has.
    """

    def __init__(self, net: CausalTransformer, batch_size: int, label: Tensor | None = None) -> None:
        self.net, self.start, self.asked = net, net.first(batch_size, label), 0
        self.turns = None if net.rotary is None else net.rotary.turns(0, net.length)
        self.layers = [_CachedBlock(block, batch_size, net.length) for block in net.blocks]  # type: ignore[arg-type]

    @torch.no_grad()
    def next(self, symbol: Tensor | None) -> Tensor:
        """Logits ``[B, L]`` of the next position, from the symbols int64 ``[B]`` at the last; None at the first."""
        net, i = self.net, self.asked
        if i == net.length:
            raise UserError(f"transformer: it has {net.length} positions, and was asked for one more")
        self.asked += 1
        turns = None if self.turns is None else self.turns[i]
        h = self.start if symbol is None else F.embedding(symbol, net.symbols.weight)
        if net.positions is not None:
            h = h + net.positions[i]
        for layer in self.layers:
            h = layer.step(h, i, turns)
        return net.head(net.norm(h))


class _CachedBlock:
    """A block for one position ``[B, width]``, with the keys and values of those before: ``[2, B, heads, T, d]``."""

    def __init__(self, block: TransformerBlock, batch_size: int, length: int) -> None:
        self.block, weight = block, block.qkv.weight.detach()
        self.heads = block.num_heads
        width = weight.shape[1] // self.heads
        # The attention's scale goes into the queries' weights, once.
        scale = torch.ones(3, device=weight.device)
        scale[0] = 1 / math.sqrt(width)
        self.qkv = (weight.unflatten(0, (3, -1)) * scale[:, None, None]).flatten(0, 1).T.contiguous()
        self.cache = weight.new_empty(2, batch_size, self.heads, length, width)
        self.keys, self.values = self.cache.flatten(1, 2)
        self.out, self.contract = block.out.weight.T, block.contract.weight.T
        self.expand = block.expand.weight.T

    def step(self, h: Tensor, i: int, turns: Tensor | None) -> Tensor:
        """Position i of :meth:`TransformerBlock.forward`: ``[B, width]`` to the same."""
        block = self.block
        qkv = torch.mm(_normalized(h, block.norm_attention), self.qkv).view(len(h), 3, self.heads, -1)
        if turns is not None:
            qkv[:, :2] = rotate(qkv[:, :2], turns)
        self.cache[:, :, :, i] = qkv[:, 1:].transpose(0, 1)
        # Two batched products: one query is too little for a fused attention to gain by.
        weights = torch.bmm(qkv[:, 0].reshape(len(self.keys), 1, -1), self.keys[:, : i + 1].transpose(1, 2)).softmax(2)
        seen = torch.bmm(weights, self.values[:, : i + 1]).view(h.shape)
        h = torch.addmm(h, seen, self.out)
        return torch.addmm(h, F.gelu(torch.mm(_normalized(h, block.norm_mlp), self.expand)), self.contract)


def _normalized(h: Tensor, norm: nn.LayerNorm) -> Tensor:
    return F.layer_norm(h, norm.normalized_shape, norm.weight, None, norm.eps)


class Rotary(nn.Module):
    """The turns of positions: ``exp(i p 10000^(-2j/width))`` for position p and the j-th pair of a head's numbers.

    Args:
        length: How many positions.
        width: Of a head, even.

    References:
        Su et al. 2021, arXiv:2104.09864, section 3.2.2.
    """

    angles: Tensor

    def __init__(self, length: int, width: int) -> None:
        super().__init__()
        frequencies = 10_000.0 ** (-torch.arange(0, width, 2) / width)
        self.register_buffer("angles", torch.arange(length)[:, None] * frequencies, persistent=False)

    def turns(self, start: int, stop: int) -> Tensor:
        """Complex numbers of length one for the positions from start to stop, ``[stop - start, width / 2]``."""
        angles = self.angles[start:stop].float()
        return torch.polar(torch.ones_like(angles), angles)


def rotate(x: Tensor, turns: Tensor) -> Tensor:
    """Turns the pairs of neighbours in ``[..., T, width]``, read as complex numbers, as their position says."""
    pairs = torch.view_as_complex(x.float().unflatten(-1, (-1, 2)))
    return torch.view_as_real(pairs * turns).flatten(-2).to(x.dtype)

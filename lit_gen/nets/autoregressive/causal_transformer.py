"""A causal transformer over sequences of symbols."""

from __future__ import annotations

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lit_gen.errors import UserError
from lit_gen.nets.recomputed import recomputed

Positions = Literal["learned", "rotary"]


class CausalTransformer(nn.Module):
    """Logits for each position of symbols ``[B, T]``, which depend on ``x[:, :i]`` only.

    The input is shifted by one: a start symbol precedes the first, and the last is never read. With label classes, the
    class embedding replaces the start symbol. Blocks are pre-norm, as in GPT-2, with a final norm. Norms have gains
    but no biases, and no matrix has a bias. Input and output embeddings are not tied.

    Args:
        num_symbols: Number of symbols L, of the input and of the output.
        length: Maximum sequence length T.
        width: Width of the residual stream.
        num_blocks: Number of blocks, each attention and a two-layer MLP four times as wide.
        num_heads: Number of attention heads; width is a multiple.
        positions: ``learned``: an embedding of each position is added to the input. ``rotary``: queries and keys are
            rotated by angles proportional to their position, so that attention depends on distances only.
        dropout: Dropout rate, on the input and on the output of each half of a block.
        num_classes: Number of label classes; 0 means unconditional.
        gradient_checkpointing: Whether training stores only the inputs of each block, and computes the rest again in
            the backward pass.

    Raises:
        UserError: If the sizes are invalid.

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
        gradient_checkpointing: bool = False,
    ) -> None:
        super().__init__()
        if min(num_symbols, length, width, num_blocks, num_heads) < 1 or width % num_heads:
            raise UserError(f"transformer: width {width} must be a multiple of num_heads {num_heads}, all positive")
        if positions == "rotary" and width // num_heads % 2:
            raise UserError(f"transformer: rotary positions need heads of even width, not {width // num_heads}")
        self.length, self.num_classes = length, num_classes
        self.gradient_checkpointing = gradient_checkpointing
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
        """GPT-2's initialization: the variance of the residual stream must not grow with the number of blocks."""
        for parameter in self.parameters():
            if parameter.ndim == 2:
                parameter.normal_(0.0, 0.02)
        for name, parameter in self.named_parameters():
            if name.endswith(("out.weight", "contract.weight")):
                parameter.div_(math.sqrt(2 * len(self.blocks)))

    def first(self, batch_size: int, label: Tensor | None = None) -> Tensor:
        """Input before the first symbol, ``[B, width]``: the embedding of the class, label int64 ``[B]``, if any.

        Raises:
            ValueError: If there are classes, but no label.
        """
        if label is None and self.num_classes:
            raise ValueError("the transformer has classes, but no label was given")
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
            if self.gradient_checkpointing and self.training:
                h = recomputed(block, h, turns, draws=self.dropout.p > 0)
            else:
                h = block(h, turns)
        return self.head(self.norm(h))


class TransformerBlock(nn.Module):
    """``h + attention(norm(h))``, then ``h + mlp(norm(h))``; attention is causal and includes the own position.

    Args:
        width: Width of the residual stream.
        num_heads: Number of attention heads.
        dropout: Dropout rate of both branches.
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
        """Maps ``[B, T, width]`` to the same shape.

        Args:
            h: The residual stream.
            turns: Rotations by :meth:`Rotary.turns`; None if positions are in the stream.
        """
        heads = self.qkv(self.norm_attention(h)).unflatten(2, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
        q, k, v = heads if turns is None else (*rotate(heads[:2], turns), heads[2])
        seen = F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2)
        h = h + F.dropout(self.out(seen), self.dropout, self.training)
        more = self.contract(F.gelu(self.expand(self.norm_mlp(h))))
        return h + F.dropout(more, self.dropout, self.training)


class KeyValueCache:
    """Incremental decoding with cached keys and values, so that a call computes a single query.

    The cache is allocated for the whole sequence in advance. Weights are read on construction: do not use a cache
    after a training step.

    Args:
        net: The network, in eval mode.
        batch_size: Number of examples B.
        label: Classes int64 ``[B]``.

    Raises:
        UserError: If more positions are requested than the network has.
    """

    def __init__(self, net: CausalTransformer, batch_size: int, label: Tensor | None = None) -> None:
        self.net, self.start, self.asked = net, net.first(batch_size, label), 0
        self.turns = None if net.rotary is None else net.rotary.turns(0, net.length)
        self.layers = [_CachedBlock(block, batch_size, net.length) for block in net.blocks]  # type: ignore[arg-type]

    @torch.no_grad()
    def next(self, symbol: Tensor | None) -> Tensor:
        """Logits ``[B, L]`` of the next position, given the previous symbols int64 ``[B]``; None in the first call."""
        net, i = self.net, self.asked
        if i == net.length:
            raise UserError(f"transformer: it has only {net.length} positions")
        self.asked += 1
        turns = None if self.turns is None else self.turns[i]
        h = self.start if symbol is None else F.embedding(symbol, net.symbols.weight)
        if net.positions is not None:
            h = h + net.positions[i]
        for layer in self.layers:
            h = layer.step(h, i, turns)
        return net.head(net.norm(h))


class _CachedBlock:
    """A block for one position ``[B, width]``, with cached keys and values: ``[2, B, heads, T, d]``."""

    def __init__(self, block: TransformerBlock, batch_size: int, length: int) -> None:
        self.block, weight = block, block.qkv.weight.detach()
        self.heads = block.num_heads
        width = weight.shape[1] // self.heads
        # Folds the attention's scale into the queries' weights.
        scale = torch.ones(3, device=weight.device)
        scale[0] = 1 / math.sqrt(width)
        self.qkv = (weight.unflatten(0, (3, -1)) * scale[:, None, None]).flatten(0, 1).T.contiguous()
        self.cache = weight.new_empty(2, batch_size, self.heads, length, width)
        self.keys, self.values = self.cache.flatten(1, 2)
        self.out, self.contract = block.out.weight.T, block.contract.weight.T
        self.expand = block.expand.weight.T

    def step(self, h: Tensor, i: int, turns: Tensor | None) -> Tensor:
        """Position i of :meth:`TransformerBlock.forward`: maps ``[B, width]`` to the same shape."""
        block = self.block
        qkv = torch.mm(_normalized(h, block.norm_attention), self.qkv).view(len(h), 3, self.heads, -1)
        if turns is not None:
            qkv[:, :2] = rotate(qkv[:, :2], turns)
        self.cache[:, :, :, i] = qkv[:, 1:].transpose(0, 1)
        # Two batched products: fused attention does not pay off for a single query.
        weights = torch.bmm(qkv[:, 0].reshape(len(self.keys), 1, -1), self.keys[:, : i + 1].transpose(1, 2)).softmax(2)
        seen = torch.bmm(weights, self.values[:, : i + 1]).view(h.shape)
        h = torch.addmm(h, seen, self.out)
        return torch.addmm(h, F.gelu(torch.mm(_normalized(h, block.norm_mlp), self.expand)), self.contract)


def _normalized(h: Tensor, norm: nn.LayerNorm) -> Tensor:
    return F.layer_norm(h, norm.normalized_shape, norm.weight, None, norm.eps)


class Rotary(nn.Module):
    """Rotations of positions: ``exp(i p 10000^(-2j/width))`` for position p and the j-th pair of a head's channels.

    Args:
        length: Number of positions.
        width: Width of a head, even.

    References:
        Su et al. 2021, arXiv:2104.09864, section 3.2.2.
    """

    angles: Tensor

    def __init__(self, length: int, width: int) -> None:
        super().__init__()
        frequencies = 10_000.0 ** (-torch.arange(0, width, 2) / width)
        self.register_buffer("angles", torch.arange(length)[:, None] * frequencies, persistent=False)

    def turns(self, start: int, stop: int) -> Tensor:
        """Complex numbers of modulus one for the positions from start to stop, ``[stop - start, width / 2]``."""
        angles = self.angles[start:stop].float()
        return torch.polar(torch.ones_like(angles), angles)


def rotate(x: Tensor, turns: Tensor) -> Tensor:
    """Rotates pairs of neighbours in ``[..., T, width]``, read as complex numbers, by their positions' angles."""
    pairs = torch.view_as_complex(x.float().unflatten(-1, (-1, 2)))
    return torch.view_as_real(pairs * turns).flatten(-2).to(x.dtype)

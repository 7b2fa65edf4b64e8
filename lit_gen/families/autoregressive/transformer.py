"""A causal transformer over the levels of images, text and audio."""

from __future__ import annotations

from lightning.pytorch.cli import OptimizerCallable
from torch import Tensor, nn
from typing_extensions import override

from lit_gen.contract import block_within
from lit_gen.errors import UserError
from lit_gen.families.autoregressive.sequence import Cache, SequenceModel
from lit_gen.nets import CausalTransformer, KeyValueCache, Positions
from lit_gen.optim import AdamW

_CACHED_NUMBERS = 1 << 30


class Transformer(SequenceModel):
    """A decoder-only transformer: GPT-2's, over any integers.

    The data are read as one sequence: an image row by row, the channels of a pixel together, as in ImageGPT; text
    and audio in time. Each level is a symbol with an embedding of its own; nothing tells the network which are
    close. Unlike the papers: matrices and norms have no biases, and the input and output embeddings are not tied.
    Samples come from a cache of keys and values.

    Args:
        shape: Of one example; linked from the data.
        num_levels: Of the data; linked from the data.
        width: Of the residual stream.
        num_blocks: Attention and a perceptron four times as wide, each.
        num_heads: Of the attention.
        positions: ``learned`` vectors, one a position, as in GPT-2, or ``rotary``, which know distances alone.
        dropout: Rate, on the input and on what each half of a block adds.
        num_classes: Number of label classes; 0 means unconditional. The class takes the place of the start symbol.
        temperature: Divisor of the logits of every conditional when sampling.
        optimizer: Optimizer of all parameters; norms have no weight decay.

    References:
        Vaswani et al.: Attention Is All You Need, 2017, arXiv:1706.03762.
        Radford et al.: Language Models are Unsupervised Multitask Learners, 2019 (GPT-2).
        Chen et al.: Generative Pretraining from Pixels, ICML 2020 (ImageGPT), section 2.
        Su et al.: RoFormer, 2021, arXiv:2104.09864.
    """

    net: CausalTransformer

    def __init__(
        self,
        shape: tuple[int, ...],
        num_levels: int,
        width: int = 32,
        num_blocks: int = 2,
        num_heads: int = 2,
        positions: Positions = "learned",
        dropout: float = 0.0,
        num_classes: int = 0,
        temperature: float = 1.0,
        optimizer: OptimizerCallable = AdamW,
    ) -> None:
        super().__init__(
            shape, num_levels, num_classes=num_classes, temperature=temperature, optimizer=optimizer
        )
        if not 0 <= dropout < 1:
            raise UserError(f"model.dropout={dropout} must be in [0, 1)")
        self.net = CausalTransformer(
            num_levels, self.num_dims, width, num_blocks, num_heads, positions, dropout, num_classes
        )

    @property
    def sample_block(self) -> int:
        """Fewer where keys and values, ``[2, positions, width]`` in each block, would take more than 4 GiB."""
        held = 2 * self.num_dims * self.net.symbols.embedding_dim * len(self.net.blocks)
        return block_within(min(super().sample_block, _CACHED_NUMBERS // held))

    def cache(self, batch_size: int, label: Tensor | None) -> Cache:
        """Keys and values of what was drawn."""
        return KeyValueCache(self.net, batch_size, label)

    @override
    def hidden_weights(self) -> list[nn.Parameter]:
        """The blocks' matrices."""
        return [p for p in self.net.blocks.parameters() if p.ndim > 1]

    def decays(self, parameter: nn.Parameter) -> bool:
        """Matrices and embeddings alone."""
        return parameter.ndim > 1

"""A causal transformer over the values of images, text and audio."""

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
    """A decoder-only transformer like GPT-2, over any integers.

    The data are read as one sequence: an image row by row, the channels of a pixel together, as in ImageGPT; text
    and audio in time. Each value is a symbol with its own embedding; the network does not know their order.
    Unlike in the papers, matrices and norms have no biases, and the input and output embeddings are not tied.
    Sampling uses a cache of keys and values.

    Args:
        shape: Shape of one example; linked from the data.
        num_levels: Number of values of the data; linked from the data.
        width: Width of the residual stream.
        num_blocks: Number of blocks, each attention and an MLP four times as wide.
        num_heads: Number of attention heads.
        positions: ``learned`` embeddings of positions, as in GPT-2, or ``rotary``, which depend on distances only.
        dropout: Dropout rate, on the input and on the output of each half of a block.
        num_classes: Number of label classes; 0 means unconditional. The class takes the place of the start symbol.
        temperature: Divisor of the logits of every conditional when sampling.
        optimizer: Optimizer of all parameters; norms have no weight decay.
        gradient_checkpointing: Whether a block's activations are computed again in the backward pass instead of being
            stored: less memory, about a third more time, the same gradients.

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
        gradient_checkpointing: bool = False,
    ) -> None:
        super().__init__(
            shape, num_levels, num_classes=num_classes, temperature=temperature, optimizer=optimizer
        )
        if not 0 <= dropout < 1:
            raise UserError(f"Transformer: dropout={dropout} must be in [0, 1)")
        self.net = CausalTransformer(
            num_levels,
            self.num_dims,
            width,
            num_blocks,
            num_heads,
            positions,
            dropout,
            num_classes,
            gradient_checkpointing,
        )

    @property
    def sample_block(self) -> int:
        """Smaller if keys and values, ``[2, positions, width]`` in each block, would take more than 4 GiB."""
        held = 2 * self.num_dims * self.net.symbols.embedding_dim * len(self.net.blocks)
        return block_within(min(super().sample_block, _CACHED_NUMBERS // held))

    def cache(self, batch_size: int, label: Tensor | None) -> Cache:
        """The cache of keys and values."""
        return KeyValueCache(self.net, batch_size, label)

    @override
    def hidden_weights(self) -> list[nn.Parameter]:
        """The matrices of the blocks."""
        return [p for p in self.net.blocks.parameters() if p.ndim > 1]

    def decays(self, parameter: nn.Parameter) -> bool:
        """Matrices and embeddings only."""
        return parameter.ndim > 1

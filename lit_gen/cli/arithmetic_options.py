"""Options of how networks are computed: compilation, and TF32."""

from __future__ import annotations

from typing import Any, Literal

from lightning.pytorch import Callback
from lightning.pytorch.cli import LightningArgumentParser

from lit_gen.callbacks import Compile


def add_arithmetic_options(parser: LightningArgumentParser) -> None:
    """Adds the options to the parser of ``fit``."""
    parser.add_argument(
        "--compile",
        type=bool | Literal["inductor", "aot_eager"],
        default=False,
        help="Whether training steps run networks compiled by torch.compile, or by which of its backends. Validation,"
        " samples and scores run them uncompiled.",
    )
    parser.add_argument(
        "--tf32",
        type=bool,
        default=False,
        help="Whether float32 matrix products and convolutions on NVIDIA GPUs use TF32, in training and in scores,"
        " whose protocols then state it. No effect on other devices.",
    )


def compile_callbacks(option: Any) -> list[Callback]:
    """The callback that ``compile`` asks for, if it does."""
    if option is False:
        return []
    return [Compile("inductor" if option is True else option)]

"""The peers' autoregressive models on the architectures of ours, in a user's plain loop; programs that take turns.

    python -m benchmarks.ar_peers train|sample pytorch-generative|x-transformers

pytorch-generative is no package: the variable PYTORCH_GENERATIVE names the folder of a checkout. Nothing of lit_gen is
imported, so that a process is as large as its peer makes it.
"""

from __future__ import annotations

import importlib.util
import math
import os
import sys
import types
from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.turns import take_turns

LEVELS = {"pytorch-generative": 2, "x-transformers": 256}
BATCH = {"pytorch-generative": 32, "x-transformers": 16}
ARCH = {"pytorch-generative": "pixelcnn", "x-transformers": "transformer"}


def is_there(peer: str) -> bool:
    """Whether it can be imported."""
    if peer == "x-transformers":
        return importlib.util.find_spec("x_transformers") is not None
    return "PYTORCH_GENERATIVE" in os.environ


def pixelcnn() -> nn.Module:
    """15 blocks of 32-16-32 channels, a head of 32, binary."""
    sys.path.insert(0, os.environ["PYTORCH_GENERATIVE"])
    package = types.ModuleType("pytorch_generative")  # its own __init__ imports its loaders, and they tensorboard
    package.__path__ = [os.path.join(os.environ["PYTORCH_GENERATIVE"], "pytorch_generative")]
    sys.modules["pytorch_generative"] = package
    models = types.ModuleType("pytorch_generative.models")
    models.__path__ = [os.path.join(package.__path__[0], "models")]
    sys.modules["pytorch_generative.models"] = models
    from pytorch_generative.models.autoregressive.pixel_cnn import PixelCNN

    return PixelCNN(in_channels=1, out_channels=1, n_residual=15, residual_channels=16, head_channels=32)


def transformer() -> nn.Module:
    """784 positions of 256 levels and a start symbol, 4 blocks of width 64 and 4 heads."""
    from x_transformers import AutoregressiveWrapper, Decoder, TransformerWrapper

    decoder = Decoder(dim=64, depth=4, heads=4, attn_dim_head=16, attn_flash=True)
    return AutoregressiveWrapper(TransformerWrapper(num_tokens=257, max_seq_len=785, attn_layers=decoder))


BUILD: dict[str, Callable[[], nn.Module]] = {"pytorch-generative": pixelcnn, "x-transformers": transformer}


def loss(peer: str, model: nn.Module, x: Tensor) -> Tensor:
    """Nats an image."""
    if peer == "x-transformers":
        start = torch.full((len(x), 1), 256)
        return 784 * model(torch.cat([start, x.flatten(1).long()], 1))
    target = x.float()
    return F.binary_cross_entropy_with_logits(model(target), target, reduction="none").flatten(1).sum(1).mean()


def batches(peer: str) -> Iterator[Tensor]:
    """The usual loader over a tensor in memory, for ever."""
    x = torch.randint(0, LEVELS[peer], (60_000, 1, 28, 28), dtype=torch.uint8)
    loader = DataLoader(TensorDataset(x), batch_size=BATCH[peer], shuffle=True, drop_last=True)
    while True:
        for (batch,) in loader:
            yield batch


def train(peer: str) -> None:
    """The plain loop."""
    model, stream = BUILD[peer](), batches(peer)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    last = torch.zeros(())

    def step() -> int:
        nonlocal last
        x = next(stream)
        last = loss(peer, model, x)
        optimizer.zero_grad()
        last.backward()
        optimizer.step()
        return len(x)

    take_turns(step, count(model), lambda: last.item() / 784 / math.log(2))


def sample(peer: str) -> None:
    """64 images at a time; x-transformers by its own cache."""
    model = BUILD[peer]().eval()

    @torch.no_grad()
    def draw() -> int:
        start = torch.full((64, 1), 256)
        return len(model.generate(start, 784, cache_kv=True))

    take_turns(draw, count(model), lambda: math.nan)


def count(model: nn.Module) -> int:
    """Trainable parameters."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


if __name__ == "__main__":
    {"train": train, "sample": sample}[sys.argv[1]](sys.argv[2])

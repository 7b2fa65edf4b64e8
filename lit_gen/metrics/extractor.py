"""Feature extractors as values: a name, the checksum of the weights, and images in, features out."""

from __future__ import annotations

import abc
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from operator import attrgetter
from pathlib import Path
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn


class Features(NamedTuple):
    """What a frozen net says about a batch of images."""

    features: Tensor
    """float32 [B, D], the layer whose Gaussian the Frechet distance compares."""
    logits: Tensor
    """float32 [B, K], whose softmax the Inception Score reads."""


def sha256_of_file(path: str | Path) -> str:
    """The SHA-256 of a file's bytes, in hex: with it a score says which weights it was measured by."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


REPEATABLE = (
    ("cuda.matmul", "fp32_precision", "ieee"),
    ("cudnn.conv", "fp32_precision", "ieee"),
    ("mkldnn.matmul", "fp32_precision", "ieee"),
    ("mkldnn.conv", "fp32_precision", "ieee"),
    ("cudnn", "benchmark", False),
    ("cudnn", "deterministic", True),
)
"""Switches of ``torch.backends`` (torch 2.9 and later) that would otherwise let the training's settings into
the features: TF32 on GPUs, which is on by default for convolutions, bf16 matmuls on CPUs, algorithms chosen
by their speed on the day."""


@contextmanager
def full_float32() -> Iterator[None]:
    """True float32 arithmetic by a fixed algorithm inside, the caller's settings again outside.

    torch keeps the precision of matrix products twice, in an old global and in a new one per backend, and
    raises where the two disagree; the old one can be read once the new ones are set.
    """
    switches = [(attrgetter(place)(torch.backends), switch, value) for place, switch, value in REPEATABLE]
    before = [getattr(place, switch) for place, switch, _ in switches]
    for place, switch, value in switches:
        setattr(place, switch, value)
    matmul_precision = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(matmul_precision)
        for (place, switch, _), value in zip(switches, before, strict=True):
            setattr(place, switch, value)


class Extractor(nn.Module, abc.ABC):
    """A frozen net that turns images into features; always in eval mode, float32, without gradients.

    A subclass sets ``sha256``, ``num_features`` and ``num_classes`` when it is built, and implements
    ``extract``. Features of one image do not depend on the batch it came in: every call of ``extract`` gets
    exactly ``internal_batch`` images, the last ones padded with black.
    """

    name: ClassVar[str]
    internal_batch: ClassVar[int]
    sha256: str
    num_features: int
    num_classes: int

    @property
    def score_name(self) -> str:
        """The column of the Frechet distance in this feature space: "fid" for the published Inception alone."""
        return f"fd_{self.name}"

    @property
    def inception_score_name(self) -> str:
        """The column of the Inception Score by this classifier: "is" for the published Inception alone."""
        return f"is_{self.name}"

    @property
    def device(self) -> torch.device:
        """Where the weights live; images are moved there."""
        return next(self.parameters()).device

    @property
    def sums_device(self) -> torch.device:
        """Where float64 sums of features are kept: beside the net, but on the CPU for Apple's GPUs."""
        return torch.device("cpu") if self.device.type == "mps" else self.device

    @abc.abstractmethod
    def extract(self, x: Tensor) -> Features:
        """Features of exactly ``internal_batch`` images, uint8 [internal_batch, C, H, W] on ``device``."""

    def train(self, mode: bool = True) -> Extractor:
        """Does nothing but stay in eval mode: batch statistics would make a score depend on its batch."""
        return super().train(False)

    def forward(self, x: Tensor) -> Features:
        """Features of images, in the order given.

        Args:
            x: uint8 [B, C, H, W], C of 1 or 3, values in 0..255.

        Raises:
            ValueError: for another dtype or shape, or an empty batch.
        """
        if x.dtype != torch.uint8 or x.ndim != 4 or x.shape[1] not in (1, 3) or len(x) == 0:
            raise ValueError(
                f"{self.name} takes uint8 [B, C, H, W] with 1 or 3 channels and B > 0, "
                f"not {str(x.dtype).removeprefix('torch.')} {list(x.shape)}"
            )
        self.eval()  # also where a part was put into train mode by hand
        parts = []
        with torch.no_grad(), torch.autocast(self.device.type, enabled=False), full_float32():
            for chunk in x.to(self.device).split(self.internal_batch):
                missing = self.internal_batch - len(chunk)
                padded = torch.cat([chunk, chunk.new_zeros(missing, *chunk.shape[1:])]) if missing else chunk
                out = self.extract(padded)
                parts.append(Features(out.features[: len(chunk)], out.logits[: len(chunk)]))
        return Features(torch.cat([p.features for p in parts]), torch.cat([p.logits for p in parts]))

"""Feature extractors as values: a name, the checksum of the weights, and examples in, features out."""

from __future__ import annotations

import abc
import hashlib
import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from operator import attrgetter
from pathlib import Path
from typing import ClassVar, Literal, NamedTuple

import torch
from torch import Tensor, nn

from lit_gen.metrics.statistics.frechet import FrechetDistance
from lit_gen.metrics.statistics.inception_score import InceptionScore
from lit_gen.metrics.statistics.statistic import FeatureKind, Statistic

Modality = Literal["image", "text", "audio"]


class Features(NamedTuple):
    """What an extractor says about a batch of examples."""

    features: Tensor
    """[B, D], of which sums are made: float32, the layer whose Gaussian the Frechet distance compares."""
    logits: Tensor
    """float32 [B, K], whose softmax the Inception Score reads; K is 0 where there is no classifier."""


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


class FeatureSpace(nn.Module, abc.ABC):
    """What turns examples into features; in eval mode, without gradients.

    A subclass sets ``name``, ``sha256`` and, as far as it has them, ``num_features`` and ``num_classes`` when it is
    built, and implements ``extract``. Features of one example do not depend on the batch it came in: every call of
    ``extract`` gets exactly ``internal_batch`` examples, the last ones padded with zeros.

    Unless a subclass says otherwise, it is a network that takes images and gives vectors.

    Attributes:
        name: Part of the scores' names.
        modality: What it takes. Images come as uint8 0..255 whatever their levels; text and audio as their levels.
        feature_kind: The kind of features: which statistics can be computed of them.
        internal_batch: Examples that ``extract`` gets.
        sha256: Of what decides its features: the weights, or the settings.
        grey_only: Whether it is made for grey images, so that its features of colour ones mean little.
        slow_on_cpu: Whether a CPU computes tens of images a second, so that samples are scored after training alone.
        few_examples: Number of examples below which much of a Frechet distance is bias: the unbiased KID is then the
            first score, and the distance carries a note. 0 for a space of few features.
        num_features: D.
        num_classes: K of the classifier; 0 for none, and so no Inception Score.
    """

    name: str
    modality: ClassVar[Modality] = "image"
    feature_kind: ClassVar[FeatureKind] = "vectors"
    internal_batch: ClassVar[int]
    grey_only: ClassVar[bool] = False
    slow_on_cpu: ClassVar[bool] = False
    few_examples: ClassVar[int] = 0
    sha256: str
    num_features: int
    num_classes: int = 0

    @property
    def network(self) -> str | None:
        """Name that is part of the scores' names; None for the network that FID and IS are defined by."""
        return self.name

    @property
    def transform(self) -> str:
        """Name of what turns examples into the net's input; its version follows it in protocols."""
        return self.name

    @property
    def default_statistics(self) -> tuple[type[Statistic], ...]:
        """The statistics that are computed where none are asked for."""
        return (FrechetDistance, InceptionScore) if self.num_classes else (FrechetDistance,)

    @property
    def device(self) -> torch.device:
        """Where the weights live; examples are moved there."""
        return next(itertools.chain(self.parameters(), self.buffers())).device

    @property
    def sums_device(self) -> torch.device:
        """Where float64 sums of features are kept: beside the net, but on the CPU for Apple's GPUs."""
        return torch.device("cpu") if self.device.type == "mps" else self.device

    def check_data(self, shape: tuple[int, ...], num_levels: int, sample_rate: int | None = None) -> None:
        """Validates that it supports data of the right modality, before a run starts.

        Args:
            shape: Shape of one example.
            num_levels: Number of values of the data.
            sample_rate: Sample rate of audio in Hz.

        Raises:
            UserError: Saying what does not fit.
        """

    def check(self, x: Tensor) -> None:
        """Validates examples.

        Raises:
            ValueError: For another dtype or shape, or an empty batch.
        """
        if x.dtype != torch.uint8 or x.ndim != 4 or x.shape[1] not in (1, 3) or len(x) == 0:
            raise ValueError(f"{self.name} takes uint8 [B, C, H, W] with 1 or 3 channels and B > 0, not {kind_of(x)}")

    @abc.abstractmethod
    def extract(self, x: Tensor) -> Features:
        """Features of exactly ``internal_batch`` examples, uint8 [internal_batch, ...] on ``device``."""

    def train(self, mode: bool = True) -> FeatureSpace:
        """Does nothing but stay in eval mode: batch statistics would make a score depend on its batch."""
        return super().train(False)

    def forward(self, x: Tensor) -> Features:
        """Features of examples, in the order given.

        Args:
            x: uint8 [B, ...]: images [B, C, H, W] with values in 0..255, C of 1 or 3; text [B, T]; audio [B, 1, T].

        Raises:
            ValueError: If ``check`` rejects them.
        """
        self.check(x)
        self.eval()  # also where a part was put into train mode by hand
        parts = []
        with torch.no_grad(), torch.autocast(self.device.type, enabled=False), full_float32():
            for chunk in x.to(self.device).split(self.internal_batch):
                missing = self.internal_batch - len(chunk)
                padded = torch.cat([chunk, chunk.new_zeros(missing, *chunk.shape[1:])]) if missing else chunk
                out = self.extract(padded)
                parts.append(Features(out.features[: len(chunk)], out.logits[: len(chunk)]))
        return Features(torch.cat([p.features for p in parts]), torch.cat([p.logits for p in parts]))


def kind_of(x: Tensor) -> str:
    """A tensor's dtype and shape, for messages.

    >>> kind_of(torch.zeros(2, 3))
    'float32 [2, 3]'
    """
    return f"{str(x.dtype).removeprefix('torch.')} {list(x.shape)}"

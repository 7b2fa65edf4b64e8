"""What data sets of recordings share: mu-law values, windows of recordings, padding that is counted."""

from __future__ import annotations

import abc
from typing import ClassVar

import torch
import torch.nn.functional as F
from lightning.pytorch.utilities.rank_zero import rank_zero_info
from torch import Tensor
from typing_extensions import override

from lit_gen.data.loader import Loader
from lit_gen.data.module import Modality, SplitName
from lit_gen.data.sequences import Pieces, SequenceDataModule
from lit_gen.errors import UserError
from lit_gen.quantization import MU, ZERO_LEVEL, mu_law_decode


class AudioDataModule(SequenceDataModule, abc.ABC):
    """Windows of T samples of recordings, uint8 [1, T]; bits/dim are bits per sample.

    Channels are averaged, and amplitudes encoded by 8-bit mu-law, as in WaveNet (see `mu_law_encode`).

    - ``pad=False``: windows of recorded samples that cross no recording's end; the rest of a recording that fills no
      window is left out, counted and reported.
    - ``pad=True``: each recording is one example, its first T samples; a shorter one is padded with the value of
      silence, so that a model of whole words learns where they end. Padding costs almost no bits and is counted in
      bits per sample nevertheless: ``name`` gains ``_padded``, because such scores compare only with each other.

    Args:
        name: Name of the data in records and leaderboards.
        sample_rate: In Hz; recordings at higher rates are resampled, lower rates are an error.
        length: T, number of samples of a window.
        pad: Whether each recording is one padded example; see above.
        batch_size: Training batch size over all processes together.
        loader: Evaluation batch size, and seed of the training order and of the windows' positions.

    Attributes:
        silence: Number of padded samples of each split; known after ``setup``.

    Raises:
        UserError: ``sample_rate`` is not positive.
    """

    modality: ClassVar[Modality] = "audio"
    piece_noun: ClassVar[str] = "recording"

    def __init__(
        self, *, name: str, sample_rate: int, length: int, pad: bool, batch_size: int, loader: Loader
    ) -> None:
        super().__init__(
            name=f"{name}_padded" if pad else name,
            shape=(1, length),
            num_levels=MU + 1,
            batch_size=batch_size,
            loader=loader,
            noun="samples",
        )
        if sample_rate < 1:
            raise UserError(f"sample_rate of data set '{name}' is {sample_rate}: it must be at least 1")
        self.sample_rate, self.pad = sample_rate, pad
        self.silence: dict[SplitName, int] = {}

    def decode(self, x: Tensor) -> Tensor:
        """The waveform of values ``[T]`` or ``[1, T]``: float32 ``[T]`` in [-1, 1], at ``sample_rate``."""
        return torch.from_numpy(mu_law_decode(x.flatten().cpu().numpy()))

    @override
    def meaning(self) -> str:
        """Sample rate and companding."""
        # Part of the fingerprint: another wording would make old and new records incomparable.
        return f"mu-law of {MU} at {self.sample_rate} Hz" + (", each recording cut or filled up" if self.pad else "")

    def fitted(self, x: list[Tensor], label: Tensor | None, name: SplitName) -> Pieces:
        """The recordings of a split as they are, or each cut or padded to T samples."""
        if not self.pad:
            return Pieces(x, label)
        cut = sum(max(0, len(values) - self.length) for values in x)
        missing = [max(0, self.length - len(values)) for values in x]
        self.silence[name] = sum(missing)
        rank_zero_info(
            f"{self.name}: {sum(missing):,} of {len(x) * self.length:,} {name} samples are padding"
        )
        heads = zip((values[: self.length] for values in x), missing, strict=True)
        filled = [F.pad(head, (0, short), value=ZERO_LEVEL) for head, short in heads]
        return Pieces(filled, label, cut, self.silence[name])

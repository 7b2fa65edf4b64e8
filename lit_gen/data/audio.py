"""Any data set of recordings of the hub, as windows of 8-bit mu-law samples."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import torch
import torch.nn.functional as F
from lightning.pytorch.utilities.rank_zero import rank_zero_info
from torch import Tensor
from typing_extensions import override

from lit_gen.data.decode_audio import decode_audio
from lit_gen.data.hub_columns import AudioColumns, check_column, holds_audio, holds_integers, named_splits
from lit_gen.data.hub_source import HubSource
from lit_gen.data.loader import Loader
from lit_gen.data.module import SPLITS, Modality, SplitName
from lit_gen.data.sequences import Pieces, SequenceDataModule
from lit_gen.data.splits import Splits, carve
from lit_gen.errors import UserError
from lit_gen.quantization import MU, ZERO_LEVEL, mu_law_decode, mu_law_encode

if TYPE_CHECKING:
    import datasets


class HubAudio(SequenceDataModule):
    """Recordings through the ``datasets`` library: windows of T samples, uint8 [1, T], bits/dim are bits per sample.

    ``path`` is a local folder, else the folder ``<hub.root>/<path>`` if that exists, else an id of the hub. The files
    are WAV, FLAC, Ogg Vorbis or whatever else libsndfile decodes; channels are averaged, and amplitudes encoded by
    8-bit mu-law, as in WaveNet (see `mu_law_encode`).

    - ``pad=False``: windows of recorded samples that cross no recording's end; the rest of a recording that fills no
      window is left out, counted and reported.
    - ``pad=True``: each recording is one example, its first T samples; a shorter one is padded with the value of
      silence, so that a model of whole words learns where they end. Padding costs almost no bits and is counted in
      bits per sample nevertheless: ``name`` gains ``_padded``, because such scores compare only with each other.

    Args:
        path: Hub id or local folder.
        name: Name of the data in records and leaderboards.
        sample_rate: In Hz; recordings at higher rates are resampled, lower rates are an error.
        length: T, number of samples of a window.
        pad: Whether each recording is one padded example; see above.
        columns: Names of the columns of recordings and labels.
        hub: Version of the data set, and folder of local copies.
        splits: Names of the source's splits, and numbers of recordings of those that it lacks.
        batch_size: Training batch size over all processes together.
        loader: Evaluation batch size, and seed of the training order and of the windows' positions.

    Attributes:
        silence: Number of padded samples of each split; known after ``setup``.

    Raises:
        UserError: There is no such data set, split or column; the hub cannot be reached; a recording does not fit.
    """

    modality: ClassVar[Modality] = "audio"
    piece_noun: ClassVar[str] = "recording"

    def __init__(
        self,
        path: str,
        name: str,
        sample_rate: int,
        length: int,
        pad: bool = False,
        columns: AudioColumns = AudioColumns(),
        hub: HubSource = HubSource(),
        splits: Splits = Splits(),
        batch_size: int = 32,
        loader: Loader = Loader(eval_batch_size=100),
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
        self.path, self.sample_rate, self.pad = path, sample_rate, pad
        self.columns, self.hub, self.splits = columns, hub, splits
        self.silence: dict[SplitName, int] = {}

    def decode(self, x: Tensor) -> Tensor:
        """The waveform of values ``[T]`` or ``[1, T]``: float32 ``[T]`` in [-1, 1], at ``sample_rate``."""
        return torch.from_numpy(mu_law_decode(x.flatten().cpu().numpy()))

    @override
    def meaning(self) -> str:
        """Sample rate and companding."""
        # Part of the fingerprint: another wording would make old and new records incomparable.
        return f"mu-law of {MU} at {self.sample_rate} Hz" + (", each recording cut or filled up" if self.pad else "")

    @override
    def read_pieces(self) -> dict[SplitName, Pieces]:
        """Decodes all recordings, and carves what the source has no split for."""
        sources = named_splits(self.hub.load(self.path), self.splits, self.path)
        sizes, where = self.splits.sizes(sources), f"data set '{self.path}'"
        assigned = carve(len(sources["train"]), sizes, self.splits.seed, where)
        x: dict[SplitName, list[Tensor]] = {name: [] for name in SPLITS}
        label: dict[SplitName, list[int]] = {name: [] for name in SPLITS}
        for name, source in sources.items():
            for row, (values, number) in enumerate(self._recordings(source, name)):
                target = SPLITS[assigned[row]] if name == "train" else name
                x[target].append(values)
                label[target].append(number)
        labels = {name: torch.tensor(label[name]) if self.columns.label is not None else None for name in SPLITS}
        return {name: self._fitted(x[name], labels[name], name) for name in SPLITS}

    def _fitted(self, x: list[Tensor], label: Tensor | None, name: SplitName) -> Pieces:
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

    def _recordings(self, split: datasets.Dataset, name: str) -> Iterator[tuple[Tensor, int]]:
        """Values ``[L]`` and label (0 if there is none) of each row."""
        import datasets

        column, label = self.columns.audio, self.columns.label
        check_column(split, column, "columns.audio", holds_audio, "recordings", self.path)
        if label is not None:
            check_column(split, label, "columns.label", holds_integers, "integers", self.path)
        # undecoded: `datasets` needs torchcodec, a much larger package, to decode
        rows = split.select_columns([column] if label is None else [column, label])
        rows = rows.cast_column(column, datasets.Audio(decode=False))
        for row, example in enumerate(rows):
            audio = example[column]
            file = audio["bytes"] if audio["bytes"] is not None else Path(audio["path"])
            waveform = decode_audio(file, self.sample_rate, f"recording {row} of split '{name}' of '{self.path}'")
            values = torch.from_numpy(mu_law_encode(waveform))
            yield values, 0 if label is None else int(example[label])


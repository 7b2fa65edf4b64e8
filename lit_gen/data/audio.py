"""Any data set of recordings of the hub, as windows of 8-bit mu-law samples."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from typing_extensions import override

from lit_gen.data.audio_module import AudioDataModule
from lit_gen.data.decode_audio import decode_audio
from lit_gen.data.hub_columns import AudioColumns, check_column, holds_audio, holds_integers, named_splits
from lit_gen.data.hub_source import HubSource
from lit_gen.data.loader import Loader
from lit_gen.data.module import SPLITS, SplitName
from lit_gen.data.sequences import Pieces
from lit_gen.data.splits import Splits, carve
from lit_gen.quantization import mu_law_encode
from lit_gen.screen.bars import counted

if TYPE_CHECKING:
    import datasets


class HubAudio(AudioDataModule):
    """Recordings through the ``datasets`` library: windows of T samples, uint8 [1, T], bits/dim are bits per sample.

    ``path`` is a local folder, else the folder ``<hub.root>/<path>`` if that exists, else an id of the hub. The files
    are WAV, FLAC, Ogg Vorbis or whatever else libsndfile decodes. Windows and padding: see `AudioDataModule`.

    Args:
        path: Hub id or local folder.
        name: Name of the data in records and leaderboards.
        sample_rate: In Hz; recordings at higher rates are resampled, lower rates are an error.
        length: T, number of samples of a window.
        pad: Whether each recording is one padded example.
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
            name=name, sample_rate=sample_rate, length=length, pad=pad, batch_size=batch_size, loader=loader
        )
        self.path, self.columns, self.hub, self.splits = path, columns, hub, splits

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
        return {name: self.fitted(x[name], labels[name], name) for name in SPLITS}

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
        shown = counted(rows, f"decoding {self.name}", len(rows), "recordings", size=lambda _: 1)
        for row, example in enumerate(shown):
            audio, where = example[column] or {}, f"recording {row} of split '{name}' of '{self.path}'"
            content, path = audio.get("bytes"), audio.get("path")
            file = Path(path) if content is None and path else content or b""
            waveform = decode_audio(file, self.sample_rate, where)
            values = torch.from_numpy(mu_law_encode(waveform))
            yield values, 0 if label is None else int(example[label])


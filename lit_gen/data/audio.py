"""Any set of recordings of the hub, as 8-bit mu-law windows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import torch
import torch.nn.functional as F
from lightning.pytorch.utilities.rank_zero import rank_zero_info
from torch import Tensor

from lit_gen.data.hub_columns import check_column, held_out_of_train, named_splits
from lit_gen.data.hub_source import load
from lit_gen.data.images import carve
from lit_gen.data.module import SPLITS, Modality, SplitName
from lit_gen.data.sequences import Pieces, SequenceDataModule
from lit_gen.data.wav import read_wav
from lit_gen.errors import UserError
from lit_gen.quantization import MU, ZERO_LEVEL, mu_law_decode, mu_law_encode

if TYPE_CHECKING:
    import datasets


class HubAudio(SequenceDataModule):
    """Recordings through the ``datasets`` library: windows of T samples, uint8 [1, T], bits/dim are bits per sample.

    ``path`` is a local folder, else the folder ``<root>/<path>`` where that exists, else an id of the hub. The
    files are PCM WAV; channels are averaged, and 8-bit mu-law is what WaveNet takes (see `mu_law_encode`).

    - ``pad=False``: windows of real samples that cross no recording's end; the rest of a recording that fills
      none is left out, counted and said.
    - ``pad=True``: each recording is one example, its first T samples; a shorter one is filled up with the level
      of silence, so that a model of whole words knows where they end. That silence costs next to nothing and is
      counted in bits per sample all the same: ``name`` gains ``_padded``, for such scores compare with each other
      alone.

    Args:
        path: hub id or local folder.
        name: what records and leaderboards call the data.
        sample_rate: in Hz; recordings at higher rates are resampled, at lower ones refused.
        length: T, samples of a window.
        pad: see above.
        column: the column of recordings.
        label_column: the column of classes; None for data without labels.
        subset: configuration of the hub's data set, where it has several.
        revision: commit or tag of the hub's repository.
        root: folder of local copies; default the environment variable LIT_GEN_DATA.
        train_split: the source's name of the training split.
        val_split: its name of the validation split; None carves ``num_val`` from train.
        test_split: its name of the test split; None carves ``num_test`` from train.
        num_val: recordings carved from train by ``split_seed``, where ``val_split`` is None; below 1 a fraction.
        num_test: the same for test.
        split_seed: seed of the carve.
        batch_size: training batch over all processes together.
        eval_batch_size: the same for validation and test.
        seed: seed of the training order and of the windows' places.

    Attributes:
        silence: for each split, the samples that were filled up; known after ``setup``.

    Raises:
        UserError: no such data set, split or column; the hub cannot be reached; an unfit recording.
    """

    modality: ClassVar[Modality] = "audio"

    def __init__(
        self,
        path: str,
        name: str,
        sample_rate: int,
        length: int,
        pad: bool = False,
        column: str = "audio",
        label_column: str | None = None,
        subset: str | None = None,
        revision: str | None = None,
        root: str | None = None,
        train_split: str = "train",
        val_split: str | None = None,
        test_split: str | None = "test",
        num_val: int | float | None = None,
        num_test: int | float | None = None,
        split_seed: int = 0,
        batch_size: int = 32,
        eval_batch_size: int = 100,
        seed: int = 0,
    ) -> None:
        super().__init__(
            name=f"{name}_padded" if pad else name,
            shape=(1, length),
            num_levels=MU + 1,
            batch_size=batch_size,
            eval_batch_size=eval_batch_size,
            seed=seed,
            noun="samples",
        )
        if sample_rate < 1:
            raise UserError(f"sample_rate of data set '{name}' is {sample_rate}: it must be at least 1")
        self.sample_rate, self.pad, self.split_seed = sample_rate, pad, split_seed
        self.path, self.subset, self.revision, self.root = path, subset, revision, root
        self.column, self.label_column = column, label_column
        self.split_names: dict[SplitName, str | None] = {"train": train_split, "val": val_split, "test": test_split}
        self.held_out = held_out_of_train(self.split_names, num_val, num_test)
        self.silence: dict[SplitName, int] = {}

    def decode(self, x: Tensor) -> Tensor:
        """The waveform of levels [T] or [1, T]: float32 [T] in [-1, 1], at ``sample_rate``."""
        return torch.from_numpy(mu_law_decode(x.flatten().cpu().numpy()))

    def meaning(self) -> str:
        """Rate and companding."""
        return f"mu-law of {MU} at {self.sample_rate} Hz" + (", each recording cut or filled up" if self.pad else "")

    def read_pieces(self) -> dict[SplitName, Pieces]:
        """Decodes all recordings, which is quick, and carves what the source has no split for."""
        loaded = load(self.path, self.root, self.subset, self.revision)
        sources = named_splits(loaded, self.split_names, self.path)
        where = f"data set '{self.path}'"
        assigned = carve(len(sources["train"]), self.held_out, self.split_seed, where)
        x: dict[SplitName, list[Tensor]] = {name: [] for name in SPLITS}
        label: dict[SplitName, list[int]] = {name: [] for name in SPLITS}
        for name, source in sources.items():
            for row, (levels, number) in enumerate(self._recordings(source, name)):
                target = SPLITS[assigned[row]] if name == "train" else name
                x[target].append(levels)
                label[target].append(number)
        labels = {name: torch.tensor(label[name]) if self.label_column is not None else None for name in SPLITS}
        return {name: self._fitted(x[name], labels[name], name) for name in SPLITS}

    def _fitted(self, x: list[Tensor], label: Tensor | None, name: SplitName) -> Pieces:
        """The recordings of a split as they are, or each cut or filled up to T samples."""
        if not self.pad:
            return Pieces(x, label)
        cut = sum(max(0, len(levels) - self.length) for levels in x)
        missing = [max(0, self.length - len(levels)) for levels in x]
        self.silence[name] = sum(missing)
        rank_zero_info(
            f"{self.name}: {sum(missing):,} of {len(x) * self.length:,} {name} samples are silence that fills up"
        )
        heads = zip((levels[: self.length] for levels in x), missing, strict=True)
        filled = [F.pad(head, (0, short), value=ZERO_LEVEL) for head, short in heads]
        return Pieces(filled, label, cut, self.silence[name])

    def _recordings(self, split: datasets.Dataset, name: str) -> Iterator[tuple[Tensor, int]]:
        """Levels [L] and label (0 where there is none) of each row."""
        import datasets

        check_column(split, self.column, "column", _holds_audio, "recordings", self.path)
        columns = [self.column]
        if self.label_column is not None:
            check_column(split, self.label_column, "label_column", _holds_classes, "integers", self.path)
            columns.append(self.label_column)
        # undecoded: `datasets` decodes by a package of its own, which nobody else needs
        rows = split.select_columns(columns).cast_column(self.column, datasets.Audio(decode=False))
        for row, example in enumerate(rows):
            audio = example[self.column]
            file = audio["bytes"] if audio["bytes"] is not None else Path(audio["path"])
            waveform = read_wav(file, self.sample_rate, f"recording {row} of split '{name}' of '{self.path}'")
            levels = torch.from_numpy(mu_law_encode(waveform))
            yield levels, 0 if self.label_column is None else int(example[self.label_column])


def _holds_audio(feature: object) -> bool:
    import datasets

    return isinstance(feature, datasets.Audio)


def _holds_classes(feature: object) -> bool:
    import datasets

    integers = isinstance(feature, datasets.Value) and feature.dtype.startswith(("int", "uint"))
    return isinstance(feature, datasets.ClassLabel) or integers

"""A user's own folder of recordings: no code, no labels needed."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import torch
from lightning.pytorch.utilities.rank_zero import rank_zero_info
from torch import Tensor
from typing_extensions import override

from lit_gen.data.audio_module import AudioDataModule
from lit_gen.data.content_splits import carve_by_content
from lit_gen.data.decode_audio import UnreadableAudioError, decode_audio
from lit_gen.data.folder_files import RECORDINGS, missing_folder, shown
from lit_gen.data.folder_splits import Layout, find_layout
from lit_gen.data.image_source import counted
from lit_gen.data.loader import Loader
from lit_gen.data.module import SPLITS, SplitName
from lit_gen.data.sequences import Pieces
from lit_gen.data.splits import RandomHeldOut
from lit_gen.errors import UserError
from lit_gen.quantization import mu_law_encode
from lit_gen.screen.bars import counted as with_bar

_SHOWN = 3  # files that a message names


@dataclass(frozen=True)
class _Recording:
    """One decoded file: its values, uint8 ``[L]``, its class (0 if there is none), and the SHA-256 of its bytes."""

    values: Tensor
    label: int
    digest: bytes


class AudioFolder(AudioDataModule):
    """All recordings below a folder: WAV, FLAC, Ogg, or whatever else libsndfile decodes.

    Splits and classes are sub-folders as in `FolderImages`; what has no sub-folder is held out of train by the hashes
    of the files' bytes (see `carve_by_content`), so that adding a recording moves no other from train into test.
    Classes are numbered in the order of their names, 2 before 10. Windows and padding: see `AudioDataModule`.

    Args:
        path: Folder of recordings.
        name: Name of the data in records and leaderboards.
        sample_rate: In Hz; recordings at higher rates are resampled, lower rates are an error.
        length: T, number of samples of a window.
        pad: Whether each recording is one padded example.
        splits: Numbers or fractions of recordings of the validation and test sets that have no sub-folder, and
            seed of the assignment.
        skip_unreadable: Whether damaged files are left out and counted in ``skipped``; an error if False.
        batch_size: Training batch size over all processes together.
        loader: Evaluation batch size, and seed of the training order and of the windows' positions.

    Attributes:
        skipped: Number of unreadable files that are left out; known after ``setup``.

    Raises:
        UserError: There is no such folder, no recording in it, or one that is unreadable or does not fit.
    """

    def __init__(
        self,
        path: str,
        name: str,
        sample_rate: int,
        length: int,
        pad: bool = False,
        splits: RandomHeldOut = RandomHeldOut(num_val=0.1, num_test=0.1),
        skip_unreadable: bool = False,
        batch_size: int = 32,
        loader: Loader = Loader(eval_batch_size=100),
    ) -> None:
        super().__init__(
            name=name, sample_rate=sample_rate, length=length, pad=pad, batch_size=batch_size, loader=loader
        )
        self.path, self.splits, self.skip_unreadable = path, splits, skip_unreadable
        self.skipped = 0

    @override
    def read_pieces(self) -> dict[SplitName, Pieces]:
        """Decodes all recordings, and carves what the folder has no split for."""
        folder = Path(self.path).expanduser()
        if not folder.is_dir():
            raise missing_folder(folder.absolute(), RECORDINGS)
        layout = find_layout(folder, RECORDINGS)
        if left_out := [counted(n, noun, shown(why)) for (noun, why), n in sorted(layout.left_out.items()) if n]:
            rank_zero_info(f"{self.name}: left out: {', '.join(left_out)}")
        decoded = self._decoded(layout, folder)
        found: dict[SplitName, list[_Recording]] = {name: [] for name in SPLITS} | decoded | {"train": []}
        sizes, where = self.splits.sizes(layout.roots), f"data set '{self.name}'"
        digests = [recording.digest for recording in decoded["train"]]
        targets = carve_by_content(digests, sizes, self.splits.seed, where)
        for recording, target in zip(decoded["train"], targets, strict=True):
            found[SPLITS[target]].append(recording)
        pieces: dict[SplitName, Pieces] = {}
        for name in SPLITS:
            label = torch.tensor([r.label for r in found[name]], dtype=torch.int64) if layout.classes else None
            pieces[name] = self.fitted([r.values for r in found[name]], label, name)
        return pieces

    def _decoded(self, layout: Layout, folder: Path) -> dict[SplitName, list[_Recording]]:
        """Decodes every file; leaves unreadable ones out, or rejects them all in one line."""
        decoded: dict[SplitName, list[_Recording]] = {name: [] for name in layout.files}
        unreadable: list[str] = []
        for name, found in layout.files.items():
            what = f"decoding {self.name}, {name}"
            for file in with_bar(found, what, len(found), "recordings", size=lambda _: 1):
                where = shown(file.relative_to(folder))
                try:
                    content = file.read_bytes()
                    waveform = decode_audio(content, self.sample_rate, f"recording '{where}' of '{self.path}'")
                except UnreadableAudioError as error:
                    unreadable.append(f"'{where}' {error.reason}")
                    continue
                except OSError as error:
                    unreadable.append(f"'{where}' cannot be opened ({error.strerror})")
                    continue
                values, digest = torch.from_numpy(mu_law_encode(waveform)), hashlib.sha256(content).digest()
                decoded[name].append(_Recording(values, layout.label(name, file) or 0, digest))
        self.skipped = len(unreadable)
        if unreadable:
            self._report(unreadable, sum(map(len, layout.files.values())))
        return decoded

    def _report(self, unreadable: list[str], total: int) -> None:
        more = f", and {len(unreadable) - _SHOWN} more" if len(unreadable) > _SHOWN else ""
        reasons = ", ".join(unreadable[:_SHOWN]) + more
        what = f"{len(unreadable)} of {total} recordings of '{self.name}'"
        if not self.skip_unreadable:
            raise UserError(
                f"{what} cannot be read: {reasons}; repair or remove them, or set skip_unreadable to true"
            )
        rank_zero_info(f"{what} are left out: {reasons}")

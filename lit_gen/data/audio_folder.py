"""A user's own folder of recordings: no code, no labels needed."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

import torch
from lightning.pytorch.utilities.rank_zero import rank_zero_info
from torch import Tensor
from typing_extensions import override

from lit_gen.data.audio_module import AudioDataModule
from lit_gen.data.content_splits import carve_by_content, content_hash
from lit_gen.data.decode_audio import UnreadableAudioError, decode_audio
from lit_gen.data.folder import missing_folder
from lit_gen.data.loader import Loader
from lit_gen.data.module import SPLITS, SplitName
from lit_gen.data.sequences import Pieces
from lit_gen.data.splits import HeldOut
from lit_gen.errors import UserError
from lit_gen.quantization import mu_law_encode

AUDIO_EXTENSIONS = {
    ".wav", ".wave", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".aifc", ".au", ".caf", ".w64",
}  # fmt: skip
_SPLIT_FOLDERS: dict[str, SplitName] = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
}
_SHOWN = 3  # files that a message names


@dataclass(frozen=True)
class _Recording:
    """One decoded file: its values, uint8 ``[L]``, its class (0 if there is none), and the hash of its bytes."""

    values: Tensor
    label: int
    hash: int


class AudioFolder(AudioDataModule):
    """All recordings below a folder: WAV, FLAC, Ogg, or whatever else libsndfile decodes.

    Splits are the sub-folders train, val (or valid, validation) and test if there is a ``train``; the others are held
    out of train by the hashes of the files' bytes (see `carve_by_content`), so that adding a recording moves no other
    from train into test. If every recording lies in a sub-folder, the first one is its class; classes are numbered in
    the order of their names, 2 before 10. Windows and padding: see `AudioDataModule`.

    Args:
        path: Folder of recordings.
        name: Name of the data in records and leaderboards.
        sample_rate: In Hz; recordings at higher rates are resampled, lower rates are an error.
        length: T, number of samples of a window.
        pad: Whether each recording is one padded example.
        splits: Numbers or fractions of recordings of the validation and test sets that have no sub-folder.
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
        splits: HeldOut = HeldOut(num_val=0.1, num_test=0.1),
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
            if folder.exists():
                raise UserError(f"'{folder}' is a file: path must be a folder of recordings")
            raise missing_folder(folder.absolute())
        roots = split_folders(folder)
        files = {name: audio_files(root) for name, root in roots.items()}
        number = _class_numbers(files, roots)
        decoded = self._decoded(files, roots, folder, number)
        found: dict[SplitName, list[_Recording]] = {name: [] for name in SPLITS} | decoded
        sizes = self.splits.sizes(roots)
        targets = carve_by_content([r.hash for r in decoded["train"]], sizes, f"data set '{self.name}'")
        found["train"] = []
        for recording, target in zip(decoded["train"], targets, strict=True):
            found[target].append(recording)
        pieces: dict[SplitName, Pieces] = {}
        for name in SPLITS:
            label = torch.tensor([r.label for r in found[name]], dtype=torch.int64) if number else None
            pieces[name] = self.fitted([r.values for r in found[name]], label, name)
        return pieces

    def _decoded(
        self,
        files: dict[SplitName, list[Path]],
        roots: dict[SplitName, Path],
        folder: Path,
        number: dict[str, int],
    ) -> dict[SplitName, list[_Recording]]:
        """Decodes every file; leaves unreadable ones out, or rejects them all in one line."""
        decoded: dict[SplitName, list[_Recording]] = {name: [] for name in files}
        unreadable: list[str] = []
        for name, found in files.items():
            for file in found:
                where = str(file.relative_to(folder))
                label = number[file.relative_to(roots[name]).parts[0]] if number else 0
                try:
                    content = file.read_bytes()
                    waveform = decode_audio(content, self.sample_rate, f"recording '{where}' of '{self.path}'")
                except UnreadableAudioError as error:
                    unreadable.append(f"'{where}' {error.reason}")
                    continue
                except OSError as error:
                    unreadable.append(f"'{where}' cannot be opened ({error.strerror})")
                    continue
                values = torch.from_numpy(mu_law_encode(waveform))
                decoded[name].append(_Recording(values, label, content_hash(content)))
        self.skipped = len(unreadable)
        if unreadable:
            self._report(unreadable, sum(map(len, files.values())))
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


def split_folders(folder: Path) -> dict[SplitName, Path]:
    """The folders of the splits that a folder has; the folder itself is train if it has no sub-folder for that.

    Raises:
        UserError: Two sub-folders are of one split, or there are splits without train.
    """
    roots: dict[SplitName, Path] = {}
    others = 0
    for part in sorted(part for part in folder.iterdir() if part.is_dir() and not part.name.startswith(".")):
        name = _SPLIT_FOLDERS.get(part.name.lower())
        if name is None:
            others += 1
        elif name in roots:
            raise UserError(f"'{roots[name]}' and '{part}' are both the {name} split; merge or rename one")
        else:
            roots[name] = part
    if "train" in roots:
        return roots
    if roots and not others:
        raise UserError(f"'{folder}' has a folder '{next(iter(roots.values())).name}' but no 'train'; add that one")
    return {"train": folder}


def audio_files(folder: Path) -> list[Path]:
    """All recordings below a folder, by extension, sorted by path; hidden ones are left out.

    Raises:
        UserError: There is none.
    """
    found = []
    for parent, folders, files in os.walk(folder, followlinks=True):
        folders[:] = [name for name in folders if not name.startswith(".")]
        visible = [name for name in files if not name.startswith(".")]
        found += [Path(parent, name) for name in visible if Path(name).suffix.lower() in AUDIO_EXTENSIONS]
    if not found:
        endings = ", ".join(sorted(AUDIO_EXTENSIONS))
        raise UserError(f"no recording in '{folder}': put files there that end in one of {endings}")
    return sorted(found)


def _class_numbers(files: dict[SplitName, list[Path]], roots: dict[SplitName, Path]) -> dict[str, int]:
    """The number of each class folder; empty if some recording lies in none."""
    below = [file.relative_to(roots[name]).parts for name, found in files.items() for file in found]
    if any(len(parts) == 1 for parts in below):
        return {}
    return {name: i for i, name in enumerate(sorted({parts[0] for parts in below}, key=_natural))}


def _natural(name: str) -> tuple[list[str | int], str]:
    """A key by which 2 comes before 10."""
    parts = re.split(r"([0-9]+)", name)
    return [int(part) if i % 2 else part for i, part in enumerate(parts)], name

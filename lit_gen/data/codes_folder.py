"""Folder of integer codes: a file per split, and a note of what the codes are and which model encoded them."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save

from lit_gen.data.module import SPLITS, Split, SplitName
from lit_gen.errors import UserError

NOTE = "codes.json"
# Incremented whenever a folder can no longer be read by the code of before.
FORMAT = 1


@dataclass(frozen=True)
class SplitNote:
    """What is known of one split.

    Attributes:
        examples: Number of examples.
        data_fingerprint: SHA-256 of the examples that were encoded, as in records.
        sha256: SHA-256 of the file of codes.
    """

    examples: int
    data_fingerprint: str
    sha256: str


@dataclass(frozen=True)
class CodesNote:
    """What the codes of a folder are.

    Attributes:
        checkpoint: File name of the checkpoint whose model encoded them.
        checkpoint_sha256: SHA-256 of that file.
        model: Class path of the model.
        weights: ``ema`` or ``raw``.
        precision: Precision of the encoder, such as ``32-true``.
        seed: Seed of the noise, for a stochastic encoder.
        data: Name of the data that were encoded.
        shape: Shape of the codes of one example.
        num_values: Number of values; codes are integers {0..num_values-1}.
        splits: Splits that were encoded.
        version: Version of lit_gen that encoded them.
    """

    checkpoint: str
    checkpoint_sha256: str
    model: str
    weights: str
    precision: str
    seed: int
    data: str
    shape: tuple[int, ...]
    num_values: int
    splits: Mapping[SplitName, SplitNote]
    version: str


def sha256_of(path: Path) -> str:
    """SHA-256 (hex) of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def codes_file(folder: Path, name: SplitName) -> Path:
    """File of a split's codes."""
    return folder / f"{name}.safetensors"


def write_codes(folder: Path, name: SplitName, split: Split, data_fingerprint: str) -> SplitNote:
    """Writes the codes and labels of one split into a folder that exists."""
    file = codes_file(folder, name)
    tensors = {"x": split.x} if split.label is None else {"x": split.x, "label": split.label}
    file.write_bytes(save({key: tensor.contiguous() for key, tensor in tensors.items()}))
    return SplitNote(len(split.x), data_fingerprint, sha256_of(file))


def read_codes(folder: Path, name: SplitName, note: CodesNote) -> Split:
    """Reads the codes and labels of one split.

    Raises:
        UserError: The file is missing, damaged or not the one that the note describes.
    """
    file = codes_file(folder, name)
    if not file.is_file():
        raise UserError(f"'{folder}' has no file {file.name}; encode the data again, into a new folder")
    damaged = UserError(f"'{file}' is damaged: it is not the file that {NOTE} describes; encode the data again")
    if sha256_of(file) != note.splits[name].sha256:
        raise damaged
    try:
        tensors = load_file(file)
    except SafetensorError as error:
        raise damaged from error
    if "x" not in tensors:
        raise damaged
    return Split(tensors["x"], tensors.get("label"))


def write_note(folder: Path, note: CodesNote) -> None:
    """Writes the note into a folder that exists; last, since it makes the folder complete."""
    content = {"format": FORMAT, **dataclasses.asdict(note)}
    (folder / NOTE).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def read_note(folder: Path) -> CodesNote:
    """Reads and validates the note.

    Raises:
        UserError: There is no such folder or no note in it, or the note is damaged or of a later version.
    """
    file = folder / NOTE
    if not file.is_file():
        what = f"has no {NOTE}" if folder.is_dir() else "is not a folder"
        raise UserError(f"'{folder}' {what}; give a folder that lit-gen encode has written")
    try:
        content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        if (version := content.pop("format")) != FORMAT:
            raise UserError(f"'{file}' has format {version!r}, and this version of lit_gen reads format {FORMAT}")
        splits = {name: SplitNote(**content["splits"][name]) for name in SPLITS if name in content["splits"]}
        note = CodesNote(**{**content, "splits": splits, "shape": tuple(content["shape"])})
        valid = math.prod(note.shape) > 0 and 2 <= note.num_values <= 256 and isinstance(note.data, str)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError(f"'{file}' is damaged ({type(error).__name__}); encode the data again") from error
    if not valid:
        raise UserError(f"'{file}' is damaged (shape or num_values); encode the data again")
    return note

"""Data that are the codes of another model; and folders of codes that are incomplete or damaged."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from lit_gen import fit
from lit_gen.cli.process import run_command
from lit_gen.data import Codes, Loader, Split
from lit_gen.data.codes_folder import NOTE, CodesNote, codes_file, write_codes, write_note
from lit_gen.data.module import SPLITS
from lit_gen.errors import UserError

SIZES = {"train": 12, "val": 5, "test": 7}


def codes_of(size: int) -> Split:
    """Two codes of eight values for each example, and a label."""
    return Split(torch.arange(2 * size, dtype=torch.uint8).view(size, 1, 2) % 8, torch.arange(size) % 3)


def write_folder(folder: Path) -> Path:
    folder.mkdir()
    splits = {name: write_codes(folder, name, codes_of(SIZES[name]), "0" * 64) for name in SPLITS}
    note = CodesNote("best.ckpt", "1" * 64, "toy.VQVAE", "raw", "32-true", 0, "digits", (1, 2), 8, splits, "0.1.0")
    write_note(folder, note)
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "codes")


def test_declaration_comes_from_the_note_alone(folder: Path) -> None:
    for name in SPLITS:
        codes_file(folder, name).unlink()
    data = Codes(str(folder), batch_size=4, loader=Loader(eval_batch_size=3))
    assert (data.name, data.shape, data.num_levels) == ("digits_codes", (1, 2), 8)
    assert data.note.model == "toy.VQVAE"


def test_splits_are_what_was_written(folder: Path) -> None:
    data = Codes(str(folder), batch_size=4)
    for name in SPLITS:
        split, written = data.split(name), codes_of(SIZES[name])
        assert torch.equal(split.x, written.x)
        assert split.label is not None
        assert written.label is not None
        assert torch.equal(split.label, written.label)
    assert [len(batch.x) for batch in data.train_dataloader()] == [4, 4, 4]


def edit_note(**changes: object) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        content = json.loads((folder / NOTE).read_text())
        (folder / NOTE).write_text(json.dumps({**content, **changes}))

    return edit


def flip_a_byte(folder: Path) -> None:
    file = codes_file(folder, "val")
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "no note": (lambda folder: (folder / NOTE).unlink(), "has no codes.json"),
    "cut note": (lambda folder: (folder / NOTE).write_text('{"format": 1, '), "is damaged"),
    "list": (lambda folder: (folder / NOTE).write_text("[]"), "is damaged"),
    "missing key": (lambda folder: (folder / NOTE).write_text('{"format": 1, "splits": {}}'), "is damaged"),
    "number for a list": (edit_note(shape=3), "is damaged"),
    "empty shape": (edit_note(shape=[0]), "is damaged"),
    "too many values": (edit_note(num_values=512), "is damaged"),
    "later format": (edit_note(format=2), "has format 2"),
    "no split": (lambda folder: codes_file(folder, "test").unlink(), "has no file test.safetensors"),
    "empty split": (lambda folder: codes_file(folder, "test").write_bytes(b""), "is damaged"),
    "flipped bit": (flip_a_byte, "val.safetensors' is damaged"),
    "other shape": (edit_note(shape=[2, 1]), "examples of shape (1, 2)"),
    "fewer values": (edit_note(num_values=4), "values up to 7"),
}


@pytest.mark.parametrize(("damage", "named"), DAMAGE.values(), ids=DAMAGE.keys())
def test_damage_is_one_line(damage: Callable[[Path], object], named: str, folder: Path) -> None:
    damage(folder)
    with pytest.raises(UserError) as error:
        Codes(str(folder)).setup()
    assert named in str(error.value)
    assert "\n" not in str(error.value)


def test_missing_folder_through_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(fit.main, ["--model=VAE", "--data=Codes", f"--data.path={tmp_path / 'none'}"]) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert line == f"error: '{tmp_path / 'none'}' is not a folder; give a folder that lit-gen encode has written"

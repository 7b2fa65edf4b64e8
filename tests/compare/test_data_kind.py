"""A path alone says what its data are."""

from __future__ import annotations

from pathlib import Path

import pytest

from lit_gen.cli.data_kind import data_file, modality_of, value_of
from lit_gen.errors import UserError


def touched(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def test_folders_and_files_are_told_apart(tmp_path: Path) -> None:
    assert modality_of(touched(tmp_path / "a", "x/1.png", "x/notes.txt")) == "image"
    assert modality_of(touched(tmp_path / "b", "speaker/1.WAV")) == "audio"
    assert modality_of(touched(tmp_path, "c.txt") / "c.txt") == "text"


def test_options_of_the_data_file_stand_in_front(tmp_path: Path) -> None:
    folder = touched(tmp_path / "My pets (2)", "1.jpg")
    args = [f"--data.path={folder}", "--seed_everything=1"]
    assert data_file(args) == ["--config", "configs/data/folder.yaml", "--data.name=my_pets_2"]
    assert data_file([*args, "--data.name=mine"]) == ["--config", "configs/data/folder.yaml"]
    assert data_file([*args, "--config", "x.yaml"]) == []
    assert data_file(["--data=Digits"]) == []


@pytest.mark.parametrize(
    ("names", "path", "says"),
    [
        (["1.png", "2.wav"], "", "images and recordings"),
        (["1.txt"], "", "no images or recordings"),
        (["1.png"], "1.png", "one file"),
        ([], "nowhere", "does not exist"),
    ],
)
def test_what_cannot_be_read_is_rejected(tmp_path: Path, names: list[str], path: str, says: str) -> None:
    with pytest.raises(UserError, match=says):
        modality_of(touched(tmp_path, *names) / path)


def test_no_data_at_all_are_rejected() -> None:
    with pytest.raises(UserError, match="which data"):
        data_file(["--seed_everything=1"])


def test_the_last_value_of_an_option_counts() -> None:
    assert value_of(["--a=1", "--a", "2"], "--a") == "2"
    assert value_of(["--ab=1"], "--a") is None

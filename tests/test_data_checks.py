"""Splits that are too small for their scores are rejected before anything is trained, with the option to change."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from commands import RECIPES
from PIL import Image

from lit_gen import fit
from lit_gen.cli.command_line import CLI
from lit_gen.cli.data_checks import check_sizes
from lit_gen.cli.process import run_command
from lit_gen.data import DiscreteDataModule, HeldOut, Loader, Split, TextFile
from lit_gen.errors import UserError
from lit_gen.scoring.settings import Scoring


class Grouped(DiscreteDataModule):
    """Examples of groups that are given for each split; None for independent examples."""

    def __init__(self, **groups: list[int]) -> None:
        super().__init__(name="grouped", shape=(2,), num_levels=2, batch_size=1, loader=Loader())
        self.groups = groups

    def read(self) -> dict[str, Split]:  # type: ignore[override]
        return {
            name: Split(torch.zeros(len(group), 2, dtype=torch.uint8), group=torch.tensor(group), group_name="clip")
            for name, group in self.groups.items()
        }


WHOLE = Scoring()


def rejected(data: DiscreteDataModule, scoring: Scoring = WHOLE) -> str:
    with pytest.raises(UserError) as caught:
        check_sizes(data, scoring)
    return str(caught.value)


@pytest.mark.parametrize("count", [6, 14])
def test_few_images_are_rejected_before_a_folder_is_made(
    count: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LIT_GEN_CACHE", str(tmp_path / "cache"))
    for number in range(count):
        pixels = np.random.default_rng(number).integers(0, 256, (8, 8), np.uint8)
        (tmp_path / "images").mkdir(exist_ok=True)
        Image.fromarray(pixels).save(tmp_path / "images" / f"{number}.png")
    options = ["--data=FolderImages", "--data.name=few", "--data.transform.size=8", "--data.transform.channels=1"]
    options += [f"--data.path={tmp_path / 'images'}", f"--trainer.default_root_dir={tmp_path / 'runs'}"]
    options += ["--data.splits.num_val=1", "--trainer.max_epochs=1"]
    assert run_command(fit.main, [f"--config={RECIPES['vae']}", *options]) == 2
    assert capsys.readouterr().err.splitlines()[-1] == (
        "error: data: split 'val' of 'few' has 1 example, and scores need at least 2;"
        " raise data.splits.num_val (now 1), or give it more data"
    )
    assert not (tmp_path / "runs").exists()


def test_a_text_of_one_window_names_the_length_too(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("ab" * 50)
    data = TextFile(str(tmp_path / "text.txt"), "short", length=10, splits=HeldOut(num_val=20, num_test=0.1))
    assert rejected(data) == (
        "data: split 'test' of 'short' has 1 window, and scores need at least 2;"
        " raise data.splits.num_test (now 0.1), or lower data.length, or give it more data"
    )


def test_training_data_of_one_window_need_less_held_out(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("ab" * 25)
    data = TextFile(str(tmp_path / "text.txt"), "short", length=10, splits=HeldOut(num_val=20, num_test=20))
    assert rejected(data).endswith(
        "lower data.splits.num_val or data.splits.num_test, or lower data.length, or give it more data"
    )


def test_scored_examples_of_one_group_have_no_standard_error() -> None:
    several, one = [0, 0, 1, 1], [5, 5, 5]
    check_sizes(Grouped(train=several, val=one, test=several), Scoring())
    line = "data: the 3 val examples of 'grouped' to be scored are of one clip, and a standard error needs at least 2"
    data = Grouped(train=several, val=one, test=several)
    assert rejected(data, Scoring(split="val")) == f"{line}; give it more data"
    assert rejected(Grouped(train=one, val=several, test=several)).startswith("data: the 3 train examples")
    check_sizes(Grouped(train=one, val=several, test=several), Scoring(train_likelihood=False))


def test_a_subset_of_one_group_needs_more_examples() -> None:
    data = Grouped(train=[0, 1], val=[0, 1], test=[0] * 50 + [1])
    assert rejected(data, Scoring(max_examples=2)).endswith("; raise scoring.max_examples")
    check_sizes(data, Scoring())


def test_a_net_for_digits_is_not_inherited_for_colour_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LIT_GEN_CACHE", str(tmp_path / "cache"))
    (tmp_path / "images").mkdir()
    for number in range(30):
        pixels = np.random.default_rng(number).integers(0, 256, (8, 8, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / "images" / f"{number}.png")
    options = ["--data=FolderImages", "--data.name=photos", "--data.transform.size=8", "--data.transform.channels=3"]
    options += [f"--data.path={tmp_path / 'images'}", f"--trainer.default_root_dir={tmp_path / 'runs'}"]
    args = [f"--config={RECIPES['vae']}", *options]
    assert run_command(fit.main, args) == 2
    assert capsys.readouterr().err.splitlines()[-1] == (
        "error: quality.extractor: MnistCNN of a configuration file is for grey images, and the data 'photos' are in"
        " colour; use --quality.extractor=EfficientNetLite0 or Inception, null for no distance, or ask for MnistCNN by"
        " the same option"
    )
    assert not (tmp_path / "runs").exists()
    for named in ("MnistCNN", "null"):
        CLI([*args, f"--quality.extractor={named}", f"--run_name={named}"])

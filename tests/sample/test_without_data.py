"""Samples need a checkpoint alone: neither the data it was trained on, nor their path."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image
from sequence_runs import QUIET, SHORT, fit_audio, fit_text

from lit_gen import fit
from lit_gen.checkpoints import read_checkpoint
from lit_gen.errors import UserError
from lit_gen.sample.__main__ import main as sample


def drawn(run: Path, *options: str) -> bytes:
    """Content of the file of samples."""
    files = run / "samples"
    before = set(files.glob("best-*"))
    sample([str(run / "checkpoints" / "best.ckpt"), *options])
    (new, *_) = sorted(set(files.glob("best-*")) - before)
    content = new.read_bytes()
    for file in set(files.glob("best-*")) - before:
        file.unlink()
    return content


def test_text_is_written_in_the_characters_of_the_checkpoint(tmp_path: Path) -> None:
    run = fit_text(tmp_path)
    assert read_checkpoint(run / "checkpoints" / "best.ckpt")["lit_gen_data"]["symbols"] == "\nabc\xe9"
    options = [(), ("--prompt", "abc\xe9")]
    before = [drawn(run, *more) for more in options]
    (tmp_path / "text.txt").unlink()
    assert [drawn(run, *more) for more in options] == before
    assert "\xe9" in before[1].decode()
    with pytest.raises(UserError, match="no file"):
        drawn(run, "--complete", "1")


def test_sound_without_recordings(tmp_path: Path) -> None:
    run = fit_audio(tmp_path)
    before = drawn(run)
    shutil.rmtree(tmp_path / "tones")
    assert drawn(run) == before


def test_pictures_without_a_folder(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    (tmp_path / "images").mkdir()
    for i in range(60):
        pixels = torch.randint(0, 256, (8, 8), dtype=torch.uint8, generator=generator)
        Image.fromarray(pixels.numpy()).save(tmp_path / "images" / f"{i}.png")
    data = [f"path={tmp_path / 'images'}", "name=noise", "transform.size=8", "transform.channels=1", "batch_size=10"]
    data += ["splits.num_val=10", "splits.num_test=10"]
    fit.main([
        *("--data=FolderImages", *(f"--data.init_args.{option}" for option in data), "--model=VAE", "--run_name=run"),
        *(f"--trainer.default_root_dir={tmp_path}", *QUIET, *SHORT, "--grid.num_samples=4"),
    ])
    before = drawn(tmp_path / "run")
    shutil.rmtree(tmp_path / "images")
    assert drawn(tmp_path / "run") == before

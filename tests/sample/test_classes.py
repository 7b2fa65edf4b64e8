"""Classes by their names: in the checkpoint, in the record and on the command line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sequence_runs import QUIET, SHORT

from lit_gen import fit
from lit_gen.checkpoints import read_checkpoint
from lit_gen.errors import UserError
from lit_gen.records.record import read_record
from lit_gen.sample.__main__ import main as sample
from lit_gen.sample.options import parse


def test_a_class_is_sampled_by_its_name_or_its_number(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for i in range(60):
        folder = tmp_path / "images" / ("cat", "dog", "10")[i % 3]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (4, 4), dtype=np.uint8)).save(folder / f"{i}.png")
    data = [f"path={tmp_path / 'images'}", "name=noise", "transform.size=4", "transform.channels=1", "batch_size=10"]
    data += ["splits.num_val=10", "splits.num_test=10"]
    fit.main([
        *("--data=FolderImages", *(f"--data.init_args.{option}" for option in data), "--run_name=run"),
        *("--model=MLPRealNVP", "--model.num_classes=3", "--grid.num_samples=4"),
        *(f"--trainer.default_root_dir={tmp_path}", *QUIET, *SHORT),
    ])
    checkpoint = tmp_path / "run" / "checkpoints" / "best.ckpt"
    assert read_checkpoint(checkpoint)["lit_gen_data"]["class_names"] == ["10", "cat", "dog"]
    assert list(read_record(tmp_path / "run" / "record.json").class_names) == ["10", "cat", "dog"]

    def drawn(label: str) -> bytes:
        sample([str(checkpoint), f"--label={label}", "--n=4", f"--out={tmp_path / 'a.png'}"])
        return (tmp_path / "a.png").read_bytes()

    assert drawn("dog") == drawn("2") != drawn("cat")
    assert drawn("10") == drawn("0")
    with pytest.raises(UserError, match=r"--label: no class 'dug', the classes are 10, cat, dog; did you mean 'dog'"):
        drawn("dug")


def test_files_of_samples_are_named_by_the_class() -> None:
    assert [parse([f"--label={label}"])[0].name for label in ("3", "cat")] == ["samples-label3", "samples-labelcat"]

"""Generators and discriminators for 256x256 images, from the command line alone, at a reduced width."""

from __future__ import annotations

from pathlib import Path

import pytest

from lit_gen import fit

SEVEN = "[8,8,8,8,8,8,8]"
NETS = {
    "SNGAN": ["--model.nets=SNGANNets", f"--model.nets.generator_channels={SEVEN}",
              f"--model.nets.discriminator_channels={SEVEN}", "--model.nets.halvings=6", "--model.num_classes=10",
              "--model.updates.discriminator_steps=1"],
    "R3GAN": ["--model.nets=R3GANNets", f"--model.nets.channels={SEVEN}", "--model.nets.groups=4",
              "--model.augmentation=DiffAugment", "--model.updates.micro_batches=2"],
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", NETS)
def test_two_steps_at_256(name: str, tmp_path: Path) -> None:
    data = ["--data=test_gpu_recipes.RandomImages", "--data.size=256", "--data.batch_size=2"]
    few = ["--trainer.fast_dev_run=2", "--trainer.enable_progress_bar=false", "--trainer.enable_model_summary=false"]
    out = ["--quality.extractor=null", "--grid.num_samples=4", f"--trainer.default_root_dir={tmp_path}"]
    fit.main([*data, f"--model={name}", *NETS[name], "--ema.modules=[generator]", *few, *out])

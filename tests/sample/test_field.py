"""The picture of a score field and of a sampler's paths."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import REPO
from PIL import Image

from lit_gen import fit
from lit_gen.cli.process import run_command
from lit_gen.families import DDPM, VAE, ScoreSDE
from lit_gen.families.diffusion import Sampling
from lit_gen.noise import Noise
from lit_gen.sample.__main__ import main as sample
from lit_gen.sample.field import ScoreField, field_of


class OneCentre(torch.nn.Module):
    """The noise in z of data that are all at the origin: ``z = sigma eps``."""

    def forward(self, inputs: torch.Tensor, time: torch.Tensor, label: torch.Tensor | None = None) -> torch.Tensor:
        decay = 0.5 * (time / 999) ** 2 * 19.9 + 0.1 * (time / 999)
        return inputs / (1 - (-decay).exp()).sqrt()[:, None]


def test_an_arrow_leads_to_the_mean_of_the_data_and_a_path_to_the_sample() -> None:
    model = ScoreSDE((2,), 256, sampling=Sampling("ddim", 12, clip_denoised=False))
    model.net = OneCentre()
    assert isinstance(model, ScoreField)
    assert not isinstance(VAE((1, 8, 8), 2), ScoreField)
    grid, steps = field_of(model, 0.3)
    assert torch.allclose(grid + steps, torch.zeros_like(grid), atol=1e-4)
    with torch.no_grad():
        paths = model.paths(Noise(0, range(5)))
        samples = model.generate(Noise(0, range(5)))
    assert paths.shape == (13, 5, 2)
    assert torch.allclose(paths[-1], torch.zeros(5, 2), atol=1e-3)
    assert ((paths[-1] + 1) * 127.5).sub(samples).abs().max() <= 0.51
    # Each path is the straight line to the only data.
    first = paths[0] / paths[0].norm(dim=1, keepdim=True)
    along = (paths[5] * first).sum(1)
    assert torch.allclose(along, paths[5].norm(dim=1), rtol=1e-4)


def test_paths_of_a_stochastic_sampler_are_those_of_its_samples() -> None:
    model = DDPM((2,), 256, sampling=Sampling("pc_ancestral", 10))
    with torch.no_grad():
        end = model.paths(Noise(3, range(4)))[-1]
        samples = model.generate(Noise(3, range(4)))
    assert torch.equal(((end + 1) * 127.5).round().clamp(0, 255).to(torch.uint8), samples)


def test_the_command_draws_the_field_and_other_models_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small = ["--data.splits.num_train=2000", "--data.splits.num_val=100", "--data.splits.num_test=200"]
    fit.main([
        f"--config={REPO / 'configs/data/toy2d.yaml'}", "--model=ScoreSDE", "--budget.max_examples=2000", *small,
        "--quality.extractor=null", f"--trainer.default_root_dir={tmp_path}", "--run_name=toy",
        "--trainer.enable_progress_bar=false", "--trainer.enable_model_summary=false", "--scoring.num_samples=40",
    ])  # fmt: skip
    checkpoint, file = str(tmp_path / "toy/checkpoints/best.ckpt"), tmp_path / "field.png"
    sample([checkpoint, "--field", "--n=7", "--sampler=ddim", "--sampler-steps=5", f"--out={file}"])
    pixels = np.asarray(Image.open(file))
    assert pixels.shape == (424, 1660, 3)
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) >= 3  # some samples of an untrained model lie outside
    own = tmp_path / "toy/samples"
    sample([checkpoint, "--field", "--n=3"])
    assert list(own.glob("best-field*.png"))
    assert run_command(sample, [checkpoint, "--field", "--nearest"]) == 2
    assert "cannot be combined" in capsys.readouterr().err
    assert run_command(sample, [checkpoint]) == 2


def test_a_field_needs_a_score_of_two_dimensions() -> None:
    from lit_gen.errors import UserError
    from lit_gen.sample.draw import check_model
    from lit_gen.sample.options import Options

    for model in (VAE((1, 8, 8), 2), DDPM((1, 2, 2), 3)):
        with pytest.raises(UserError, match="--field is for models of the score of two-dimensional data"):
            check_model(model, Options(field=True))
    check_model(DDPM((2,), 256), Options(field=True))

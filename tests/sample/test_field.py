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
from lit_gen.data import KnownEntropy, Toy2D
from lit_gen.families import DDPM, VAE, MLPRealNVP, ScoreSDE
from lit_gen.families.diffusion import Sampling
from lit_gen.noise import Noise
from lit_gen.sample.__main__ import main as sample
from lit_gen.sample.field import ScoreField, exact_field, field_of
from lit_gen.sample.panels import DATA, EXACT, MODEL, SAMPLE, arrows_of, inside


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
    assert pixels.shape == (478, 1806, 3)
    for colour in (DATA, EXACT, MODEL, SAMPLE):
        assert (np.abs(pixels.astype(int) - colour).max(2) < 12).any(), colour
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

    for model in (VAE((1, 8, 8), 2), VAE((2,), 256), DDPM((1, 2, 2), 3), MLPRealNVP((4,), 256)):
        with pytest.raises(UserError, match="--field is for models of the score or the density of two-dimensional"):
            check_model(model, Options(field=True))
    check_model(DDPM((2,), 256), Options(field=True))


def test_the_exact_field_is_the_score_of_the_noised_data() -> None:
    """That of a mixture with noise, of which the rounded data are a fine sum."""
    data, grid = Toy2D(), torch.tensor([[0.3, 0.2], [-0.5, 0.4], [1.2, -0.9]], dtype=torch.float64)
    assert data.density is not None
    at = grid.clone().requires_grad_()
    (score,) = torch.autograd.grad(data.density.log_density(at, 0.3**2).sum(), at)
    assert torch.allclose(exact_field(data, 256, grid, 0.3), 0.3**2 * score, atol=2e-3)
    # Data of another kind that can be enumerated: far away, the way leads to the mean of the corner that is nearest.
    source = KnownEntropy(shape=(2,), num_levels=4)
    far = torch.tensor([[50.0, 50.0]])
    assert torch.allclose(far + exact_field(source, 4, far, 0.1), torch.ones(1, 2), atol=1e-3)


def test_lines_are_cut_at_the_square_and_keep_their_direction() -> None:
    generator = torch.Generator().manual_seed(0)
    seen = 0
    for start, end in zip(*(4 * torch.randn(2, 60, 2, generator=generator, dtype=torch.float64)), strict=True):
        t = torch.linspace(0, 1, 2001, dtype=torch.float64)[:, None]
        within = (start + t * (end - start)).abs().max(1).values <= 2
        part = inside(start, end, 2.0)
        assert (part is not None) >= bool(within.any())
        if part is not None and within.any():
            seen += 1
            length = (part[1] - part[0]).norm() / (end - start).norm()
            assert float(length) == pytest.approx(float(within.double().mean()), abs=2e-3)
            way = end - start
            for point in part:
                off = point - start
                assert float(off[0] * way[1] - off[1] * way[0]) == pytest.approx(0, abs=1e-9)
    assert 20 < seen < 60
    assert inside(torch.zeros(2), torch.tensor([float("inf"), 0.0]), 1.0) is None


def test_arrows_keep_directions_and_end_before_the_next_point() -> None:
    ways = torch.tensor([[3.0, 4.0], [0.0, -0.05], [30.0, 0.0]])
    (arrows,) = arrows_of([ways], 0.1)
    assert torch.allclose(torch.cosine_similarity(arrows, ways), torch.ones(3))
    assert float(arrows.norm(dim=1).max()) <= 0.1 + 1e-6
    assert arrows.norm(dim=1).argsort().tolist() == ways.norm(dim=1).argsort().tolist()

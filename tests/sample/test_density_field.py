"""The picture of a flow's density, of its gradient, and of paths through its layers."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import REPO
from PIL import Image

from lit_gen import fit
from lit_gen.cli.process import run_command
from lit_gen.data import Toy2D
from lit_gen.data.plane import Mixture
from lit_gen.families import MAF, NICE, MLPRealNVP, MLPSplineFlow
from lit_gen.families.flow import Flow
from lit_gen.nets import ActNorm
from lit_gen.noise import Noise
from lit_gen.quantization import bins_to_symmetric, dequantize, symmetric_to_bins, to_symmetric
from lit_gen.sample.__main__ import main as sample
from lit_gen.sample.density_field import DensityField, density_of, exact_density, score_of_density
from lit_gen.sample.panels import DATA, LATENT, SAMPLE

FLOWS = [
    lambda: MLPRealNVP((2,), 256, num_couplings=3),
    lambda: MLPSplineFlow((2,), 256, num_couplings=3),
    lambda: NICE((2,), 256),
    lambda: MAF((2,), 256, num_layers=3),
    lambda: MAF((2,), 256, num_layers=1, num_components=4),
]
NAMES = ["realnvp", "spline", "nice", "maf", "mog"]


def moved(build: object) -> Flow:
    """A flow that is initialized by data, with weights that do not start as nearly the identity."""
    torch.manual_seed(0)
    model = build()  # type: ignore[operator]
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
        for layer in model.modules():
            if isinstance(layer, ActNorm):
                layer.pending = True
        model.log_weight(Toy2D().split("test").x[:500], torch.rand(500, 2))
    return model.eval()


@pytest.mark.parametrize("build", FLOWS, ids=NAMES)
def test_the_field_is_the_slope_of_the_drawn_density(build: object) -> None:
    model = moved(build)
    assert isinstance(model, DensityField)
    grid, score = score_of_density(model)
    model, step = model.double(), 1e-6

    def log_density(s: torch.Tensor) -> torch.Tensor:
        return model.log_density(symmetric_to_bins(s, 256)).double()

    with torch.no_grad():
        for d in range(2):
            shift = step * torch.eye(2, dtype=torch.float64)[d]
            # Nets compute in float32: a wide step, and a point where a net has no kink within it.
            wide = 2_000 * shift
            slope = (log_density(grid + wide) - log_density(grid - wide)) / (2 * 2_000 * step)
            error = (slope - score[:, d]).abs() / (1 + score[:, d].abs())
            assert float(error.median()) < 5e-3
            assert float(error.quantile(0.9)) < 0.05


@pytest.mark.parametrize("build", FLOWS, ids=NAMES)
def test_the_density_sums_to_one_over_the_square(build: object) -> None:
    model = moved(build)
    with torch.no_grad():
        density = density_of(model)
    assert density.shape == (256, 256)
    mass = float(density.exp().sum()) * (2 / 255) ** 2
    # NICE has no logit, so that some of its mass lies outside; sums of cells differ from an integral by their width.
    samples = model.layer_paths(Noise(0, range(20_000)))[-1]
    share = float(((samples >= 0) & (samples < 1)).all(1).double().mean())
    assert mass == pytest.approx(share, abs=0.02)


def test_the_density_is_that_of_the_likelihood() -> None:
    """With noise of half a bin, the weight of an example is the density drawn at its value, times the bin's area."""
    model, x = moved(FLOWS[1]), torch.tensor([[3, 200], [128, 7]], dtype=torch.uint8)
    with torch.no_grad():
        density, weight = density_of(model), model.log_weight(x, torch.full((2, 2), 0.5))
    area = 2 * math.log(2 / 255)
    assert torch.allclose(density[x[:, 0].long(), x[:, 1].long()].float() + area, weight, atol=1e-3)


def test_coarse_levels_are_divided_into_cells() -> None:
    data, model = Toy2D(num_levels=12), MLPRealNVP((2,), 12).eval()
    exact = exact_density(data)
    assert exact.shape == (12, 12)
    assert float(exact.exp().sum()) * (2 / 11) ** 2 == pytest.approx(1, abs=1e-12)
    with torch.no_grad():
        cells = density_of(model)
    assert cells.shape == (264, 264)
    bins = cells.exp().view(12, 22, 12, 22).mean((1, 3)) * (2 / 11) ** 2
    assert float(bins.sum()) == pytest.approx(1, abs=0.01)


def test_the_exact_density_is_that_of_the_plane_where_bins_are_narrow() -> None:
    data = Toy2D(Mixture())
    s = to_symmetric(torch.arange(40, 216, 5), 256)
    points = torch.cartesian_prod(s, s)
    levels = torch.arange(40, 216, 5)
    drawn, plane = exact_density(data)[levels][:, levels].flatten(), data.density.log_density(points.double())
    near = plane > plane.max() - 6
    assert torch.allclose(drawn[near], plane[near], atol=0.02)


@pytest.mark.parametrize("build", FLOWS, ids=NAMES)
def test_a_path_goes_from_the_latent_to_the_sample(build: object) -> None:
    model = moved(build)
    model.sampling = type(model.sampling)(0.8)
    with torch.no_grad():
        paths = model.layer_paths(Noise(5, range(6)))
        z = model.prior.sample(Noise(5, range(6)), None, 0.8)
        samples = model.sample(6, seed=5)
    reversed_order = isinstance(model, MAF) and model.num_layers % 2 == 0
    assert torch.equal(paths[0], z.flip(1) if reversed_order else z)
    assert torch.equal((paths[-1] * 256).floor().clamp(0, 255).to(torch.uint8), samples)
    # All layers but those that reorder or reshape, each of which moves the points.
    assert len(paths) - 1 == sum(
        type(step).__name__ not in {"Flatten", "EvenOdd", "Reverse"} for step in model.bijection.steps  # type: ignore
    )
    with torch.no_grad():
        again, _ = model.bijection(paths[-1])
    inner = ((paths[-1] > 0.02) & (paths[-1] < 0.98)).all(1)
    assert inner.any()
    assert torch.allclose(again[inner], z[inner], atol=5e-3)


def test_scales_of_bins() -> None:
    x = torch.arange(256)
    middles = dequantize(x, torch.full((256,), 0.5), 256)
    assert torch.allclose(symmetric_to_bins(to_symmetric(x, 256), 256), middles, atol=1e-6)
    assert torch.allclose(bins_to_symmetric(middles, 256), to_symmetric(x, 256), atol=1e-6)


def test_the_command_draws_a_flow(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small = ["--data.splits.num_train=2000", "--data.splits.num_val=100", "--data.splits.num_test=200"]
    fit.main([
        f"--config={REPO / 'configs/data/toy2d.yaml'}", "--model=MLPSplineFlow", "--budget.max_examples=2000", *small,
        "--quality.extractor=null", f"--trainer.default_root_dir={tmp_path}", "--run_name=toy",
        "--trainer.enable_progress_bar=false", "--trainer.enable_model_summary=false", "--scoring.num_samples=40",
    ])  # fmt: skip
    checkpoint, file = str(tmp_path / "toy/checkpoints/best.ckpt"), tmp_path / "field.png"
    sample([checkpoint, "--field", "--n=7", "--temperature=0.9", f"--out={file}"])
    pixels = np.asarray(Image.open(file)).astype(int)
    assert pixels.shape == (478, 1358, 3)
    for colour in (DATA, LATENT, SAMPLE):
        assert (np.abs(pixels - colour).max(2) < 12).any(), colour
    assert run_command(sample, [checkpoint, "--field", "--sampler=ddim"]) == 2
    assert "sampler" in capsys.readouterr().err

"""From one latent to another, and what an autoencoder's latents are."""

from __future__ import annotations

import math

import pytest
import torch

from lit_gen.families import VAE
from lit_gen.noise import Noise
from lit_gen.sample.latents import great_circle, straight


def test_autoencoder_s_latents_are_the_posterior_mean_and_the_likeliest_image() -> None:
    torch.manual_seed(0)
    model = VAE((1, 2, 2), 2, num_latents=3).eval()
    every = torch.cartesian_prod(*[torch.arange(2)] * 4).reshape(16, 1, 2, 2).to(torch.uint8)
    assert torch.equal(model.to_latent(every, Noise(0, range(16))), model.encode(every)[0])
    for z in 3 * torch.randn(20, 1, 3):
        log_prob = model.decode_log_prob(every, z.expand(16, -1))
        assert torch.equal(model.from_latent(z)[0], every[log_prob.argmax()])


def test_a_great_circle_keeps_the_norm_and_turns_steadily() -> None:
    start, end = torch.nn.functional.normalize(torch.randn(2, 40, generator=torch.Generator().manual_seed(0)))
    t = torch.linspace(0, 1, 9)
    z = great_circle(3 * start, 3 * end, t)
    torch.testing.assert_close(z.norm(dim=1), torch.full((9,), 3.0))
    turns = (z[1:] * z[:-1]).sum(1) / 9
    torch.testing.assert_close(turns.acos(), (start @ end).acos().expand(8) / 8, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(great_circle(3 * end, 3 * start, t), z.flip(0))
    assert torch.equal(great_circle(3 * start, end, t)[[0, -1]], torch.stack([3 * start, end]))


def test_only_a_great_circle_stays_where_the_gaussian_is() -> None:
    """White's reason: the middle of a straight line is a place where no draw ever lies."""
    num_dims = 3072
    start, end = torch.randn(2, num_dims, generator=torch.Generator().manual_seed(0))
    half = torch.tensor([0.5])
    assert float(great_circle(start, end, half).norm()) == pytest.approx(math.sqrt(num_dims), rel=0.03)
    assert float(straight(start, end, half).norm()) == pytest.approx(math.sqrt(num_dims / 2), rel=0.03)


@pytest.mark.parametrize("other", [1.0, 2.0, -1.0, 0.0])
def test_where_there_is_no_circle_the_line_is_straight(other: float) -> None:
    z = torch.randn(6, generator=torch.Generator().manual_seed(0))
    t = torch.linspace(0, 1, 5)
    found = great_circle(z, other * z, t)
    assert torch.equal(found[[0, -1]], torch.stack([z, other * z]))
    if other:
        torch.testing.assert_close(found, straight(z, other * z, t))
    assert found.isfinite().all()

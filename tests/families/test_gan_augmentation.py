"""DiffAugment: what it does to images and to gradients, and that it is applied to real examples and samples alike."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from lit_gen.errors import UserError
from lit_gen.families.gan import GAN, R1, DiffAugment, RelativisticPairing
from lit_gen.nets import MLPAdversarialNets

NONE = {"color": 0.0, "translation": 0.0, "cutout": 0.0}


def augment(x: Tensor, **parts: float) -> Tensor:
    torch.manual_seed(0)
    return DiffAugment(**{**NONE, **parts})(x)


def test_colour_is_affine_in_each_image() -> None:
    """Of a grey image: contrast around the shifted mean; within the stated ranges, which are nearly reached."""
    x = torch.randn(400, 1, 6, 6)
    y = augment(x, color=1.0)
    shifts = y.mean((1, 2, 3)) - x.mean((1, 2, 3))
    scales = y.std((1, 2, 3)) / x.std((1, 2, 3))
    centred = [image - image.mean((1, 2, 3), keepdim=True) for image in (x, y)]
    assert torch.allclose(centred[0] * scales[:, None, None, None], centred[1], atol=1e-5)
    assert -0.5 <= shifts.min() < -0.48
    assert 0.48 < shifts.max() <= 0.5
    assert 0.5 <= scales.min() < 0.52
    assert 1.48 < scales.max() <= 1.5


def test_saturation_keeps_the_mean_over_the_colours() -> None:
    x = torch.randn(50, 3, 6, 6)
    y = augment(x, color=0.3)
    grey = x.mean(1) - x.mean((1, 2, 3))[:, None, None], y.mean(1) - y.mean((1, 2, 3))[:, None, None]
    ratio = grey[1].flatten(1).std(1) / grey[0].flatten(1).std(1)
    assert torch.allclose(grey[0] * ratio[:, None, None], grey[1], atol=1e-5)


def test_translation_shifts_by_whole_pixels_and_fills_with_grey() -> None:
    x = torch.rand(200, 2, 8, 16) + 1  # no zeros
    y = augment(x, translation=0.25)
    seen = set()
    for image, moved in zip(x, y, strict=True):
        rows, columns = moved[0].any(1).nonzero().flatten(), moved[0].any(0).nonzero().flatten()
        down = int(rows[0]) or int(rows[-1]) - 7
        right = int(columns[0]) or int(columns[-1]) - 15
        expected = torch.roll(image, (down, right), (1, 2))
        kept = moved != 0
        assert torch.equal(moved[kept], expected[kept])
        assert int(kept[0].sum()) == (8 - abs(down)) * (16 - abs(right))
        seen.add((down, right))
    assert {d for d, _ in seen} == set(range(-2, 3))
    assert {r for _, r in seen} == set(range(-4, 5))


def test_cutout_sets_a_rectangle_to_grey() -> None:
    x = torch.rand(200, 3, 8, 8) + 1
    y = augment(x, cutout=0.5)
    cut = (y == 0).all(1)
    assert torch.equal((y == 0).any(1), cut)
    assert torch.equal(y[y != 0], x[y != 0])
    sizes = cut.any(2).sum(1), cut.any(1).sum(1)
    assert torch.equal(cut.sum((1, 2)), sizes[0] * sizes[1]), "rectangles"
    assert max(int(s.max()) for s in sizes) == 4
    assert len(cut.flatten(1).unique(dim=0)) > 20, "each image has its own"


@pytest.mark.parametrize("channels", [1, 3])
def test_gradients_pass_through(channels: int) -> None:
    x = torch.randn(3, channels, 6, 6, dtype=torch.float64, requires_grad=True)

    def deterministic(x: Tensor) -> Tensor:
        torch.manual_seed(3)
        return DiffAugment()(x)

    assert torch.autograd.gradcheck(deterministic, x)


@pytest.mark.parametrize("parts", [{"color": 1.5}, {"translation": -0.1}, {"cutout": float("nan")}, {}])
def test_parts_that_cannot_be_are_named(parts: dict[str, float]) -> None:
    with pytest.raises(UserError, match="augmentation: color="):
        DiffAugment(**{**NONE, **parts})


def test_data_without_height_are_told_before_training() -> None:
    with pytest.raises(UserError, match=r"DiffAugment is for images.*shape \(4,\)"):
        GAN((4,), 3, nets=MLPAdversarialNets(), augmentation=DiffAugment())


class Doubling(DiffAugment):
    """Notes what it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Tensor] = []

    def __call__(self, x: Tensor) -> Tensor:
        self.seen.append(x)
        return 2 * x


def test_every_pass_of_the_discriminator_is_augmented() -> None:
    """Real examples and samples, in the discriminator's loss, its penalty and the generator's loss."""
    torch.manual_seed(0)
    augmentation = Doubling()
    model = GAN((1, 4, 4), 2, objective=RelativisticPairing(), penalty=R1(1.0), augmentation=augmentation)
    x, x_fake = torch.randn(2, 5, 1, 4, 4)
    found: Any = model._discriminator_loss(x, x_fake)
    model._generator_loss(x, x_fake)
    assert [torch.equal(seen, of) for seen, of in zip(augmentation.seen, (x, x_fake, x, x_fake), strict=True)] == [
        True
    ] * 4
    # The penalty is on the gradient with respect to the image that is not augmented: that of D(2x).
    inside = (2 * x).requires_grad_()
    (gradient,) = torch.autograd.grad(model.discriminator(inside).sum(), inside)
    assert float(found.penalty.detach()) == pytest.approx(
        float(0.5 * 4 * gradient.square().flatten(1).sum(1).mean()), rel=1e-4
    )

"""Spectral norm, and the nets of SNGAN and R3GAN."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from lit_gen.errors import UserError
from lit_gen.nets import DCGAN, AdversarialNets, MLPAdversarialNets, R3GANNets, SNGANNets
from lit_gen.nets.gan.r3gan_nets import ResidualBlock
from lit_gen.nets.gan.sngan_nets import ConditionalBatchNorm2d, UpBlock
from lit_gen.nets.gan.spectral_norm import SpectralConv2d, SpectralEmbedding, SpectralLinear, SpectralNorm

LAYERS = {
    "linear": lambda: SpectralLinear(7, 5),
    "convolution": lambda: SpectralConv2d(3, 6, 3, padding=1),
    "embedding": lambda: SpectralEmbedding(4, 9),
}


@pytest.mark.parametrize("layer", LAYERS)
def test_spectral_norm_is_the_singular_value(layer: str) -> None:
    """After enough iterations, by an SVD; without an iteration in eval mode."""
    torch.manual_seed(0)
    module: Any = LAYERS[layer]()
    for _ in range(300):
        module.norm(module.weight)
    largest = torch.linalg.svdvals(module.weight.detach().flatten(1))[0]
    normalized = module.norm(module.weight).detach()
    assert torch.allclose(normalized, module.weight / largest, rtol=1e-4)
    u = module.norm.u.clone()
    module.eval()
    with torch.no_grad():
        module.weight.mul_(3)
    assert torch.allclose(module.norm(module.weight).detach(), normalized, rtol=1e-4)
    assert torch.equal(module.norm.u, u)


def test_spectral_norm_is_torchs_at_every_step() -> None:
    """Values, gradients and vectors, over calls between which the weight changes."""
    torch.manual_seed(0)
    ours = SpectralConv2d(3, 6, 3, bias=False)
    plain = nn.Conv2d(3, 6, 3, bias=False)
    plain.weight.data.copy_(ours.weight.data)
    theirs = spectral_norm(plain)
    parametrization: Any = theirs.parametrizations.weight  # type: ignore[union-attr, index]
    parametrization[0]._u.copy_(ours.norm.u)
    parametrization[0]._v.copy_(ours.norm.v)
    for _ in range(3):
        x = torch.randn(2, 3, 8, 8)
        outputs = [layer(x) + layer(2 * x) for layer in (ours, theirs)]  # two calls in one graph, as with real and fake
        assert torch.allclose(*outputs, atol=1e-6)
        for out in outputs:
            out.square().sum().backward()
        pair = ours.weight, parametrization.original
        assert torch.allclose(pair[0].grad, pair[1].grad, rtol=1e-4, atol=1e-4)
        with torch.no_grad():
            for weight in pair:
                weight.sub_(0.01 * weight.grad)
                weight.grad = None
    assert torch.allclose(ours.norm.u, parametrization[0]._u, atol=1e-6)


def test_spectral_norm_bounds_the_slope_of_the_discriminator() -> None:
    """Each layer has a slope of about 1: of the whole net it stays bounded when weights are scaled up."""
    torch.manual_seed(0)
    net = SNGANNets((8, 8, 8), (8, 8), halvings=1).discriminator((3, 8, 8))
    x = torch.randn(4, 3, 8, 8)
    with torch.no_grad():
        before = net.eval()(x)
        for module in net.modules():
            if isinstance(module, SpectralConv2d | SpectralLinear):
                module.weight.mul_(50)
        assert torch.allclose(net(x), before, rtol=1e-3, atol=1e-4)
    assert sum(isinstance(m, SpectralNorm) for m in net.modules()) == 6


def test_vectors_of_the_spectral_norm_are_saved() -> None:
    net = SNGANNets((8, 8), (8,), halvings=1).discriminator((1, 4, 4))
    other = SNGANNets((8, 8), (8,), halvings=1).discriminator((1, 4, 4))
    other.load_state_dict(net.state_dict())
    x = torch.randn(5, 1, 4, 4)
    for _ in range(3):  # each call in training takes a step of the iteration
        assert torch.equal(net(x), other(x))


@pytest.mark.parametrize("classes", [0, 3])
@pytest.mark.parametrize(
    "nets",
    [
        SNGANNets((8, 8, 4), (8, 8, 4), halvings=1),
        SNGANNets((8, 8, 4), (8, 8, 4), halvings=3, spectral_norm=False),
        R3GANNets((16, 8, 8), blocks=1, groups=4),
    ],
)
def test_nets_make_and_take_images_and_classes(nets: AdversarialNets, classes: int) -> None:
    torch.manual_seed(0)
    shape = (3, 12, 8)
    generator, discriminator = nets.generator(5, shape, classes), nets.discriminator(shape, True, classes)
    discriminator.eval()
    label = [torch.tensor([0, 1, 2, 0])] if classes else []
    with torch.no_grad():
        for parameter in [*generator.parameters(), *discriminator.parameters()]:
            parameter.add_(0.1 * torch.randn_like(parameter))
        z = torch.randn(4, 5)
        x = generator(z, *label)
        assert x.shape == (4, *shape)
        outputs = discriminator(x, *label)
        assert outputs.shape == (4,)
        if classes:
            other = torch.tensor([1, 1, 2, 0])
            assert [not torch.allclose(a, b) for a, b in zip(outputs, discriminator(x, other), strict=True)] == [
                True, False, False, False,
            ]  # fmt: skip
            generator.eval()
            assert not torch.allclose(generator(z, other)[0], generator(z, *label)[0])


def test_a_projection_discriminator_adds_the_product_with_the_class() -> None:
    """D(x, y) = w . f(x) + v_y . f(x) (Miyato and Koyama 2018, equation 4): differences of classes are linear in f."""
    torch.manual_seed(0)
    net: Any = SNGANNets((8, 8), (8,), halvings=1).discriminator((1, 4, 4), True, 3).eval()
    x = torch.randn(6, 1, 4, 4)
    with torch.no_grad():
        features = torch.relu(net.blocks(x)).sum((2, 3))
        found = net(x, torch.ones(6).long()) - net(x, torch.zeros(6).long())
        vectors = net.classes.weight / torch.linalg.svdvals(net.classes.weight)[0]
        assert torch.allclose(found, features @ (vectors[1] - vectors[0]), rtol=1e-3, atol=1e-5)


def test_conditional_batch_norm_is_batch_norm_with_the_classes_gains() -> None:
    torch.manual_seed(0)
    norm = ConditionalBatchNorm2d(4, 2)
    assert norm.gain is not None
    assert norm.bias is not None
    nn.init.normal_(norm.gain.weight)
    nn.init.normal_(norm.bias.weight)
    x, label = torch.randn(6, 4, 3, 3), torch.tensor([0, 1, 0, 1, 1, 0])
    normal = (x - x.mean((0, 2, 3), keepdim=True)) / (x.var((0, 2, 3), keepdim=True, unbiased=False) + 1e-5).sqrt()
    expected = normal * norm.gain.weight[label][..., None, None] + norm.bias.weight[label][..., None, None]
    assert torch.allclose(norm(x, label), expected, atol=1e-5)


def test_the_shortcut_of_a_block_is_the_papers() -> None:
    """Repeated pixels and a 1x1 convolution, in the other order."""
    block = UpBlock(3, 5, 0)
    with torch.no_grad():
        nn.init.zeros_(block.conv2.weight)
        assert block.conv2.bias is not None
        nn.init.zeros_(block.conv2.bias)
        x = torch.randn(2, 3, 4, 4)
        expected = block.shortcut(x.repeat_interleave(2, 2).repeat_interleave(2, 3))
        assert torch.allclose(block(x, None), expected, atol=1e-6)


def test_r3gan_starts_as_fixup_does() -> None:
    """Blocks are identities, and two layers of a branch are scaled by L to the -1/4."""
    torch.manual_seed(0)
    generator = R3GANNets((64, 64), blocks=4, groups=4).generator(8, (3, 8, 8))
    blocks = [m for m in generator.modules() if isinstance(m, ResidualBlock)]
    assert len(blocks) == 8
    x = torch.randn(2, 64, 4, 4)
    assert all(torch.equal(block(x), x) for block in blocks)
    gain = math.sqrt(2 / 1.04) * 8**-0.25
    stds = torch.stack([block.spread.weight.std() for block in blocks])
    assert torch.allclose(stds.mean(), torch.tensor(gain / math.sqrt(9 * 128 / 4)), rtol=0.02)
    assert not any(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in generator.modules())


def test_r3gan_resamples_bilinearly() -> None:
    from lit_gen.nets.gan.r3gan_nets import Resampling

    x = torch.randn(2, 3, 6, 6)
    halved = nn.functional.interpolate(x, scale_factor=0.5, mode="bilinear")
    assert torch.allclose(Resampling(3, 3, 0.5)(x), halved, atol=1e-6)
    ramp = torch.arange(6.0).expand(1, 1, 6, 6)
    assert torch.allclose(Resampling(1, 1, 2.0)(ramp)[0, 0, 0, 1:-1].diff(), torch.full((9,), 0.5))


@pytest.mark.parametrize("size", [8, 16, 32, 64, 128, 256])
def test_all_sizes_come_from_lists_of_channels(size: int) -> None:
    """8 to 256: the maps start at 4x4."""
    doublings = int(math.log2(size // 4))
    shape = (3, size, size)
    families: list[AdversarialNets] = [
        SNGANNets([4] * (doublings + 1), [4] * (doublings + 1), halvings=doublings),
        R3GANNets([4] * (doublings + 1), groups=4),
    ]
    for nets in families:
        generator, discriminator = nets.generator(6, shape), nets.discriminator(shape)
        with torch.no_grad():
            x = generator(torch.randn(2, 6))
            assert x.shape == (2, *shape)
            assert discriminator(x).isfinite().all()


WRONG: dict[str, tuple[Any, str]] = {
    "odd size": (lambda: SNGANNets((8, 8, 8)).generator(4, (1, 10, 8)), "halves 10x8 images 2 times.*at most 1 time "),
    "too small": (lambda: R3GANNets((8, 8, 8, 8), groups=4).discriminator((1, 4, 4)), "at most 2 times"),
    "no image": (lambda: SNGANNets().generator(4, (16,)), "needs images"),
    "halvings": (lambda: SNGANNets(halvings=5), r"halvings=5 must be 0..4"),
    "no block": (lambda: SNGANNets(generator_channels=[8]), "generator_channels"),
    "negative": (lambda: R3GANNets(channels=[8, -8]), "must be at least 1"),
    "groups": (lambda: R3GANNets(channels=[10], groups=7), "groups=7 must divide 2 times"),
    "classes of a DCGAN": (lambda: DCGAN().generator(4, (1, 8, 8), 10), "DCGAN takes no classes"),
    "classes of an MLP": (lambda: MLPAdversarialNets().discriminator((4,), True, 10), "takes no classes"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_nets_cannot_make_is_one_line(wrong: str) -> None:
    build, words = WRONG[wrong]
    with pytest.raises(UserError, match=words):
        build()


def test_a_copy_of_a_spectral_net_is_its_own() -> None:
    """Batch norm's statistics are taken with a copy, whose vectors must not be those of the net."""
    net = SNGANNets((8, 8), (8,), halvings=1).discriminator((1, 4, 4))
    state = {name: t.clone() for name, t in net.state_dict().items()}
    copied: Tensor = copy.deepcopy(net)(torch.randn(2, 1, 4, 4))
    assert copied.isfinite().all()
    assert all(torch.equal(t, state[name]) for name, t in net.state_dict().items())

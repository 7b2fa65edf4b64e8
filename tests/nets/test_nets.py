"""Nets: sizes that fit, layers where they belong, and refusals that say what to do."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from lit_gen.errors import UserError
from lit_gen.nets import DCGAN, AdversarialNets, AutoencoderNets, ConvNets, MLPAdversarialNets, MLPNets
from lit_gen.nets.mlp import activation_module, mlp

SHAPES = [(1, 8, 8), (3, 28, 28), (1, 7, 5), (2, 9, 14), (1, 4, 4)]


def sizes(net: nn.Module) -> list[tuple[int, int]]:
    return [(m.in_features, m.out_features) for m in net.modules() if isinstance(m, nn.Linear)]


def kinds(net: nn.Module) -> list[str]:
    return [type(module).__name__ for module in net.modules() if not list(module.children())]


# ------------------------------------------------------------------ encoders and decoders


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("nets", [MLPNets(), ConvNets(channels=(4, 6)), ConvNets(channels=(4,), batch_norm=False)])
def test_encoder_and_decoder_fit_any_size(nets: AutoencoderNets, shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    encoder, decoder = nets.encoder(shape, 6).eval(), nets.decoder(3, shape, 5).eval()
    x, z = torch.randn(2, *shape), torch.randn(2, 3)
    assert encoder(x).shape == (2, 6)
    assert decoder(z).shape == (2, 5, *shape)
    # Every input is seen, and every output can be moved.
    x.requires_grad_()
    (encoder(x) * torch.randn(2, 6)).sum().backward()
    seen = x.grad.abs().amax(0)
    if isinstance(nets, MLPNets) or min(shape[1:]) % 4 == 0:
        assert (seen > 0).all()
    assert (decoder(z)[0] != decoder(z)[1]).float().mean() > 0.95


@pytest.mark.parametrize("nets", [MLPNets((7, 11)), ConvNets((4, 6), batch_norm=False)])
def test_each_map_and_channel_of_a_decoder_has_weights_of_its_own(nets: AutoencoderNets) -> None:
    torch.manual_seed(0)
    out = nets.decoder(3, (2, 4, 4), 5)(torch.randn(1, 3))[0].flatten(2).flatten(0, 1)
    assert len(out.unique(dim=0)) == 10


def test_mlp_nets_are_mirror_images() -> None:
    nets = MLPNets(hidden_sizes=(20, 10), activation="tanh")
    assert sizes(nets.encoder((1, 2, 3), 4)) == [(6, 20), (20, 10), (10, 4)]
    assert sizes(nets.decoder(2, (1, 2, 3), 5)) == [(2, 10), (10, 20), (20, 30)]


def test_dropout_is_in_the_encoder_alone_and_never_last() -> None:
    nets = MLPNets(hidden_sizes=(8, 8), dropout=0.5)
    encoder, decoder = kinds(nets.encoder((1, 2, 2), 3)), kinds(nets.decoder(2, (1, 2, 2), 2))
    assert encoder == ["Flatten", *["Linear", "ReLU", "Dropout"] * 2, "Linear"]
    assert "Dropout" not in decoder


def test_conv_nets_normalise_hidden_layers_alone() -> None:
    nets = ConvNets(channels=(4, 6))
    assert kinds(nets.encoder((1, 8, 8), 3)).count("BatchNorm2d") == 2
    decoder = nets.decoder(3, (1, 8, 8), 2)
    assert kinds(decoder)[-2:] == ["ConvTranspose2d", "_SplitMaps"]
    assert kinds(decoder).count("BatchNorm2d") == 1
    for net in (nets.encoder((1, 8, 8), 3), decoder):
        layers = [m for m in net.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
        norms = [m for m in net.modules() if isinstance(m, nn.BatchNorm2d)]
        # A bias before a batch norm would be a parameter without effect.
        assert [m.bias is None for m in layers] == [i < len(norms) for i in range(len(layers))]
    assert "BatchNorm2d" not in kinds(ConvNets((4, 6), batch_norm=False).encoder((1, 8, 8), 3))


def test_conv_nets_refuse_what_they_cannot_halve() -> None:
    with pytest.raises(UserError, match=r"halves 7x5 images 3 times.*at most 2 channels"):
        ConvNets(channels=(4, 4, 4)).encoder((1, 7, 5), 3)
    with pytest.raises(UserError, match=r"shape \(16,\); use MLPNets"):
        ConvNets().decoder(3, (16,), 1)
    assert ConvNets(channels=(4, 4)).encoder((1, 7, 5), 3)(torch.randn(2, 1, 7, 5)).shape == (2, 3)


# ------------------------------------------------------------------ players


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    "nets", [DCGAN(channels=4, num_blocks=2), DCGAN(channels=4, num_blocks=1), MLPAdversarialNets()]
)
def test_players_fit_any_size(nets: AdversarialNets, shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    x = nets.generator(5, shape)(3 * torch.randn(6, 5))
    assert x.shape == (6, *shape)
    assert x.abs().max() <= 1
    logits = nets.discriminator(shape)(x)
    assert logits.shape == (6,)
    # Not a probability: a logit is free to take either sign and any size.
    assert kinds(nets.discriminator(shape))[-1] == "Flatten"


def test_dcgan_doubles_channels_away_from_the_image() -> None:
    nets = DCGAN(channels=8, num_blocks=3)
    generator, discriminator = nets.generator(10, (3, 32, 32)), nets.discriminator((3, 32, 32))
    up = [(m.in_channels, m.out_channels) for m in generator.modules() if isinstance(m, nn.ConvTranspose2d)]
    down = [(m.in_channels, m.out_channels) for m in discriminator.modules() if isinstance(m, nn.Conv2d)]
    assert up == [(10, 32), (32, 16), (16, 8), (8, 3)]
    assert down == [(3, 8), (8, 16), (16, 32), (32, 1)]
    first = next(m for m in generator.modules() if isinstance(m, nn.ConvTranspose2d))
    assert first.kernel_size == (4, 4)


def test_dcgan_starts_as_its_paper_does() -> None:
    torch.manual_seed(0)
    nets = DCGAN(channels=32, num_blocks=2)
    for net in (nets.generator(64, (1, 16, 16)), nets.discriminator((1, 16, 16))):
        layers = [m for m in net.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
        weights = torch.cat([layer.weight.detach().flatten() for layer in layers])
        assert float(weights.mean()) == pytest.approx(0, abs=5 * 0.02 / math.sqrt(len(weights)))
        assert float(weights.std()) == pytest.approx(0.02, rel=0.03)
    gains = [m.weight for m in nets.generator(64, (1, 16, 16)).modules() if isinstance(m, nn.BatchNorm2d)]
    assert torch.cat(gains).detach().mean() == pytest.approx(1, abs=0.02)


def test_the_discriminator_judges_each_example_alone_unless_asked_otherwise() -> None:
    torch.manual_seed(0)
    x = torch.randn(6, 1, 8, 8)
    alone = DCGAN(channels=4, num_blocks=2).discriminator((1, 8, 8))
    assert torch.allclose(alone(x)[:2], alone(x[:2]), atol=1e-6)
    mixing = DCGAN(channels=4, num_blocks=2, discriminator_batch_norm=True).discriminator((1, 8, 8))
    assert kinds(mixing).count("BatchNorm2d") == 1
    assert not torch.allclose(mixing(x)[:2], mixing(x[:2]), atol=1e-6)


def test_dcgan_refuses_what_it_cannot_halve() -> None:
    with pytest.raises(UserError, match=r"num_blocks=2 times.*num_blocks of at most 1"):
        DCGAN(num_blocks=2).generator(8, (1, 2, 2))
    with pytest.raises(UserError, match=r"shape \(16,\); use MLPAdversarialNets"):
        DCGAN().discriminator((16,))


# ------------------------------------------------------------------ pieces


def test_mlp_has_no_nonlinearity_after_the_last_layer() -> None:
    assert kinds(mlp([4, 8, 8, 2], "gelu")) == ["Linear", "GELU", "Linear", "GELU", "Linear"]
    assert kinds(mlp([4, 2], dropout=0.1)) == ["Linear"]


def test_leaky_relu_has_dcgans_slope() -> None:
    assert activation_module("leaky_relu")(torch.tensor([-1.0, 2.0])).tolist() == pytest.approx([-0.2, 2.0])

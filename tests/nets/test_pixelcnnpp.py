"""PixelCNN++'s network: what sees what, how it starts, and the cache against the whole."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from families import conformance as laws
from torch import Tensor

from lit_gen.errors import UserError
from lit_gen.nets import PixelCNNppCache, PixelCNNppNet
from lit_gen.nets.autoregressive.shifted_conv import ShiftedConv, ShiftedDeconv, WeightNormalized, concat_elu


def built(num_scales: int, num_resnet: int = 1, num_classes: int = 0, C: int = 2, **options: float) -> PixelCNNppNet:
    torch.manual_seed(0)
    net = PixelCNNppNet(C, 3, 4, num_resnet, num_scales, num_classes, **options)  # type: ignore[arg-type]
    laws.stir(net)  # type: ignore[arg-type]
    return net.eval()


def images(*shape: int) -> Tensor:
    return 2 * torch.rand(shape, generator=torch.Generator().manual_seed(1)) - 1


# ------------------------------------------------------------------ layers


@pytest.mark.parametrize(
    ("kernel_size", "reach_right"), [((2, 3), True), ((1, 3), True), ((2, 2), False), ((2, 1), False), ((1, 1), False)]
)
@pytest.mark.parametrize("stride", [1, 2])
def test_a_shifted_convolution_is_a_masked_one(kernel_size: tuple[int, int], reach_right: bool, stride: int) -> None:
    """The kernel as part of a centred 3x3 one, of which nothing lies below, or on the right of its own row."""
    conv = ShiftedConv(2, 5, kernel_size, reach_right, stride)
    laws.stir(conv)  # type: ignore[arg-type]
    masked = torch.zeros(5, 2, 3, 3)
    height, width = kernel_size
    last = 3 if reach_right else 2
    masked[:, :, 2 - height : 2, last - width : last] = conv.weight()
    x = images(3, 2, 6, 4)
    expected = F.conv2d(x, masked, conv.bias, padding=1)[:, :, ::stride, ::stride]
    assert torch.allclose(conv(x), expected, atol=1e-6)


@pytest.mark.parametrize("reach_right", [True, False])
def test_a_deconvolution_is_the_transpose_of_one_with_stride(reach_right: bool) -> None:
    """``<deconv(x), y> = <x, correlate(y)>``: coarse (i, j) is spread over rows 2i, 2i+1 and its own columns."""
    deconv = ShiftedDeconv(2, 5, reach_right)
    laws.stir(deconv)  # type: ignore[arg-type]
    x, y = images(3, 2, 4, 3), images(3, 5, 8, 6)
    fine = deconv(x) - deconv.bias[:, None, None]
    left = 1 if reach_right else 0
    back = F.conv2d(F.pad(y, (left, 1 if reach_right else 0)), deconv.weight(), stride=2)
    assert fine.shape == y.shape
    assert torch.allclose((fine * y).sum((1, 2, 3)), (x * back[:, :, :4, :3]).sum((1, 2, 3)), rtol=1e-4, atol=1e-4)


def test_concat_elu_has_both_halves_and_their_gradients() -> None:
    x = images(2, 3, 4, 4).requires_grad_()
    out = concat_elu(x)
    assert torch.equal(out, torch.cat([F.elu(x), F.elu(-x)], 1))
    (out**2).sum().backward()
    y = x.detach().clone().requires_grad_()
    (F.elu(y) ** 2 + F.elu(-y) ** 2).sum().backward()
    assert torch.allclose(x.grad, y.grad, atol=1e-6)


def test_the_weights_have_the_length_that_g_says() -> None:
    for layer in built(2).layers():
        lengths = layer.weight().transpose(0, int(isinstance(layer, ShiftedDeconv))).flatten(1).norm(dim=1)
        assert torch.allclose(lengths, layer.g.flatten().abs(), rtol=1e-4)


# ------------------------------------------------------------------ what sees what


@pytest.mark.parametrize(
    ("num_scales", "num_resnet", "sides"),
    [(1, 2, (4, 4)), (2, 1, (4, 4)), (3, 2, (8, 8)), (1, 3, (3, 5)), (2, 2, (2, 6))],
)
def test_outputs_see_all_pixels_before_theirs_and_no_other(
    num_scales: int, num_resnet: int, sides: tuple[int, int]
) -> None:
    """With as many blocks as it takes to reach across these widths, along rows 1, 3, ... on one resolution alone."""
    net, num_pixels = built(num_scales, num_resnet).double(), sides[0] * sides[1]
    x = images(2, 2, *sides).double()
    rows = torch.autograd.functional.jacobian(lambda x: net(x).sum((0, 1)), x)  # [H, W, B, 2, H, W]
    seen = (rows.abs().amax(2) > 0).flatten(3).flatten(0, 1).transpose(0, 1)  # [channels, pixels, pixels]
    before = torch.ones(num_pixels, num_pixels).tril(-1).bool()
    assert not (seen & ~before).any(), "a pixel sees itself, or one that comes after it"
    assert seen[:, before].all(), "a pixel does not see all that come before it"


def test_the_border_is_not_taken_for_black() -> None:
    """A zero inside and the zeros of the padding differ by the channel of ones."""
    net = built(1, C=1)
    x = torch.zeros(1, 1, 4, 4)
    assert not torch.allclose(net(x)[..., 1, 1], net(x)[..., 2, 2], atol=1e-4)


# ------------------------------------------------------------------ the cache


@pytest.mark.parametrize("num_classes", [0, 3])
@pytest.mark.parametrize(
    ("num_scales", "num_resnet", "sides"),
    [(1, 1, (3, 5)), (1, 2, (8, 8)), (2, 2, (8, 8)), (3, 1, (8, 8)), (3, 2, (4, 12)), (3, 1, (4, 4))],
)
def test_the_cache_says_what_the_net_says(
    num_scales: int, num_resnet: int, sides: tuple[int, int], num_classes: int
) -> None:
    net = built(num_scales, num_resnet, num_classes)
    x, (H, W) = images(3, 2, *sides), sides
    label = torch.tensor([2, 0, 1]) if num_classes else None
    with torch.no_grad():
        expected = net(x, label).flatten(2)
    cache = PixelCNNppCache(net, 3, H, W, label)
    pixels = x.flatten(2)
    for i in range(H * W):
        found = cache.next(pixels[:, :, i - 1] if i else None)
        assert torch.allclose(found, expected[:, :, i], atol=1e-5), f"pixel {i}"


# ------------------------------------------------------------------ the start, and training


def preactivations(net: PixelCNNppNet, x: Tensor) -> dict[WeightNormalized, Tensor]:
    found: dict[WeightNormalized, Tensor] = {}
    hooks = [
        layer.register_forward_hook(lambda layer, _, out: found.update({layer: out.transpose(0, 1).flatten(1)}))
        for layer in net.layers()
    ]
    with torch.no_grad():
        net(x)
    for hook in hooks:
        hook.remove()
    return found


def test_a_pending_net_starts_every_layer_at_its_scale_and_once() -> None:
    net, x = PixelCNNppNet(2, 3, 4, 1, 2).eval(), images(50, 2, 4, 4)
    for layer in net.layers():
        layer.pending = True
    with torch.no_grad():
        first = net(x)
    assert all(bool(layer.initialized) and not layer.pending for layer in net.layers())
    found = preactivations(net, x)
    assert set(found) == set(net.layers())
    assert {layer.init_scale for layer in found} == {0.1, 1.0}
    for layer, rows in found.items():
        assert rows.mean(1).abs().max() < 1e-4
        assert (rows.std(1, correction=0) / layer.init_scale - 1).abs().max() < 1e-3
    with torch.no_grad():
        assert torch.equal(net(x), first), "the starting pass itself goes through started layers"
        net(x + 3.0)
    assert torch.equal(preactivations(net, x)[net.head], found[net.head]), "another batch starts nothing again"


def test_a_channel_that_never_changes_keeps_its_length() -> None:
    conv = ShiftedConv(1, 3, (1, 1), False)
    conv.pending = True
    assert conv(torch.full((4, 1, 2, 2), 0.5)).abs().max() < 1e-6, "its mean is taken off"
    assert torch.allclose(conv.g.flatten(), torch.ones(3))


def test_dropout_is_for_training_and_lets_gradients_through() -> None:
    net, x = built(2, dropout=0.5), images(4, 2, 4, 4)
    assert torch.equal(net(x), net(x))
    net.train()
    assert not torch.allclose(net(x), net(x), atol=1e-3)
    net(x).square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())


# ------------------------------------------------------------------ refusals


def test_sides_that_cannot_be_halved_are_refused() -> None:
    with torch.no_grad():
        assert built(3, C=1)(torch.zeros(1, 1, 28, 28)).shape == (1, 3, 28, 28)
    with pytest.raises(UserError, match=r"num_scales=4 .*28x28.* set it to 3 or less"):
        built(4, C=1)(torch.zeros(1, 1, 28, 28))
    with pytest.raises(UserError, match=r"num_scales=2 .*4x7.* set it to 1 or less"):
        built(2, C=1)(torch.zeros(1, 1, 4, 7))


@pytest.mark.parametrize("wrong", [(0, 1, 1, 0.0), (4, 0, 1, 0.0), (4, 1, 0, 0.0), (4, 1, 1, 1.0), (4, 1, 1, -0.1)])
def test_numbers_that_leave_no_net_are_refused(wrong: tuple[int, int, int, float]) -> None:
    with pytest.raises(UserError, match=r"1 or more and dropout in \[0, 1\)"):
        PixelCNNppNet(1, 3, *wrong[:3], dropout=wrong[3])

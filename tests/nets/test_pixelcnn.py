"""Masked convolutions against the paper's square masks, and what the nets of the PixelCNNs see."""

from __future__ import annotations

from itertools import product

import pytest
import torch
import torch.nn.functional as F
from families import conformance as laws
from torch import Tensor, nn

from lit_gen.errors import UserError
from lit_gen.nets import GatedPixelCNNNet, PixelCNNNet
from lit_gen.nets.autoregressive.masked_conv import LevelLogits, MaskedConv2d, channel_groups, level_groups
from lit_gen.nets.autoregressive.pixelcnn_net import MaskedBlock
from lit_gen.nets.gates import tanh_gate

Taps = set[tuple[int, int]]
OWN = (0, 0)


def square_mask(groups_in: Tensor, groups_out: Tensor, size: int, first: bool) -> Tensor:
    """The mask of figure 4 of arXiv:1601.06759, written out weight by weight."""
    mask = torch.zeros(len(groups_out), len(groups_in), size, size)
    middle = size // 2
    for o, i, row, column in product(*(range(n) for n in mask.shape)):
        own = (groups_in[i] < groups_out[o]) if first else (groups_in[i] <= groups_out[o])
        before = row < middle or (row == middle and column < middle)
        mask[o, i, row, column] = float(before or (row == column == middle and own))
    return mask


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize(("num_channels", "size"), [(1, 7), (3, 3), (2, 5)])
def test_a_masked_convolution_is_the_papers_without_its_zeros(num_channels: int, size: int, first: bool) -> None:
    torch.manual_seed(0)
    groups_in, groups_out = channel_groups(7, num_channels), channel_groups(5, num_channels)
    conv = MaskedConv2d(groups_in, groups_out, above=size // 2, beside=size // 2, first=first)
    laws.stir(conv)  # type: ignore[arg-type]
    x = torch.randn(2, 7, 6, 4)
    mask = square_mask(groups_in, groups_out, size, first)
    square = F.pad(conv.weight.detach(), (0, 0, 0, size // 2)).requires_grad_()
    expected = F.conv2d(x, square * mask, conv.bias, padding=size // 2)
    assert torch.allclose(conv(x), expected, atol=1e-5)
    assert torch.allclose(conv.taller(x)[:, :, :6], expected, atol=1e-5)
    conv(x).square().sum().backward()
    expected.square().sum().backward()
    assert torch.allclose(conv.weight.grad, square.grad[:, :, : size // 2 + 1], rtol=1e-4, atol=1e-3)


def test_the_small_net_for_mnist_has_as_many_live_weights_as_the_paper_s() -> None:
    net = PixelCNNNet(1, 2, channels=16, num_blocks=15, head_channels=32)
    live = sum(int(m.mask.sum()) + len(m.bias) for m in net.modules() if isinstance(m, MaskedConv2d))
    blanked = 15 * 16 * 16 * 4 + 32 * 25  # of 9 taps 4, of 49 taps 25
    assert live == 53_569 - blanked


def test_level_0_is_fixed_and_channels_keep_their_groups() -> None:
    torch.manual_seed(0)
    layer = LevelLogits(channel_groups(6, 3), 3, 4)
    x = torch.randn(2, 6, 3, 2)
    logits = layer(x)
    assert logits.shape == (2, 3, 2, 3, 4)
    assert torch.equal(logits[..., 0], torch.zeros(2, 3, 2, 3))
    for channel in range(3):
        seen = torch.autograd.grad(layer(x.requires_grad_())[:, :, :, channel, 1:].sum(), x)[0].abs().amax((0, 2, 3))
        assert (seen > 0).tolist() == [True] * (2 * channel + 2) + [False] * (4 - 2 * channel)
    weight, bias = layer.conv.masked_weight().flatten(1), layer.conv.bias
    expected = F.linear(x.permute(0, 2, 3, 1), weight, bias).unflatten(3, (3, 3))
    assert torch.allclose(logits[..., 1:], expected, atol=1e-6)


def test_a_block_and_its_gradients_are_those_of_plain_layers() -> None:
    torch.manual_seed(0)
    block = MaskedBlock(channel_groups(8, 2), channel_groups(4, 2)).double()
    x = torch.randn(2, 8, 5, 3, dtype=torch.float64, requires_grad=True)
    inside = F.relu(block.conv(F.relu(block.into(F.relu(x)))))
    assert torch.allclose(block(x), x + block.out(inside))
    assert torch.autograd.gradcheck(block, x)
    given = list(block.parameters())
    found, known = (torch.autograd.grad(y.square().sum(), given) for y in (block(x), x + block.out(inside)))
    for one, other in zip(found, known, strict=True):
        assert torch.allclose(one, other)


# ------------------------------------------------------------------ what sees what


def sees(net: nn.Module, shape: tuple[int, int, int]) -> Tensor:
    """``[C, H, W, C, H, W]``: whether the first one's logits depend on the second one's value; exact, in float64."""
    laws.stir(net, scale=0.3)  # type: ignore[arg-type]
    net.double()
    x = torch.rand(6, *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    out = torch.autograd.functional.jacobian(lambda x: net(x).sum(0)[..., 1:].sum(-1), x)
    return out.abs().amax(3).permute(2, 0, 1, 3, 4, 5) > 0  # type: ignore[no-any-return]


def expected(shape: tuple[int, int, int], taps: Taps) -> Tensor:
    """The same from what a pixel sees of the pixels around it, ``(rows above, columns to the right)``."""
    C, H, W = shape
    out = torch.zeros(C, H, W, C, H, W, dtype=torch.bool)
    for i, j, (above, right) in product(range(H), range(W), taps):
        if i - above >= 0 and 0 <= j + right < W:
            out[:, i, j, :, i - above, j + right] = True
    for i, j, c in product(range(H), range(W), range(C)):
        out[c, i, j, :c, i, j] = True
    return out


def before(reach: int) -> Taps:
    """What a square kernel with mask A sees."""
    return {(a, r) for a in range(reach + 1) for r in range(-reach, reach + 1) if a or r < 0}


def after(taps: Taps, more: Taps) -> Taps:
    """What is seen through a second layer."""
    return {(a + b, r + s) for (a, r), (b, s) in product(taps, more)}


@pytest.mark.parametrize(("shape", "size", "num_blocks"), [((1, 6, 9), 3, 2), ((2, 4, 5), 5, 1), ((3, 3, 4), 3, 1)])
def test_pixelcnn_sees_its_triangle_and_nothing_else(shape: tuple[int, int, int], size: int, num_blocks: int) -> None:
    torch.manual_seed(0)
    net = PixelCNNNet(shape[0], 3, channels=12, num_blocks=num_blocks, head_channels=12, kernel_size=size)
    taps = before(size // 2)
    for _ in range(num_blocks):
        taps = after(taps, before(1) | {OWN})
    if size == 3:
        assert (1, 3) not in taps, "the blind spot of the paper"
    assert torch.equal(sees(net, shape), expected(shape, taps))


GATED = [
    ((1, 7, 9), 3, 3, (1, 1)),
    ((1, 6, 11), 3, 3, (1, 2)),
    ((1, 9, 8), 7, 3, (3,)),
    ((1, 5, 9), 3, 5, (1,)),
    ((2, 3, 5), 3, 3, (1,)),
    ((3, 3, 4), 3, 3, (1,)),
    ((1, 1, 5), 3, 3, (1,)),
    ((1, 5, 1), 3, 3, (1, 1)),
]


@pytest.mark.parametrize(("shape", "first", "size", "dilations"), GATED)
def test_gated_pixelcnn_sees_all_within_its_reach(
    shape: tuple[int, int, int], first: int, size: int, dilations: tuple[int, ...]
) -> None:
    """A rectangle above and a line to the left, every pixel of it: no blind spot, and no hole by these dilations."""
    torch.manual_seed(0)
    net = GatedPixelCNNNet(shape[0], 3, 12, dilations, 12, kernel_size=size, first_kernel_size=first)
    reach = first // 2 + sum(dilations) * (size // 2)
    assert torch.equal(sees(net, shape), expected(shape, before(reach)))


@pytest.mark.parametrize("num_channels", [1, 3])
def test_learned_features_of_a_level_are_seen_where_the_level_is(num_channels: int) -> None:
    torch.manual_seed(0)
    plain = {"channels": 24, "head_channels": 24, "level_features": 2}  # with 12 some units are dead
    nets = (
        (PixelCNNNet(num_channels, 3, num_blocks=1, kernel_size=3, **plain), after(before(1), before(1) | {OWN})),
        (GatedPixelCNNNet(num_channels, 3, dilations=(1,), first_kernel_size=3, **plain), before(2)),
    )
    for net, taps in nets:
        seen, known = sees(net, (3 * num_channels, 3, 4)), expected((num_channels, 3, 4), taps)
        for feature, channel in enumerate(level_groups(num_channels, 2).tolist()):
            assert torch.equal(seen[:, :, :, feature], known[:, :, :, channel])


# ------------------------------------------------------------------ refusals


@pytest.mark.parametrize(
    ("message", "settings"),
    [
        ("kernel_size must be odd and at least 3, not 4", {"kernel_size": 4}),
        ("2 channels cannot be divided among 3 colour channels", {"channels": 2}),
        ("num_blocks=-1 must be at least 0", {"num_blocks": -1}),
        ("level_features=-1 must be at least 0", {"level_features": -1}),
    ],
)
def test_sizes_that_cannot_be_are_refused(message: str, settings: dict[str, int]) -> None:
    with pytest.raises(UserError, match=message):
        PixelCNNNet(3, 2, **({"channels": 6, "num_blocks": 1, "head_channels": 6} | settings))


def test_rows_far_above_are_heard_through_many_layers_before_training() -> None:
    """The vertical stack has gates and no short cut: as torch starts convolutions, each layer would pass a third."""
    torch.manual_seed(0)
    net = GatedPixelCNNNet(1, 4, 32, [1] * 8, 32)
    x = torch.rand(4, 1, 12, 12)
    v = net.vertical(x)
    heard = [v.std((0, 2, 3)).mean()]
    for layer in net.layers:
        v = tanh_gate(layer.vertical(v), 1)
        heard.append(v.std((0, 2, 3)).mean())
    assert heard[-1] > 0.05 * heard[0]


@pytest.mark.parametrize(
    ("message", "settings"),
    [
        ("first_kernel_size must be odd", {"first_kernel_size": 1}),
        ("dilations must name at least one layer", {"dilations": ()}),
        (r"each at least 1, not \[1, 0\]", {"dilations": (1, 0)}),
        ("level_features=-1 must be at least 0", {"level_features": -1}),
    ],
)
def test_gated_sizes_that_cannot_be_are_refused(message: str, settings: dict[str, object]) -> None:
    with pytest.raises(UserError, match=message):
        GatedPixelCNNNet(1, 2, **({"channels": 6, "dilations": (1,), "head_channels": 6} | settings))  # type: ignore[arg-type]

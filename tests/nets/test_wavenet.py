"""WaveNet's network: its receptive field, the paper's convolutions, and queues past their ends."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from families import conformance as laws
from torch import Tensor

from lit_gen.errors import UserError
from lit_gen.nets import DilatedConvNet, WaveNetQueues

L = 5
# Blocks, layers in a block, classes, length: rings that turn many times, once, and never.
KINDS = [(1, 1, 0, 9), (2, 3, 0, 40), (2, 3, 4, 40), (1, 4, 0, 18), (3, 2, 2, 3), (1, 5, 0, 7), (1, 1, 0, 1)]


def built(num_blocks: int, layers_per_block: int, num_classes: int = 0) -> DilatedConvNet:
    torch.manual_seed(0)
    net = DilatedConvNet(L, num_blocks, layers_per_block, 6, 7, num_classes)
    laws.stir(net, scale=0.3)  # type: ignore[arg-type]
    return net


def symbols(length: int, n: int = 6) -> Tensor:
    return torch.randint(0, L, (n, length), generator=torch.Generator().manual_seed(1))


def labels(num_classes: int, n: int = 6) -> Tensor | None:
    return torch.arange(n) % num_classes if num_classes else None


@pytest.mark.parametrize(("num_blocks", "layers_per_block"), [(1, 1), (1, 3), (2, 3), (3, 2)])
def test_a_position_sees_its_receptive_field_whole_and_nothing_else(num_blocks: int, layers_per_block: int) -> None:
    """In float64, where a dependency through all layers is small, but not zero."""
    net = built(num_blocks, layers_per_block).double()
    field = 2 + num_blocks * (2**layers_per_block - 1)
    assert net.receptive_field == field
    T = field + 6
    x = symbols(T, 30)
    with torch.no_grad():
        before = net(x)
        for i in range(T):
            other = x.clone()
            other[:, i] = (other[:, i] + 1) % L
            changed = (net(other) - before).abs().amax((0, 2)) > 0
            assert changed.nonzero().flatten().tolist() == list(range(i + 1, min(i + 1 + field, T)))


@pytest.mark.parametrize("num_classes", [0, 4])
def test_it_is_the_papers_figure_4(num_classes: int) -> None:
    """One-hot input, convolutions with two taps, each layer's own skip connection, all written out."""
    net, x, label = built(2, 3, num_classes), symbols(20), labels(num_classes)
    one_hot = F.pad(F.one_hot(x, L).float().transpose(1, 2), (2, 0))[:, :, :-1]  # the last symbol is not read
    taps = torch.stack([net.symbol_before.weight.T, net.last_symbol.weight.T], 2)
    h = F.conv1d(one_hot, taps)
    total = net.skip.bias[:, None]
    for i, layer in enumerate(net.layers):
        kernel = torch.stack([layer.past.weight, layer.now.weight], 2)
        d = (1, 2, 4)[i % 3]
        both = F.conv1d(F.pad(h, (d, 0)), kernel, layer.now.bias, dilation=d)
        if label is not None:
            both = both + net.classes(label).view(len(x), 6, 12)[:, i, :, None]
        z = torch.tanh(both[:, :6]) * torch.sigmoid(both[:, 6:])
        total = total + F.conv1d(z, net.skip.weight[:, 6 * i : 6 * i + 6, None])
        if i < 5:
            h = h + F.conv1d(z, net.carries[i].weight[:, :, None])
    head = F.conv1d(F.relu(total), net.hidden.weight[:, :, None], net.hidden.bias)
    expected = F.conv1d(F.relu(head), net.out.weight[:, :, None], net.out.bias)
    assert torch.allclose(net(x, label), expected.transpose(1, 2), atol=1e-4)


@pytest.mark.parametrize(("num_blocks", "layers_per_block", "num_classes", "length"), KINDS)
def test_queues_are_the_whole_pass(num_blocks: int, layers_per_block: int, num_classes: int, length: int) -> None:
    net, x, label = built(num_blocks, layers_per_block, num_classes), symbols(length), labels(num_classes)
    whole, queues = net(x, label), WaveNetQueues(net, len(x), length, label)
    assert whole.shape == (6, length, L)
    for i in range(length):
        assert torch.allclose(queues.next(x[:, i - 1] if i else None), whole[:, i], atol=1e-5), i
    with pytest.raises(UserError, match=f"{length} positions"):
        queues.next(x[:, -1])


def test_queues_hold_no_more_than_is_read_again() -> None:
    assert len(WaveNetQueues(built(2, 3), 1, 100).rings) == 14
    assert len(WaveNetQueues(built(2, 3), 1, 3).rings) == 2 * (1 + 2 + 3)


def test_the_class_is_heard_in_every_layer() -> None:
    net, x = built(2, 2, 3), symbols(12)
    net(x, labels(3)).square().sum().backward()
    assert net.classes.weight.grad.view(3, 4, 12).abs().amax(2).gt(0).all()
    with pytest.raises(ValueError, match="no label"):
        net(x)


def test_sizes_that_cannot_be_are_refused() -> None:
    with pytest.raises(UserError, match="layers_per_block=0"):
        DilatedConvNet(L, 1, 0, 4, 4)

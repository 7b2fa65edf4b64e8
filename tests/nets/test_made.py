"""MADE: what sees what, and the shortcuts against the long way."""

from __future__ import annotations

import pytest
import torch
from families import conformance as laws
from torch import Tensor

from lit_gen.errors import UserError
from lit_gen.nets import IncrementalAutoencoder, MaskedAutoencoder
from lit_gen.nets.incremental_autoencoder import fill_in_order

# Dimensions, numbers for each, hidden widths: also far fewer than dimensions, and not to be divided by anything.
SIZES = [
    (2, 1, (1,)),
    (3, 2, (7,)),
    (6, 2, (16, 11)),
    (9, 3, (4, 5)),
    (9, 1, (1, 1)),
    (5, 3, (8, 13, 6)),
    (17, 2, (3,)),
    (5, 2, ()),
]


def built(D: int, num_parameters: int, hidden: tuple[int, ...]) -> MaskedAutoencoder:
    torch.manual_seed(0)
    made = MaskedAutoencoder(D, num_parameters, hidden, activation="tanh")
    laws.stir(made, scale=0.5)  # type: ignore[arg-type]
    return made


def sees(made: MaskedAutoencoder) -> Tensor:
    """``[num_parameters, D, D]``: whether output (k, i) depends on input j."""
    x = torch.randn(20, made.num_dims, generator=torch.Generator().manual_seed(1))
    rows = torch.autograd.functional.jacobian(lambda x: made(x).sum(0), x)
    return rows.abs().amax(2) > 0


@pytest.mark.parametrize(("D", "num_parameters", "hidden"), SIZES)
def test_outputs_see_what_stands_before_them(D: int, num_parameters: int, hidden: tuple[int, ...]) -> None:
    seen = sees(built(D, num_parameters, hidden))
    allowed = torch.ones(D, D).tril(-1).bool()
    assert not (seen & ~allowed).any()
    if min(hidden, default=D) >= D - 1:
        assert torch.equal(seen, allowed.expand_as(seen)), "all of it"
    else:
        assert seen[:, 1:].any(2).all(), "some of it"


@pytest.mark.parametrize(("D", "num_parameters", "hidden"), SIZES)
def test_blocks_are_the_masked_product(D: int, num_parameters: int, hidden: tuple[int, ...]) -> None:
    made = built(D, num_parameters, hidden)
    x = torch.randn(11, D, generator=torch.Generator().manual_seed(1))
    h = x
    for layer in made.layers[:-1]:
        h = torch.tanh(h @ (layer.weight * layer.mask).T + layer.bias)
    last = made.layers[-1]
    expected = (h @ (last.weight * last.mask).T + last.bias).reshape(11, D, num_parameters).transpose(1, 2)
    assert torch.allclose(made(x), expected, atol=1e-5)
    # Gradients too, and none for a weight behind the mask.
    made(x).square().sum().backward()
    found = [layer.weight.grad.clone() for layer in made.layers]
    made.zero_grad()
    expected.square().sum().backward()
    for layer, gradient in zip(made.layers, found, strict=True):
        assert torch.allclose(gradient, layer.weight.grad, rtol=1e-4, atol=1e-4)
        assert torch.equal(gradient * (1 - layer.mask), torch.zeros_like(gradient))


@pytest.mark.parametrize(("D", "num_parameters", "hidden"), SIZES)
def test_every_hidden_unit_is_used(D: int, num_parameters: int, hidden: tuple[int, ...]) -> None:
    """It sees an input, and an output sees it; degrees of 0 and of D-2 are among a wide layer's."""
    masks = [layer.mask for layer in built(D, num_parameters, hidden).layers]
    for i in range(len(hidden)):
        into, out = masks[0], masks[i + 1]
        for mask in masks[1 : i + 1]:
            into = mask @ into
        for mask in masks[i + 2 :]:
            out = mask @ out
        assert into.any(1).all()
        assert out.any(0).all()
        if hidden[i] >= D - 1 and min(hidden[: i + 1]) >= D - 1:
            assert set((into > 0).sum(1).tolist()) == set(range(1, D)), "every degree"


@pytest.mark.parametrize(("D", "num_parameters", "hidden"), SIZES)
def test_in_order_is_one_pass_for_each_dimension(D: int, num_parameters: int, hidden: tuple[int, ...]) -> None:
    made = built(D, num_parameters, hidden)
    eps = torch.randn(D, 13, generator=torch.Generator().manual_seed(2))
    asked: list[Tensor] = []

    def value(i: int, parameters: Tensor) -> Tensor:
        asked.append(parameters.clone())
        return torch.sin(parameters.sum(0) + eps[i])

    x = fill_in_order(made, 13, value)
    assert x.shape == (13, D)
    assert x.is_contiguous()
    naive = torch.zeros(13, D)
    with torch.no_grad():
        for i in range(D):
            parameters = made(naive)[:, :, i].T
            assert torch.allclose(asked[i], parameters, atol=1e-5)
            naive[:, i] = torch.sin(parameters.sum(0) + eps[i])
    assert torch.allclose(x, naive, atol=1e-5)


def test_it_starts_at_zero_and_learns_from_there() -> None:
    made = MaskedAutoencoder(4, 2, (6,))
    x = torch.randn(5, 4)
    assert torch.equal(made(x), torch.zeros(5, 2, 4))
    made(x).sum().backward()
    assert made.layers[-1].weight.grad.abs().sum() > 0


def test_weights_behind_the_mask_do_nothing() -> None:
    made = built(6, 2, (8, 8))
    x = torch.randn(5, 6)
    before = made(x)
    for layer in made.layers:
        layer.weight.data += 9.0 * (1 - layer.mask)
    assert torch.equal(made(x), before)


@pytest.mark.parametrize(("D", "num_parameters", "hidden"), SIZES)
def test_in_another_order_outputs_see_what_stands_before_them_there(
    D: int, num_parameters: int, hidden: tuple[int, ...]
) -> None:
    made, order = built(D, num_parameters, hidden), torch.randperm(D, generator=torch.Generator().manual_seed(3))
    rows = torch.autograd.functional.jacobian(lambda x: made(x, order).sum(0), torch.randn(20, D))
    seen = (rows.abs().amax(2) > 0)[:, order][:, :, order]
    allowed = torch.ones(D, D).tril(-1).bool()
    assert not (seen & ~allowed).any()
    assert seen[:, -1].any(), "the last sees something"
    if min(hidden, default=D) >= D - 1:
        assert torch.equal(seen, allowed.expand_as(seen)), "all of it"


@pytest.mark.parametrize(("D", "num_parameters", "hidden"), SIZES)
def test_one_by_one_in_another_order_is_the_whole_pass(D: int, num_parameters: int, hidden: tuple[int, ...]) -> None:
    made, order = built(D, num_parameters, hidden), torch.randperm(D, generator=torch.Generator().manual_seed(3))
    x = torch.randn(7, D)
    whole, incremental = made(x, order), IncrementalAutoencoder(made, 7, order)
    for i in order.tolist():
        assert torch.allclose(incremental.parameters(), whole[:, :, i].T, atol=1e-5)
        incremental.update(x[:, i])


@pytest.mark.parametrize(("D", "hidden"), [(1, (4,)), (3, (0,))])
def test_sizes_that_cannot_be_are_refused(D: int, hidden: tuple[int, ...]) -> None:
    with pytest.raises(UserError, match="at least 2 dimensions and hidden layers of 1 or more"):
        MaskedAutoencoder(D, 1, hidden)

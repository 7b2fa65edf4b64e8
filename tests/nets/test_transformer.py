"""The causal transformer: what sees what, positions, and keys and values that are kept."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from families import conformance as laws
from torch import Tensor

from lit_gen.errors import UserError
from lit_gen.nets import CausalTransformer, KeyValueCache, Positions
from lit_gen.nets.autoregressive.causal_transformer import Rotary, rotate

L, T = 5, 11
KINDS: list[tuple[Positions, int]] = [("learned", 0), ("learned", 3), ("rotary", 0), ("rotary", 3)]


def built(positions: Positions, num_classes: int = 0, num_blocks: int = 2) -> CausalTransformer:
    torch.manual_seed(0)
    net = CausalTransformer(L, T, 12, num_blocks, 3, positions, num_classes=num_classes)
    laws.stir(net, scale=0.3)  # type: ignore[arg-type]
    return net.eval()


def symbols(n: int = 7) -> Tensor:
    return torch.randint(0, L, (n, T), generator=torch.Generator().manual_seed(1))


def labels(num_classes: int, n: int = 7) -> Tensor | None:
    return torch.arange(n) % num_classes if num_classes else None


@pytest.mark.parametrize(("positions", "num_classes"), KINDS)
def test_a_position_sees_all_before_it_and_nothing_else(positions: Positions, num_classes: int) -> None:
    """By the gradient of every output in every embedded symbol, in float64."""
    net, x = built(positions, num_classes).double(), symbols()
    embedded = F.embedding(x, net.symbols.weight).detach()

    def outputs(e: Tensor) -> Tensor:
        net.symbols.forward = lambda index: e[:, : index.shape[1]]  # type: ignore[method-assign]
        return net(x, labels(num_classes)).square().sum((0, 2))

    seen = torch.autograd.functional.jacobian(outputs, embedded, vectorize=False).abs().amax((1, 3)) > 0
    assert torch.equal(seen, torch.ones(T, T).tril(-1).bool())


@pytest.mark.parametrize(("positions", "num_classes"), KINDS)
def test_kept_keys_and_values_are_the_whole_pass(positions: Positions, num_classes: int) -> None:
    net, x, label = built(positions, num_classes), symbols(), labels(num_classes)
    whole, cache = net(x, label), KeyValueCache(net, len(x), label)
    for i in range(T):
        assert torch.allclose(cache.next(x[:, i - 1] if i else None), whole[:, i], atol=1e-5), i
    with pytest.raises(UserError, match="11 positions"):
        cache.next(x[:, -1])


def test_a_shorter_sequence_is_the_beginning_of_a_longer() -> None:
    for positions in ("learned", "rotary"):
        net, x = built(positions), symbols()
        assert torch.allclose(net(x[:, :4]), net(x)[:, :4], atol=1e-5)


def test_a_block_is_written_out() -> None:
    """Vaswani et al.'s equation 1 in each head, before it a norm, after it a perceptron."""
    net = built("learned", num_blocks=1)
    block, h = net.blocks[0], torch.randn(2, T, 12, generator=torch.Generator().manual_seed(2))
    q, k, v = (block.norm_attention(h) @ w.T for w in block.qkv.weight.chunk(3))
    heads = []
    for a in range(0, 12, 4):
        scores = q[..., a : a + 4] @ k[..., a : a + 4].transpose(1, 2) / math.sqrt(4)
        weights = scores.masked_fill(torch.ones(T, T).triu(1).bool(), -math.inf).softmax(2)
        heads.append(weights @ v[..., a : a + 4])
    middle = h + torch.cat(heads, 2) @ block.out.weight.T
    more = F.gelu(block.norm_mlp(middle) @ block.expand.weight.T) @ block.contract.weight.T
    assert torch.allclose(block(h), middle + more, atol=1e-5)


def test_turned_queries_and_keys_know_their_distance_alone() -> None:
    q, k = torch.randn(2, 8, generator=torch.Generator().manual_seed(0))
    turns = Rotary(40, 8).turns(0, 40)
    scores = rotate(q.expand(40, 8), turns) @ rotate(k.expand(40, 8), turns).T
    for distance in (-5, 0, 1, 17):
        along = scores.diagonal(distance)
        assert torch.allclose(along, along[0].expand_as(along), atol=1e-5)
    assert torch.allclose(scores.diagonal(), q @ k, atol=1e-5)
    assert scores.diagonal(1)[0] - scores.diagonal(2)[0] != pytest.approx(0, abs=1e-3)
    # RoFormer's equation 34: neighbours are a pair, the first turns by one radian a position.
    first = rotate(torch.eye(8)[0].expand(3, 8), turns[:3])
    assert torch.allclose(first[:, 0], torch.tensor([0.0, 1.0, 2.0]).cos())
    assert torch.allclose(first[:, 1], torch.tensor([0.0, 1.0, 2.0]).sin())
    third = rotate(torch.eye(8)[4].expand(3, 8), turns[:3])
    assert torch.allclose(third[:, 4], torch.tensor([0.0, 0.01, 0.02]).cos())


def test_rotary_attention_is_the_same_wherever_it_stands() -> None:
    """Without a start, moved symbols give moved outputs; learned positions do not."""
    h = torch.randn(1, 4, 12, generator=torch.Generator().manual_seed(0))
    net = built("rotary")
    at_start = net.blocks[0](h, net.rotary.turns(0, 4))
    assert torch.allclose(net.blocks[0](h, net.rotary.turns(5, 9)), at_start, atol=1e-5)
    assert not torch.allclose(net.blocks[0](h, net.rotary.turns(0, 8)[::2]), at_start, atol=1e-3)


def test_it_starts_as_gpt_2_does_near_the_uniform_distribution() -> None:
    torch.manual_seed(0)
    net = CausalTransformer(257, 64, 128, 8, 4)
    for name, parameter in net.named_parameters():
        if parameter.ndim == 1:
            assert parameter.eq(1).all(), name
        else:
            expected = 0.02 / math.sqrt(16) if name.endswith(("out.weight", "contract.weight")) else 0.02
            assert parameter.std().item() == pytest.approx(expected, rel=0.15), name
    x = torch.randint(0, 257, (8, 64))
    cost = F.cross_entropy(net(x).flatten(0, 1), x.flatten())
    assert cost.item() == pytest.approx(math.log(257), abs=0.06)


def test_dropout_acts_in_training_alone() -> None:
    net, x = CausalTransformer(L, T, 12, 1, 3, dropout=0.5), symbols()
    assert not torch.equal(net(x), net(x))
    net.eval()
    assert torch.equal(net(x), net(x))


def test_sizes_that_cannot_be_are_refused() -> None:
    with pytest.raises(UserError, match="multiple of num_heads 3"):
        CausalTransformer(L, T, 16, 1, 3)
    with pytest.raises(UserError, match="even width, not 5"):
        CausalTransformer(L, T, 15, 1, 3, "rotary")
    with pytest.raises(UserError, match="positive"):
        CausalTransformer(L, T, 16, 0, 4)
    with pytest.raises(ValueError, match="no label"):
        built("learned", 3)(symbols())

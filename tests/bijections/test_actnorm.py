"""Activation normalization starts from one batch of data: once, from all of it, and only when asked."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, distributed, multiprocessing

from lit_gen.bijections import Chain, Flatten, Normalize
from lit_gen.nets import ActNorm


def data(rows: int = 40, seed: int = 0) -> Tensor:
    """Three channels with means and widths of their own; the last one hardly fits float32."""
    x = torch.randn(rows, 3, 2, 5, generator=torch.Generator().manual_seed(seed))
    return x * torch.tensor([0.01, 5.0, 1.0])[:, None, None] + torch.tensor([-2.0, 3.0, 1e3])[:, None, None]


def started(x: Tensor) -> ActNorm:
    layer = ActNorm(x.shape[1])
    layer.pending = True
    layer(x)
    return layer


@pytest.mark.parametrize("shape", [(200, 3), (200, 3, 4), (30, 3, 2, 5)])
def test_the_batch_comes_out_normalized(shape: tuple[int, ...]) -> None:
    x = 4 * torch.randn(shape, generator=torch.Generator().manual_seed(0)) + 7
    layer = ActNorm(3)
    assert torch.equal(layer(x), x), "the identity until asked"
    assert not layer.initialized
    layer.pending = True
    z = layer(x).transpose(0, 1).flatten(1)
    assert torch.allclose(z.mean(1), torch.zeros(3), atol=1e-5)
    assert torch.allclose(z.std(1, correction=0), torch.ones(3), atol=1e-5)
    assert layer.initialized
    assert not layer.pending


def test_channels_of_all_sizes() -> None:
    x = data()
    z = started(x)(x).transpose(0, 1).flatten(1)
    assert torch.allclose(z.mean(1), torch.zeros(3), atol=1e-3)
    assert torch.allclose(z.std(1, correction=0), torch.ones(3), atol=1e-3)


def test_a_channel_that_never_changes_keeps_its_width() -> None:
    x = data()
    x[:, 1] = 3.0
    layer = started(x)
    assert layer.log_scale[1] == 0
    assert torch.equal(layer(x)[:, 1], torch.zeros_like(x[:, 1]))
    assert layer(x).isfinite().all()
    assert layer.log_scale[0] > 4


def test_it_happens_once() -> None:
    layer = started(data())
    before = layer.log_scale.clone(), layer.bias.clone()
    layer(data(seed=1) * 9)
    assert torch.equal(layer.log_scale, before[0])
    assert torch.equal(layer.bias, before[1])
    assert layer.log_scale.requires_grad
    assert layer.log_scale.grad_fn is None


def test_it_survives_a_state_dict() -> None:
    layer, other = started(data()), ActNorm(3)
    assert not other.initialized
    other.load_state_dict(layer.state_dict())
    assert other.initialized
    assert not other.pending
    x = data(seed=1)
    assert torch.equal(other(x), layer(x))
    assert torch.allclose(other.inverse(other(x)), x, atol=1e-3)


def test_a_chain_is_started_in_one_pass() -> None:
    """The second layer sees what the first, just started, makes of the batch."""
    chain = Chain([Normalize(3), Flatten((3, 2, 5)), Normalize(30)])
    layers = [m for m in chain.modules() if isinstance(m, ActNorm)]
    for layer in layers:
        layer.pending = True
    x = data()
    z, volume = chain(x)
    assert torch.allclose(z.mean(0), torch.zeros(30), atol=1e-3)
    assert torch.allclose(z.std(0, correction=0), torch.ones(30), atol=1e-3)
    again, volume_again = chain(x)
    assert torch.equal(z, again)
    assert torch.equal(volume, volume_again), "the batch that starts it is scored with what it started"


def one_of_two(rank: int, folder: str) -> None:
    """One process: its share of the batch, which is not a half."""
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2)
    layer = started(data()[:13] if rank == 0 else data()[13:])
    torch.save(layer.state_dict(), f"{folder}/{rank}.pt")
    distributed.destroy_process_group()


def test_two_processes_start_alike_and_as_one(tmp_path: Path) -> None:
    multiprocessing.spawn(one_of_two, (str(tmp_path),), nprocs=2)  # type: ignore[attr-defined]
    one, two = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (0, 1))
    whole = started(data()).state_dict()
    for name in whole:
        assert torch.equal(one[name], two[name]), name
        assert torch.allclose(one[name].float(), whole[name].float(), rtol=1e-6, atol=1e-6), name
    part = started(data()[:13]).state_dict()
    assert not torch.allclose(part["bias"], whole["bias"], rtol=1e-4), "the test would not see a share taken for all"

"""Laws of SliceLoader: what every rank sees, in which order, and where it goes on."""

from __future__ import annotations

from itertools import chain

import numpy as np
import pytest
import torch

from lit_gen.data import SliceLoader
from lit_gen.data.binarize import bernoulli_by_noise
from lit_gen.errors import UserError


def make(n: int = 103, **options) -> SliceLoader:
    x = (torch.arange(n * 4) % 251).to(torch.uint8).reshape(n, 1, 2, 2)
    options = {"batch_size": 8, "shuffle": True, "seed": 3, **options}
    return SliceLoader(x, torch.arange(n) * 10, **options)


def orders(loader: SliceLoader) -> list[list[int]]:
    return [batch.index.tolist() for batch in loader]


def test_rows_and_labels_are_those_of_the_index():
    loader = make()
    for x, label, index in loader:
        assert x.dtype == torch.uint8
        assert torch.equal(x, loader.x[index])
        assert torch.equal(label, index * 10)


def test_no_label_stays_none():
    batch = next(iter(SliceLoader(torch.zeros(4, 1, dtype=torch.uint8), batch_size=2, shuffle=False)))
    assert batch.label is None


def test_train_epoch_has_no_row_twice_and_drops_the_short_rest():
    seen = orders(make())
    flat = list(chain(*seen))
    assert [len(batch) for batch in seen] == [8] * 12
    assert len(set(flat)) == 96
    assert flat != sorted(flat)


def test_order_is_a_function_of_seed_and_epoch():
    loader = make()
    loader.set_epoch(5)
    fifth = orders(loader)
    loader.set_epoch(5)
    assert orders(loader) == fifth  # again from its first batch
    other = make()
    assert orders(other) != fifth
    other.set_epoch(5)
    assert orders(other) == fifth
    reseeded = make(seed=4)
    reseeded.set_epoch(5)
    assert orders(reseeded) != fifth


def test_epochs_advance_without_set_epoch():
    loader, told = make(), make()
    for epoch in range(3):
        told.set_epoch(epoch)
        assert orders(loader) == orders(told)


def test_epochs_differ():
    loader = make()
    assert orders(loader) != orders(loader)


def test_set_epoch_between_iter_and_next_counts():
    loader, told = make(), make()
    told.set_epoch(2)
    iterator = iter(loader)
    loader.set_epoch(2)
    assert [b.index.tolist() for b in iterator] == orders(told)


@pytest.mark.parametrize("world_size", [1, 2, 4])
def test_ranks_together_see_the_global_batches_of_one_process(world_size: int):
    alone = orders(make())
    shares = [orders(make(rank=rank, world_size=world_size)) for rank in range(world_size)]
    for pos, batch in enumerate(alone):
        parts = [share[pos] for share in shares]
        assert list(chain(*parts)) == batch  # contiguous, in order
        assert {len(part) for part in parts} == {8 // world_size}


def test_batch_size_must_divide_by_world_size():
    with pytest.raises(UserError, match=r"batch_size 8 .*divisible by 3 .*batch_size to 9"):
        make(world_size=3)


@pytest.mark.parametrize(
    ("n", "batch_size", "world_size"),
    [(103, 8, 1), (103, 8, 3), (5, 250, 4), (9, 4, 4), (447, 250, 2), (4, 1, 4)],
)
def test_evaluation_sees_every_row_once_and_no_share_is_empty(n: int, batch_size: int, world_size: int):
    options = {"batch_size": batch_size, "shuffle": False, "world_size": world_size}
    shares = [orders(make(n, rank=rank, **options)) for rank in range(world_size)]
    assert len({len(share) for share in shares}) == 1
    together = [list(chain(*(share[pos] for share in shares))) for pos in range(len(shares[0]))]
    assert list(chain(*together)) == list(range(n))
    sizes = [[len(share[pos]) for share in shares] for pos in range(len(together))]
    assert all(min(row) >= 1 and max(row) - min(row) <= 1 for row in sizes)
    assert all(len(share) == len(make(n, **options)) for share in shares)
    if batch_size >= 2 * world_size:
        assert max(map(len, together)) <= batch_size


def test_more_processes_than_examples_is_refused():
    with pytest.raises(UserError, match=r"3 examples cannot be shared by 4 processes"):
        make(3, shuffle=False, world_size=4)


def test_split_smaller_than_one_batch_is_one_batch_in_equal_shares():
    assert [len(batch) for batch in orders(make(5))] == [5]
    shares = [orders(make(5, rank=rank, world_size=2)) for rank in range(2)]
    assert [[len(batch) for batch in share] for share in shares] == [[2], [2]]
    assert not set(shares[0][0]) & set(shares[1][0])


def test_unshuffled_training_batches_are_the_first_rows():
    loader = make(20, shuffle=False, drop_last=True)
    assert orders(loader) == [list(range(8)), list(range(8, 16))]
    assert orders(loader) == [list(range(8)), list(range(8, 16))]


@pytest.mark.parametrize("stop", [0, 1, 5, 11, 12, 13, 17, 24])
def test_resumed_stream_equals_the_unbroken_one(stop: int):
    loader = make()
    unbroken = [index for _ in range(3) for index in orders(loader)]
    first, taken = make(), []
    while len(taken) < stop:
        for batch in first:
            taken.append(batch.index.tolist())
            if len(taken) == stop:
                break
    state = first.state_dict()
    assert all(type(value) is int for value in state.values())
    second = make()
    second.load_state_dict(state)
    iter(second)  # an iterator that nobody uses moves nothing
    rest = []
    while len(taken) + len(rest) < len(unbroken):
        rest += orders(second)
    assert taken + rest == unbroken


def test_state_moves_to_another_world_size():
    alone = make()
    iterator = iter(alone)
    for _ in range(4):
        next(iterator)
    state, rest = alone.state_dict(), [batch.index.tolist() for batch in iterator]
    shares = []
    for rank in range(2):
        loader = make(rank=rank, world_size=2)
        loader.load_state_dict(state)
        shares.append(orders(loader))
    assert [a + b for a, b in zip(*shares, strict=True)] == rest


@pytest.mark.parametrize("limit", [3, 0.25])
def test_limited_epochs_end_early_and_resume_with_the_next(limit: float):
    whole, loader = make(), make(limit=limit)
    assert len(loader) == 12  # Lightning applies its limit to the whole
    expected = [orders(whole)[:3] for _ in range(3)]
    assert [orders(loader) for _ in range(2)] == expected[:2]
    resumed = make(limit=limit)
    resumed.load_state_dict(loader.state_dict())
    assert orders(resumed) == expected[2]


def test_resuming_inside_an_epoch_of_another_order_is_refused():
    loader = make(batch_size=16)
    loader.load_state_dict({**make().state_dict(), "pos": 3})
    with pytest.raises(UserError, match=r"inside epoch 0 .*batch_size was 8, is 16"):
        next(iter(loader))


def test_between_epochs_the_batch_size_may_change():
    loader, told = make(batch_size=16), make(batch_size=16)
    loader.load_state_dict({**make().state_dict(), "pos": 12})
    told.set_epoch(1)
    assert orders(loader) == orders(told)


def greys(world_size: int = 1, rank: int = 0) -> SliceLoader:
    x = torch.full((64, 1, 8, 8), 51, dtype=torch.uint8)
    redraw = lambda batch, noise: bernoulli_by_noise(batch, 256, noise)  # noqa: E731
    return SliceLoader(x, batch_size=16, shuffle=True, redraw=redraw, world_size=world_size, rank=rank)


def test_redraw_differs_between_epochs_and_batches_and_repeats_by_seed():
    loader, same = greys(), greys()
    first, second = [torch.stack([b.x for b in loader]) for _ in range(2)]
    assert not torch.equal(first, second)
    assert not torch.equal(first[0], first[1])
    assert torch.equal(first, torch.stack([b.x for b in same]))


def test_redraw_does_not_depend_on_world_size():
    alone = torch.cat([batch.x for batch in greys()])
    shares = [list(greys(4, rank)) for rank in range(4)]
    together = torch.cat([shares[rank][pos].x for pos in range(4) for rank in range(4)])
    assert torch.equal(alone, together)


def test_redraw_follows_a_resume():
    loader = greys()
    iterator = iter(loader)
    next(iterator)
    resumed = greys()
    resumed.load_state_dict(loader.state_dict())
    assert torch.equal(next(iter(resumed)).x, next(iterator).x)


def test_shuffling_is_uniform_over_positions():
    """Each row visits each position equally often: chi-square over 2,000 epochs of 10 rows."""
    loader = make(10, batch_size=10)
    counts = np.zeros((10, 10))
    for _ in range(2000):
        counts[np.arange(10), orders(loader)[0]] += 1
    chi_square = ((counts - 200) ** 2 / 200).sum()
    assert 81 - 5 * (2 * 81) ** 0.5 < chi_square < 81 + 5 * (2 * 81) ** 0.5

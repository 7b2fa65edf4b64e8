"""Streamed images: the examples are those of the in-memory data modules, and each comes once an epoch."""

from __future__ import annotations

import itertools
from pathlib import Path

import lightning.pytorch as L
import numpy as np
import pytest
import torch

from lit_gen.callbacks import StepSeed
from lit_gen.data import Batch, EpochLoader, Splits
from lit_gen.data.streaming.piece_order import BufferedOrder
from lit_gen.errors import UserError

from .sets import KINDS, SIZES, in_memory, pictures, streamed, write_all, write_parquet

pytestmark = pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning", "ignore:.*Arrow.*fork.*:UserWarning")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sets")
    write_all(folder)
    return folder


def indices(loader: EpochLoader) -> list[list[int]]:
    return [batch.index.tolist() for batch in loader]


def assert_equal(a: list[Batch], b: list[Batch]) -> None:
    assert len(a) == len(b)
    for one, two in zip(a, b, strict=True):
        assert torch.equal(one.x, two.x)
        assert torch.equal(one.index, two.index)
        assert (one.label is None) == (two.label is None)
        assert one.label is None or torch.equal(one.label, two.label)


# ------------------------------------------------------------------ the same examples


@pytest.mark.parametrize("kind", KINDS)
def test_the_integers_are_those_of_the_in_memory_module(kind: str, root: Path) -> None:
    memory = in_memory(root / kind)
    for held_gb, num_workers in ((2.0, 0), (0.0, 0), (0.0, 2)):
        stream = streamed(root / kind, num_workers, held_gb)
        for name in ("train", "val", "test"):
            expected = memory.split(name)
            assert stream.fingerprint(name) == memory.fingerprint(name)
            assert isinstance(stream.split(name).x, torch.Tensor) == (name != "train" and held_gb > 0)
            rows = torch.tensor([1, 7, 8, 25])
            assert torch.equal(torch.as_tensor(stream.split(name).x[rows]), expected.x[rows])
            assert stream.fingerprint_of(name, rows) == memory.fingerprint_of(name, rows)
            assert stream.label_range(name) == memory.label_range(name) == (0, 1)
        for batch in stream.train_dataloader():
            assert torch.equal(batch.x, memory.split("train").x[batch.index])
            assert torch.equal(batch.label, memory.split("train").label[batch.index])


@pytest.mark.parametrize("num_workers", [0, 2])
def test_batches_in_file_order_are_those_of_the_in_memory_module(num_workers: int, root: Path) -> None:
    memory, stream = in_memory(root / "parquet"), streamed(root / "parquet", num_workers, 0.0)
    memory.loader = stream.loader
    rows = torch.tensor([3, 4, 28, 29])
    for chosen in (None, rows):
        assert_equal(list(stream.eval_loader("val", chosen)), list(memory.eval_loader("val", chosen)))
    options = {"shuffle": False, "drop_last": True, "rank": 1, "world_size": 2}
    assert_equal(list(stream.train_loader(**options)), list(memory.train_loader(**options)))


@pytest.mark.parametrize("kind", ["parquet", "tar"])
def test_held_out_images_are_those_of_the_in_memory_module(kind: str, root: Path) -> None:
    splits = Splits(num_val=13, num_test=0.1, test=None)
    memory, stream = in_memory(root / kind, splits=splits), streamed(root / kind, splits=splits)
    for name in ("train", "val", "test"):
        assert stream.fingerprint(name) == memory.fingerprint(name)
    assert len(stream.split("train").x) == SIZES["train"] - 13 - 24
    shorter = streamed(root / kind, splits=Splits(num_val=12, num_test=0.1, test=None))
    assert stream.identity("train") != shorter.identity("train")


def test_the_identity_covers_names_sizes_heads_and_the_transform(root: Path, tmp_path: Path) -> None:
    from dataclasses import replace

    images = pictures("train", 40)
    found = set()
    for variant in range(4):
        folder = tmp_path / str(variant)
        changed = images[::-1] if variant == 1 else images[:-1] if variant == 2 else images
        write_parquet(folder, "train", changed)
        splits = Splits(num_val=5, num_test=5, test=None)
        data = streamed(folder, splits=splits)
        if variant == 3:
            (folder / "train-00001.parquet").rename(folder / "train-00002.parquet")
        found.add(data.identity("train"))
    data = streamed(tmp_path / "0", splits=splits)
    assert len(found) == 4
    assert data.identity("train") in found
    other = streamed(tmp_path / "0", splits=splits, transform=replace(data.transform, background="black"))
    assert other.identity("train") not in found


# ------------------------------------------------------------------ the order


def shares(counts: list[int], num_batches: int, size: int, world: int, workers: int, epoch: int = 0, seed: int = 0):
    order = BufferedOrder(np.array(counts), num_batches, size, buffer=3 * size, seed=seed)
    return [
        [block.images[rows] for block in order.blocks(epoch, rank, worker, workers) for rows in block.batches]
        for rank, worker in itertools.product(range(world), range(workers))
    ]


@pytest.mark.parametrize(("world", "workers"), [(1, 1), (1, 3), (2, 1), (3, 2), (4, 4)])
def test_ranks_and_workers_together_see_each_example_once(world: int, workers: int) -> None:
    counts = [7, 1, 12, 30, 5, 17, 24]
    size = 96 // world // 4
    found = shares(counts, 96 // (size * world), size, world, workers)
    assert sum(map(len, found)) * size == sum(counts) == 96
    assert sorted(np.concatenate(list(itertools.chain(*found))).tolist()) == list(range(96))
    lengths = [len(part) for part in found]
    assert max(lengths) - min(lengths) <= 1


def test_the_order_depends_on_the_seed_and_the_epoch_alone() -> None:
    def flat(epoch: int, seed: int) -> list[int]:
        return np.concatenate(list(itertools.chain(*shares([20] * 12, 24, 10, 1, 2, epoch, seed)))).tolist()

    orders = [flat(epoch, seed) for epoch, seed in ((0, 0), (1, 0), (0, 1))]
    assert orders == [flat(epoch, seed) for epoch, seed in ((0, 0), (1, 0), (0, 1))]
    assert len({tuple(order) for order in orders}) == 3
    assert all(sorted(order) == list(range(240)) for order in orders)


@pytest.mark.parametrize("num_workers", [0, 2])
def test_an_epoch_is_a_permutation(num_workers: int, root: Path) -> None:
    loader = streamed(root / "tar", num_workers).train_dataloader()
    first, second = indices(loader), indices(loader)
    assert len(first) == len(loader) == 10
    for epoch in (first, second):
        assert sorted(itertools.chain(*epoch)) == list(range(SIZES["train"]))
    assert first != second
    assert first[0] != list(range(24))


@pytest.mark.parametrize(("stop", "num_workers"), [(1, 0), (6, 0), (10, 0), (13, 0), (5, 2), (12, 2)])
def test_a_resumed_loader_gives_the_following_batches(stop: int, num_workers: int, root: Path) -> None:
    """The buffer holds two batches, so that the stop is inside one or between two."""
    whole = streamed(root / "parquet", num_workers).train_dataloader()
    expected = [*whole, *whole]
    loader = streamed(root / "parquet", num_workers).train_dataloader()
    seen = list(itertools.islice(itertools.chain(loader, loader), stop))
    resumed = streamed(root / "parquet", num_workers).train_dataloader()
    resumed.load_state_dict(loader.state_dict())
    rest = list(itertools.islice(itertools.chain(resumed, resumed), 20 - stop))
    assert_equal([*seen, *rest], expected)


def test_another_order_is_not_continued(root: Path) -> None:
    loader = streamed(root / "parquet").train_dataloader()
    next(iter(loader))
    for more in ({"buffer": 72}, {"num_workers": 2}):
        other = streamed(root / "parquet", **more).train_dataloader()
        other.load_state_dict(loader.state_dict())
        with pytest.raises(UserError, match=f"{next(iter(more))} was"):
            next(iter(other))


# ------------------------------------------------------------------ training


class Net(L.LightningModule):
    """A linear model with noise, so that its weights depend on each batch and each draw."""

    def __init__(self) -> None:
        super().__init__()
        self.net = torch.nn.Linear(192, 1)
        torch.nn.init.zeros_(self.net.weight)
        torch.nn.init.zeros_(self.net.bias)
        self.seen: list[Batch] = []

    def training_step(self, batch: Batch, batch_idx: int) -> torch.Tensor:
        self.seen.append(batch)
        x = batch.x.flatten(1).float() / 255
        return (self.net(x + torch.randn_like(x)) - batch.label[:, None]).square().mean()

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        pass

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.AdamW(self.parameters(), lr=0.1)


def fit(folder: Path, root: Path, steps: int, num_workers: int, checkpoint: Path | None = None) -> tuple[Net, Path]:
    model = Net()
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu"}
    quiet |= {"use_distributed_sampler": False, "enable_checkpointing": False, "limit_val_batches": 0}
    quiet |= {"num_sanity_val_steps": 0}
    run = L.Trainer(default_root_dir=folder, max_steps=steps, callbacks=[StepSeed(3)], **quiet)
    run.fit(model, datamodule=streamed(root / "parquet", num_workers), ckpt_path=checkpoint)
    path = folder / f"{steps}.ckpt"
    run.save_checkpoint(path)
    return model, path


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_resumed_run_has_the_weights_of_an_unbroken_one(num_workers: int, root: Path, tmp_path: Path) -> None:
    unbroken, _ = fit(tmp_path, root, 17, num_workers)
    first, checkpoint = fit(tmp_path, root, 6, num_workers)
    second, _ = fit(tmp_path, root, 17, num_workers, checkpoint)
    assert_equal([*first.seen, *second.seen], unbroken.seen)
    assert torch.equal(second.net.weight, unbroken.net.weight)
    assert torch.equal(second.net.bias, unbroken.net.bias)


# ------------------------------------------------------------------ shards of the hub


@pytest.mark.parametrize("kind", ["parquet", "tar"])
def test_shards_at_an_address_are_those_of_local_files(kind: str, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system in memory in place of the hub's."""
    import fsspec

    memory = fsspec.filesystem("memory")
    for file in (root / kind).iterdir():
        memory.pipe(f"/{kind}/{file.name}", file.read_bytes())
    found = {split: [f"memory://{path}" for path in sorted(memory.glob(f"/{kind}/{split}-*"))] for split in SIZES}
    builder = type("Builder", (), {"config": type("Config", (), {"data_files": found})})
    monkeypatch.setattr("lit_gen.data.hub_source.HubSource.folder", lambda hub, path: None)
    monkeypatch.setattr("lit_gen.data.hub_source.HubSource.builder", lambda hub, path: builder)
    remote = streamed(Path("owner/name"))
    remote.setup()
    monkeypatch.undo()
    local = streamed(root / kind)
    for name in ("train", "val", "test"):
        assert remote.fingerprint(name) == local.fingerprint(name)
    assert indices(remote.train_dataloader()) == indices(local.train_dataloader())

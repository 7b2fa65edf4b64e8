"""A run ends by the number of examples it has seen, and counts them alike for every family."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch

from callbacks.toys import Counter, Ramp, train
from lit_gen.callbacks import Budget
from lit_gen.errors import UserError
from lit_gen.families import GAN, VAE


@pytest.mark.parametrize(("budget", "seen"), [(1, 4), (4, 4), (5, 8), (12, 12), (13, 16), (20, 20)])
def test_ends_with_the_first_batch_that_reaches_it(budget: int, seen: int) -> None:
    counted, model = Budget(budget), Counter()
    train(model, counted, max_epochs=-1)
    assert counted.examples_seen == seen
    assert model.weight == seen / 4, "as many steps as batches"


@pytest.mark.parametrize("family", [VAE, GAN])
def test_means_the_same_for_every_family(family: type) -> None:
    """A GAN takes two optimizer steps for a batch; images and global_step count the batch once."""
    counted = Budget(20)
    torch.manual_seed(0)
    trainer = train(family((1, 4, 4), 4), counted, max_epochs=-1, data=_Squares())
    assert counted.examples_seen == 20
    assert trainer.global_step == 5


class _Squares(Ramp):
    def __init__(self) -> None:
        super().__init__()
        self.shape = (1, 4, 4)

    def read(self):  # type: ignore[no-untyped-def]
        from lit_gen.data import Split

        sizes = {"train": 12, "val": 5, "test": 5}
        return {name: Split(torch.randint(4, (n, 1, 4, 4), dtype=torch.uint8)) for name, n in sizes.items()}


@pytest.mark.parametrize(
    "cadence", [{"check_val_every_n_epoch": 100}, {"check_val_every_n_epoch": None, "val_check_interval": 100}]
)
def test_last_state_is_always_validated(cadence: dict[str, int | None]) -> None:
    """The budget ends in the middle of the second epoch, and no validation was due."""
    model = Counter()
    train(model, Budget(20), max_epochs=-1, **cadence)
    assert model.weight == 5.0
    assert model.seen["epoch end"] == [5.0]


def test_data_smaller_than_a_batch() -> None:
    counted, model = Budget(10), Counter()
    train(model, counted, max_epochs=-1, data=Ramp(batch_size=100, num_train=3))
    assert counted.examples_seen == 12
    assert model.weight == 4.0


def test_other_limits_hold_too() -> None:
    counted = Budget(1000)
    train(Counter(), counted, max_epochs=-1, max_steps=2)
    assert counted.examples_seen == 8


def test_resumed_run_with_nothing_left_takes_no_step() -> None:
    counted, model = Budget(8), Counter()
    counted.load_state_dict({"examples_seen": 8})
    train(model, counted, max_epochs=-1, limit_val_batches=0)
    assert counted.examples_seen <= 12
    assert model.weight <= 1.0


@pytest.mark.parametrize(("accumulate", "processes"), [(1, 1), (3, 1), (1, 2)])
def test_a_vaes_warm_up_is_over_after_its_images(
    accumulate: int, processes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four images a batch, whatever number of batches makes a step and of processes shares a batch."""
    torch.manual_seed(0)
    model, betas = VAE((1, 4, 4), 4, warmup_examples=16), _Betas()
    if processes > 1:
        monkeypatch.setattr(L.Trainer, "world_size", property(lambda trainer: processes))
    train(model, betas, data=_Squares(), accumulate_grad_batches=accumulate, limit_val_batches=0)
    assert betas.seen == pytest.approx([0.25, 0.5, 0.75, 1, 1, 1], rel=1e-3)


class _Betas(L.Callback):
    """The weight of the rate in each batch's loss."""

    def __init__(self) -> None:
        self.seen: list[float] = []

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, *args: Any) -> None:
        loss = float(outputs["loss"].detach()) * trainer.accumulate_grad_batches  # Lightning has divided it
        self.seen.append((loss - float(outputs["distortion"].detach())) / float(outputs["rate"].detach()))


class _Losses(Counter):
    """The gradient of batch i is ``-2**i``, so that the weight is a sum that says which batches were used and how."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def training_step(self, batch: Any, batch_idx: int) -> dict[str, torch.Tensor]:
        self.count += 1
        return {"loss": -(2.0 ** (self.count - 1)) * self.net.weight.sum()}


@pytest.mark.parametrize(
    ("accumulate", "budget", "steps", "weight"),
    [
        (4, 4, 1, 1),  # one batch of a window of four
        (4, 8, 1, (1 + 2) / 2),
        (2, 12, 2, (1 + 2) / 2 + 4),  # and an epoch of three batches
        (2, 16, 3, (1 + 2) / 2 + 4 + 8),
        (3, 20, 2, (1 + 2 + 4) / 3 + (8 + 16) / 2),
        (2, 20, 3, (1 + 2) / 2 + 4 + (8 + 16) / 2),
        (1, 12, 3, 1 + 2 + 4),
    ],
)
def test_every_batch_counts_when_gradients_accumulate(accumulate: int, budget: int, steps: int, weight: float) -> None:
    """Each step uses the mean gradient of its batches, also the last, whose window the budget cuts."""
    model = _Losses()
    trainer = train(model, Budget(budget), max_epochs=-1, accumulate_grad_batches=accumulate)
    assert trainer.global_step == steps
    assert model.count == budget / 4
    assert model.weight == pytest.approx(weight)
    assert model.seen["epoch end"][-1] == pytest.approx(weight), "the last state is validated"


def test_clipping_is_that_of_the_mean_gradient() -> None:
    model = _Losses()
    train(model, Budget(8), max_epochs=-1, accumulate_grad_batches=4, gradient_clip_val=1.6)
    assert model.weight == pytest.approx(1.5), "which is below the largest norm; the sum of both is not"
    model = _Losses()
    train(model, Budget(8), max_epochs=-1, accumulate_grad_batches=4, gradient_clip_val=1.2)
    assert model.weight == pytest.approx(1.2, rel=1e-4)


@pytest.mark.parametrize("first", [4, 8, 16])
def test_a_run_resumed_inside_a_window_goes_on_with_the_next_batch(first: int, tmp_path: Path) -> None:
    """With an epoch of three batches; gradients that were stepped with are not used again."""

    class Save(L.Callback):
        def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
            trainer.save_checkpoint(tmp_path / "last.ckpt")

    model = _Losses()
    train(model, Budget(first), Save(), max_epochs=-1, accumulate_grad_batches=3)
    before, counted = model.weight, Budget(24)
    resumed = L.Trainer(
        accelerator="cpu", max_epochs=-1, accumulate_grad_batches=3, limit_val_batches=0, logger=False,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False, callbacks=[counted],
        default_root_dir=tmp_path, use_distributed_sampler=False,
    )  # fmt: skip
    resumed.fit(model, Ramp(), ckpt_path=tmp_path / "last.ckpt", weights_only=False)
    assert counted.examples_seen == 24
    assert model.count == 6
    done = first // 4
    batches = [[i for i in range(done, 6) if i // 3 == window] for window in range(2)]
    expected = sum(sum(2.0**i for i in window) / len(window) for window in batches if window)
    assert model.weight - before == pytest.approx(expected)


def test_without_accumulation_nothing_is_scaled() -> None:
    seen: list[bool] = []

    class Watch(L.Callback):
        def on_train_batch_end(self, trainer: L.Trainer, *args: Any) -> None:
            seen.append(trainer.fit_loop.epoch_loop.batch_progress.is_last_batch)

    train(Counter(), Budget(16), Watch(), max_epochs=-1)
    assert seen == [False, False, True, False], "the end of the epoch is Lightning's own"


def test_nothing_to_do_is_refused() -> None:
    with pytest.raises(UserError, match="at least 1"):
        Budget(0)

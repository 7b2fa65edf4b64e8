"""A run ends by the number of examples it has seen, and counts them alike for every family."""

from __future__ import annotations

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


def test_nothing_to_do_is_refused() -> None:
    with pytest.raises(UserError, match="at least 1"):
        Budget(0)

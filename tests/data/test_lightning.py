"""SliceLoader inside a real Trainer: a stopped and resumed run sees the batches of an unbroken one."""

from __future__ import annotations

from itertools import chain
from pathlib import Path
from types import SimpleNamespace

import lightning.pytorch as L
import pytest
import torch

from lit_gen.data import Batch, Digits, SliceLoader
from lit_gen.errors import UserError

# Lightning's own: it still makes torch's deprecated LeafSpec
pytestmark = pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning")

EPOCH = 15  # batches of 64 in 1,000 digits


class Recorder(L.LightningModule):
    """Writes down what it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.seen: list[tuple[list[int], int]] = []
        self.validated: list[list[int]] = []

    def training_step(self, batch: Batch, batch_idx: int) -> torch.Tensor:
        assert isinstance(batch, Batch)
        self.seen.append((batch.index.tolist(), int(batch.x.sum())))
        return self.weight * 0

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        self.validated.append(batch.index.tolist())

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def trainer(folder: Path, **options) -> L.Trainer:
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    quiet |= {"accelerator": "cpu", "use_distributed_sampler": False, "enable_checkpointing": False}
    return L.Trainer(default_root_dir=folder, **quiet, **options)


def fit(folder: Path, steps: int, checkpoint: Path | None = None, **options) -> tuple[list, Path]:
    model = Recorder()
    run = trainer(folder, max_steps=steps, **options)
    run.fit(model, datamodule=Digits(binarize="dynamic"), ckpt_path=checkpoint)
    path = folder / f"{steps}.ckpt"
    run.save_checkpoint(path)
    return model.seen, path


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> list:
    return fit(tmp_path_factory.mktemp("unbroken"), 3 * EPOCH + 5)[0]


def test_lightning_walks_through_the_epochs(unbroken: list):
    loader = Digits().train_dataloader()
    expected = [batch.index.tolist() for _ in range(4) for batch in loader]
    assert [index for index, _ in unbroken] == expected[: 3 * EPOCH + 5]


@pytest.mark.parametrize("stops", [(7,), (EPOCH,), (EPOCH + 1,), (2 * EPOCH - 1, 2 * EPOCH + 3), (4, 9, 16)])
def test_resume_continues_with_the_very_batches(stops: tuple[int, ...], unbroken: list, tmp_path: Path):
    seen, checkpoint = [], None
    for steps in (*stops, 3 * EPOCH + 5):
        part, checkpoint = fit(tmp_path, steps, checkpoint)
        seen += part
    assert seen == unbroken


class SaveAt(L.Callback):
    """Saves at one hook, once, while the run goes on."""

    def __init__(self, hook: str, step: int, path: Path) -> None:
        setattr(self, hook, lambda run, *_: self.save(run, step, path))

    def save(self, run: L.Trainer, step: int, path: Path) -> None:
        if run.global_step == step and not path.exists():
            run.save_checkpoint(path)


@pytest.mark.parametrize(
    ("hook", "step", "options"),
    [
        ("on_train_batch_end", 9, {}),
        ("on_train_batch_end", EPOCH, {}),
        ("on_validation_end", EPOCH, {}),
        ("on_train_epoch_end", 2 * EPOCH, {}),
        ("on_train_epoch_start", EPOCH, {}),
        ("on_validation_end", 10, {"val_check_interval": 5}),
        ("on_validation_end", 6, {"limit_train_batches": 6}),
        ("on_train_epoch_end", 12, {"limit_train_batches": 6}),
    ],
)
def test_resume_from_a_checkpoint_of_any_hook(hook: str, step: int, options: dict, tmp_path: Path):
    path = tmp_path / "saved.ckpt"
    whole = fit(tmp_path, 3 * EPOCH, callbacks=[SaveAt(hook, step, path)], **options)[0]
    rest = fit(tmp_path, 3 * EPOCH, path, **options)[0]
    assert whole[step:] == rest


def test_validation_is_whole_and_in_file_order(tmp_path: Path):
    model = Recorder()
    trainer(tmp_path, max_steps=2, limit_train_batches=2, num_sanity_val_steps=0).fit(
        model, datamodule=Digits()
    )
    assert list(chain(*model.validated)) == list(range(350))


def test_overfit_batches_trains_on_the_first_rows_again_and_again(tmp_path: Path):
    model = Recorder()
    trainer(tmp_path, max_epochs=3, overfit_batches=2, num_sanity_val_steps=0).fit(model, datamodule=Digits())
    assert [index for index, _ in model.seen] == 3 * [list(range(64)), list(range(64, 128))]


def test_rank_and_world_size_come_from_the_trainer():
    data, alone = Digits(), Digits().train_dataloader()
    common = {"overfit_batches": 0.0, "limit_train_batches": 1.0, "current_epoch": 0}
    data.trainer = SimpleNamespace(global_rank=1, world_size=2, **common)
    for share, whole in zip(data.train_dataloader(), alone, strict=True):
        assert torch.equal(share.index, whole.index[32:])
    data.trainer = SimpleNamespace(global_rank=0, world_size=3, **common)
    with pytest.raises(UserError, match="64 is the global batch"):
        data.train_dataloader()


def test_loader_is_what_lightning_calls_stateful():
    from lightning.fabric.utilities.types import _Stateful

    assert isinstance(Digits().train_dataloader(), _Stateful)
    assert isinstance(Digits().train_dataloader(), SliceLoader)


@pytest.mark.parametrize("hook", ["on_train_batch_end", "on_train_epoch_end", "on_validation_end"])
@pytest.mark.parametrize("step", [EPOCH, 2 * EPOCH])
def test_resume_of_a_resumed_run(hook: str, step: int, unbroken: list, tmp_path: Path):
    """After a stop inside an epoch, Lightning's own epoch number is one ahead; the loader's is not."""
    _, first = fit(tmp_path, 7)
    path = tmp_path / "saved.ckpt"
    fit(tmp_path, 2 * EPOCH + 3, first, callbacks=[SaveAt(hook, step, path)])
    rest, _ = fit(tmp_path, 3 * EPOCH + 5, path)
    assert rest == unbroken[step:]

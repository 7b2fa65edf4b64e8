"""The average is the one that the formula gives, and is seen by all that shall see it, and by no more."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint

from callbacks.toys import Counter, Ramp, train
from lit_gen.callbacks import EMA, SampleGrid, SampleQuality
from lit_gen.errors import UserError
from lit_gen.families import GAN

NET, BYSTANDER = "net.weight", "bystander.weight"


def closed_form(weights: list[float], halflife: float, every: int, batch: int, rampup: float) -> float:
    """The average as a sum over the steps' weights, each with its share."""
    updates = [i for i in range(1, len(weights) + 1) if i % every == 0]
    keep = [0.5 ** (every * batch / min(halflife, rampup * batch * i)) for i in updates]
    shares = [(1 - keep[j]) * math.prod(keep[j + 1 :]) for j in range(len(updates))]
    return sum(share * weights[i - 1] for share, i in zip(shares, updates, strict=True))


@pytest.mark.parametrize("every", [1, 4])
@pytest.mark.parametrize("rampup", [0.5, 1e9])
def test_average_is_the_closed_form(every: int, rampup: float) -> None:
    """Six steps of four images; the weights are 1, 2, ... 6 and the average starts at the initial 0."""
    ema, model = EMA(halflife_examples=7.0, every=every, rampup=rampup), Counter()
    train(model, ema, limit_val_batches=0)
    assert model.weight == 6.0, "the average must not touch the trained weights"
    expected = closed_form([1, 2, 3, 4, 5, 6], 7.0, every, 4, rampup)
    assert 0 < expected < 6
    assert float(ema.average[NET]) == pytest.approx(expected, rel=1e-6)
    assert float(ema.average[BYSTANDER]) == pytest.approx(2 * expected, rel=1e-6)


def test_a_share_halves_after_the_halflife() -> None:
    """The definition itself: from the last jump on, what is left of the start is 0.5 ** (images / halflife)."""
    ema, model = EMA(halflife_examples=24.0, every=1, rampup=1e9), Counter()
    model.net.weight.data.fill_(1.0)
    model.configure_optimizers = lambda: torch.optim.SGD(model.parameters(), lr=0.0)  # type: ignore[method-assign]

    class Jump(L.Callback):
        def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
            model.net.weight.data.fill_(0.0)

    train(model, ema, Jump(), limit_val_batches=0)
    assert float(ema.average[NET]) == pytest.approx(0.5, rel=1e-6)


def test_only_the_named_modules_are_averaged() -> None:
    ema = EMA(halflife_examples=7.0, modules=["net"], every=1)
    train(Counter(), ema)
    assert list(ema.average) == [NET]


def test_of_a_gan_the_generator_alone_is_averaged() -> None:
    ema, model = EMA(halflife_examples=7.0, modules=["generator"], every=1), GAN((1, 4, 4), 4)
    names = set(ema.averaged(model))
    floating = {n for n, t in model.generator.state_dict().items() if t.is_floating_point()}
    assert names == {f"generator.{n}" for n in floating}
    assert any("running_mean" in n for n in names), "batch norm's statistics belong to the averaged network"


def test_unknown_module_is_refused_with_the_nearest() -> None:
    with pytest.raises(UserError, match=r"no submodule 'nett'.*did you mean 'net'"):
        EMA(halflife_examples=1.0, modules=["nett"]).averaged(Counter())


def test_integer_buffers_are_left_alone() -> None:
    assert "bystander.num_batches_tracked" not in EMA(halflife_examples=1.0).averaged(Counter())


class _Witness(L.Callback):
    """Notes the weight that each hook sees."""

    def __init__(self) -> None:
        self.seen: dict[str, float] = {}

    def _note(self, hook: str, pl_module: Any) -> None:
        self.seen[hook] = pl_module.weight

    def on_train_batch_end(self, trainer: Any, pl_module: Any, *args: Any) -> None:
        self._note("train batch end", pl_module)

    def on_validation_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        self._note("validation epoch start", pl_module)

    def on_validation_batch_end(self, trainer: Any, pl_module: Any, *args: Any) -> None:
        self._note("validation batch end", pl_module)

    def on_validation_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        self._note("validation epoch end", pl_module)

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        self._note("train epoch end", pl_module)


@pytest.mark.parametrize("first", [True, False], ids=["EMA first", "EMA last"])
def test_validation_sees_the_average_wherever_the_callback_stands(first: bool, tmp_path: Path) -> None:
    ema, model, witness = EMA(halflife_examples=7.0, every=1), Counter(), _Witness()
    grid = SampleGrid(num_samples=1)
    others: list[L.Callback] = [witness, grid]
    order = [ema, *others] if first else [*others, ema]
    train(model, *order, max_epochs=1, default_root_dir=tmp_path)
    average = float(ema.average[NET])
    assert average == pytest.approx(closed_form([1, 2, 3], 7.0, 1, 4, 0.05), rel=1e-6)
    assert average != 3.0
    seen = witness.seen
    for hook in ("validation epoch start", "validation batch end", "validation epoch end"):
        assert seen[hook] == average, hook
    assert (seen["train batch end"], seen["train epoch end"], model.weight) == (3.0, 3.0, 3.0)
    assert set(model.seen["step"]) == {average}, "the validation's own steps"
    assert model.seen["epoch end"] == [average], "the module's own hook"
    assert model.seen["sampled"] == [average], "the sample grid"


def test_sample_quality_scores_the_average(tmp_path: Path) -> None:
    from lit_gen.metrics import MnistCNN

    ema, model = EMA(halflife_examples=7.0, every=1), Counter()
    train(model, SampleQuality(MnistCNN(), num_samples=20), ema, max_epochs=1, default_root_dir=tmp_path)
    assert set(model.seen["sampled"]) == {float(ema.average[NET])}


def test_without_a_halflife_everything_is_raw(tmp_path: Path) -> None:
    ema, model = EMA(), Counter()
    train(model, ema, SampleGrid(num_samples=1), max_epochs=1, default_root_dir=tmp_path)
    assert ema.average == {}
    assert {*model.seen["step"], *model.seen["epoch end"], *model.seen["sampled"]} == {3.0}


def test_checkpoint_holds_raw_weights_and_the_average_beside_them(tmp_path: Path) -> None:
    ema, model = EMA(halflife_examples=7.0, every=1), Counter()
    keep = ModelCheckpoint(tmp_path, filename="best", monitor="val/bpd", save_on_train_epoch_end=False)
    train(model, ema, keep, max_epochs=1, enable_checkpointing=True)
    saved = torch.load(tmp_path / "best.ckpt", weights_only=True)
    assert float(saved["state_dict"][NET]) == 3.0
    assert float(saved["callbacks"]["ema"]["average"][NET]) == float(ema.average[NET]) < 3.0
    assert saved["callbacks"]["ema"]["examples_seen"] == 12


def test_broken_validation_gives_the_raw_weights_back() -> None:
    ema, model = EMA(halflife_examples=7.0, every=1), Counter()

    class Breaks(L.Callback):
        def on_validation_batch_end(self, *args: Any, **kwargs: Any) -> None:
            assert model.weight != 3.0
            raise ArithmeticError("in the middle")

    with pytest.raises(ArithmeticError, match="in the middle"):
        train(model, ema, Breaks())
    assert model.weight == 3.0
    assert float(ema.average[NET]) < 3.0


def test_no_checkpoint_can_be_made_while_the_average_is_in() -> None:
    ema, model = EMA(halflife_examples=7.0), Counter()
    ema.average = {name: t.clone() for name, t in ema.averaged(model).items()}
    ema.on_validation_start(None, model)  # type: ignore[arg-type]
    with pytest.raises(RuntimeError, match="during validation"):
        ema.state_dict()


def test_copy_to_puts_the_average_in_for_good() -> None:
    ema, model = EMA(halflife_examples=7.0, every=1), Counter()
    train(model, ema, limit_val_batches=0)
    other = Counter()
    again = EMA(halflife_examples=7.0)
    again.load_state_dict(ema.state_dict())
    again.copy_to(other)
    assert other.weight == float(ema.average[NET]) != model.weight


def test_updates_do_not_depend_on_where_epochs_end() -> None:
    """Six steps in one epoch or in two: the fourth step is the one update either way."""
    two, one = EMA(halflife_examples=7.0, every=4), EMA(halflife_examples=7.0, every=4)
    train(Counter(), two, max_epochs=2)
    train(Counter(), one, max_epochs=1, data=Ramp(num_train=24))
    assert float(one.average[NET]) == float(two.average[NET]) == pytest.approx(
        closed_form([1, 2, 3, 4, 5, 6], 7.0, 4, 4, 0.05), rel=1e-6
    )


def test_resumed_without_a_halflife_everything_is_raw() -> None:
    """The checkpoint's average would never move again, and would be validated in the weights' place."""
    before, after, model = EMA(halflife_examples=7.0, every=1), EMA(), Counter()
    train(Counter(), before, max_epochs=1)
    after.load_state_dict(before.state_dict())
    train(model, after)
    assert after.average == {}
    assert model.seen["epoch end"] == [3.0, 6.0]


def test_state_tells_the_halflife_that_made_it_and_keeps_the_one_asked_for() -> None:
    made, asked = EMA(halflife_examples=7.0), EMA(halflife_examples=100.0)
    state = made.state_dict()
    assert state["halflife_examples"] == 7.0
    del state["halflife_examples"]
    asked.load_state_dict(state)
    assert asked.halflife_examples == 100.0

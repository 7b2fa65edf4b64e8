"""PixelCNN++: exact probabilities, the order of channels, the cache, and the start from data."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from torch import Tensor

from lit_gen.callbacks import EMA
from lit_gen.callbacks.step_seed import StepSeed
from lit_gen.data import DiscreteDataModule, KnownEntropy, Loader, SampleSizes, Split
from lit_gen.errors import UserError
from lit_gen.families.autoregressive import PixelCNNpp
from lit_gen.likelihood import categorical_log_prob
from lit_gen.nets import PixelCNNppNet
from lit_gen.nets.autoregressive.shifted_conv import WeightNormalized
from lit_gen.noise import Noise
from lit_gen.quantization import to_symmetric

from . import conformance as laws
from .conformance import adamw


def stirred(shape: tuple[int, ...], num_levels: int, **options: Any) -> PixelCNNpp:
    torch.manual_seed(0)
    model = PixelCNNpp(shape, num_levels, **{"num_filters": 4, "num_components": 3, **options})
    laws.stir(model)
    return model.eval()


def levels(num_levels: int, *shape: int) -> Tensor:
    return torch.randint(0, num_levels, shape, generator=torch.Generator().manual_seed(1), dtype=torch.uint8)


def states_of(shape: tuple[int, ...], num_levels: int) -> Tensor:
    return KnownEntropy(shape, num_levels, splits=SampleSizes(num_train=1, num_val=1, num_test=1)).enumerate()


# ------------------------------------------------------------------ the model's probabilities


@pytest.mark.parametrize(
    ("shape", "num_levels"), [((3, 1, 2), 2), ((2, 2, 1), 3), ((1, 2, 3), 3), ((3, 1, 1), 6), ((1, 1, 2), 40)]
)
@pytest.mark.parametrize("num_classes", [0, 2])
def test_probabilities_sum_to_one(shape: tuple[int, ...], num_levels: int, num_classes: int) -> None:
    model, states = stirred(shape, num_levels, num_classes=num_classes), states_of(shape, num_levels)
    with torch.no_grad():
        given = [model.log_prob(states, torch.full((len(states),), c)) for c in range(num_classes)]
    for log_prob in [*given, -laws.nll(model, states).nats]:
        assert float(log_prob.double().exp().sum()) == pytest.approx(1, abs=1e-5)
    if num_classes:
        assert not torch.allclose(given[0], given[1], atol=1e-2), "the class changes nothing"


def test_log_prob_is_that_of_the_logits() -> None:
    model, x = stirred((3, 4, 6), 11, num_scales=2), levels(11, 5, 3, 4, 6)
    with torch.no_grad():
        assert torch.allclose(model.log_prob(x), categorical_log_prob(model.logits(x), x), rtol=1e-5)


@pytest.mark.parametrize(("shape", "num_scales"), [((3, 2, 3), 1), ((2, 4, 4), 2), ((1, 3, 3), 1)])
def test_every_conditional_sees_all_dimensions_before_it_and_no_other(
    shape: tuple[int, ...], num_scales: int
) -> None:
    model = stirred(shape, 5, num_resnet=2, num_scales=num_scales)
    x = levels(5, 6, *shape).float()
    with torch.no_grad():  # the coefficients are what a colour sees another by
        model.net.head.bias.normal_(generator=torch.Generator().manual_seed(2))

    def second_moment(x: Tensor) -> Tensor:
        p = model.logits(x).exp().flatten(2)  # [B, num_levels, D]
        return (p * torch.arange(5.0)[:, None] ** 2).sum((0, 1))

    seen = torch.autograd.functional.jacobian(second_moment, x).flatten(2).abs().amax(1)
    seen = seen[model.order][:, model.order] > 0
    assert torch.equal(seen, torch.ones_like(seen).tril(-1))


def test_the_log_prob_is_float32_under_autocast() -> None:
    model, x = stirred((1, 4, 4), 256, num_components=2), levels(256, 8, 1, 4, 4)
    with torch.no_grad():
        plain = model.log_prob(x)
        with torch.autocast("cpu", torch.bfloat16):
            low = model.log_prob(x)
    assert low.dtype == torch.float32
    assert not torch.equal(low, plain)
    assert torch.allclose(low, plain, rtol=0.05)


# ------------------------------------------------------------------ samples


@pytest.mark.parametrize(
    ("shape", "num_scales", "num_classes"),
    [((1, 8, 8), 1, 0), ((1, 8, 8), 3, 2), ((3, 4, 4), 2, 2), ((2, 4, 12), 3, 0)],
)
def test_cached_samples_are_the_naive_ones(
    shape: tuple[int, ...], num_scales: int, num_classes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = stirred(shape, 6, num_scales=num_scales, num_classes=num_classes)
    label = torch.tensor([1, 0, 1, 1]) if num_classes else None
    with torch.no_grad():
        whole = model.logits(x := levels(6, 4, *shape), label).flatten(2)
        asked, value = model.conditionals(4, label), None
        for position in model.order.tolist():
            assert torch.allclose(asked.next(value), whole[:, :, position], atol=1e-5)
            value = x.flatten(1)[:, position].long()
        with monkeypatch.context() as patch:
            patch.setattr(PixelCNNppNet, "forward", None)  # the cache never asks for a whole pass
            cached = model.generate(Noise(0, range(4)), label)
        monkeypatch.setattr(model, "conditionals", model.naive_conditionals)
        assert torch.equal(cached, model.generate(Noise(0, range(4)), label))
    assert len(cached.unique()) == 6


def test_samples_occur_as_often_as_they_are_likely() -> None:
    """Chi-square over 81 states of two pixels of two channels, against five standard deviations."""
    model, states, n = stirred((2, 1, 2), 3), states_of((2, 1, 2), 3), 10_000
    expected = n * (-laws.nll(model, states).nats.double()).exp()
    base = torch.tensor([27, 9, 3, 1])
    counts = (model.sample(n, block=n).flatten(1).long() @ base).bincount(minlength=81)
    assert (states.flatten(1).long() @ base).tolist() == list(range(81))
    chi_square = float(((counts - expected) ** 2 / expected).sum())
    assert expected.min() > 3
    assert chi_square < 80 + 5 * math.sqrt(2 * 80)


# ------------------------------------------------------------------ training


class Dark(DiscreteDataModule):
    """Training data of levels 0..5, with labels; validation's are 10..15."""

    def __init__(self) -> None:
        super().__init__(name="dark", shape=(1, 4, 4), num_levels=16, batch_size=50, loader=Loader(eval_batch_size=50))

    def read(self) -> dict[str, Split]:  # type: ignore[override]
        generator = torch.Generator().manual_seed(0)
        first = {"train": 0, "val": 10, "test": 10}
        return {
            name: Split(
                torch.randint(level, level + 6, (500, *self.shape), generator=generator).to(torch.uint8),
                torch.randint(0, 2, (500,), generator=generator),
            )
            for name, level in first.items()
        }


@pytest.fixture
def starts(monkeypatch: pytest.MonkeyPatch) -> list[WeightNormalized]:
    """Which layers were started from data, in order."""
    seen: list[WeightNormalized] = []
    as_it_is = WeightNormalized._initialize

    def counted(self: WeightNormalized, x: Tensor) -> None:
        seen.append(self)
        as_it_is(self, x)

    monkeypatch.setattr(WeightNormalized, "_initialize", counted)
    return seen


class Watch(L.Callback):
    """Whether all layers had started when validation was first rehearsed."""

    at_sanity_check: bool | None = None

    def on_sanity_check_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.at_sanity_check = all(bool(layer.initialized) for layer in pl_module.net.layers())


def fresh(seed: int = 0, **options: Any) -> PixelCNNpp:
    torch.manual_seed(seed)
    return PixelCNNpp((1, 4, 4), 16, **{"num_filters": 4, "num_scales": 2, "num_classes": 2, "dropout": 0.5, **options})


def test_layers_start_once_from_a_batch_of_training_data(starts: list[WeightNormalized]) -> None:
    model, watch, ema = fresh(optimizer=adamw(lr=0.0)), Watch(), EMA(halflife_examples=1e6, every=1_000)
    validates = {"limit_val_batches": 2, "num_sanity_val_steps": 2}
    laws.fit(model, Dark(), 25, watch, ema, **validates)  # more than two epochs of 10 batches
    assert watch.at_sanity_check, "validation's rehearsal sees a started model, and starts nothing"
    assert len(starts) == len(set(starts)) == len(model.net.layers())
    assert torch.equal(ema.average["net.head.g"], model.net.head.g), "the average starts from the started weights"
    batch = next(iter(Dark().train_dataloader()))
    outputs: dict[WeightNormalized, Tensor] = {}
    for layer in model.net.layers():
        layer.register_forward_hook(lambda layer, _, out: outputs.update({layer: out.transpose(0, 1).flatten(1)}))
    with torch.no_grad():
        model.net(to_symmetric(batch.x, 16), batch.label)
    for layer, rows in outputs.items():
        assert rows.mean(1).abs().max() < 1e-3
        assert (rows.std(1, correction=0) / layer.init_scale - 1).abs().max() < 1e-3
    laws.fit(model, Dark(), 2, **validates)
    assert len(starts) == len(model.net.layers()), "nor does a second fit start them again"


def test_a_resumed_run_does_not_start_again(starts: list[WeightNormalized], tmp_path: Path) -> None:
    """Stopped inside an epoch; it ends where an unbroken run does, to the bit."""
    unbroken, stopped, resumed = fresh(), fresh(), fresh(seed=5)
    laws.fit(unbroken, Dark(), 6, StepSeed(0))
    laws.fit(stopped, Dark(), 4, StepSeed(0)).save_checkpoint(tmp_path / "last.ckpt")
    before = len(starts)
    resumed.train()
    laws.trainer(6, StepSeed(0)).fit(resumed, Dark(), ckpt_path=tmp_path / "last.ckpt")
    assert len(starts) == before == 2 * len(resumed.net.layers())
    state = resumed.state_dict()
    for name, value in unbroken.state_dict().items():
        assert torch.equal(state[name], value), name


@pytest.mark.filterwarnings("ignore:You defined a `validation_step`", "ignore:.*does not have many workers")
def test_data_must_be_asked_for() -> None:
    with pytest.raises(UserError, match=r"give Trainer\.fit a data module"):
        laws.trainer(1).fit(fresh(num_classes=0), Dark().train_dataloader())


def test_the_entropy_is_reached_on_colours_too() -> None:
    splits = SampleSizes(num_test=4_000, num_val=200)
    source = KnownEntropy((2, 1, 3), 3, num_components=2, splits=splits, batch_size=200)
    torch.manual_seed(0)
    model = PixelCNNpp(source.shape, source.num_levels, optimizer=adamw(lr=5e-3))
    laws.fit(model, source, 500)
    assert laws.bits_above_entropy(model, source) < 0.02


# ------------------------------------------------------------------ refusals


def test_what_leaves_no_model_is_refused() -> None:
    with pytest.raises(UserError, match=r"images \[C, H, W\], not examples of shape \[4\]"):
        PixelCNNpp((4,), 3)
    with pytest.raises(UserError, match="num_components=0"):
        PixelCNNpp((1, 4, 4), 3, num_components=0)
    with pytest.raises(UserError, match="set it to 2 or less"):
        PixelCNNpp((1, 6, 6), 3, num_scales=3)

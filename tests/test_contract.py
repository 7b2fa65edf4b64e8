"""The contract: what a family must have, and what it is given."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lit_gen.contract import Estimation, GenerativeModule
from lit_gen.data import KnownEntropy, Loader, SampleSizes
from lit_gen.errors import UserError
from lit_gen.likelihood import Likelihood, bits_per_dim
from lit_gen.noise import Noise

SHAPE, LEVELS = (1, 2, 2), 3


class Table(GenerativeModule):
    """One free probability for each level and pixel; costs are random on request."""

    estimators = ("exact", "noisy")

    def __init__(self) -> None:
        super().__init__(SHAPE, LEVELS)
        self.logits = nn.Parameter(torch.linspace(-1, 1, 12).reshape(LEVELS, *SHAPE))
        self.norm = nn.BatchNorm1d(1)
        self.blocks: list[int] = []
        self.seen: list[tuple[bool, bool]] = []

    def generate(self, noise: Noise, label: Tensor | None = None) -> Tensor:
        self.blocks.append(len(noise))
        self.seen.append((torch.is_grad_enabled(), self.training))
        cdf = self.logits.softmax(0).cumsum(0)[:-1]
        return (noise.uniform(*SHAPE)[:, None] >= cdf).sum(1).to(torch.uint8)

    def nll(self, x: Tensor, noise: Noise, estimator: str | None = None, draws: int = 1) -> Likelihood:
        self.check_estimator(estimator)
        nats = -self.logits.log_softmax(0).expand(len(x), LEVELS, *SHAPE).gather(1, x.long()[:, None])
        nats = nats.flatten(1).sum(1)
        if estimator == "noisy":
            nats = nats + noise.normal(draws).mean(1)
        return Likelihood(nats, "exact", estimator or "exact", {"half": nats / 2})


class Silent(Table):
    """Has no density."""

    estimators = ()

    def nll(self, x: Tensor, noise: Noise, estimator: str | None = None, draws: int = 1) -> None:  # type: ignore[override]
        return None


def trainer() -> Any:
    from lightning.pytorch import Trainer

    return Trainer(
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        inference_mode=False,
    )


# ------------------------------------------------------------------ what a family must have


@pytest.mark.parametrize("missing", ["generate"])
def test_a_family_that_cannot_sample_cannot_be_built(missing: str) -> None:
    body = {"generate": Table.generate}
    complete = type("Complete", (GenerativeModule,), body)
    assert complete(SHAPE, LEVELS).num_levels == LEVELS
    del body[missing]
    incomplete = type("Incomplete", (GenerativeModule,), body)
    with pytest.raises(TypeError, match=rf"abstract.*{missing}"):
        incomplete(SHAPE, LEVELS)


def test_an_unknown_estimator_is_refused_in_one_line() -> None:
    model = Table()
    model.check_estimator(None)
    model.check_estimator("noisy")
    with pytest.raises(UserError) as refused:
        model.check_estimator("exakt")
    message = str(refused.value)
    assert message == ("Table has no likelihood estimator 'exakt' (it has: exact, noisy); did you mean 'exact'?")
    with pytest.raises(UserError, match="none, it has no likelihood"):
        Silent().check_estimator("exact")


# ------------------------------------------------------------------ samples


@pytest.mark.parametrize("n", [1, 7, 8, 20])
@pytest.mark.parametrize("first", [0, 1, 7, 8, 13])
@pytest.mark.parametrize("block", [1, 4, 7, 250])
def test_blocks_cover_the_samples_exactly(n: int, first: int, block: int) -> None:
    model = Table()
    whole = model.sample(40)
    model.blocks.clear()
    blocks = list(model.sample_blocks(n, first=first, block=block))
    assert torch.equal(torch.cat(blocks), whole[first : first + n])
    assert model.blocks == [len(b) for b in blocks]
    # They end at multiples of the block.
    ends = torch.tensor(model.blocks).cumsum(0) + first
    assert all(int(end) % block == 0 for end in ends[:-1])
    assert all(1 <= len(b) <= block for b in blocks)


@pytest.mark.parametrize(("side", "expected"), [(2, 250), (32, 250), (128, 50), (256, 10), (2048, 1)])
def test_large_samples_are_drawn_few_at_a_time(side: int, expected: int) -> None:
    """250 images of 256x256 would not fit beside a large network; blocks divide the 250 that scores ask for."""
    model = Table()
    model.shape = (3, side, side)
    asked: list[int] = []
    model.generate = lambda noise, label=None: (  # type: ignore[method-assign]
        asked.append(len(noise)) or torch.zeros(len(noise), 1, dtype=torch.uint8)
    )
    model.sample(250, first=500)
    assert asked == [expected] * (250 // expected)


def test_samples_run_in_eval_mode_without_gradients_and_put_the_mode_back() -> None:
    model = Table()
    model.train()
    blocks = model.sample_blocks(9, block=4)
    next(blocks)
    assert torch.is_grad_enabled(), "between two blocks the caller's gradients are the caller's"
    list(blocks)
    assert model.seen == [(False, False)] * 3
    assert model.training
    assert model.norm.training
    model.eval()
    model.sample(2)
    assert not model.training


def test_the_mode_is_put_back_when_sampling_stops_early() -> None:
    model = Table()
    model.train()
    blocks = model.sample_blocks(9, block=4)
    next(blocks)
    blocks.close()
    assert model.training

    def fails(noise: Noise, label: Tensor | None = None) -> Tensor:
        raise RuntimeError("no samples today")

    model.generate = fails  # type: ignore[method-assign]
    with pytest.raises(RuntimeError, match="no samples today"):
        model.sample(3)
    assert model.training


# ------------------------------------------------------------------ validation and test


@pytest.fixture
def source() -> KnownEntropy:
    """The last batch of each split is short, so that a mean of batch means is wrong."""
    splits = SampleSizes(num_train=100, num_val=107, num_test=53)
    return KnownEntropy(SHAPE, LEVELS, splits=splits, loader=Loader(eval_batch_size=50))


def direct(model: Table, x: Tensor, estimator: str | None, draws: int, seed: int) -> Tensor:
    with torch.no_grad():
        return model.nll(x, Noise(seed, range(len(x))), estimator, draws).nats.double()


@pytest.mark.parametrize(("estimator", "draws", "seed"), [(None, 1, 0), ("noisy", 3, 5)])
def test_validation_logs_the_mean_over_the_split(
    source: KnownEntropy, estimator: str | None, draws: int, seed: int
) -> None:
    model = Table()
    model.val_estimation = Estimation(estimator, draws, seed)
    (metrics,) = trainer().validate(model, source, verbose=False)
    nats = direct(model, source.split("val").x, estimator, draws, seed)
    assert metrics["val/bpd"] == pytest.approx(float(bits_per_dim(nats.mean(), SHAPE)), rel=1e-6)
    assert metrics["val/bpd"] == pytest.approx(float(nats.mean()) / 4 / math.log(2), rel=1e-6)
    assert metrics["val/nats"] == pytest.approx(float(nats.mean()), rel=1e-6)
    assert metrics["val/half"] == pytest.approx(float(nats.mean()) / 2, rel=1e-6)
    assert "val/non_finite" not in metrics
    of_batches = sum(float(batch.mean()) for batch in nats.split(50)) / 3
    assert metrics["val/nats"] != pytest.approx(of_batches, rel=1e-5), "the test would not see the difference"


def test_every_validation_starts_anew_with_the_same_noise(source: KnownEntropy) -> None:
    model = Table()
    model.val_estimation = Estimation("noisy", 1, 0)
    first = trainer().validate(model, source, verbose=False)
    assert trainer().validate(model, source, verbose=False) == first
    with torch.no_grad():
        model.logits.mul_(2)
    (metrics,) = trainer().validate(model, source, verbose=False)
    nats = direct(model, source.split("val").x, "noisy", 1, 0)
    assert metrics["val/nats"] == pytest.approx(float(nats.mean()), rel=1e-6)


def test_an_example_without_a_finite_cost_spoils_the_score_and_is_counted(source: KnownEntropy) -> None:
    model = Table()
    with torch.no_grad():
        model.logits[0, 0, 0, 0] = -torch.inf  # level 0 at one pixel is impossible
    (metrics,) = trainer().validate(model, source, verbose=False)
    impossible = int((source.split("val").x[:, 0, 0, 0] == 0).sum())
    assert impossible > 1
    assert metrics["val/non_finite"] == impossible
    assert not math.isfinite(metrics["val/bpd"])


def test_a_family_without_a_likelihood_logs_none(source: KnownEntropy) -> None:
    (metrics,) = trainer().validate(Silent(), source, verbose=False)
    assert metrics == {}


def test_the_test_set_is_scored_under_its_own_estimation(source: KnownEntropy) -> None:
    model = Table()
    model.test_estimation = [Estimation("noisy", 2, 9)]
    for _ in range(2):  # a second test does not add to the first
        trainer().test(model, source, verbose=False)
        nats = direct(model, source.split("test").x, "noisy", 2, 9)
        (values,) = model.test_values
        assert values.index.tolist() == list(range(53))
        assert torch.allclose(values.nats, nats, rtol=1e-12)
        assert (values.kind, values.estimator) == ("exact", "noisy")


def test_each_data_loader_is_collected_under_its_own_estimation(source: KnownEntropy) -> None:
    model = Table()
    model.test_estimation = [Estimation("noisy", 1, 9), Estimation("exact")]
    trainer().test(model, [source.eval_loader("test"), source.eval_loader("val", torch.tensor([3, 99]))], verbose=False)
    test, val = model.test_values
    assert torch.allclose(test.nats, direct(model, source.split("test").x, "noisy", 1, 9), rtol=1e-12)
    assert val.index.tolist() == [3, 99]
    assert torch.allclose(val.nats, direct(model, source.split("val").x, "exact", 1, 0)[[3, 99]], rtol=1e-12)


def test_a_wrong_estimator_stops_validation(source: KnownEntropy) -> None:
    model = Table()
    model.val_estimation = Estimation("exacd")
    with pytest.raises(UserError, match="did you mean 'exact'"):
        trainer().validate(model, source, verbose=False)

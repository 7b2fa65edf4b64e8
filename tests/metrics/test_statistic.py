"""What holds for every statistic: precision, sums over processes, configurations, use in a LightningModule."""

from __future__ import annotations

import copy
import functools
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from conftest import REPO
from torch import Tensor
from torchmetrics import MetricCollection
from typing_extensions import override

from lit_gen.callbacks import BestCheckpoint, SampleQuality
from lit_gen.cli.command_line import CLI
from lit_gen.errors import UserError
from lit_gen.metrics import (
    KID,
    FrechetDistance,
    InceptionScore,
    JensenShannon,
    LogMel,
    MnistCNN,
    NGrams,
    Statistic,
    build,
    chosen,
    reference_summaries,
)
from lit_gen.metrics.statistics import STATISTICS
from lit_gen.metrics.statistics.ngram_overlap import NGramOverlap

from . import gloo_worker
from .gloo_worker import features_of, space_for
from .test_reference import Counting

GAN = f"--config={REPO / 'configs/recipes/digits/gan.yaml'}"


def filled(cls: type[Statistic], n: int = 40, reference: Mapping[str, Tensor] | None = None) -> Statistic:
    space = space_for(cls)
    statistic = build(cls, space, n, reference)
    features, logits = features_of(space, n)
    MetricCollection([statistic]).update(features=features, logits=logits, index=torch.arange(n))
    return statistic


@pytest.fixture(params=sorted(STATISTICS))
def cls(request: pytest.FixtureRequest) -> type[Statistic]:
    return STATISTICS[request.param]


# ------------------------------------------------------------------ every statistic


def test_scalars_are_float64_with_a_standard_error(cls: type[Statistic]) -> None:
    found = filled(cls, reference=filled(cls).summary()).compute()
    for spec in cls.scores:
        for value in (found[spec.key], found[f"{spec.key}_se"]):
            assert (value.dtype, value.shape) == (torch.float64, ())
            assert value.isfinite()


@pytest.mark.parametrize("convert", ["half", "to", "set_dtype", "bfloat16 parent"])
def test_states_keep_their_precision(cls: type[Statistic], convert: str) -> None:
    statistic = filled(cls, reference=filled(cls).summary())
    before, expected = statistic.metric_state, copy.deepcopy(statistic).compute()
    match convert:
        case "half":
            statistic.half()
        case "to":
            statistic.to(torch.float16)
        case "set_dtype":
            statistic.set_dtype(torch.float16)
        case _:
            torch.nn.ModuleList([statistic]).to(torch.bfloat16)
    for name, state in statistic.metric_state.items():
        assert state.dtype == before[name].dtype
        assert torch.equal(state, before[name])
    assert statistic.compute() == expected
    statistic.reset()
    assert all(state.dtype == before[name].dtype for name, state in statistic.metric_state.items())


def test_states_go_to_the_cpu_where_an_apple_gpu_is_asked_for(cls: type[Statistic]) -> None:
    class Apple(Tensor):
        device = torch.device("mps")

    statistic = filled(cls)
    statistic._apply(lambda tensor: Apple())  # what .to("mps") would give, were there one
    assert statistic.device.type == "cpu"
    assert all(state.device.type == "cpu" for state in statistic.metric_state.values())


def test_reset_states_are_zero_and_take_no_memory_of_their_own(cls: type[Statistic]) -> None:
    statistic = filled(cls)
    for default in statistic._defaults.values():
        assert default.untyped_storage().nbytes() <= 8
    moved = statistic.to("cpu")
    moved.reset()
    for state in moved.metric_state.values():
        assert state.is_contiguous()
        assert not state.any()


def test_a_copy_is_its_own(cls: type[Statistic]) -> None:
    statistic = filled(cls)
    other = statistic.clone()
    statistic.reset()
    assert all(state.any() for state in other.metric_state.values())


def test_states_are_no_part_of_a_checkpoint(cls: type[Statistic]) -> None:
    assert filled(cls, reference=filled(cls).summary()).state_dict() == {}


# ------------------------------------------------------------------ several processes


def test_two_processes_add_their_states_without_gathering_them(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(REPO), str(REPO / "tests")])}
    command = [sys.executable, "-m", "metrics.gloo_worker"]
    workers = [
        subprocess.Popen(
            [*command, str(rank), "2", str(tmp_path / "store"), str(tmp_path / "out")],
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    for worker in workers:
        _, errors = worker.communicate(timeout=120)
        assert worker.returncode == 0, errors
    alone = gloo_worker.computed(torch.arange(gloo_worker.NUM_SAMPLES))
    assert {"FrechetDistance.compute.fd_se", "FrechetDistance.summary.outer"} <= alone.keys()
    for rank in range(2):
        together = torch.load(tmp_path / f"out{rank}.pt", weights_only=True)
        assert together.keys() == alone.keys()
        for name, value in alone.items():
            torch.testing.assert_close(together[name], value, rtol=1e-12, atol=1e-12)


# ------------------------------------------------------------------ which statistics


def test_a_space_names_its_statistics() -> None:
    assert chosen(MnistCNN(), None) == [FrechetDistance, InceptionScore]
    assert chosen(LogMel(), None) == [FrechetDistance, KID]
    assert chosen(NGrams(), None) == [JensenShannon, NGramOverlap]
    assert chosen(None, None) == []
    assert chosen(MnistCNN(), [KID]) == [FrechetDistance, InceptionScore, KID]
    five = functools.partial(InceptionScore, num_splits=5)
    assert chosen(MnistCNN(), [five]) == [FrechetDistance, five]


def test_statistics_that_cannot_be_computed_raise() -> None:
    with pytest.raises(UserError, match="FrechetDistance takes vectors, and the features of NGrams are symbols"):
        chosen(NGrams(), [FrechetDistance])
    with pytest.raises(UserError, match="needs a feature space with a classifier"):
        chosen(LogMel(), [InceptionScore])
    with pytest.raises(UserError, match="two statistics have a score of the name fd_logmel"):
        chosen(LogMel(), [FrechetDistance, FrechetDistance])
    with pytest.raises(TypeError, match="no subclass of Statistic"):
        chosen(LogMel(), [lambda *args, **kwargs: FrechetDistance(3)])


def test_a_state_that_is_no_sum_raises() -> None:
    statistic = FrechetDistance(3)
    for default, reduction in (([], "cat"), (torch.zeros(3), "mean"), (torch.ones(3), "sum")):
        with pytest.raises(ValueError, match="must be a tensor of zeros reduced by 'sum'"):
            statistic.add_state("more", default, reduction)


class Power(Statistic):
    """The mean of the features' powers; a statistic as a user writes it, with a setting."""

    scores = ()
    total: Tensor

    def __init__(
        self, num_features: int, reference: Mapping[str, Tensor] | None = None, *, power: float = 1.0, **kwargs: Any
    ) -> None:
        super().__init__(num_features, reference, **kwargs)
        self.power = power
        self.add_state("total", torch.zeros(1, dtype=torch.float64))

    @override
    def update(self, features: Tensor, index: Tensor) -> None:
        self.total += (features.double() ** self.power).sum()

    @override
    def compute(self) -> dict[str, Tensor]:
        return {"power": self.total[0]}


def test_the_cache_tells_statistics_and_their_settings_apart(tmp_path: Path) -> None:
    x = torch.randint(0, 256, (30, 1, 4, 4), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    space, cube = Counting(), functools.partial(Power, power=3.0)
    one, three, fd, none = reference_summaries(x, space, [Power, cube, FrechetDistance, InceptionScore], "a", tmp_path)
    calls = space.calls
    assert calls == 2, "features are computed once for all"
    assert none is None
    assert len(list(tmp_path.iterdir())) == 3
    assert one is not None
    assert three is not None
    assert one["total"] < three["total"]
    again = reference_summaries(x, space, [FrechetDistance, cube], "a", tmp_path)
    assert space.calls == calls
    assert again[1] == three
    assert fd is not None
    assert again[0] is not None
    assert torch.equal(again[0]["outer"], fd["outer"])
    reference_summaries(x, space, [functools.partial(Power, power=2.0), FrechetDistance], "a", tmp_path)
    assert space.calls == 2 * calls
    assert len(list(tmp_path.iterdir())) == 4


# ------------------------------------------------------------------ configurations


@pytest.mark.parametrize(
    ("options", "names", "num_splits"),
    [
        ([], ["fd", "is"], 10),
        (["--quality.statistics=[InceptionScore,FrechetDistance]"], ["is", "fd"], 10),
        (["--quality.statistics+=FrechetDistance", "--quality.statistics+=lit_gen.metrics.InceptionScore"],
         ["fd", "is"], 10),
        (["--quality.statistics+=InceptionScore", "--quality.statistics.num_splits=5"], ["fd", "is"], 5),
        (["--quality.statistics=[{class_path: InceptionScore, init_args: {num_splits: 5}}]"], ["fd", "is"], 5),
    ],
)  # fmt: skip
def test_the_dumped_configuration_gives_the_same_statistics(
    options: list[str], names: list[str], num_splits: int, tmp_path: Path
) -> None:
    root = f"--trainer.default_root_dir={tmp_path}"
    cli = CLI([GAN, root, "--quality.num_samples=40", "--trainer.fast_dev_run=true", *options])
    quality = cli.config_init["quality"]
    assert quality.score_names == [f"val/{name}_mnist_cnn_40" for name in names]
    (tmp_path / "config.yaml").write_text(cli.config_text())
    again = CLI([f"--config={tmp_path / 'config.yaml'}", root])
    assert again.plain_config()["quality"] == cli.plain_config()["quality"]
    for factory in chosen(quality.extractor, again.config_init["quality"].statistics):
        statistic = build(factory, quality.extractor, 40)
        assert statistic.protocol() in ({}, {"is_splits": num_splits})


def test_wrong_statistics_are_an_error_before_the_run(tmp_path: Path) -> None:
    root = f"--trainer.default_root_dir={tmp_path}"
    with pytest.raises(UserError, match=r"quality\.statistics: 'FrechetDistanc' is not a Statistic; did you mean"):
        CLI([GAN, root, "--quality.statistics+=FrechetDistanc"])
    with pytest.raises(UserError, match=r"quality\.statistics: JensenShannon takes symbols"):
        CLI([GAN, root, "--quality.statistics+=JensenShannon"])
    assert not any(tmp_path.iterdir())


# ------------------------------------------------------------------ Lightning


class Toy(L.LightningModule):
    """A module with statistics of its own, as the docstring of Statistic has it."""

    def __init__(self, summary: dict[str, Tensor]) -> None:
        super().__init__()
        self.net = torch.nn.Linear(1, 1)
        space = {"num_classes": 3, "num_samples": 40}
        self.statistics = MetricCollection([FrechetDistance(6, summary), InceptionScore(6, **space)])
        self.single = False

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        return self.net(batch).square().mean()

    def validation_step(self, batch: Tensor, batch_idx: int) -> None:
        index = torch.arange(20 * batch_idx, 20 * (batch_idx + 1))
        features = torch.randn(20, 6, generator=torch.Generator().manual_seed(batch_idx))
        self.statistics.update(features=features, logits=features[:, :3], index=index)

    def on_validation_epoch_end(self) -> None:
        if self.single:
            self.log("fd", self.statistics["FrechetDistance"])
        self.log_dict(self.statistics.compute())
        self.statistics.reset()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)

    def train_dataloader(self) -> Any:
        return torch.utils.data.DataLoader(torch.zeros(40, 1), batch_size=20)

    val_dataloader = train_dataloader


def test_a_module_logs_the_dictionary_of_a_collection(tmp_path: Path) -> None:
    reference = FrechetDistance(6)
    reference.update(torch.randn(90, 6, generator=torch.Generator().manual_seed(5)), torch.arange(90))
    settings: dict[str, Any] = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    settings |= {"default_root_dir": tmp_path, "accelerator": "cpu", "enable_model_summary": False}
    toy = Toy(reference.summary())
    trainer = L.Trainer(max_epochs=2, num_sanity_val_steps=0, **settings)
    trainer.fit(toy)
    assert trainer.callback_metrics.keys() == {"fd", "fd_se", "is", "is_se", "is_std"}
    assert 0 < trainer.callback_metrics["fd"] < 5
    toy.single = True
    with pytest.raises(Exception, match="fd"):
        L.Trainer(**settings).validate(toy, verbose=False)


def test_the_first_score_chooses_the_checkpoint_by_its_own_direction() -> None:
    for factories, name, mode in (
        (None, "val/fd_mnist_cnn_20", "min"),
        ([InceptionScore, FrechetDistance], "val/is_mnist_cnn_20", "max"),
    ):
        quality, keep = SampleQuality(MnistCNN(), factories, num_samples=20), BestCheckpoint()
        keep.monitor_first_score(quality)
        assert (keep.monitor, keep.mode) == (name, mode)
        assert keep.save_top_k == 1

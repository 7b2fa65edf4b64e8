"""The kernel inception distance: by brute force, against torch-fidelity, unbiased, and with an error that is one."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import REPO
from torch import Tensor

import lit_gen.metrics
from lit_gen.cli.command_line import CLI
from lit_gen.errors import UserError
from lit_gen.metrics import MnistCNN, reference_summaries, score_samples
from lit_gen.metrics.spaces.train_mnist_cnn import sklearn_digits
from lit_gen.metrics.statistics.kernel import KID


def normal(n: int, dim: int, seed: int, shift: float = 0.0) -> Tensor:
    return torch.randn(n, dim, generator=torch.Generator().manual_seed(seed)) + shift


def updated(x: Tensor, reference: KID | None = None, batch: int = 7, num_groups: int = 10) -> KID:
    summary = None if reference is None else reference.summary()
    statistic = KID(x.shape[1], summary, num_samples=len(x), num_groups=num_groups)
    for index in torch.arange(len(x)).split(batch):
        statistic.update(x[index], index)
    return statistic


def kid(x: Tensor, y: Tensor) -> tuple[float, float]:
    found = updated(x, updated(y, num_groups=1)).compute()
    return found["kid"].item(), found["kid_se"].item()


def by_brute_force(x: Tensor, y: Tensor) -> float:
    def k(a: Tensor, b: Tensor) -> float:
        return float(a.double() @ b.double() / len(a) + 1) ** 3

    m, n = len(x), len(y)
    within = sum(k(x[i], x[j]) for i in range(m) for j in range(m) if i != j) / (m * (m - 1))
    reference = sum(k(y[i], y[j]) for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
    return within + reference - 2 * sum(k(a, b) for a in x for b in y) / (m * n)


def test_it_is_the_double_loop_and_its_error_that_without_each_group() -> None:
    x, y = normal(23, 3, seed=0, shift=0.5), normal(9, 3, seed=1)
    value, error = kid(x, y)
    assert value == pytest.approx(by_brute_force(x, y), rel=1e-12)
    without = [by_brute_force(x[torch.arange(23) % 10 != g], y) for g in range(10)]
    assert error == pytest.approx(math.sqrt(9 * np.var(without)), rel=1e-9)


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = normal(50, 4, seed=0), normal(31, 4, seed=1)
    whole = kid(x, y)
    monkeypatch.setattr("lit_gen.metrics.statistics.kernel.BLOCK", 8)
    assert kid(x, y) == pytest.approx(whole, rel=1e-9)


def test_equals_torch_fidelity_where_the_only_subset_is_everything() -> None:
    from torch_fidelity.metric_kid import kid_features_to_metric

    x, y = normal(60, 16, seed=0, shift=0.3).relu(), normal(60, 16, seed=1).relu()
    theirs = kid_features_to_metric(x.double(), y.double(), kid_subsets=1, kid_subset_size=60, verbose=False)
    assert kid(x, y)[0] == pytest.approx(theirs["kernel_inception_distance_mean"], rel=1e-9)


def test_random_subsets_are_torch_fidelitys_own() -> None:
    from torch_fidelity.metric_kid import kid_features_to_metric

    x, y = normal(90, 12, 0, shift=0.3), normal(70, 12, 1)
    theirs = kid_features_to_metric(x.double(), y.double(), kid_subsets=25, kid_subset_size=40, verbose=False)
    statistic = KID(12, updated(y, num_groups=1).summary(), num_samples=90, num_subsets=25, subset_size=40)
    statistic.update(x, torch.arange(90))
    assert statistic.compute()["kid"].item() == pytest.approx(theirs["kernel_inception_distance_mean"], rel=1e-9)
    assert statistic.protocol() == {"statistic": {"num_subsets": 25, "subset_size": 40, "subset_seed": 2020}}
    assert KID(12, num_samples=90).protocol() == {}  # all pairs, which is what records without settings mean


def test_subsets_larger_than_a_set_are_rejected_in_one_line() -> None:
    line = r"KID: subset_size is 1000, and there are 90 samples; give 2 to 90, or num_subsets=0"
    with pytest.raises(UserError, match=line):
        KID(12, num_samples=90, num_subsets=10)
    statistic = KID(12, num_samples=90, num_subsets=10, subset_size=80)
    with pytest.raises(UserError, match="subset_size is 80, and there are 70 reference examples"):
        statistic.check_counts(70)


def test_it_is_unbiased_and_its_error_is_the_spread_over_redrawn_samples() -> None:
    """200 pairs of sets from one Gaussian: 0 in the mean, and below 0 about half of the time."""
    found = [kid(normal(40, 5, seed=2 * i), normal(30, 5, seed=2 * i + 1))[0] for i in range(200)]
    assert np.mean(found) == pytest.approx(0, abs=3 * np.std(found) / math.sqrt(200))
    assert 0.3 < np.mean(np.array(found) < 0) < 0.9
    reference = updated(normal(500, 5, seed=10_000), num_groups=1)
    redrawn = [updated(normal(100, 5, seed=i, shift=0.5), reference).compute() for i in range(60)]
    spread = np.std([value["kid"].item() for value in redrawn], ddof=1)
    assert np.mean([value["kid_se"].item() for value in redrawn]) == pytest.approx(spread, rel=0.35)


def test_samples_that_are_missing_or_come_twice_raise() -> None:
    reference = updated(normal(9, 3, seed=1), num_groups=1)
    statistic = KID(3, reference.summary(), num_samples=20)
    statistic.update(normal(19, 3, seed=0), torch.arange(19))
    with pytest.raises(ValueError, match="19 samples were added, 20 expected"):
        statistic.compute()
    statistic.update(normal(1, 3, seed=0), torch.tensor([3]))
    with pytest.raises(ValueError, match="20 samples were added, 20 expected"):
        statistic.compute()


def test_it_is_found_by_its_name_in_configurations(tmp_path: Path) -> None:
    assert lit_gen.metrics.KID is KID
    recipe = f"--config={REPO / 'configs/recipes/digits/gan.yaml'}"
    for options in (
        ["--quality.statistics+=KID"],
        ["--quality.statistics=[lit_gen.metrics.KID]"],
        ["--quality.statistics=[lit_gen.metrics.statistics.kernel.KID]"],
    ):
        root = f"--trainer.default_root_dir={tmp_path}"
        cli = CLI([recipe, root, "--trainer.fast_dev_run=true", *options])
        assert cli.config_init["quality"].score_names == [f"val/{name}_mnist_cnn_1k" for name in ("fd", "is", "kid")]
        assert cli.plain_config()["quality"]["statistics"] == [
            {"class_path": "lit_gen.metrics.KID", "init_args": {"num_subsets": 0, "subset_size": 1000}}
        ]


def test_it_is_scored_like_any_other(tmp_path: Path) -> None:
    assert lit_gen.metrics.KID is KID
    x, _ = sklearn_digits()
    space = MnistCNN()
    references = reference_summaries(x[:300], space, [KID], "digits", tmp_path)
    (real,) = score_samples(lambda i, n: x[300 + i : 300 + i + n], space, [KID], references, 200)
    noise = torch.randint(0, 256, (200, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    (spoilt,) = score_samples(lambda i, n: noise[i : i + n], space, [KID], references, 200)
    assert (real.name, real.label, real.decimals, real.higher_is_better) == ("kid_mnist_cnn", "KID-mnist_cnn", 4, False)
    assert spoilt.value > 10 * abs(real.value)

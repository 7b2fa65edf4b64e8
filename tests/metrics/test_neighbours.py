"""Precision, recall, density, coverage and authenticity: by brute force, against the packages, in closed form."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
import torch
from conftest import REPO
from torch import Tensor

from lit_gen.errors import UserError
from lit_gen.metrics import neighbourhoods
from lit_gen.metrics.neighbourhoods import ball_radii, nearest_pairs
from lit_gen.metrics.statistics.authenticity import AuthPct
from lit_gen.metrics.statistics.density_coverage import DensityCoverage
from lit_gen.metrics.statistics.kept_features import KeptFeatures
from lit_gen.metrics.statistics.precision_recall import PrecisionRecall


def normal(n: int, dim: int, seed: int, scale: float = 1.0) -> Tensor:
    return scale * torch.randn(n, dim, generator=torch.Generator().manual_seed(seed))


def computed(cls: type[KeptFeatures], x: Tensor, y: Tensor, **settings: Any) -> dict[str, float]:
    """The statistic of samples x, which come in batches of 70, against the reference y."""
    reference = cls(x.shape[1], num_samples=len(y), num_groups=1, **settings)
    reference.update(y, torch.arange(len(y)))
    statistic = cls(x.shape[1], reference.summary(), num_samples=len(x), **settings)
    for index in torch.arange(len(x)).split(70):
        statistic.update(x[index], index)
    return {name: float(value) for name, value in statistic.compute().items()}


def radius(x: Tensor, k: int) -> Tensor:
    """Distance of each row from its k-th nearest other one, from the whole matrix."""
    return torch.cdist(x.double(), x.double()).fill_diagonal_(torch.inf).kthvalue(k, 1).values


def precision_recall(x: Tensor, y: Tensor, k: int) -> tuple[float, float]:
    distance = torch.cdist(x.double(), y.double())
    inside = (distance <= radius(y, k)).any(1)
    return inside.double().mean().item(), (distance <= radius(x, k)[:, None]).any(0).double().mean().item()


def jackknife(x: Tensor, function: Callable[[Tensor], float]) -> float:
    left = torch.arange(len(x)) % 10
    values = torch.tensor([function(x[left != g]) for g in range(10)], dtype=torch.float64)
    return math.sqrt(9 * values.var(correction=0).item())


FAKE, REAL = normal(230, 6, 0, 1.2), normal(190, 6, 1)


def test_precision_and_recall_by_brute_force_with_their_errors() -> None:
    found = computed(PrecisionRecall, FAKE, REAL)
    precision, recall = precision_recall(FAKE, REAL, 3)
    assert 0.2 < precision < recall < 1
    assert (found["precision"], found["recall"]) == pytest.approx((precision, recall), abs=1e-12)
    assert found["precision_se"] == pytest.approx(math.sqrt(precision * (1 - precision) / 229))
    assert found["recall_se"] == pytest.approx(jackknife(FAKE, lambda x: precision_recall(x, REAL, 3)[1]), abs=1e-12)
    assert found["recall_se"] > 0


def test_density_and_coverage_by_brute_force_with_their_errors() -> None:
    def coverage(x: Tensor) -> float:
        return (torch.cdist(REAL.double(), x.double()).amin(1) < radius(REAL, 5)).double().mean().item()

    found = computed(DensityCoverage, FAKE, REAL)
    count = (torch.cdist(FAKE.double(), REAL.double()) < radius(REAL, 5)).double().sum(1) / 5
    assert found["density"] == pytest.approx(count.mean().item(), abs=1e-12)
    assert found["density_se"] == pytest.approx(count.std().item() / math.sqrt(230))
    assert found["coverage"] == pytest.approx(coverage(FAKE), abs=1e-12)
    assert found["coverage_se"] == pytest.approx(jackknife(FAKE, coverage), abs=1e-12)


def test_authenticity_by_brute_force() -> None:
    distance, nearest = torch.cdist(FAKE.double(), REAL.double()).min(1)
    share = (radius(REAL, 1)[nearest] < distance).double().mean().item()
    found = computed(AuthPct, FAKE, REAL)
    assert found["authpct"] == pytest.approx(100 * share)
    assert found["authpct_se"] == pytest.approx(100 * math.sqrt(share * (1 - share) / 229))


@pytest.mark.parametrize("cls", [PrecisionRecall, DensityCoverage, AuthPct])
def test_the_blocks_change_nothing(cls: type[KeptFeatures], monkeypatch: pytest.MonkeyPatch) -> None:
    whole = computed(cls, FAKE, REAL)
    monkeypatch.setattr(neighbourhoods, "BLOCK", 31)
    monkeypatch.setattr(neighbourhoods.distance_blocks, "__defaults__", (31,))
    assert computed(cls, FAKE, REAL) == pytest.approx(whole, abs=1e-12)


def test_precision_and_recall_equal_torch_fidelitys() -> None:
    from torch_fidelity.metric_prc import prc_features_to_metric

    theirs = prc_features_to_metric(FAKE.double(), REAL.double(), verbose=False)
    ours = computed(PrecisionRecall, FAKE, REAL)
    assert [ours[name] for name in ("precision", "recall")] == pytest.approx(
        [theirs["precision"], theirs["recall"]], abs=1e-6
    )


def test_density_and_coverage_equal_prdcs(capsys: pytest.CaptureFixture[str]) -> None:
    prdc = pytest.importorskip("prdc", reason="needs the package prdc")
    theirs = prdc.compute_prdc(REAL.double().numpy(), FAKE.double().numpy(), nearest_k=5)
    ours = computed(DensityCoverage, FAKE, REAL)
    assert ours["density"] == pytest.approx(theirs["density"], abs=1e-9)
    assert ours["coverage"] == pytest.approx(theirs["coverage"], abs=1e-9)


def test_a_set_against_itself() -> None:
    """Each point lies on the surface of its k-th neighbour's ball: the two rules differ, and rounding must not."""
    same = computed(PrecisionRecall, REAL + 100, REAL + 100)
    assert (same["precision"], same["recall"]) == (1, 1)
    same = computed(DensityCoverage, REAL + 100, REAL + 100)
    assert same["coverage"] == 1
    assert same["density"] == pytest.approx(1, abs=1e-12)  # itself and the nearest k - 1
    assert computed(AuthPct, REAL + 100, REAL + 100)["authpct"] == 0


def test_equal_gaussians_have_density_1_and_the_papers_coverage() -> None:
    """Naeem et al. 2020: coverage is 1 - (n-1)...(n-k) / ((m+n-1)...(m+n-k)) in expectation, in any space."""
    m, n, k, draws = 60, 90, 5, 60
    found = [computed(DensityCoverage, normal(m, 3, seed), normal(n, 3, 10_000 + seed)) for seed in range(draws)]
    values = {name: torch.tensor([one[name] for one in found]) for name in found[0]}
    expected = 1 - math.prod((n - i) / (m + n - i) for i in range(1, k + 1))
    for name, truth in (("density", 1.0), ("coverage", expected)):
        error = values[name].std().item() / math.sqrt(draws)
        assert abs(values[name].mean().item() - truth) < 3 * error
        assert error < 0.02


@pytest.mark.parametrize(("cls", "name"), [(PrecisionRecall, "recall"), (DensityCoverage, "coverage"),
                                           (PrecisionRecall, "precision"), (DensityCoverage, "density")])
def test_the_errors_are_the_spread_over_redrawn_samples(cls: type[KeptFeatures], name: str) -> None:
    found = [computed(cls, normal(150, 6, seed, 0.8), REAL) for seed in range(60)]
    spread = torch.tensor([one[name] for one in found]).std().item()
    mean = sum(one[f"{name}_se"] for one in found) / len(found)
    assert 0.6 < mean / spread < 1.6


def test_collapse_lowers_recall_and_coverage_and_noise_lowers_precision_and_density() -> None:
    collapsed, noisy = REAL[:3].repeat(70, 1) + normal(210, 6, 5, 0.05), normal(210, 6, 6, 3.0)
    pr, dc = computed(PrecisionRecall, collapsed, REAL), computed(DensityCoverage, collapsed, REAL)
    assert pr["precision"] == 1
    assert pr["recall"] < 0.05
    assert dc["coverage"] < 0.2
    pr, dc = computed(PrecisionRecall, noisy, REAL), computed(DensityCoverage, noisy, REAL)
    assert pr["precision"] < 0.2
    assert pr["recall"] > 0.9
    assert dc["density"] < 0.1


def test_copies_come_first_among_the_pairs() -> None:
    copies = torch.cat([normal(30, 6, 9), REAL[[7, 3]], REAL[11:12] + 0.01])
    reference = AuthPct(6, num_samples=len(REAL), num_groups=1)
    reference.update(REAL, torch.arange(len(REAL)))
    statistic = AuthPct(6, reference.summary(), num_samples=len(copies))
    statistic.update(copies, torch.arange(len(copies)))
    assert statistic.pairs() is None
    statistic.compute()
    pairs = statistic.pairs()
    assert pairs is not None
    assert pairs.sample[:3].tolist() == [30, 31, 32]
    assert pairs.reference[:3].tolist() == [7, 3, 11]
    assert pairs.ratio[:2].tolist() == [0, 0]
    assert 0 < pairs.ratio[2] < 0.05
    assert torch.equal(pairs.ratio, pairs.ratio.sort().values)


def test_a_copy_of_an_example_that_is_there_twice_is_not_authentic() -> None:
    twice = torch.cat([REAL, REAL[:5]]) + 50
    assert computed(AuthPct, twice[:20], twice)["authpct"] == 0


def test_nearest_pairs_of_copies_are_exact_far_from_the_origin() -> None:
    x = normal(300, 40, 0) + 1000
    found = nearest_pairs(x[40:60], x)
    assert found.squared.tolist() == [0] * 20
    assert found.row.tolist() == list(range(40, 60))
    other = nearest_pairs(x[40:60], x, exclude=torch.arange(40, 60))
    assert (other.row != torch.arange(40, 60)).all()
    torch.testing.assert_close(other.squared.sqrt(), radius(x, 1)[40:60], rtol=1e-9, atol=0)


def test_radii_without_each_group_are_those_of_the_others() -> None:
    whole, without = ball_radii(REAL, 3, 7)
    torch.testing.assert_close(whole.sqrt(), radius(REAL, 3))
    left = torch.arange(len(REAL)) % 7
    for g in (0, 6):
        torch.testing.assert_close(without[left != g, g].sqrt(), radius(REAL[left != g], 3))


@pytest.mark.parametrize("k", [0, 18, 30])
def test_too_many_neighbours_are_rejected_in_one_line(k: int) -> None:
    with pytest.raises(UserError, match=rf"PrecisionRecall: k is {k}, and there are 20 samples; give 1 to 17"):
        PrecisionRecall(4, num_samples=20, k=k)
    statistic = DensityCoverage(4, num_samples=20, k=5)
    with pytest.raises(UserError, match="k is 5, and there are 5 reference examples; give 1 to 4"):
        statistic.check_counts(5)


def test_the_definitions_are_in_the_protocol() -> None:
    assert PrecisionRecall(4, num_samples=20).protocol() == {"statistic": {"k": 3, "rule": "<="}}
    assert DensityCoverage(4, num_samples=20).protocol() == {"statistic": {"k": 5, "rule": "<"}}
    assert AuthPct(4, num_samples=20).reference_split == "train"


@pytest.mark.slow
def test_50_000_by_50_000_neighbours_stay_within_the_stated_memory() -> None:
    """The whole matrix would take 20 GB; prints seconds and MiB, run with -s."""
    script = REPO / "tests" / "benchmarks" / "statistic_peers.py"
    command = [sys.executable, str(script), "PrecisionRecall", "50000", "16"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    print(f"\n{found['seconds']:.0f} CPU seconds, {found['mebibytes']:.0f} MiB: {found['numbers']}")
    assert found["mebibytes"] < 300

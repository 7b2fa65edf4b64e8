"""Our statistics beside torch-fidelity's, pytorch-fid's and prdc's, on the same features in float64.

``python -m pytest tests/benchmarks/test_agreement.py -m benchmark -n 0 -s``. Features are random, not negative: 1,500
samples and 1,200 examples of 256; logits of ten classes. Nothing is timed.
"""

from __future__ import annotations

import importlib
from typing import Any

import pytest
import torch
from torch import Tensor

from lit_gen.metrics import InceptionScore
from lit_gen.metrics.statistics import STATISTICS

from .statistic_peers import features

M, N, DIM = 1500, 1200, 256


def ours(name: str, x: Tensor, y: Tensor, **settings: Any) -> dict[str, float]:
    cls = STATISTICS[name]
    reference = cls(DIM, num_samples=N, num_groups=1)
    reference.update(y, torch.arange(N))
    statistic = cls(DIM, reference.summary(), num_samples=M, **settings)
    for index in torch.arange(M).split(250):
        statistic.update(x[index], index)
    return {key: float(value) for key, value in statistic.compute().items()}


def inception_score(logits: Tensor) -> float:
    statistic = InceptionScore(DIM, num_classes=10, num_samples=M)
    statistic.update(logits, torch.arange(M))
    return float(statistic.compute()["is"])


def peers(x: Tensor, y: Tensor, logits: Tensor) -> dict[str, tuple[str, float]]:
    """Numbers of the peers that are installed, by the name of ours."""
    from torch_fidelity import metric_fid, metric_isc, metric_kid, metric_prc

    x, y = x.double(), y.double()
    moments = [metric_fid.fid_features_to_statistics(z) for z in (x, y)]
    fid = metric_fid.fid_statistics_to_metric(*moments, verbose=False)["frechet_inception_distance"]
    kid = metric_kid.kid_features_to_metric(x, y, verbose=False)["kernel_inception_distance_mean"]
    prc = metric_prc.prc_features_to_metric(x, y, verbose=False)
    isc = metric_isc.isc_features_to_metric(logits)["inception_score_mean"]
    found = {name: ("torch-fidelity", float(value)) for name, value in {
        "fd": fid, "kid": kid, "is": isc, "precision": prc["precision"], "recall": prc["recall"]
    }.items()}
    try:
        theirs = importlib.import_module("prdc").compute_prdc(y.numpy(), x.numpy(), nearest_k=5)
        found |= {name: ("prdc", float(theirs[name])) for name in ("density", "coverage")}
        fid_score = importlib.import_module("pytorch_fid.fid_score")
        sides = [part for z in (x, y) for part in (z.mean(0).numpy(), z.T.cov().numpy())]
        found["fd "] = ("pytorch-fid", float(fid_score.calculate_frechet_distance(*sides)))
    except ImportError as error:
        print(f"not installed: {error.name}")
    return found


@pytest.mark.benchmark
def test_agreement_to_six_digits() -> None:
    x, y = features(M, DIM, 0, 1.03), features(N, DIM, 1, 1.0)
    logits = 3 * torch.randn(M, 10, generator=torch.Generator().manual_seed(2))
    found = {"is": inception_score(logits)}
    for name, settings in (("FrechetDistance", {}), ("KID", {"num_subsets": 100}), ("PrecisionRecall", {}),
                           ("DensityCoverage", {})):
        found |= ours(name, x, y, **settings)
    print("\n| score | ours | peer | relative difference |\n|---|---|---|---|")
    for name, (peer, theirs) in peers(x, y, logits).items():
        value = found[name.strip()]
        print(f"| {name.strip()} | {value:.12g} | {peer} {theirs:.12g} | {abs(value / theirs - 1):.1e} |")
        assert value == pytest.approx(theirs, rel=1e-6)

"""One statistic of random features, ours or a peer's, in a process of its own: prints seconds, MiB and the numbers.

``python statistic_peers.py NAME SAMPLES [FEATURES]``, with NAME a key of ``RUNS``.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable

import torch
from torch import Tensor


def features(n: int, dim: int, seed: int, spread: float) -> Tensor:
    """Non-negative features with a spectrum that falls as a power, as those of networks."""
    generator = torch.Generator().manual_seed(seed)
    scale = torch.arange(1, dim + 1) ** -0.5
    return torch.relu(0.4 + spread * scale * torch.randn(n, dim, generator=generator))


def _ours(name: str) -> Callable[[Tensor, Tensor], dict[str, float]]:
    from lit_gen.metrics import FrechetDistance
    from lit_gen.metrics.statistics import STATISTICS

    cls = STATISTICS[name]
    given = {} if cls is FrechetDistance else {"num_groups": 1}

    def run(x: Tensor, y: Tensor) -> dict[str, float]:
        reference = cls(x.shape[1], num_samples=len(y), **({"num_groups": 1} | given))
        for index in torch.arange(len(y)).split(250):
            reference.update(y[index], index)
        statistic = cls(x.shape[1], reference.summary(), num_samples=len(x))
        for index in torch.arange(len(x)).split(250):
            statistic.update(x[index], index)
        return {key: float(value) for key, value in statistic.compute().items()}

    return run


def _fidelity(metric: str) -> Callable[[Tensor, Tensor], dict[str, float]]:
    from torch_fidelity import metric_fid, metric_kid, metric_prc

    def fid(x: Tensor, y: Tensor) -> dict[str, float]:
        a, b = (metric_fid.fid_features_to_statistics(z) for z in (x, y))
        return dict(metric_fid.fid_statistics_to_metric(a, b, verbose=False))

    def kid(x: Tensor, y: Tensor) -> dict[str, float]:
        return dict(metric_kid.kid_features_to_metric(x, y, verbose=False))

    def prc(x: Tensor, y: Tensor) -> dict[str, float]:
        return dict(metric_prc.prc_features_to_metric(x, y, verbose=False))

    return {"fid": fid, "kid": kid, "prc": prc}[metric]


def _pytorch_fid() -> Callable[[Tensor, Tensor], dict[str, float]]:
    import numpy as np
    from pytorch_fid.fid_score import calculate_frechet_distance

    def run(x: Tensor, y: Tensor) -> dict[str, float]:
        a, b = x.double().numpy(), y.double().numpy()
        moments = [part for z in (a, b) for part in (z.mean(0), np.cov(z, rowvar=False))]
        return {"fid": float(calculate_frechet_distance(*moments))}

    return run


def _prdc() -> Callable[[Tensor, Tensor], dict[str, float]]:
    from prdc import compute_prdc

    def run(x: Tensor, y: Tensor) -> dict[str, float]:
        return {k: float(v) for k, v in compute_prdc(y.numpy(), x.numpy(), nearest_k=5).items()}

    return run


RUNS: dict[str, Callable[[], Callable[[Tensor, Tensor], dict[str, float]]]] = {
    "FD": lambda: _ours("FrechetDistance"),
    "FD torch-fidelity": lambda: _fidelity("fid"),
    "FD pytorch-fid": _pytorch_fid,
    "KID": lambda: _ours("KID"),
    "KID torch-fidelity": lambda: _fidelity("kid"),
    "PrecisionRecall": lambda: _ours("PrecisionRecall"),
    "PrecisionRecall torch-fidelity": lambda: _fidelity("prc"),
    "DensityCoverage": lambda: _ours("DensityCoverage"),
    "DensityCoverage prdc": _prdc,
    "AuthPct": lambda: _ours("AuthPct"),
}


def main(name: str, n: int, dim: int) -> None:
    """Runs one of them on n samples and n examples."""
    torch.set_num_threads(1)
    run = RUNS[name]()
    x, y = features(n, dim, 0, 1.1), features(n, dim, 1, 1.0)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    wall, cpu = time.perf_counter(), time.process_time()
    numbers = run(x, y)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(json.dumps({"seconds": cpu, "wall": wall, "mebibytes": peak / 1024, "numbers": numbers}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 2048)

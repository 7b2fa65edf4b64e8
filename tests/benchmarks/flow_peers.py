"""The peers' flows on the architectures of ours, in a user's plain loop; each run as a program that takes turns.

    python -m benchmarks.flow_peers train|sample PEER realnvp|nsf|maf

The data are levels 0..255 of 784 dimensions; all flows are of the logit of the dequantized data, at alpha 1e-6.
Nothing of lit_gen is imported, so that a process is as large as its peer makes it.
"""

from __future__ import annotations

import importlib.util
import itertools
import math
import sys
from collections.abc import Callable, Iterator
from functools import partial
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.turns import take_turns

ALPHA, DIMS, LEVELS, BOUND, BINS = 1e-6, 784, 256, 3.0, 8
HIDDEN = {"realnvp": (512, 512), "nsf": (256, 256), "maf": (512, 512)}
LAYERS = {"realnvp": 8, "nsf": 4, "maf": 5}
# Samples at a time. A MAF is inverted dimension by dimension, which gains by larger batches, here and in the peers.
SAMPLES = {"realnvp": 64, "nsf": 64, "maf": 128}


class Net(nn.Sequential):
    """Linear layers with ReLUs between them; a context that is always None is let pass."""

    def __init__(self, num_inputs: int, num_outputs: int, hidden: tuple[int, ...]) -> None:
        sizes = [num_inputs, *hidden, num_outputs]
        layers = [[nn.Linear(a, b), nn.ReLU()] for a, b in itertools.pairwise(sizes)]
        super().__init__(*[layer for pair in layers for layer in pair][:-1])

    def forward(self, x: Tensor, context: None = None) -> Tensor:
        return super().forward(x)


def nflows(arch: str) -> nn.Module:
    stub = ModuleType("matplotlib")  # a test of theirs wants it at import
    stub.pyplot = None  # type: ignore[attr-defined]
    absent = importlib.util.find_spec("matplotlib") is None
    if absent:
        sys.modules["matplotlib"] = stub
    from nflows import transforms as T
    from nflows.distributions.normal import StandardNormal
    from nflows.flows.base import Flow
    from nflows.utils.torchutils import create_alternating_binary_mask

    if absent:
        del sys.modules["matplotlib"]

    steps: list[nn.Module] = []
    for i in range(LAYERS[arch]):
        mask = create_alternating_binary_mask(DIMS, even=i % 2 == 0)
        net = lambda inputs, outputs: Net(inputs, outputs, HIDDEN[arch])  # noqa: E731
        if arch == "realnvp":
            steps.append(T.AffineCouplingTransform(mask, net))
        elif arch == "nsf":
            steps.append(
                T.PiecewiseRationalQuadraticCouplingTransform(mask, net, BINS, tails="linear", tail_bound=BOUND)
            )
        else:
            steps += [T.ReversePermutation(DIMS)] if i else []
            steps.append(
                T.MaskedAffineAutoregressiveTransform(
                    DIMS, HIDDEN[arch][0], num_blocks=len(HIDDEN[arch]) - 1, use_residual_blocks=False
                )
            )
    return Flow(T.CompositeTransform(steps), StandardNormal([DIMS]))


def normflows(arch: str) -> nn.Module:
    import normflows as nf
    from normflows.flows.neural_spline.coupling import PiecewiseRationalQuadraticCoupling
    from normflows.utils.masks import create_alternating_binary_mask

    steps: list[nn.Module] = []  # from latents to data
    for i in range(LAYERS[arch]):
        if arch == "realnvp":
            net = nf.nets.MLP([DIMS // 2, *HIDDEN[arch], DIMS], init_zeros=True)
            steps += [nf.flows.AffineCouplingBlock(net), nf.flows.Permute(DIMS, mode="swap")]
        elif arch == "nsf":
            # The coupling inside CoupledRationalQuadraticSpline, whose net is another and which has a spline more.
            mask = create_alternating_binary_mask(DIMS, even=i % 2 == 0)
            coupling = PiecewiseRationalQuadraticCoupling(
                mask, lambda a, b: Net(a, b, HIDDEN[arch]), BINS, tails="linear", tail_bound=BOUND
            )
            steps.append(nf.flows.Reverse(coupling))
        else:
            layer = nf.flows.MaskedAffineAutoregressive(
                DIMS, HIDDEN[arch][0], num_blocks=len(HIDDEN[arch]) - 1, use_residual_blocks=False
            )
            steps += [_Flip()] if i else []
            steps.append(nf.flows.Reverse(layer))
    return nf.NormalizingFlow(nf.distributions.DiagGaussian(DIMS, trainable=False), steps)


class _Flip(nn.Module):
    """Reverses the order, for normflows."""

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        return z.flip(1), torch.zeros(len(z))

    inverse = forward


def zuko(arch: str) -> nn.Module:
    from zuko.flows import MAF, NICE
    from zuko.transforms import MonotonicRQSTransform

    if arch == "maf":
        return MAF(DIMS, transforms=LAYERS[arch], hidden_features=HIDDEN[arch])
    spline = {
        "univariate": partial(MonotonicRQSTransform, bound=BOUND),
        "shapes": ((BINS,), (BINS,), (BINS - 1,)),
    }
    options: dict[str, Any] = spline if arch == "nsf" else {}
    return NICE(DIMS, transforms=LAYERS[arch], hidden_features=HIDDEN[arch], **options)


PEERS: dict[str, Callable[[str], nn.Module]] = {"normflows": normflows, "nflows": nflows, "zuko": zuko}


def log_density(peer: str, flow: nn.Module) -> Callable[[Tensor], Tensor]:
    """Nats of real vectors, as the peer gives them."""
    return flow().log_prob if peer == "zuko" else flow.log_prob  # type: ignore[operator, return-value]


def nats(log_prob: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """What levels cost on average, dequantized: the loss."""
    y = (x.flatten(1) + torch.rand(len(x), DIMS)) / LEVELS
    y = ALPHA + (1 - 2 * ALPHA) * y
    log_y, log_rest = y.log(), (1 - y).log()
    volume = DIMS * math.log((1 - 2 * ALPHA) / LEVELS) - (log_y + log_rest).sum(1)
    return -(log_prob(log_y - log_rest) + volume).mean()


def batches() -> Iterator[Tensor]:
    """The usual loader over a tensor in memory, for ever."""
    x = torch.randint(0, LEVELS, (60_000, 1, 28, 28), dtype=torch.uint8)
    loader = DataLoader(TensorDataset(x), batch_size=128, shuffle=True, drop_last=True)
    while True:
        for (batch,) in loader:
            yield batch


def train(peer: str, arch: str) -> None:
    """The plain loop."""
    flow, stream = PEERS[peer](arch), batches()
    optimizer = torch.optim.Adam(flow.parameters(), lr=1e-3)
    last = torch.zeros(())

    def step() -> int:
        nonlocal last
        x = next(stream)
        last = nats(log_density(peer, flow), x)
        optimizer.zero_grad()
        last.backward()
        optimizer.step()
        return len(x)

    take_turns(step, count(flow), lambda: last.item() / DIMS / math.log(2))


def sample(peer: str, arch: str) -> None:
    """Images, so many at a time."""
    flow, n = PEERS[peer](arch).eval(), SAMPLES[arch]

    @torch.no_grad()
    def draw() -> int:
        z = flow().sample((n,)) if peer == "zuko" else flow.sample(n)  # type: ignore[operator]
        y = (torch.sigmoid(z[0] if peer == "normflows" else z) - ALPHA) / (1 - 2 * ALPHA)
        return len((y * LEVELS).floor().clamp(0, LEVELS - 1).to(torch.uint8))

    take_turns(draw, count(flow), lambda: math.nan)


def count(model: nn.Module) -> int:
    """Trainable parameters."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


if __name__ == "__main__":
    {"train": train, "sample": sample}[sys.argv[1]](sys.argv[2], sys.argv[3])

"""The laws every family obeys, as functions of a model: what the tests of all families share.

Models are enrolled by the YAML files under ``configs/``: a new family needs no edit here.
"""

from __future__ import annotations

import functools
import importlib
import math
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from lightning.pytorch import Callback, Trainer
from torch import Tensor

from lit_gen.contract import GenerativeModule
from lit_gen.data import DiscreteDataModule, KnownEntropy, SampleSizes
from lit_gen.errors import UserError
from lit_gen.likelihood import Likelihood, RunningNats
from lit_gen.noise import Noise
from lit_gen.optim import AdamW

CONFIGS = Path(__file__).resolve().parents[2] / "configs"

# Small enough to enumerate, in the order in which they are tried: nets that halve an image refuse the first.
SPACES = (((1, 2, 2), 3), ((1, 2, 4), 2), ((1, 4, 4), 2), ((1, 4), 3), ((4,), 3))


# ------------------------------------------------------------------ enrolment


def enrolled() -> list[type[GenerativeModule]]:
    """Every model class that a YAML under ``configs/families`` or ``configs/recipes`` names."""
    names = {
        yaml.safe_load(path.read_text())["model"]["class_path"]
        for folder in ("families", "recipes")
        for path in sorted((CONFIGS / folder).rglob("*.yaml"))
    }
    return [_class_at(name) for name in sorted(names)]


def _class_at(path: str) -> type[GenerativeModule]:
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module or "lit_gen.families"), name)


def tiny_source(family: type[GenerativeModule], seed: int = 0) -> tuple[GenerativeModule, KnownEntropy]:
    """The family with its constructor's defaults, and a source of known entropy on a space that it takes."""
    for shape, num_levels in SPACES:
        torch.manual_seed(seed)
        try:
            model = family(shape, num_levels)
        except UserError:
            continue
        return model, KnownEntropy(shape, num_levels, splits=SampleSizes(num_test=4_000, num_val=200), batch_size=200)
    return pytest.fail(f"{family.__name__} cannot be built with its defaults on any of {SPACES}")


@torch.no_grad()
def stir(model: GenerativeModule, seed: int = 0, scale: float = 0.2) -> None:
    """Moves every parameter at random: fresh nets start near zero, where many mistakes cost nothing."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        parameter.add_(scale * torch.randn(parameter.shape, generator=generator))


# ------------------------------------------------------------------ training


def adamw(**options: Any) -> Any:
    """AdamW with other options than its defaults, as a model's ``optimizer``."""
    return functools.partial(AdamW, **options)



def trainer(steps: int, *callbacks: Callback, **options: Any) -> Trainer:
    """A Trainer that trains so many steps, without validation, and writes nothing."""
    settings: dict[str, Any] = {
        "accelerator": "cpu",
        "max_steps": steps,
        "limit_val_batches": 0,
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "use_distributed_sampler": False,
        "num_sanity_val_steps": 0,
        "inference_mode": False,
    }
    return Trainer(**(settings | options), callbacks=list(callbacks))


def fit(model: GenerativeModule, data: DiscreteDataModule, steps: int, *callbacks: Callback, **options: Any) -> Trainer:
    """Trains from a fixed state of torch's generator; leaves the model in eval mode."""
    fresh = trainer(steps, *callbacks, **options)
    model.train()
    torch.manual_seed(1)
    fresh.fit(model, data)
    model.eval()
    return fresh


class Gradients(Callback):
    """Remembers which parameters' gradients reached an optimizer, and which of them were not zero."""

    def __init__(self) -> None:
        self.reached: set[str] = set()
        self.not_zero: set[str] = set()
        self.not_finite: set[str] = set()

    def on_before_optimizer_step(self, trainer: Any, pl_module: Any, optimizer: torch.optim.Optimizer) -> None:
        stepped = {id(p) for group in optimizer.param_groups for p in group["params"]}
        for name, parameter in pl_module.named_parameters():
            if id(parameter) in stepped and parameter.grad is not None:
                self.reached.add(name)
                if parameter.grad.any():
                    self.not_zero.add(name)
                if not parameter.grad.isfinite().all():
                    self.not_finite.add(name)


# ------------------------------------------------------------------ likelihood


@torch.no_grad()
def nll(model: GenerativeModule, x: Tensor, estimator: str | None = None, draws: int = 1, seed: int = 0) -> Likelihood:
    """The likelihood of x, example i with the noise of index i, in batches that fit into memory."""
    model.eval()
    parts = []
    for rows in torch.arange(len(x)).split(4_096):
        part = model.nll(x[rows], Noise(seed, rows), estimator, draws)
        assert part is not None, f"{type(model).__name__} has estimators, and no likelihood"
        parts.append(part)
    return Likelihood(torch.cat([part.nats for part in parts]), parts[0].kind, parts[0].estimator)


def total_mass(
    model: GenerativeModule, states: Tensor, estimator: str, draws: int, repeats: int
) -> tuple[float, float]:
    """Sum over all states of ``exp(-mean nats)`` over repeats, and its standard error over the draws.

    The exponential of a noisy mean is too large in the mean, by half its variance: that is taken off, so that
    a bound which holds is not accused.
    """
    nats = torch.stack([nll(model, states, estimator, draws, seed).nats.double() for seed in range(repeats)])
    variance = nats.var(0) / repeats
    p = (-nats.mean(0)).exp()
    return float((p * (1 - variance / 2)).sum()), float((p.square() * variance).sum().sqrt())


def assert_mass_is_lawful(model: GenerativeModule, states: Tensor, estimator: str) -> None:
    """Over all states, exact probabilities sum to one, a bound's to at most one, an estimate's hardly to more.

    An estimate may be one of a bound, so that it need not come near to one.

    Raises:
        AssertionError: They do not.
    """
    kind = nll(model, states, estimator).kind
    repeats = 8 if len(states) <= 1_000 else 4
    # An estimate's draw is the solution of an equation.
    draws, repeats = (2, 4) if kind == "estimate" else (16, repeats)
    mass, error = total_mass(model, states, estimator, draws, repeats)
    said = f"{type(model).__name__}'s {kind} likelihood '{estimator}' has a mass of {mass:.5f} +- {error:.5f}"
    if kind == "exact":
        assert error < 1e-6, f"{said}: exact, and yet it depends on the noise"
        assert abs(mass - 1) < 1e-4, said
    elif kind == "bound":
        assert mass <= 1 + 1e-4 + 4 * error, said
    else:
        assert mass <= 1.02 + 4 * error, said


def assert_uniform_noise_is_dear(model: GenerativeModule, states: Tensor, num_levels: int, estimator: str) -> None:
    """The mean over all states is at least ``log(num_levels)`` nats a dimension: what uniform noise holds.

    Raises:
        AssertionError: It is less.
    """
    nats = nll(model, states, estimator, draws=4).nats.double()
    floor = math.prod(states.shape[1:]) * math.log(num_levels)
    cost = float(nats.mean())
    said = f"uniform noise of {floor:.4f} nats is had for {cost:.4f} ({estimator})"
    assert cost >= floor * (1 - 1e-5), said


def bits_above_entropy(
    model: GenerativeModule, source: KnownEntropy, estimator: str | None = None, draws: int = 1
) -> float:
    """Bits/dim of the test split above the source's entropy, after a check that it is not below.

    Two checks. The score against the entropy, within 3 standard errors of the test sample. And the score
    against the true log-probability of the very same examples, whose difference has a far smaller error: it
    estimates the Kullback-Leibler divergence, which is not negative.

    Raises:
        AssertionError: The model scores below what the source holds, so its likelihood is none.
    """
    x = source.split("test").x
    nats = nll(model, x, estimator, draws).nats.double()
    score, excess = RunningNats(), RunningNats()
    score.update(nats)
    excess.update(nats + source.log_prob(x))
    bits = 1 / (math.log(2) * source.num_dims)
    said = (
        f"{type(model).__name__} scores {score.mean * bits:.4f} +- {score.standard_error * bits:.4f} bits/dim"
        f" ({estimator}) where the entropy is {source.entropy_bits_per_dim:.4f}"
    )
    assert score.non_finite == 0, f"{score.non_finite} examples have no finite likelihood"
    assert score.mean >= source.entropy_nats - 3 * score.standard_error, said
    assert excess.mean >= -3 * excess.standard_error - 1e-5, f"{said}: {excess.mean:.5f} nats too few"
    return excess.mean * bits

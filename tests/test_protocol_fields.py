"""A protocol states what its number depends on, and nothing else."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from commands import run_fit
from families import conformance as laws
from families import flows
from torch import Tensor

from lit_gen import evaluate
from lit_gen.cli.process import run_command
from lit_gen.contract import GenerativeModule
from lit_gen.noise import Noise
from lit_gen.records.record import Record, read_record, write_record

ENROLLED = {family.__name__: functools.partial(laws.tiny_source, family) for family in laws.enrolled()}


def stirred(name: str) -> tuple[GenerativeModule, Tensor]:
    """A model and 64 examples of its data."""
    if name in flows.ALL:
        shape, num_levels = flows.SPACES[name]
        torch.manual_seed(0)
        model: GenerativeModule = flows.ALL[name](shape, num_levels)
    else:
        model = ENROLLED[name]()[0]
        shape, num_levels = model.shape, model.num_levels
    laws.stir(model)
    model.eval()
    generator = torch.Generator().manual_seed(0)
    return model, torch.randint(num_levels, (64, *shape), generator=generator).to(torch.uint8)


@torch.no_grad()
def is_the_same_in_bfloat16(number: Callable[[], Tensor]) -> bool:
    full = number()
    with torch.autocast("cpu", torch.bfloat16):
        return torch.equal(full, number())


@pytest.mark.parametrize("name", sorted({*ENROLLED, *flows.ALL}))
def test_a_likelihood_in_float32_is_the_same_to_the_bit_in_every_precision(name: str) -> None:
    """And the others are not: those must keep the precision in their protocol."""
    model, x = stirred(name)
    for estimator in model.estimators:
        same = is_the_same_in_bfloat16(lambda e=estimator: model.nll(x, Noise(0, range(len(x))), e, 2).nats)  # type: ignore[misc, union-attr]
        assert model.likelihood_in_float32(estimator) == same, estimator


@pytest.mark.parametrize("name", sorted({*ENROLLED, *flows.ALL}))
def test_samples_in_float32_are_the_same_in_every_precision(name: str) -> None:
    model, _ = stirred(name)
    if not model.samples_in_float32():
        pytest.skip("its protocol states the precision")
    seen: list[Tensor] = []  # what is rounded to integers: real numbers, or logits
    if hasattr(model, "_next_logits"):
        of = model._next_logits
        model._next_logits = lambda *a: seen.append(of(*a)) or seen[-1]  # type: ignore[assignment, union-attr, func-returns-value]
    else:
        inverse = model.bijection.inverse  # type: ignore[union-attr, operator]
        model.bijection.inverse = lambda *a: seen.append(inverse(*a)) or seen[-1]  # type: ignore[assignment, union-attr, func-returns-value]
    assert is_the_same_in_bfloat16(lambda: model.sample(250))
    half = len(seen) // 2
    assert half
    assert all(torch.equal(a, b) for a, b in zip(seen[:half], seen[half:], strict=True))


@pytest.mark.parametrize("name", ["GAN", "VAE", "EDM", "MLPRealNVP"])
def test_samples_of_nets_in_the_trainer_s_precision_are_not(name: str) -> None:
    model, _ = stirred(name)
    assert not model.samples_in_float32()
    assert not is_the_same_in_bfloat16(lambda: model.sample(10_000))  # of which about one in 2,000 integers differs


# ------------------------------------------------------------------ in records


SHORT = ["--budget.max_examples=100", "--grid.num_samples=0", "--scoring.num_samples=40"]


def record_of(folder: Path, family: str, *options: str) -> Record:
    run_fit(family, folder, "run", *SHORT, *options)
    return read_record(folder / "run" / "record.json")


def test_an_inception_score_names_no_real_data(tmp_path: Path) -> None:
    both = "[lit_gen.metrics.FrechetDistance,lit_gen.metrics.InceptionScore]"
    record = record_of(tmp_path, "vae", f"--quality.statistics={both}")
    for scores in (record.scores, record.baselines):
        found = {score.name: score.protocol for score in scores if score.protocol.sampler}
        alone, compared = found["is_mnist_cnn"], found["fd_mnist_cnn"]
        nothing = (alone.split, alone.data_hash, alone.num_examples, alone.reference_split, alone.reference_hash)
        assert nothing == (None,) * 5
        assert alone.is_splits == 10
        assert alone.num_samples == compared.num_samples == 40
        assert compared.reference_split == compared.split == "test"
        assert compared.num_examples == 447
        assert compared.reference_hash == compared.data_hash
        assert compared.data_hash is not None
    assert {b.protocol.precision for b in record.baselines} == {None}, "no model computed them"


def test_what_runs_in_float32_states_no_precision(tmp_path: Path) -> None:
    record = record_of(tmp_path, "autoregressive", "--trainer.precision=bf16-mixed")
    stated = {bool(score.protocol.sampler): score.protocol.precision for score in record.scores}
    assert stated == {True: None, False: "bf16-mixed"}


def test_a_score_replaces_one_that_stated_more_than_it_depends_on(tmp_path: Path) -> None:
    record = record_of(tmp_path, "autoregressive")
    path = tmp_path / "run" / "record.json"
    older = [  # as an older version wrote
        dataclasses.replace(s, value=s.value + 1, protocol=dataclasses.replace(s.protocol, precision="32-true"))
        for s in record.scores
    ]
    write_record(path, dataclasses.replace(record, scores=older))
    assert run_command(evaluate.main, [str(tmp_path / "run" / "checkpoints" / "best.ckpt")]) == 0
    again = read_record(path)
    assert [s.protocol.hash for s in again.scores] == [s.protocol.hash for s in record.scores]
    assert [s.value for s in again.scores] == pytest.approx([s.value for s in record.scores])

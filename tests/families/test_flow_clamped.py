"""Mass of a flow outside the data's range is reported: samples that lie there are set to an end value."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch
from conftest import REPO
from torch import Tensor
from typing_extensions import override

from lit_gen import evaluate, fit
from lit_gen.bijections import Bijection, Chain, Flatten, Logit
from lit_gen.cli.process import run_command
from lit_gen.contract import GenerativeModule
from lit_gen.families import DDPM, GAN, VAE
from lit_gen.families.flow import Flow
from lit_gen.noise import Noise
from lit_gen.optim import AdamW

DRAWS = 4_000
CONFIGS = [REPO / "configs/data/digits.yaml", REPO / "configs/families/flow/glow.yaml"]


class Scaled(Bijection):
    """``(x - centre) / width``: under a normal prior, x is normal with that mean and standard deviation."""

    def __init__(self, centre: float, width: float) -> None:
        super().__init__()
        self.centre, self.width = centre, width

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return (x - self.centre) / self.width, torch.full((len(x),), -x[0].numel() * math.log(self.width))

    @override
    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        return self.centre + self.width * z


def normal(width: float, alpha: float | None = None, temperature: float = 1.0) -> Flow:
    """Independent normals of mean 1/2 on the data's scale, or of mean 0 after a logit."""
    flatten = Flatten((1, 2, 2))

    class Normal(Flow):
        @override
        def build_bijection(self) -> Bijection:
            logit = [] if alpha is None else [Logit(alpha)]
            return Chain([*logit, flatten, Scaled(0.5 if alpha is None else 0.0, width)])

    return Normal(
        (1, 2, 2), 4, dequantization=None, num_classes=0, temperature=temperature, optimizer=AdamW
    )


def two_sided(deviations: float) -> float:
    """Probability that a standard normal is further from 0 than that."""
    return math.erfc(deviations / math.sqrt(2))


@pytest.mark.parametrize(
    ("model", "outside"),
    [
        (normal(0.25), two_sided(2.0)),
        (normal(0.5), two_sided(1.0)),
        (normal(0.5, temperature=0.5), two_sided(2.0)),
        (normal(1.5, alpha=0.05), two_sided(math.log(0.95 / 0.05) / 1.5)),
    ],
)
def test_the_share_of_clamped_samples_is_the_mass_outside(model: Flow, outside: float) -> None:
    model.sample(DRAWS)
    counts = model.sample_counts()
    for name, probability, n in (
        ("samples_clamped", 1 - (1 - outside) ** 4, DRAWS),
        ("sample_values_clamped", outside, 4 * DRAWS),
    ):
        many, of = counts[name]
        assert of == n
        assert abs(many / of - probability) < 4 * math.sqrt(probability * (1 - probability) / n)


def test_what_is_clamped_is_what_the_likelihood_does_not_count() -> None:
    """One value more than the integers have: their probabilities sum to the mass inside."""
    model = normal(0.5)
    x = torch.cartesian_prod(*[torch.arange(4)] * 4).to(torch.uint8).view(-1, 1, 2, 2)
    with torch.no_grad():
        nats = model.nll(x, Noise(0, range(len(x))), "importance", 400).nats
    inside = float((-nats.double()).exp().sum())
    assert inside == pytest.approx((1 - two_sided(1.0)) ** 4, rel=0.02)
    model.sample(DRAWS)
    many, of = model.sample_counts()["samples_clamped"]
    assert 1 - many / of == pytest.approx(inside, abs=0.04)


def test_a_logit_of_little_room_loses_nothing() -> None:
    """The ends of the data's range are 13.8 standard deviations away."""
    model = normal(1.0, alpha=1e-6)
    model.sample(DRAWS)
    assert model.sample_counts() == {"samples_clamped": (0, DRAWS), "sample_values_clamped": (0, 4 * DRAWS)}


@pytest.mark.parametrize("family", [VAE, GAN, DDPM])
def test_models_whose_decoder_assigns_all_numbers_lose_nothing(family: type[GenerativeModule]) -> None:
    model = family((1, 4, 4), 4)
    model.sample(10)
    assert model.sample_counts() == {}


def test_a_record_and_the_terminal_state_the_share(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of the scored samples alone; a later evaluation of another temperature leaves it as it is."""
    few = ["--data.init_args.batch_size=50", "--budget.max_examples=300", "--quality.num_samples=100"]
    few += ["--scoring.num_samples=200", "--trainer.accelerator=cpu"]
    run = tmp_path / "run"
    where = [f"--trainer.default_root_dir={tmp_path}", "--run_name=run"]
    assert run_command(fit.main, [*(f"--config={path}" for path in CONFIGS), *where, *few]) == 0
    assert "samples clamped" in capsys.readouterr().out
    notes = json.loads((run / "record.json").read_text())["notes"]
    assert 0 < notes["sample_values_clamped"] <= notes["samples_clamped"] <= 1
    assert notes["samples_clamped"] * 200 == pytest.approx(round(notes["samples_clamped"] * 200))
    assert run_command(evaluate.main, [str(run / "checkpoints" / "best.ckpt"), "--temperature", "0.5"]) == 0
    assert json.loads((run / "record.json").read_text())["notes"] == notes

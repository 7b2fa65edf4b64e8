"""A prior for each class: what an example costs is still its own, and samples are of the class asked for."""

from __future__ import annotations

import math

import pytest
import torch

from lit_gen.errors import UserError
from lit_gen.families.flow.prior import ClassConditional
from lit_gen.noise import Noise

from . import conformance as laws
from . import flows

# ------------------------------------------------------------------ density


def test_the_density_without_a_label_is_the_mean_over_classes() -> None:
    torch.manual_seed(0)
    model = flows.OF_IMAGES["Glow"]((1, 2, 2), 3, num_classes=3)
    laws.stir(model)
    y = torch.rand(50, 1, 2, 2)
    with torch.no_grad():
        each = torch.stack([model.log_density(y, torch.full((50,), c)) for c in range(3)])
        assert torch.allclose(model.log_density(y), each.logsumexp(0) - math.log(3), atol=1e-4)
        own = torch.arange(50) % 3
        assert torch.allclose(model.log_density(y, own), each.gather(0, own[None])[0], atol=1e-5)
    assert each.std(0).mean() > 0.1


def test_a_class_s_density_is_torch_s_normal() -> None:
    prior = ClassConditional(4, 3)
    laws.stir(prior, scale=1.0)  # type: ignore[arg-type]
    z, label = torch.randn(20, 4), torch.arange(20) % 3
    expected = torch.distributions.Normal(prior.mean[label], prior.log_scale[label].exp()).log_prob(z).sum(1)
    assert torch.allclose(prior.log_prob(z, label), expected, atol=1e-4)


def test_a_score_of_samples_says_that_they_are_of_classes() -> None:
    """Models that are told a class stand in a column of their own."""
    build = flows.OF_IMAGES["Glow"]
    assert build((1, 2, 2), 3, num_classes=3).sampler_settings()["class_conditional"] is True
    assert "class_conditional" not in build((1, 2, 2), 3).sampler_settings()


def test_the_temperature_narrows_each_class() -> None:
    prior = ClassConditional(2, 3)
    laws.stir(prior, scale=1.0)  # type: ignore[arg-type]
    label = torch.arange(3).repeat(400)
    z = prior.sample(Noise(0, range(1_200)), label, 0.25)
    for c in range(3):
        assert torch.allclose(z[label == c].mean(0), prior.mean[c], atol=0.3)
        assert torch.allclose(z[label == c].std(0), 0.25 * prior.log_scale[c].exp(), rtol=0.2)
    assert torch.equal(prior.sample(Noise(0, range(1_200)), label, 0.0), prior.mean[label])


# ------------------------------------------------------------------ trained on classes that do not overlap


def test_samples_are_of_the_class_that_was_asked_for() -> None:
    model = flows.trained_on_classes()
    for label in range(4):
        x = model.sample(300, label=label)
        assert (flows.Classes.label_of(x) == label).float().mean() > 0.9
    drawn = flows.Classes.label_of(model.sample(2_000, block=1_000)).bincount(minlength=4)
    assert (drawn - 500).abs().max() < 5 * math.sqrt(2_000 * 3 / 16), "a class without a label is any"


def test_a_label_changes_the_class_and_not_the_noise() -> None:
    model = flows.trained_on_classes()
    noise = Noise(0, range(50))
    drawn = (noise.uniform() * 4).long()
    with torch.no_grad():
        assert torch.equal(model.generate(Noise(0, range(50)), drawn), model.generate(Noise(0, range(50))))


def test_the_score_is_of_the_levels_alone() -> None:
    """All classes being equally likely, an example costs log 4 more than under its own class, which is the data's."""
    model, data = flows.trained_on_classes(), flows.Classes()
    split = data.split("test")
    own = [-laws.nll(model, split.x, draws=4).nats]
    with torch.no_grad():
        noise = Noise(0, range(len(split.x)))
        weights = [model.log_weight(split.x, noise.uniform(2), split.label) for _ in range(4)]
    own.append(torch.stack(weights).mean(0))
    assert float((own[1] - own[0]).mean()) == pytest.approx(math.log(4), abs=0.02)
    entropy = math.log(4 * 25)
    cost = -own[0].double()
    assert entropy - 3 * float(cost.std()) / 20 < float(cost.mean()) < entropy + 0.8


def test_labels_that_are_missing_or_unknown_are_refused() -> None:
    model = flows.OF_VECTORS["MLPRealNVP"]((2,), 16, num_classes=4)
    with pytest.raises(UserError, match="num_classes is 4, but the data have no labels; set it to 0"):
        laws.fit(model, flows.Classes(labelled=False), 1)
    model = flows.OF_VECTORS["MAF"]((2,), 16, num_classes=3)
    with pytest.raises(UserError, match="num_classes is 3, but the data have label 3"):
        laws.fit(model, flows.Classes(), 1)
    odd = flows.Classes()
    odd.split("train").label[7] = -1
    with pytest.raises(UserError, match="num_classes is 4, but the data have label -1"):
        laws.fit(flows.OF_VECTORS["MAF"]((2,), 16, num_classes=4), odd, 1)
    with pytest.raises(UserError, match=r"cannot be asked for label 3: it has labels 0..2"):
        model.sample(3, label=3)
    with pytest.raises(UserError, match="cannot be asked for label 0: it was trained without labels"):
        flows.fresh("MAF").sample(3, label=0)
    with pytest.raises(UserError, match="must not be negative"):
        flows.fresh("MLPRealNVP", num_classes=-1)


def test_labels_without_a_use_are_no_matter() -> None:
    a, b = (flows.OF_VECTORS["MLPRealNVP"]((2,), 16) for _ in range(2))
    b.load_state_dict(a.state_dict())
    laws.fit(a, flows.Classes(), 3)
    laws.fit(b, flows.Classes(labelled=False), 3)
    assert torch.equal(a.sample(20), b.sample(20))

"""Likelihoods of models trained in stages, where all states can be enumerated."""

from __future__ import annotations

import itertools
import math
from typing import Literal

import pytest
import torch
from halves import Halves
from torch import Tensor

from lit_gen.contract import EncodesToIntegers
from lit_gen.families.vae import VAE
from lit_gen.likelihood import Likelihood, joint_nll
from lit_gen.noise import Noise


def states(num_values: int, dims: int) -> Tensor:
    return torch.tensor(list(itertools.product(range(num_values), repeat=dims)))


def test_sum_is_the_marginal_where_each_example_has_one_code() -> None:
    model = Halves((3,), 4)
    x, codes = states(4, 3), states(2, 3)
    log_prior = torch.randn(len(codes), generator=torch.Generator().manual_seed(0)).double().log_softmax(0)
    log_decoder = torch.stack([-model.decoder_nll(x, code.expand_as(x)) for code in codes], 1)  # [X, Z]
    z = model.encode_integers(x, Noise(0, range(len(x)))) @ torch.tensor([4, 2, 1])
    joint = joint_nll(Likelihood(-log_prior[z], "exact", "softmax"), -log_decoder.gather(1, z[:, None])[:, 0])
    assert torch.allclose(joint.nats, -(log_prior + log_decoder).logsumexp(1))
    assert torch.allclose(joint.nats, -log_prior[z] + 3 * math.log(2))
    assert float((-joint.nats).exp().sum()) == pytest.approx(1)


def test_sum_is_a_bound_where_several_codes_give_an_example() -> None:
    generator = torch.Generator().manual_seed(0)
    log_prior = torch.randn(5, generator=generator).double().log_softmax(0)
    log_decoder = torch.randn(5, 20, generator=generator).double().log_softmax(1)
    z = log_decoder.argmax(0)  # a deterministic encoder
    joint = joint_nll(Likelihood(-log_prior[z], "exact", "softmax"), -log_decoder[z, torch.arange(20)])
    assert joint.kind == "bound"
    assert (joint.nats > -(log_prior[:, None] + log_decoder).logsumexp(0)).all()
    assert float((-joint.nats).exp().sum()) < 1


@pytest.mark.parametrize(("prior", "joint"), [("exact", "bound"), ("bound", "bound"), ("estimate", "estimate")])
def test_kinds(
    prior: Literal["exact", "bound", "estimate"], joint: Literal["bound", "estimate"]
) -> None:
    found = joint_nll(Likelihood(torch.ones(2), prior, "elbo"), torch.full((2,), 3.0))
    assert (found.kind, found.estimator) == (joint, "codes-elbo")
    assert found.parts is not None
    assert found.parts["rate"].tolist() == [1, 1]
    assert found.parts["distortion"].tolist() == [3, 3]


def test_parts_of_different_examples_do_not_add_up() -> None:
    """Without the check, nats ``[1]`` and ``[3]`` would be broadcast."""
    for shape in ((3,), (1, 1), ()):
        with pytest.raises(ValueError, match="the same"):
            joint_nll(Likelihood(torch.ones(1), "exact", "softmax"), torch.ones(shape))


def test_interface_is_recognized_by_its_members() -> None:
    model = Halves((3,), 4)
    assert isinstance(model, EncodesToIntegers)
    assert not isinstance(VAE((1, 2, 2), 4), EncodesToIntegers)
    codes = states(2, 3)
    assert torch.equal(model.encode_integers(model.decode_integers(codes), Noise(0, range(8))), codes)

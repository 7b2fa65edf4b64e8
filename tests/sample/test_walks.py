"""Walks through latents, traversals, inversions and classes of a GAN by ``lit-gen sample``."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from commands import run_fit
from torch import Tensor

from lit_gen.checkpoints import read_checkpoint
from lit_gen.cli.build import run_from_checkpoint
from lit_gen.errors import UserError
from lit_gen.families import SNGAN
from lit_gen.families.gan import GAN, GeneratorSampling
from lit_gen.media import rows
from lit_gen.nets import SNGANNets
from lit_gen.noise import Noise
from lit_gen.quantization import to_symmetric, to_uint8
from lit_gen.runs.weights import load_weights
from lit_gen.sample import walks
from lit_gen.sample.__main__ import main
from lit_gen.sample.options import Options


@pytest.fixture(scope="module")
def gan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = run_fit("gan", tmp_path_factory.mktemp("gan"), "gan", "--budget.max_examples=1000")
    return folder / "checkpoints/last.ckpt"


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Tensor]:
    """What is arranged in rows."""
    found: list[Tensor] = []

    def note(x: Tensor, framed: object) -> Tensor:
        found.append(x)
        return rows.row_picture(x, ())

    monkeypatch.setattr(walks, "row_picture", note)
    return found


def model_of(checkpoint: Path) -> GAN:
    content = read_checkpoint(checkpoint)
    run = run_from_checkpoint(content, ["--quality.extractor=null"], purpose="sample")
    load_weights(run, content, "auto")
    assert isinstance(run.model, GAN)
    return run.model.eval()


def test_a_walk_goes_from_sample_to_sample(gan: Path, drawn: list[Tensor], tmp_path: Path) -> None:
    main([str(gan), "--walk", "3", "1", "--walk", "0", "2", "--steps=4", f"--out={tmp_path / 'a.png'}"])
    samples = to_uint8(model_of(gan).sample(4), 17)
    assert drawn[0].shape == (2, 4, 1, 8, 8)
    assert torch.equal(drawn[0][:, 0], samples[[3, 0]])
    assert torch.equal(drawn[0][:, -1], samples[[1, 2]])
    assert not torch.equal(drawn[0][:, 1], drawn[0][:, 0])


def test_a_traversal_changes_one_latent_at_a_time(gan: Path, drawn: list[Tensor], tmp_path: Path) -> None:
    main([str(gan), "--traverse", "2", "--steps=3", "--k=2", f"--out={tmp_path / 'a.png'}"])
    model = model_of(gan)
    z = model.sample_latent(Noise(0, [2])).repeat(3, 1)
    z[:, 1] = torch.tensor([-2.5, 0.0, 2.5])
    with torch.no_grad():
        expected = to_uint8(model.from_latent(z), 17)
    assert drawn[0].shape == (2, 4, 1, 8, 8)
    assert torch.equal(drawn[0][1, 1:], expected)
    assert torch.equal(drawn[0][:, 0], to_uint8(model.sample(3), 17)[[2, 2]])


def test_an_inversion_finds_samples_again(gan: Path) -> None:
    """Images that the generator can make come back, where other latents are far away; in any batch."""
    model = model_of(gan)
    x = model.sample(3, seed=5)
    z = model.to_latent(x, Noise(0, range(3)))
    with torch.no_grad():
        x_hat = model.from_latent(z)
    error = (to_symmetric(x, 17) - to_symmetric(x_hat, 17)).square().mean((1, 2, 3))
    others = (to_symmetric(x, 17) - to_symmetric(model.sample(3, seed=6), 17)).square().mean((1, 2, 3))
    assert (error < 0.4 * others).all()
    assert torch.allclose(model.to_latent(x[2:], Noise(0, [2])), z[2:], atol=1e-4)


def test_an_inversion_prints_its_errors(gan: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main([str(gan), "--invert", "7", "9", f"--out={tmp_path / 'a.png'}"])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines[-3:-1]] == ["test 7", "test 9"]


def test_classes_and_labels_of_a_conditional_gan() -> None:
    torch.manual_seed(0)
    nets = SNGANNets(generator_channels=(8, 8), discriminator_channels=(8,), halvings=1)
    model = SNGAN((1, 4, 4), 17, num_classes=3, nets=nets)
    walks.check_walks(model, Options(classes=True))
    walks.check_walks(model, Options(walk=((0, 1),), label=2))
    with pytest.raises(UserError, match="choose one with --label"):
        walks.check_walks(model, Options(walk=((0, 1),)))
    with pytest.raises(UserError, match="SNGAN has classes"):
        model.to_latent(torch.zeros(1, 1, 4, 4), Noise(0, [0]))
    assert model.sampler_settings()["class_conditional"] is True
    assert model.sampling == GeneratorSampling()

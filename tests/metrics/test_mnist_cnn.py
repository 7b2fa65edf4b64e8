"""The digit classifier that ships: it knows digits at both sizes, and its distance tells real from worse."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from lit_gen.metrics.spaces import train_mnist_cnn
from lit_gen.metrics.spaces.feature_space import sha256_of_file
from lit_gen.metrics.spaces.mnist_cnn import WEIGHTS, DigitNet, MnistCNN, digits_to_input
from lit_gen.metrics.spaces.train_mnist_cnn import augment, shrink, sklearn_digits, train
from lit_gen.metrics.statistics.frechet import Moments, frechet_distance


@pytest.fixture(scope="module")
def extractor() -> MnistCNN:
    return MnistCNN()


@pytest.fixture(scope="module")
def digits() -> tuple[Tensor, Tensor]:
    return sklearn_digits()


def accuracy(extractor: MnistCNN, x: Tensor, label: Tensor) -> float:
    return (extractor(x).logits.argmax(1) == label).double().mean().item()


def test_it_reads_the_8x8_digits(extractor: MnistCNN, digits: tuple[Tensor, Tensor]) -> None:
    assert accuracy(extractor, *digits) > 0.97


def test_it_reads_mnist_whole_and_shrunk(extractor: MnistCNN, shelf: Path) -> None:
    datasets = pytest.importorskip("datasets")
    np = pytest.importorskip("numpy")
    folder = shelf / "ylecun" / "mnist"
    if not folder.is_dir():
        pytest.skip(f"needs MNIST at {folder}")
    rows = datasets.load_dataset(str(folder), split="test[:2000]")
    x = torch.from_numpy(np.stack([np.asarray(image) for image in rows["image"]]))[:, None]
    label = torch.tensor(list(rows["label"]))
    assert accuracy(extractor, x, label) > 0.99
    assert accuracy(extractor, shrink(x).round().to(torch.uint8), label) > 0.975


def test_the_weights_are_small_and_their_checksum_is_computed(extractor: MnistCNN) -> None:
    assert WEIGHTS.stat().st_size < 1_000_000
    assert extractor.sha256 == sha256_of_file(WEIGHTS)
    assert (extractor.name, extractor.network) == ("mnist_cnn", "mnist_cnn")


def test_the_dimensions_it_states(extractor: MnistCNN, digits: tuple[Tensor, Tensor]) -> None:
    out = extractor(digits[0][:3])
    assert out.features.shape == (3, extractor.num_features) == (3, 64)
    assert out.logits.shape == (3, extractor.num_classes) == (3, 10)


def test_grey_in_three_channels_is_grey(extractor: MnistCNN, digits: tuple[Tensor, Tensor]) -> None:
    x = digits[0][:20]
    torch.testing.assert_close(
        extractor(x.expand(-1, 3, -1, -1)).features, extractor(x).features, rtol=1e-4, atol=1e-5
    )


def test_the_input_keeps_28x28_pixels_and_resizes_the_rest() -> None:
    x = torch.arange(784, dtype=torch.float32).reshape(1, 1, 28, 28).remainder(256)
    torch.testing.assert_close(digits_to_input(x) * 0.3081 + 0.1307, x / 255)
    flat = torch.full((1, 3, 56, 8), 51, dtype=torch.uint8)
    torch.testing.assert_close(digits_to_input(flat) * 0.3081 + 0.1307, torch.full((1, 1, 28, 28), 0.2))


def test_the_distance_falls_from_noise_to_real(extractor: MnistCNN, digits: tuple[Tensor, Tensor]) -> None:
    x, label = digits
    generator = torch.Generator().manual_seed(0)
    real = Moments.of(extractor(x[:800]).features)

    def distance(fake: Tensor) -> float:
        return frechet_distance(Moments.of(extractor(fake).features), real)

    noise = torch.randint(0, 256, (800, 1, 8, 8), dtype=torch.uint8, generator=generator)
    spoilt = torch.where(torch.rand(800, 1, 8, 8, generator=generator) < 0.15, noise, x[-800:])
    ones = x[label == 1]
    unseen = distance(x[-800:])
    assert unseen < distance(spoilt) < distance(noise)
    assert 3 * unseen < distance(ones)  # one class only, each image perfect


def test_training_is_repeatable_and_lowers_the_loss(capsys: pytest.CaptureFixture[str]) -> None:
    x = torch.zeros(64, 1, 28, 28, dtype=torch.uint8)
    label = torch.arange(64) % 2
    x[label == 1, :, 8:20, 8:20] = 255
    first, second = (train(x, label, epochs=4, batch_size=16, lr=4e-3, seed=3).state_dict() for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)
    losses = [
        float(line.split("loss ")[1].split(",")[0]) for line in capsys.readouterr().out.splitlines()[:4]
    ]
    assert losses[-1] < 0.5 * losses[0]


def test_the_command_writes_weights_that_the_net_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    x = torch.randint(0, 256, (64, 1, 28, 28), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    monkeypatch.setattr(train_mnist_cnn, "mnist_split", lambda folder, split: (x, torch.arange(64) % 10))
    out = tmp_path / "new" / "weights.pt"
    command = ["train", "--data", str(tmp_path), "--out", str(out), "--epochs", "1", "--batch_size", "32"]
    monkeypatch.setattr("sys.argv", command)
    train_mnist_cnn.main()
    DigitNet().load_state_dict(torch.load(out, weights_only=True))
    printed = capsys.readouterr().out
    assert all(
        name in printed for name in ["MNIST test: ", "shrunk to 8x8: ", "scikit-learn digits (1,797): "]
    )

    monkeypatch.setattr("sys.argv", [*command, "--data", str(tmp_path / "nowhere")])
    with pytest.raises(SystemExit, match="2"):
        train_mnist_cnn.main()
    assert "error: --data: there is no folder" in capsys.readouterr().err


def test_augmentation_is_in_the_nets_range_and_keeps_the_order() -> None:
    x = torch.zeros(8, 1, 28, 28, dtype=torch.uint8)
    x[::2, :, 4:24, 4:24] = 255
    bright = augment(x, torch.Generator().manual_seed(0)).mean(dim=(1, 2, 3)) > 0
    assert bright.tolist() == [True, False] * 4

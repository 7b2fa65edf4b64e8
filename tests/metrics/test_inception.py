"""The Inception extractor and the scores against torch-fidelity itself, with random weights."""

from __future__ import annotations

from pathlib import Path
from urllib.error import URLError

import pytest
import torch
from torch import Tensor
from torch.utils.data import Dataset

from lit_gen.errors import UserError
from lit_gen.metrics import Inception, chosen, reference_summaries, score_samples, score_specs


class Images(Dataset[Tensor]):
    """torch-fidelity takes its images from a Dataset of uint8 [3, H, W]."""

    def __init__(self, x: Tensor) -> None:
        self.x = x

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, index: int) -> Tensor:
        return self.x[index]


def images(n: int, seed: int, channels: int = 3) -> Tensor:
    """Random coloured tiles, finer from seed to seed, so that the sets lie well apart."""
    coarse = torch.randn(n, channels, 4 << seed, 4 << seed, generator=torch.Generator().manual_seed(seed))
    tiles = torch.nn.functional.interpolate(coarse, size=(32, 32), mode="nearest")
    return (128 + 60 * tiles).clamp(0, 255).round().to(torch.uint8)


@pytest.fixture(scope="module")
def inception(inception_weights: Path) -> Inception:
    return Inception(str(inception_weights))


@pytest.mark.parametrize("n", [25, pytest.param(128, marks=pytest.mark.slow)])
def test_fid_and_is_equal_torch_fidelity(
    inception: Inception, inception_weights: Path, tmp_path: Path, n: int
) -> None:
    import torch_fidelity

    # The sets lie far apart because, with fewer images than features, torch-fidelity adds up the square roots
    # of 2,000 eigenvalues that are rounding errors, about 1e-4 in all: under 1e-6 of a large distance alone.
    fake, real = images(n, seed=0), images(n, seed=2)
    theirs = torch_fidelity.calculate_metrics(
        input1=Images(fake),
        input2=Images(real),
        fid=True,
        isc=True,
        feature_extractor_weights_path=str(inception_weights),
        batch_size=25,
        cuda=False,
        cache=False,
        save_cpu_ram=True,
        verbose=False,
    )
    statistics = chosen(inception, None)
    references = reference_summaries(real, inception, statistics, "real", tmp_path)
    distance, score = score_samples(
        lambda first, count: fake[first : first + count], inception, statistics, references, n
    )
    assert distance.value == pytest.approx(theirs["frechet_inception_distance"], rel=1e-6)
    assert score.value == pytest.approx(theirs["inception_score_mean"], rel=1e-6)
    assert score.standard_error == pytest.approx(theirs["inception_score_std"] / 3, abs=1e-6)  # sqrt(10 - 1)
    assert score.value > 1.01  # or the agreement would mean nothing


def test_folding_the_norms_changes_rounding_only(
    inception: Inception, inception_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Inception, "internal_batch", 4)
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    net = FeatureExtractorInceptionV3(
        "inception-v3-compat",
        ["2048", "logits_unbiased"],
        feature_extractor_weights_path=str(inception_weights),
    )
    x = images(8, seed=1)
    features, logits = net(x)
    ours = inception(x)
    assert (ours.features - features).abs().max() < 1e-5 * features.abs().max()
    assert (ours.logits - logits).abs().max() < 1e-5 * logits.abs().max()
    grey = images(2, seed=3, channels=1)
    assert torch.equal(inception(grey).features, inception(grey.repeat(1, 3, 1, 1)).features)


def test_its_names_and_sizes(inception: Inception, monkeypatch: pytest.MonkeyPatch) -> None:
    """FID and IS are defined by one file of weights; with any other, such as these, they bear the net's name."""
    specs = score_specs(inception, None)
    assert [spec.name(inception.network) for spec in specs] == ["fd_inception", "is_inception"]
    monkeypatch.setattr(inception, "sha256", "6726825d" + "0" * 56)
    assert [spec.name(inception.network) for spec in specs] == ["fid", "is"]
    assert [spec.label_in(inception.network) for spec in specs] == ["FID", "IS"]
    monkeypatch.setattr(inception, "sha256", "0" * 56 + "6726825d")
    assert [spec.label_in(inception.network) for spec in specs] == ["FD-inception", "IS-inception"]
    assert (inception.num_features, inception.num_classes) == (2048, 1008)


def test_a_missing_file_is_told_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"there is no file .*nowhere\.pth") as error:
        Inception(str(tmp_path / "nowhere.pth"))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", ["garbage", "code", "another net"])
def test_a_file_of_something_else_is_told_in_one_line(tmp_path: Path, content: str) -> None:
    path = tmp_path / "weights.pth"
    if content == "garbage":
        path.write_bytes(b"not weights at all")
    elif content == "code":
        torch.save(torch.nn.Linear(2, 2), path)  # a pickled object, which loading would have to run
    else:
        torch.save(torch.nn.Linear(2, 2).state_dict(), path)
    with pytest.raises(UserError, match=r"Inception weights: .*weights\.pth") as error:
        Inception(str(path))
    assert "\n" not in str(error.value)


def test_offline_the_message_says_how_to_mend_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*args: object, **kwargs: object) -> None:
        raise URLError("no route to host")

    monkeypatch.setattr(torch.hub, "download_url_to_file", unreachable)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    with pytest.raises(UserError, match=r"no route to host.*give the file's path as `weights`") as error:
        Inception()
    assert "\n" not in str(error.value)


def test_the_downloaded_file_is_kept_where_torch_fidelity_keeps_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, inception_weights: Path
) -> None:
    asked = []

    def download(url: str, target: str, hash_prefix: str, progress: bool) -> None:
        asked.append((url, hash_prefix))
        Path(target).write_bytes(inception_weights.read_bytes())

    monkeypatch.setattr(torch.hub, "download_url_to_file", download)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    first, second = Inception(), Inception()
    assert [checksum for _, checksum in asked] == ["6726825d"]
    assert first.sha256 == second.sha256 == Inception(str(inception_weights)).sha256
    assert (tmp_path / "checkpoints" / "weights-inception-2015-12-05-6726825d.pth").is_file()

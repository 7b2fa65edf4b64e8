r"""Measures what moves a Frechet distance without the model moving, and writes the table of ``docs/protocol.md``.

    python -m lit_gen.fit --config configs/base.yaml --config configs/data/cifar10_jpeg.yaml \
        --config configs/families/gan/dcgan.yaml --model.nets.channels=48 --budget.max_examples=100000 \
        --ema.halflife_examples=5000 --quality.extractor=null
    python docs/results/fid_factors.py --checkpoint runs/<run>/checkpoints/last.ckpt
    python docs/results/fid_factors.py

The first writes ``fid_factors.json`` (a quarter of an hour of one CPU core) and the table, the second the table alone.
Each row changes one thing: the samples stay those of one checkpoint, drawn from one seed.
"""

from __future__ import annotations

import argparse
import io
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from listing import HERE, REPO
from PIL import Image
from torch import Tensor

from lit_gen.checkpoints import read_checkpoint
from lit_gen.cli.build import run_from_checkpoint
from lit_gen.data import HubImages, HubSource, Splits, Transform
from lit_gen.errors import UserError
from lit_gen.families import GAN
from lit_gen.metrics import EfficientNetLite0, FrechetDistance, build
from lit_gen.metrics.spaces.resizing import bicubic
from lit_gen.noise import Noise
from lit_gen.runs.weights import load_weights

RESULTS = HERE / "fid_factors.json"
PAGE = REPO / "docs/protocol.md"
SAMPLES, REFERENCE = 2000, 4000
_TABLE = re.compile(r"(<!-- measured: factors -->\n).*?(<!-- end of table -->)", re.DOTALL)
Extract = Callable[[EfficientNetLite0, Tensor], Tensor]

# Label of the row, the samples, the reference; by name of the sets of features below, with the number of samples.
ROWS = (
    ("as lit_gen takes it: 2,000 samples of averaged weights, 4,000 training pictures", "averaged", "train", SAMPLES),
    ("reference: 4,000 test pictures", "averaged", "test", SAMPLES),
    ("1,000 samples", "averaged", "train", 1000),
    ("500 samples", "averaged", "train", 500),
    ("2,000 samples of another seed", "seed 1", "train", SAMPLES),
    ("raw weights", "raw", "train", SAMPLES),
    ("samples saved as JPEG of quality 75", "jpeg 75", "train", SAMPLES),
    ("samples truncated to integers, not rounded", "truncated", "train", SAMPLES),
    ("samples resized to 224 by bilinear interpolation, the reference by bicubic", "bilinear", "train", SAMPLES),
    ("features of the samples in bfloat16", "bfloat16", "train", SAMPLES),
    ("2,000 test pictures in place of samples", "test", "train", SAMPLES),
    ("1,000 test pictures", "test", "train", 1000),
    ("500 test pictures", "test", "train", 500),
    ("2,000 test pictures at 16x16, against 2,000 training pictures reduced like them", "test 16", "train 16", SAMPLES),
    ("the same, but reduced without antialiasing", "test 16 aliased", "train 16", SAMPLES),
)


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; returns 1 if ``--check`` finds another table, 2 if a file is missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", type=Path, help="of a GAN on cifar10_jpeg; without it nothing is measured")
    parser.add_argument("--features", type=Path, default=REPO / "runs/fid_factors",
                        help="folder that keeps features between calls (default runs/fid_factors)")
    parser.add_argument("--check", action="store_true", help="write nothing; say whether the table is up to date")
    options = parser.parse_args(arguments)
    try:
        if options.checkpoint:
            found = measured(options.checkpoint, options.features)
            RESULTS.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        old = PAGE.read_text(encoding="utf-8")
        new = _TABLE.sub(lambda block: block[1] + table(json.loads(RESULTS.read_text())) + block[2], old)
    except (UserError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if not options.check:
        PAGE.write_text(new, encoding="utf-8")
    return int(options.check and old != new)


def table(found: dict[str, Any]) -> str:
    """The table as Markdown, from the content of ``fid_factors.json``."""
    lines = ["| what is changed | FD-efficientnet_lite0 |", "|---|---|"]
    lines += [f"| {row['label']} | {row['fd']:.1f} +- {row['error']:.1f} |" for row in found["rows"]]
    return "\n".join(lines) + "\n"


# ------------------------------------------------------------------ the sets


def rounded(pixels: Tensor) -> Tensor:
    """Numbers in 0..255 as the nearest integers, uint8."""
    return pixels.round().clamp(0, 255).to(torch.uint8)


def as_jpeg(x: Tensor, quality: int) -> Tensor:
    """Images uint8 [B, 3, H, W] after they were saved as JPEG and read again."""
    decoded = []
    for image in x:
        file = io.BytesIO()
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(file, "jpeg", quality=quality)
        decoded.append(np.asarray(Image.open(file)))
    return torch.from_numpy(np.stack(decoded)).permute(0, 3, 1, 2).contiguous()


def reduced(x: Tensor, antialias: bool) -> Tensor:
    """Images at half their size."""
    half = (x.shape[-2] // 2, x.shape[-1] // 2)
    return rounded(F.interpolate(x.float(), size=half, mode="bilinear", align_corners=False, antialias=antialias))


def usual(space: EfficientNetLite0, x: Tensor) -> Tensor:
    """Features as lit_gen computes them."""
    return space(x).features


def bilinear(space: EfficientNetLite0, x: Tensor) -> Tensor:
    """Features of images that are resized by bilinear interpolation without rounding."""
    with torch.no_grad():
        pixels = F.interpolate(x.float(), size=(224, 224), mode="bilinear", align_corners=False)
        return torch.cat([space.net((part - 127) / 128).features for part in pixels.split(space.internal_batch)])


def bfloat16(space: EfficientNetLite0, x: Tensor) -> Tensor:
    """Features by a net whose convolutions run in bfloat16."""
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        pixels = (bicubic(x, 224) - 127) / 128
        return torch.cat([space.net(p).features.float() for p in pixels.split(space.internal_batch)])


def samples(checkpoint: dict[str, Any], weights: str, seed: int = 0) -> Tensor:
    """The generator's outputs in 0..255, float32 [2000, 3, 32, 32].

    Raises:
        UserError: The checkpoint is not a GAN's.
    """
    run = run_from_checkpoint(checkpoint, ["--trainer.devices=1", "--quality.extractor=null"], purpose="sample")
    if not isinstance(run.model, GAN):
        raise UserError(f"the checkpoint is of {type(run.model).__name__}; give a GAN's")
    load_weights(run, checkpoint, weights)
    model = run.model.eval()
    with torch.no_grad():
        blocks = [range(first, first + 250) for first in range(0, SAMPLES, 250)]
        parts = [model.generator(Noise(seed, rows).normal(model.num_latents)) for rows in blocks]
    return (torch.cat(parts) + 1) * 127.5


def sets(checkpoint: dict[str, Any]) -> dict[str, tuple[Callable[[], Tensor], Extract]]:
    """What is compared, by name: images, and how their features are computed."""
    data = HubImages("cifar10_jpeg", "cifar10_jpeg", Transform(32, 3), HubSource(), splits=Splits(num_val=5000))
    data.prepare_data()
    data.setup("fit")
    train, test = (data.split(name).x for name in ("train", "test"))
    # The files are in no order of classes, but a permutation costs nothing.
    order = torch.randperm(len(train), generator=torch.Generator().manual_seed(0))[:REFERENCE]
    train, test = train[order], test[torch.randperm(len(test), generator=torch.Generator().manual_seed(0))[:REFERENCE]]
    drawn = samples(checkpoint, "ema")
    return {
        "train": (lambda: train, usual),
        "averaged": (lambda: rounded(drawn), usual),
        "test": (lambda: test, usual),
        "raw": (lambda: rounded(samples(checkpoint, "raw")), usual),
        "jpeg 75": (lambda: as_jpeg(rounded(drawn), 75), usual),
        "bilinear": (lambda: rounded(drawn), bilinear),
        "seed 1": (lambda: rounded(samples(checkpoint, "ema", seed=1)), usual),
        "test 16": (lambda: reduced(test[:SAMPLES], True), usual),
        "test 16 aliased": (lambda: reduced(test[:SAMPLES], False), usual),
        "train 16": (lambda: reduced(train[:SAMPLES], True), usual),
        "bfloat16": (lambda: rounded(drawn), bfloat16),
        "truncated": (lambda: drawn.floor().clamp(0, 255).to(torch.uint8), usual),
    }


def measured(path: Path, folder: Path) -> dict[str, Any]:
    """The rows, and what they were measured of; features that a folder keeps are not computed again."""
    checkpoint, space, features = read_checkpoint(path), EfficientNetLite0(), {}
    folder.mkdir(parents=True, exist_ok=True)
    for name, (images, extract) in sets(checkpoint).items():
        file = folder / f"{name.replace(' ', '-')}.pt"
        if not file.is_file():
            torch.save(torch.cat([extract(space, part) for part in images().split(256)]), file)
            print(f"features: {name}", flush=True)
        features[name] = torch.load(file, weights_only=True)
    rows = []
    for label, of, against, count in ROWS:
        reference = build(FrechetDistance, space, len(features[against]), num_groups=1)
        reference.update(features[against], torch.arange(len(features[against])))
        statistic = build(FrechetDistance, space, count, reference.summary())
        statistic.update(features[of][:count], torch.arange(count))
        values = statistic.compute()
        rows.append({"label": label, "fd": float(values["fd"]), "error": float(values["fd_se"])})
        print(f"{label}: {rows[-1]['fd']:.2f} +- {rows[-1]['error']:.2f}", flush=True)
    return {"space": space.name, "sha256": space.sha256, "samples": SAMPLES, "reference": REFERENCE, "rows": rows}


if __name__ == "__main__":
    sys.exit(main())
